/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/dirtylog.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "give.h"

#define GIB  (UINT64_C(1) << 30)
#define TIB  (UINT64_C(1) << 40)
#define NONE 0

/* The file has 16384 bytes. One byte of log is for 32 KiB of guest. */
static const struct {
    const char *name;
    uint64_t size;
    uint64_t offset;
    uint64_t guest_end;
    const char *text; /* NULL: taken */
} rows[] = {
    {"of a 256 MiB guest", 8192, 0, GIB / 4, NULL},
    {"with an offset", 8192, 8192, GIB / 4, NULL},
    {"guest not known", 1, 0, 0, NULL},
    {"any number of bytes", 8193, 0, GIB / 4 + 1, NULL},
    {"one page", 1, 0, 1, NULL},
    {"eight pages", 1, 0, 32768, NULL},
    {"size 0", 0, 0, 0, "dirty log: size 0, allowed is 1 to 2147483648"},
    {"size 2^62", UINT64_C(1) << 62, 0, 0,
     "dirty log: size 4611686018427387904, allowed is 1 to 2147483648"},
    {"size and offset that overflow", UINT64_MAX, 1, 0,
     "dirty log: size 18446744073709551615, allowed is 1 to 2147483648"},
    {"offset that overflows", 8192, UINT64_MAX - 4095, 0,
     "the dirty log: offset 0xfffffffffffff000 plus size 0x2000 is over the 64-bit "
     "limit"},
    {"odd offset", 8192, 1, 0, "dirty log: offset 1, allowed are multiples of 4096"},
    {"one byte less than the guest", 8191, 0, GIB / 4,
     "dirty log: size 8191, needed are 8192 for guest memory that ends at 0x10000000"},
    {"nine pages", 1, 0, 32769,
     "dirty log: size 1, needed are 2 for guest memory that ends at 0x8001"},
    {"guest without end", 8192, 0, UINT64_MAX,
     "dirty log: size 8192, needed are 562949953421312 for guest memory that ends at "
     "0xffffffffffffffff"},
    {"file too short", 16385, 0, 0,
     "file of the dirty log has 16384 bytes, needed 16385"},
    {"file too short by the offset", 8193, 8192, 0,
     "file of the dirty log has 16384 bytes, needed 16385"},
};

static void
test_a_log_covers_the_guest_and_is_in_its_file(void)
{
    unsigned n_fds = count_fds();

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        GError *error = NULL;
        g_autoptr(VrdDirtylog) log = vrd_dirtylog_new(
            give_memfd(16384), rows[i].size, rows[i].offset, rows[i].guest_end, &error);

        g_test_message("%s", rows[i].name);
        if (rows[i].text != NULL) {
            assert_refused(log != NULL, &error, VRD_ERROR_PROTOCOL, rows[i].text);
            g_assert_cmpuint(count_fds(), ==, n_fds);
            continue;
        }
        g_assert_no_error(error);
        g_assert_cmpuint(vrd_dirtylog_size(log), ==, rows[i].size);
        g_assert_cmpuint(vrd_dirtylog_offset(log), ==, rows[i].offset);
        g_assert_true(is_open(vrd_dirtylog_fd(log)));
    }
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_the_largest_guest_has_64_tib(void)
{
    GError *error = NULL;
    g_autoptr(VrdDirtylog)
        log = vrd_dirtylog_new(give_memfd(2 * GIB), 2 * GIB, 0, 64 * TIB, &error);

    g_assert_no_error(error);
    g_assert_nonnull(log);
}

static void
test_only_memory_is_taken(void)
{
    unsigned n_fds = count_fds();
    GError *error = NULL;
    VrdDirtylog *log = vrd_dirtylog_new(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                        4096, 0, NONE, &error);

    assert_refused(log != NULL, &error, VRD_ERROR_PROTOCOL,
                   "dirty log descriptor is a socket, allowed is a memfd, tmpfs or "
                   "hugetlbfs file");
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_equal_means_the_same_place_in_the_same_file(void)
{
    vrd_autofd fd = give_memfd(16384);
    g_autoptr(VrdDirtylog) log = vrd_dirtylog_new(give_dup(fd), 8192, 0, NONE, NULL);
    g_autoptr(VrdDirtylog) same = vrd_dirtylog_new(give_dup(fd), 8192, 0, NONE, NULL);
    g_autoptr(VrdDirtylog) longer = vrd_dirtylog_new(give_dup(fd), 8193, 0, NONE, NULL);
    g_autoptr(VrdDirtylog) later = vrd_dirtylog_new(give_dup(fd), 8192, 4096, NONE, NULL);
    g_autoptr(VrdDirtylog)
        other = vrd_dirtylog_new(give_memfd(16384), 8192, 0, NONE, NULL);

    g_assert_true(vrd_dirtylog_equal(log, same));
    g_assert_false(vrd_dirtylog_equal(log, longer));
    g_assert_false(vrd_dirtylog_equal(log, later));
    g_assert_false(vrd_dirtylog_equal(log, other));
    g_assert_false(vrd_dirtylog_equal(log, NULL));
    g_assert_cmpuint(vrd_dirtylog_generation(log), <, vrd_dirtylog_generation(same));
}

static void
write_byte(int fd, uint64_t offset, uint8_t byte)
{
    g_assert_cmpint(pwrite(fd, &byte, 1, (off_t) offset), ==, 1);
}

static void
test_a_snapshot_has_the_bits_of_then(void)
{
    const uint64_t size = 300001; /* more than one chunk, not a whole page */
    VrdDirtylog *log;
    g_autofree uint8_t *expected = g_malloc0(size);
    g_autofree uint8_t *read_back = g_malloc0(size);
    unsigned n_fds = count_fds();
    int fd = give_memfd(8192 + size);
    int copy;

    write_byte(fd, 8191, 0xff); /* before the log */
    write_byte(fd, 8192, 1);
    write_byte(fd, 8192 + 200000, 2);
    write_byte(fd, 8192 + size - 1, 3);
    expected[0] = 1;
    expected[200000] = 2;
    expected[size - 1] = 3;
    log = vrd_dirtylog_new(fd, size, 8192, NONE, NULL);
    copy = vrd_dirtylog_snapshot(log, NULL);
    g_assert_cmpint(copy, >=, 0);
    write_byte(fd, 8192 + 5, 9); /* is not in it any more */
    g_assert_cmpint(pread(copy, read_back, size, 0), ==, (ssize_t) size);
    g_assert_cmpmem(read_back, size, expected, size);
    g_assert_cmpint(lseek(copy, 0, SEEK_END), ==, (off_t) size);
    g_assert_cmpint(fcntl(copy, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    /* The bits of the log are as they were, and so is the position of the VMM's file. */
    g_assert_cmpint(pread(fd, read_back, 1, 8192), ==, 1);
    g_assert_cmpuint(read_back[0], ==, 1);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 0);
    vrd_fd_close(&copy);
    vrd_dirtylog_unref(log);
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static int
give_snapshot(uint64_t size)
{
    g_autoptr(VrdDirtylog) log = vrd_dirtylog_new(give_memfd(size), size, 0, NONE, NULL);
    int copy;

    write_byte(vrd_dirtylog_fd(log), 0, 0x55);
    copy = vrd_dirtylog_snapshot(log, NULL);
    g_assert_cmpint(copy, >=, 0);
    return copy;
}

static void
test_nobody_changes_a_snapshot(void)
{
    vrd_autofd copy = give_snapshot(8192);
    vrd_autofd writer = -1;
    struct stat info;
    char path[64];
    void *map;

    g_assert_cmpint(fcntl(copy, F_GET_SEALS), ==,
                    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    g_assert_cmpint(fstat(copy, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0400);
    g_assert_cmpint(fcntl(copy, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
    g_assert_cmpint(pwrite(copy, "x", 1, 0), ==, -1);
    g_assert_cmpint(ftruncate(copy, 0), ==, -1);
    g_assert_cmpint(fallocate(copy, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
                    ==, -1);
    g_assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0) ==
                  MAP_FAILED);
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, copy, 0);
    g_assert_true(map != MAP_FAILED);
    g_assert_cmpint(mprotect(map, 4096, PROT_READ | PROT_WRITE), ==, -1);
    munmap(map, 4096);
    /* Whoever may open it for writing again (its owner may, once it is 0600) cannot write
     * all the same. */
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    (void) fchmod(copy, 0600);
    writer = open(path, O_RDWR | O_CLOEXEC);
    if (writer >= 0) {
        g_assert_cmpint(pwrite(writer, "x", 1, 0), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);
        g_assert_cmpint(ftruncate(writer, 0), ==, -1);
        g_assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0) ==
                      MAP_FAILED);
    }
}

static void
test_holes_stay_holes(void)
{
    g_autoptr(VrdDirtylog)
        log = vrd_dirtylog_new(give_memfd(2 * GIB), 2 * GIB, 0, NONE, NULL);
    vrd_autofd copy = -1;
    struct stat before;
    struct stat after;

    write_byte(vrd_dirtylog_fd(log), GIB, 1);
    g_assert_cmpint(fstat(vrd_dirtylog_fd(log), &before), ==, 0);
    copy = vrd_dirtylog_snapshot(log, NULL);
    g_assert_cmpint(copy, >=, 0);
    g_assert_cmpint(fstat(vrd_dirtylog_fd(log), &after), ==, 0);
    g_assert_cmpint(after.st_blocks, ==, before.st_blocks);
    g_assert_cmpint(fstat(copy, &after), ==, 0);
    g_assert_cmpint(after.st_size, ==, (off_t) (2 * GIB));
    /* At most a few pages, or one huge page where tmpfs makes those. */
    g_assert_cmpint(after.st_blocks, <=, 2 * 1024 * 1024 / 512);
}

static void
test_a_log_cut_short_is_an_error_and_never_clean_pages(void)
{
    unsigned n_fds = count_fds();
    VrdDirtylog *log = vrd_dirtylog_new(give_memfd(16384), 16384, 0, NONE, NULL);
    GError *error = NULL;
    int copy;

    g_assert_cmpint(ftruncate(vrd_dirtylog_fd(log), 4096), ==, 0);
    copy = vrd_dirtylog_snapshot(log, &error);
    assert_refused(copy >= 0, &error, VRD_ERROR_SYSTEM,
                   "dirty log snapshot: file of the dirty log has 4096 bytes, needed "
                   "16384");
    vrd_dirtylog_unref(log);
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_a_sealed_log_is_taken_too(void)
{
    int fd = give_memfd(8192);
    g_autoptr(VrdDirtylog) log = NULL;
    vrd_autofd copy = -1;

    /* As QEMU makes it. */
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), ==,
                    0);
    log = vrd_dirtylog_new(fd, 8192, 0, NONE, NULL);
    g_assert_nonnull(log);
    copy = vrd_dirtylog_snapshot(log, NULL);
    g_assert_cmpint(copy, >=, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirtylog/a-log-covers-the-guest-and-is-in-its-file",
                    test_a_log_covers_the_guest_and_is_in_its_file);
    g_test_add_func("/dirtylog/the-largest-guest-has-64-tib",
                    test_the_largest_guest_has_64_tib);
    g_test_add_func("/dirtylog/only-memory-is-taken", test_only_memory_is_taken);
    g_test_add_func("/dirtylog/equal-means-the-same-place-in-the-same-file",
                    test_equal_means_the_same_place_in_the_same_file);
    g_test_add_func("/dirtylog/a-snapshot-has-the-bits-of-then",
                    test_a_snapshot_has_the_bits_of_then);
    g_test_add_func("/dirtylog/nobody-changes-a-snapshot",
                    test_nobody_changes_a_snapshot);
    g_test_add_func("/dirtylog/holes-stay-holes", test_holes_stay_holes);
    g_test_add_func("/dirtylog/a-log-cut-short-is-an-error-and-never-clean-pages",
                    test_a_log_cut_short_is_an_error_and_never_clean_pages);
    g_test_add_func("/dirtylog/a-sealed-log-is-taken-too",
                    test_a_sealed_log_is_taken_too);
    return g_test_run();
}

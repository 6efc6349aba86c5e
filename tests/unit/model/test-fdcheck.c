/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/fdcheck.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "give.h"

#define MEMORY_ONLY ", allowed is a memfd, tmpfs or hugetlbfs file"

static int
reopen_memfd(int flags)
{
    vrd_autofd fd = give_memfd(4096);
    char path[64];

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static int
give_read_only_memfd(void)
{
    return reopen_memfd(O_RDONLY);
}

static int
give_write_only_memfd(void)
{
    return reopen_memfd(O_WRONLY);
}

static int
give_path_memfd(void)
{
    return reopen_memfd(O_PATH);
}

static int
give_file(void)
{
    return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int
give_directory(void)
{
    return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
give_device(void)
{
    return open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static int
give_pipe(void)
{
    int ends[2];

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    vrd_fd_close(&ends[1]);
    return ends[0];
}

static int
give_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int
give_epoll(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

static int
give_eventfd(void)
{
    return eventfd(0, EFD_CLOEXEC);
}

static int
give_memory(void)
{
    return give_memfd(4096);
}

static const struct {
    const char *name;
    int (*give)(void);
    const char *as_memory; /* what the error says; NULL: taken */
    const char *as_eventfd;
} rows[] = {
    {"memory", give_memory, NULL, "D is shared memory, allowed is an eventfd"},
    {"eventfd", give_eventfd, "D is an eventfd" MEMORY_ONLY, NULL},
    {"read-only memory", give_read_only_memfd,
     "D is open one way only, allowed is reading and writing",
     "D is shared memory, allowed is an eventfd"},
    {"write-only memory", give_write_only_memfd,
     "D is open one way only, allowed is reading and writing",
     "D is shared memory, allowed is an eventfd"},
    {"path of memory", give_path_memfd, "D is a file" MEMORY_ONLY,
     "D is a file, allowed is an eventfd"},
    {"disk file", give_file, "D is a file" MEMORY_ONLY,
     "D is a file, allowed is an eventfd"},
    {"directory", give_directory, "D is a file" MEMORY_ONLY,
     "D is a file, allowed is an eventfd"},
    {"device", give_device, "D is a file" MEMORY_ONLY,
     "D is a file, allowed is an eventfd"},
    {"pipe", give_pipe, "D is a pipe" MEMORY_ONLY, "D is a pipe, allowed is an eventfd"},
    {"socket", give_socket, "D is a socket" MEMORY_ONLY,
     "D is a socket, allowed is an eventfd"},
    {"epoll", give_epoll, "D is an anonymous inode" MEMORY_ONLY,
     "D is an anonymous inode, allowed is an eventfd"},
};

static void
expect(gboolean ok, GError *error, const char *text)
{
    if (text == NULL) {
        g_assert_no_error(error);
        g_assert_true(ok);
        return;
    }
    assert_refused(ok, &error, VRD_ERROR_PROTOCOL, text);
}

static void
test_only_the_promised_kind_passes(void)
{
    unsigned n_fds = count_fds();

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vrd_autofd fd = rows[i].give();
        GError *error = NULL;
        gboolean ok;

        g_test_message("%s", rows[i].name);
        g_assert_cmpint(fd, >=, 0);
        ok = vrd_fdcheck_memory(fd, "D", &error);
        expect(ok, error, rows[i].as_memory);
        error = NULL;
        ok = vrd_fdcheck_eventfd(fd, "D", &error);
        expect(ok, error, rows[i].as_eventfd);
        g_assert_true(is_open(fd));
    }
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_no_descriptor_is_of_no_kind(void)
{
    GError *error = NULL;

    assert_refused(vrd_fdcheck_memory(-1, "D", &error), &error, VRD_ERROR_PROTOCOL,
                   "D is of a kind that is unknown" MEMORY_ONLY);
}

static const struct {
    uint64_t offset;
    uint64_t size;
    const char *text;
} holds_rows[] = {
    {0, 4096, NULL},
    {4095, 1, NULL},
    {4096, 0, NULL},
    {0, 4097, "file of it has 4096 bytes, needed 4097"},
    {4096, 1, "file of it has 4096 bytes, needed 4097"},
    {1, UINT64_MAX,
     "it: offset 0x1 plus size 0xffffffffffffffff is over the 64-bit limit"},
    {0, UINT64_MAX, "file of it has 4096 bytes, needed 18446744073709551615"},
};

static void
test_a_file_holds_what_lies_before_its_end(void)
{
    vrd_autofd fd = give_memfd(4096);

    for (unsigned i = 0; i < G_N_ELEMENTS(holds_rows); i++) {
        GError *error = NULL;
        gboolean ok = vrd_fdcheck_holds(fd, "it", holds_rows[i].offset,
                                        holds_rows[i].size, &error);

        expect(ok, error, holds_rows[i].text);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fdcheck/only-the-promised-kind-passes",
                    test_only_the_promised_kind_passes);
    g_test_add_func("/fdcheck/no-descriptor-is-of-no-kind",
                    test_no_descriptor_is_of_no_kind);
    g_test_add_func("/fdcheck/a-file-holds-what-lies-before-its-end",
                    test_a_file_holds_what_lies_before_its_end);
    return g_test_run();
}

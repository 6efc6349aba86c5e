/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest/usedindex.h"

#include <sys/stat.h>

#include "../model/give.h"

#define USER  UINT64_C(0x7f0000000000)
#define BYTES UINT64_C(0x100000)
#define SHIFT UINT64_C(0x10000) /* where the region begins in its file */

/* A ring of 256 in a table of one region that does not begin with its file. */
typedef struct {
    VrdRing ring;
    VrdMemtable *memory;
    int fd; /* (borrowed) */
} Fixture;

static void
set_up(Fixture *f)
{
    VrdPayloadAddr addr = {0, 0, USER, USER + 0x2000, USER + 0x1000, 0};
    g_autoptr(VrdMemfile) file = give_memfile(SHIFT + BYTES);

    f->memory = vrd_memtable_new();
    add_region(f->memory, 0, BYTES, USER, SHIFT, file);
    f->fd = vrd_memfile_fd(file);
    vrd_ring_init(&f->ring, 2);
    g_assert_true(vrd_ring_set_size(&f->ring, 256, FALSE, NULL));
    g_assert_true(vrd_ring_set_addr(&f->ring, &addr, FALSE, f->memory, NULL));
}

static void
tear_down(Fixture *f)
{
    vrd_ring_clear(&f->ring);
    vrd_memtable_unref(f->memory);
}

static void
test_both_indices_are_read_where_the_table_says(void)
{
    const uint8_t avail_ring[] = {0x11, 0x11, 0x34, 0x12, 0x22, 0x22};
    const uint8_t used_ring[] = {0x33, 0x33, 0xfe, 0xff, 0x44, 0x44};
    unsigned n_fds = count_fds();
    g_autoptr(GError) error = NULL;
    uint16_t used = 0;
    uint16_t avail = 0;
    Fixture f;

    set_up(&f);
    g_assert_cmpint(pwrite(f.fd, avail_ring, sizeof avail_ring, SHIFT + 0x1000), ==,
                    sizeof avail_ring);
    g_assert_cmpint(pwrite(f.fd, used_ring, sizeof used_ring, SHIFT + 0x2000), ==,
                    sizeof used_ring);
    g_assert_true(vrd_usedindex_read(&f.ring, f.memory, &used, &avail, &error));
    g_assert_no_error(error);
    g_assert_cmphex(avail, ==, 0x1234);
    g_assert_cmphex(used, ==, 0xfffe);
    tear_down(&f);
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_a_hole_reads_as_zero_and_stays_a_hole(void)
{
    struct stat info;
    uint16_t used = 1;
    uint16_t avail = 1;
    Fixture f;

    set_up(&f);
    g_assert_true(vrd_usedindex_read(&f.ring, f.memory, &used, &avail, NULL));
    g_assert_cmpuint(used, ==, 0);
    g_assert_cmpuint(avail, ==, 0);
    g_assert_cmpint(fstat(f.fd, &info), ==, 0);
    g_assert_cmpint(info.st_blocks, ==, 0);
    tear_down(&f);
}

static const struct {
    const char *name;
    off_t size; /* of the file, after it is cut */
    const char *text;
} cut_rows[] = {
    {"all of it", 0,
     "ring 2: the memory of its used ring is gone, the file has 0 bytes, needed 73732"},
    {"one byte is left", SHIFT + 0x2003,
     "ring 2: the memory of its used ring is gone, the file has 73731 bytes, needed "
     "73732"},
};

static void
test_a_truncated_file_is_an_error(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cut_rows); i++) {
        GError *error = NULL;
        uint16_t used;
        uint16_t avail;
        Fixture f;

        g_test_message("%s", cut_rows[i].name);
        set_up(&f);
        g_assert_cmpint(ftruncate(f.fd, cut_rows[i].size), ==, 0);
        assert_refused(vrd_usedindex_read(&f.ring, f.memory, &used, &avail, &error),
                       &error, VRD_ERROR_SYSTEM, cut_rows[i].text);
        tear_down(&f);
    }
}

static void
test_a_ring_without_a_place_is_an_error(void)
{
    g_autoptr(VrdMemtable) elsewhere = give_table(0, BYTES, 0);
    GError *error = NULL;
    uint16_t used;
    uint16_t avail;
    Fixture f;

    set_up(&f);
    assert_refused(vrd_usedindex_read(&f.ring, elsewhere, &used, &avail, &error), &error,
                   VRD_ERROR_STATE,
                   "ring 2: used ring at 0x7f0000002000 is outside the 1 memory regions");
    assert_refused(vrd_usedindex_read(&f.ring, NULL, &used, &avail, &error), &error,
                   VRD_ERROR_STATE, "ring 2 has no memory table");
    vrd_ring_stop(&f.ring, 0);
    assert_refused(vrd_usedindex_read(&f.ring, f.memory, &used, &avail, &error), &error,
                   VRD_ERROR_STATE, "ring 2 has no addresses");
    tear_down(&f);
}

static void
test_quiet_is_when_all_came_back(void)
{
    g_assert_true(vrd_usedindex_is_quiet(0, 0));
    g_assert_true(vrd_usedindex_is_quiet(65535, 65535));
    g_assert_false(vrd_usedindex_is_quiet(65535, 0));
    g_assert_false(vrd_usedindex_is_quiet(4, 5));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usedindex/both-indices-are-read-where-the-table-says",
                    test_both_indices_are_read_where_the_table_says);
    g_test_add_func("/usedindex/a-hole-reads-as-zero-and-stays-a-hole",
                    test_a_hole_reads_as_zero_and_stays_a_hole);
    g_test_add_func("/usedindex/a-truncated-file-is-an-error",
                    test_a_truncated_file_is_an_error);
    g_test_add_func("/usedindex/a-ring-without-a-place-is-an-error",
                    test_a_ring_without_a_place_is_an_error);
    g_test_add_func("/usedindex/quiet-is-when-all-came-back",
                    test_quiet_is_when_all_came_back);
    return g_test_run();
}

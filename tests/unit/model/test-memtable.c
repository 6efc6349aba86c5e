/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/memtable.h"

#include <sys/stat.h>

#include "give.h"

#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)
#define PIB   (UINT64_C(1) << 50)
#define TAKEN NULL

/* Each is added to a table that has [1 MiB, 2 MiB) at user address 16 MiB; its file has
 * 1 MiB. */
static const struct {
    const char *name;
    VrdMemregion region;
    const char *text;
} rows[] = {
    {"before", {0, MIB, 0, 0}, TAKEN},
    {"after", {2 * MIB, MIB, 17 * MIB, 0}, TAKEN},
    {"one byte", {0, 1, 0, MIB - 1}, TAKEN},
    {"ends at 2^64 - 1", {UINT64_MAX - MIB, MIB, UINT64_MAX - MIB, 0}, TAKEN},
    {"size 0", {0, 0, 0, 0}, "region 1: size 0, allowed is at least 1"},
    {"guest sum",
     {UINT64_MAX - 4095, 4096, 0, 0},
     "region 1: guest address 0xfffffffffffff000 plus size 0x1000 is over the 64-bit "
     "limit"},
    {"user sum",
     {0, 4096, UINT64_MAX, 0},
     "region 1: user address 0xffffffffffffffff plus size 0x1000 is over the 64-bit "
     "limit"},
    {"offset sum",
     {0, 4096, 0, UINT64_MAX - 1},
     "region 1: offset 0xfffffffffffffffe plus size 0x1000 is over the 64-bit "
     "limit"},
    {"same guest range",
     {MIB, MIB, 32 * MIB, 0},
     "region 1: guest addresses 0x100000 to 0x1fffff overlap region 0, which has "
     "0x100000 to 0x1fffff"},
    {"guest overlap of one byte at its end",
     {2 * MIB - 1, 4096, 32 * MIB, 0},
     "region 1: guest addresses 0x1fffff to 0x200ffe overlap region 0, which has "
     "0x100000 to 0x1fffff"},
    {"guest overlap of one byte at its start",
     {MIB - 4095, 4096, 32 * MIB, 0},
     "region 1: guest addresses 0xff001 to 0x100000 overlap region 0, which has "
     "0x100000 to 0x1fffff"},
    {"guest range around it",
     {0, MIB * 3, 32 * MIB, 0},
     "region 1: guest addresses 0x0 to 0x2fffff overlap region 0, which has 0x100000 "
     "to 0x1fffff"},
    {"user overlap",
     {4 * MIB, MIB, 16 * MIB + 4096, 0},
     "region 1: user addresses 0x1001000 to 0x1100fff overlap region 0, which has "
     "0x1000000 to 0x10fffff"},
    {"file too short",
     {4 * GIB, GIB, 4 * GIB, 0},
     "file of region 1 has 1048576 bytes, needed 1073741824"},
    {"file too short by its offset",
     {4 * GIB, MIB, 4 * GIB, 1},
     "file of region 1 has 1048576 bytes, needed 1048577"},
    {"half of the address space",
     {4 * GIB, UINT64_C(1) << 63, 4 * GIB, 0},
     "file of region 1 has 1048576 bytes, needed 9223372036854775808"},
};

static void
test_a_region_is_held_against_limits_and_neighbours(void)
{
    unsigned n_fds = count_fds();

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(VrdMemtable) table = give_table(MIB, MIB, 16 * MIB);
        VrdMemregion region = rows[i].region;
        g_autoptr(VrdMemfile) file = give_memfile(MIB);
        GError *error = NULL;
        gboolean ok;

        g_test_message("%s", rows[i].name);
        region.file = file;
        ok = vrd_memtable_add(table, &region, &error);
        if (rows[i].text != NULL) {
            assert_refused(ok, &error, VRD_ERROR_PROTOCOL, rows[i].text);
        }
        g_assert_no_error(error);
        g_assert_cmpuint(vrd_memtable_n_regions(table), ==, rows[i].text != NULL ? 1 : 2);
    }
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_a_huge_sparse_file_costs_nothing(void)
{
    g_autoptr(VrdMemtable) table = give_table(0, PIB, 0);
    struct stat info;

    g_assert_cmpint(fstat(vrd_memfile_fd(vrd_memtable_region(table, 0)->file), &info), ==,
                    0);
    g_assert_cmpint(info.st_blocks, ==, 0);
}

static void
test_region_513_is_refused(void)
{
    g_autoptr(VrdMemtable) table = vrd_memtable_new();
    g_autoptr(VrdMemfile) file = give_memfile(4096);
    VrdMemregion region = {UINT64_C(4096) * 512, 4096, UINT64_C(4096) * 512, 0, file};
    GError *error = NULL;

    for (unsigned i = 0; i < VRD_MEMTABLE_SLOTS_MAX; i++) {
        add_region(table, UINT64_C(4096) * i, 4096, UINT64_C(4096) * i, 0, file);
    }
    assert_refused(vrd_memtable_add(table, &region, &error), &error, VRD_ERROR_PROTOCOL,
                   "region 512 is one too many, allowed are 512");
}

static void
test_regions_of_one_file_hold_one_descriptor(void)
{
    unsigned n_fds = count_fds();
    VrdMemtable *table = vrd_memtable_new();
    VrdMemfile *file = give_memfile(8 * MIB);
    int fd = vrd_memfile_fd(file);

    for (unsigned i = 0; i < 8; i++) {
        add_region(table, i * MIB, MIB, i * MIB, i * MIB, file);
    }
    vrd_memfile_unref(file);
    g_assert_cmpuint(count_fds(), ==, n_fds + 1);
    g_assert_true(is_open(fd));
    vrd_memtable_unref(table);
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static const struct {
    const char *name;
    uint64_t guest_addr;
    uint64_t user_addr;
    uint64_t size;
    const char *text;
} remove_rows[] = {
    {"unknown", 0, 0, MIB,
     "none of the 1 regions has guest address 0x0, user address 0x0 and size "
     "0x100000"},
    {"half of it", MIB, 16 * MIB, MIB / 2,
     "none of the 1 regions has guest address 0x100000, user address 0x1000000 and "
     "size 0x80000"},
    {"other user address", MIB, 0, MIB,
     "none of the 1 regions has guest address 0x100000, user address 0x0 and size "
     "0x100000"},
    {"other guest address", 0, 16 * MIB, MIB,
     "none of the 1 regions has guest address 0x0, user address 0x1000000 and size "
     "0x100000"},
    {"it", MIB, 16 * MIB, MIB, TAKEN},
};

static void
test_only_a_whole_region_is_removed(void)
{
    unsigned n_fds = count_fds();

    for (unsigned i = 0; i < G_N_ELEMENTS(remove_rows); i++) {
        g_autoptr(VrdMemtable) table = give_table(MIB, MIB, 16 * MIB);
        GError *error = NULL;
        gboolean ok = vrd_memtable_remove(table, remove_rows[i].guest_addr,
                                          remove_rows[i].user_addr, remove_rows[i].size,
                                          &error);

        g_test_message("%s", remove_rows[i].name);
        if (remove_rows[i].text != NULL) {
            assert_refused(ok, &error, VRD_ERROR_PROTOCOL, remove_rows[i].text);
        } else {
            g_assert_true(ok);
            g_assert_cmpuint(count_fds(), ==, n_fds);
        }
        g_assert_cmpuint(vrd_memtable_n_regions(table), ==,
                         remove_rows[i].text != NULL ? 1 : 0);
    }
}

static void
test_a_copy_changes_alone(void)
{
    g_autoptr(VrdMemtable) table = give_table(MIB, MIB, 16 * MIB);
    g_autoptr(VrdMemtable) copy = vrd_memtable_copy(table);
    g_autoptr(GError) error = NULL;

    g_assert_true(vrd_memtable_equal(table, copy));
    g_assert_true(vrd_memtable_remove(copy, MIB, 16 * MIB, MIB, &error));
    g_assert_cmpuint(vrd_memtable_n_regions(table), ==, 1);
    g_assert_false(vrd_memtable_equal(table, copy));
}

static void
test_equal_means_same_numbers_and_same_inode(void)
{
    g_autoptr(VrdMemfile) file = give_memfile(2 * MIB);
    g_autoptr(VrdMemfile) other = give_memfile(2 * MIB);
    g_autoptr(VrdMemfile) same = vrd_memfile_new(give_dup(vrd_memfile_fd(file)), NULL);
    const VrdMemregion regions[] = {
        {0, MIB, 0, 0, same},    {4096, MIB, 0, 0, file}, {0, 4096, 0, 0, file},
        {0, MIB, 4096, 0, file}, {0, MIB, 0, 4096, file}, {0, MIB, 0, 0, other},
    };
    g_autoptr(VrdMemtable) table = vrd_memtable_new();

    add_region(table, 0, MIB, 0, 0, file);
    for (unsigned i = 0; i < G_N_ELEMENTS(regions); i++) {
        g_autoptr(VrdMemtable) second = vrd_memtable_new();

        g_assert_true(vrd_memtable_add(second, &regions[i], NULL));
        g_assert_cmpint(vrd_memtable_equal(table, second), ==, i == 0);
    }
    g_assert_false(vrd_memtable_equal(table, NULL));
    g_assert_true(vrd_memtable_equal(NULL, NULL));
}

static const struct {
    uint64_t addr;
    uint64_t bytes;
    int found; /* number of the region, -1: none */
} find_rows[] = {
    {16 * MIB, 1, 0},        {16 * MIB, MIB, 0}, {17 * MIB - 1, 1, 0},
    {17 * MIB - 1, 2, -1}, /* into the next one, which is its neighbour */
    {16 * MIB, MIB + 1, -1}, {17 * MIB, MIB, 1}, {16 * MIB - 1, 1, -1},
    {18 * MIB, 1, -1},       {18 * MIB, 0, -1},  {16 * MIB, UINT64_MAX, -1},
    {UINT64_MAX, 2, -1},     {0, 1, -1},
};

static void
test_a_range_is_found_in_one_region_only(void)
{
    g_autoptr(VrdMemtable) table = give_table(0, MIB, 16 * MIB);
    g_autoptr(VrdMemfile) file = give_memfile(MIB);

    add_region(table, MIB, MIB, 17 * MIB, 0, file);
    for (unsigned i = 0; i < G_N_ELEMENTS(find_rows); i++) {
        const VrdMemregion *found = vrd_memtable_find_user(table, find_rows[i].addr,
                                                           find_rows[i].bytes);
        const VrdMemregion *expected = find_rows[i].found >= 0
                                           ? vrd_memtable_region(
                                                 table, (unsigned) find_rows[i].found)
                                           : NULL;

        g_assert_true(found == expected);
    }
}

static void
test_the_guest_ends_with_its_highest_region(void)
{
    g_autoptr(VrdMemtable) table = vrd_memtable_new();
    g_autoptr(VrdMemfile) file = give_memfile(MIB);

    g_assert_cmpuint(vrd_memtable_guest_end(table), ==, 0);
    add_region(table, 4 * GIB, MIB, 4 * GIB, 0, file);
    add_region(table, 0, MIB, 0, 0, file);
    g_assert_cmpuint(vrd_memtable_guest_end(table), ==, 4 * GIB + MIB);
}

static void
test_a_file_is_found_by_its_inode(void)
{
    g_autoptr(VrdMemtable) table = give_table(0, MIB, 0);
    g_autoptr(VrdMemfile) other = give_memfile(MIB);
    VrdMemfile *file = vrd_memtable_region(table, 0)->file;

    g_assert_true(vrd_memtable_find_file(table, vrd_memfile_device(file),
                                         vrd_memfile_inode(file)) == file);
    g_assert_null(vrd_memtable_find_file(table, vrd_memfile_device(other),
                                         vrd_memfile_inode(other)));
    g_assert_null(vrd_memtable_find_file(table, vrd_memfile_device(file) + 1,
                                         vrd_memfile_inode(file)));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memtable/a-region-is-held-against-limits-and-neighbours",
                    test_a_region_is_held_against_limits_and_neighbours);
    g_test_add_func("/memtable/a-huge-sparse-file-costs-nothing",
                    test_a_huge_sparse_file_costs_nothing);
    g_test_add_func("/memtable/region-513-is-refused", test_region_513_is_refused);
    g_test_add_func("/memtable/regions-of-one-file-hold-one-descriptor",
                    test_regions_of_one_file_hold_one_descriptor);
    g_test_add_func("/memtable/only-a-whole-region-is-removed",
                    test_only_a_whole_region_is_removed);
    g_test_add_func("/memtable/a-copy-changes-alone", test_a_copy_changes_alone);
    g_test_add_func("/memtable/equal-means-same-numbers-and-same-inode",
                    test_equal_means_same_numbers_and_same_inode);
    g_test_add_func("/memtable/a-range-is-found-in-one-region-only",
                    test_a_range_is_found_in_one_region_only);
    g_test_add_func("/memtable/the-guest-ends-with-its-highest-region",
                    test_the_guest_ends_with_its_highest_region);
    g_test_add_func("/memtable/a-file-is-found-by-its-inode",
                    test_a_file_is_found_by_its_inode);
    return g_test_run();
}

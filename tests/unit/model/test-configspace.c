/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/configspace.h"

#include <string.h>

static void
test_only_what_was_stored_is_answered(void)
{
    VrdConfigspace space = {0};
    uint8_t out[8] = {0};

    g_assert_cmpuint(vrd_configspace_end(&space), ==, 0);
    g_assert_false(vrd_configspace_read(&space, 0, out, 1));
    vrd_configspace_store(&space, 9, (const uint8_t *) "abcd", 4);
    g_assert_cmpuint(vrd_configspace_end(&space), ==, 13);
    g_assert_true(vrd_configspace_read(&space, 9, out, 4));
    g_assert_cmpmem(out, 4, "abcd", 4);
    g_assert_true(vrd_configspace_read(&space, 11, out, 2));
    g_assert_cmpmem(out, 2, "cd", 2);
    g_assert_false(vrd_configspace_read(&space, 8, out, 4));
    g_assert_false(vrd_configspace_read(&space, 10, out, 4));
    vrd_configspace_forget(&space);
    g_assert_false(vrd_configspace_read(&space, 9, out, 1));
    g_assert_cmpuint(vrd_configspace_end(&space), ==, 0);
}

static void
test_a_later_write_wins(void)
{
    VrdConfigspace space = {0};
    uint8_t out[4];

    vrd_configspace_store(&space, 0, (const uint8_t *) "aaaa", 4);
    vrd_configspace_store(&space, 1, (const uint8_t *) "b", 1);
    g_assert_true(vrd_configspace_read(&space, 0, out, 4));
    g_assert_cmpmem(out, 4, "abaa", 4);
}

static const struct {
    uint32_t offset;
    uint32_t size;
    gboolean fits;
} rows[] = {
    {0, 256, TRUE},  {255, 1, TRUE},         {0, 257, FALSE},        {255, 2, FALSE},
    {256, 1, FALSE}, {UINT32_MAX, 2, FALSE}, {1, UINT32_MAX, FALSE},
};

static void
test_a_range_over_the_end_is_left_alone(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        VrdConfigspace space = {0};
        uint8_t in[257];
        uint8_t out[257] = {0};

        memset(in, 7, sizeof in);
        g_test_message("%u + %u", rows[i].offset, rows[i].size);
        vrd_configspace_store(&space, rows[i].offset, in, rows[i].size);
        g_assert_cmpint(vrd_configspace_end(&space) != 0, ==, rows[i].fits);
        g_assert_cmpint(vrd_configspace_read(&space, rows[i].offset, out, rows[i].size),
                        ==, rows[i].fits);
        if (rows[i].fits) {
            g_assert_cmpmem(out, rows[i].size, in, rows[i].size);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/configspace/only-what-was-stored-is-answered",
                    test_only_what_was_stored_is_answered);
    g_test_add_func("/configspace/a-later-write-wins", test_a_later_write_wins);
    g_test_add_func("/configspace/a-range-over-the-end-is-left-alone",
                    test_a_range_over_the_end_is_left_alone);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/conflict.h"

#include <string.h>

#define UUID_A "UUID=5e4f1b0c-3f0e-4c51-9d0a-6a4c0e6d2b11\n"
#define UUID_B "UUID=5e4f1b0c-3f0e-4c51-9d0a-6a4c0e6d2b22\n"

static VrdDeviceFile *
parse(const char *path, const char *device, const char *sides)
{
    static const VrdSettings defaults = {0};
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = g_strconcat("[Device]\n", device, sides, NULL);
    VrdDeviceFile *file;

    file = vrd_device_file_parse(path, text, strlen(text), &defaults, problems);
    g_assert_cmpuint(problems->len, ==, 0);
    return file;
}

/* Rows: a first device, a second one, and what is told of the second (NULL: admitted). */
static void
test_a_claim_is_held_by_the_first(void)
{
    static const char *const one = "[Backend]\nPath=/1\n";
    static const char *const two = "[Backend]\nPath=/2\n";
    static const char *const both = "[VMM]\nPath=/2\n[Backend]\nPath=/1\n";
    static const char *const crossed = "[VMM]\nPath=/1\n[Backend]\nPath=/3\n";
    const struct {
        const char *device_a, *sides_a, *device_b, *sides_b, *problem;
    } rows[] = {
        {"VM=v\n", one, "VM=v\n", two, NULL},
        {"VM=v\n", one, "VM=w\n", two, NULL},
        {"VM=v\n" UUID_A, one, "VM=v\n" UUID_A, two, NULL},
        {"VM=v\n" UUID_A, one, "VM=v\n", two, NULL},
        {"VM=v\n", one, "VM=v\n" UUID_A, two, NULL},
        {"VM=v\n", one, "VM=v\n", one,
         "b.conf:4: Path=/1: belongs to /d/a.conf already*"},
        {"VM=v\n", one, "VM=w\n", crossed, "b.conf:4: Path=/1: belongs to /d/a.conf *"},
        {"VM=v\n", both, "VM=w\n", two, "b.conf:4: Path=/2: belongs to /d/a.conf *"},
        {"VM=v\n", one, "VM=w\n", "[Backend]\nPath=//1\n",
         "b.conf:4: Path=//1: belongs *"},
        {"VM=v\nName=n\n", one, "VM=v\nName=n\n", two,
         "b.conf:3: Name=n: VM v has it from /d/a.conf already*"},
        {"VM=v\n", one, "VM=v\nName=a\n", two,
         "b.conf:3: Name=a: VM v has it from /d/a.conf already*"},
        {"VM=v\n" UUID_A, one, "VM=v\n" UUID_B, two,
         "b.conf:3: UUID=*22: VM v has *11 in /d/a.conf, allowed is the same"},
        {"VM=v\n" UUID_A, one, "VM=w\n" UUID_A, two,
         "b.conf:3: UUID=*11: is that of VM v in /d/a.conf*"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(VrdDeviceFile)
            a = parse("/d/a.conf", rows[i].device_a, rows[i].sides_a);
        g_autoptr(VrdDeviceFile) b = parse("b.conf", rows[i].device_b, rows[i].sides_b);
        g_autoptr(VrdConflict) conflict = vrd_conflict_new();

        g_test_message("row %u", i);
        g_assert_true(vrd_conflict_admit(conflict, a, problems));
        g_assert_cmpuint(problems->len, ==, 0);
        g_assert_cmpint(vrd_conflict_admit(conflict, b, problems), ==,
                        rows[i].problem == NULL);
        g_assert_cmpuint(problems->len, ==, rows[i].problem == NULL ? 0 : 1);
        if (rows[i].problem != NULL) {
            g_test_message("%s", (char *) problems->pdata[0]);
            g_assert_true(g_pattern_match_simple(rows[i].problem, problems->pdata[0]));
        }
    }
}

static void
test_who_is_left_out_claims_nothing(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(VrdDeviceFile) a = parse("a.conf", "VM=v\n", "[Backend]\nPath=/1\n");
    g_autoptr(VrdDeviceFile)
        b = parse("b.conf", "VM=w\n", "[VMM]\nPath=/2\n[Backend]\nPath=/1\n");
    g_autoptr(VrdDeviceFile)
        c = parse("c.conf", "VM=w\nName=b\n", "[Backend]\nPath=/2\n");
    g_autoptr(VrdConflict) conflict = vrd_conflict_new();

    g_assert_true(vrd_conflict_admit(conflict, a, problems));
    g_assert_false(vrd_conflict_admit(conflict, b, problems));
    g_assert_true(vrd_conflict_admit(conflict, c, problems));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/conflict/a-claim-is-held-by-the-first",
                    test_a_claim_is_held_by_the_first);
    g_test_add_func("/conflict/who-is-left-out-claims-nothing",
                    test_who_is_left_out_claims_nothing);
    return g_test_run();
}

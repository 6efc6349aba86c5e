/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/schema.h"

#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t first;
    uint32_t second;
    char *name;
} Target;

static const VrdSetting settings[] = {
    {"A", "First", vrd_setting_value_rings, offsetof(Target, first), "7"},
    {"A", "Second", vrd_setting_value_ms, offsetof(Target, second), NULL},
    {"B", "Name", vrd_setting_value_name, offsetof(Target, name), NULL},
};

/* The problems, joined by newlines; @target has been given its defaults. */
static char *
parse(const char *text, Target *target, unsigned *lines)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    gboolean is_good;

    vrd_schema_set_defaults(settings, G_N_ELEMENTS(settings), target);
    is_good = vrd_schema_parse(settings, G_N_ELEMENTS(settings), "f", text, strlen(text),
                               target, lines, problems);
    g_assert_cmpint(is_good, ==, problems->len == 0);
    g_ptr_array_add(problems, NULL);
    return g_strjoinv("\n", (char **) problems->pdata);
}

static void
test_settings_reach_their_fields(void)
{
    Target target = {.second = 3};
    unsigned lines[G_N_ELEMENTS(settings)];
    g_autofree char *problems = parse("[B]\nName=x\n[A]\nFirst=9\n", &target, lines);

    g_assert_cmpstr(problems, ==, "");
    g_assert_cmpuint(target.first, ==, 9);
    g_assert_cmpuint(target.second, ==, 3);
    g_assert_cmpstr(target.name, ==, "x");
    g_assert_cmpuint(lines[0], ==, 4);
    g_assert_cmpuint(lines[1], ==, 0);
    g_assert_cmpuint(lines[2], ==, 2);
    g_free(target.name);
}

static void
test_empty_value_is_the_default(void)
{
    Target target = {.second = 3};
    unsigned lines[G_N_ELEMENTS(settings)];
    g_autofree char *problems = NULL;

    problems = parse("[A]\nFirst=\nSecond=\n[B]\nName=\n", &target, lines);
    g_assert_cmpstr(problems, ==, "");
    g_assert_cmpuint(target.first, ==, 7);
    g_assert_cmpuint(target.second, ==, 3);
    g_assert_null(target.name);
}

static void
test_problem_names_line_key_value_and_what_is_allowed(void)
{
    static const struct {
        const char *text;
        const char *problem;
    } rows[] = {
        {"[A]\nFirst=0\n", "f:2: First=0: allowed is a number from 1 to 256"},
        {"[A]\nThird=1\n", "f:2: Third=1: unknown key, allowed in [A] are First, Second"},
        {"[A]\nName=x\n", "f:2: Name=x: unknown key, allowed in [A] are First, Second"},
        {"[A]\nfirst=1\n", "f:2: first=1: unknown key, allowed in [A] are First, Second"},
        {"\n[C]\nx=1\ny=2\n", "f:2: [C]: unknown section, allowed are [A], [B]"},
        {"[]\n", "f:1: []: unknown section, allowed are [A], [B]"},
        {"First=1\n", "f:1: First=1: stands before any section, allowed are [A], [B]"},
        {"[A]\nFirst=1\n[B]\n[A]\nFirst=2\n",
         "f:5: First=2: given already in line 2, allowed is once"},
        {"[A]\nFirst=x\nSecond=-1\n",
         "f:2: First=x: allowed is a number from 1 to 256\n"
         "f:3: Second=-1: allowed is a number of milliseconds up to 86400000, 0 for no "
         "deadline"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Target target = {0};
        unsigned lines[G_N_ELEMENTS(settings)];
        g_autofree char *problems = parse(rows[i].text, &target, lines);

        g_assert_cmpstr(problems, ==, rows[i].problem);
    }
}

static void
test_long_value_is_shortened_in_a_problem(void)
{
    Target target = {0};
    unsigned lines[G_N_ELEMENTS(settings)];
    g_autofree char *value = g_strnfill(2000, 'x');
    g_autofree char *text = g_strdup_printf("[A]\nFirst=%s\n", value);
    g_autofree char *problems = parse(text, &target, lines);

    g_assert_cmpuint(strlen(problems), <, 300);
    g_assert_true(g_str_has_suffix(problems, "x...: allowed is a number from 1 to 256"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/settings-reach-their-fields",
                    test_settings_reach_their_fields);
    g_test_add_func("/schema/empty-value-is-the-default",
                    test_empty_value_is_the_default);
    g_test_add_func("/schema/problem-names-line-key-value-and-what-is-allowed",
                    test_problem_names_line_key_value_and_what_is_allowed);
    g_test_add_func("/schema/long-value-is-shortened-in-a-problem",
                    test_long_value_is_shortened_in_a_problem);
    return g_test_run();
}

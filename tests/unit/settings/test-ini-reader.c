/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/ini-reader.h"

#include <string.h>

typedef struct {
    GString *heard; /* "LINE [SECTION] KEY=VALUE\n" */
    GPtrArray *problems;
} Outcome;

static void
hear(const char *section, const char *key, const char *value, unsigned line,
     gpointer user_data)
{
    Outcome *outcome = user_data;

    if (key != NULL) {
        g_string_append_printf(outcome->heard, "%u [%s] %s=%s\n", line, section, key,
                               value);
    }
}

static Outcome
parse(const char *text, size_t n_bytes)
{
    Outcome outcome = {
        .heard = g_string_new(NULL),
        .problems = g_ptr_array_new_with_free_func(g_free),
    };

    vrd_ini_reader_parse("f", text, n_bytes, hear, &outcome, outcome.problems);
    return outcome;
}

static void
clear(Outcome *outcome)
{
    g_string_free(outcome->heard, TRUE);
    g_ptr_array_unref(outcome->problems);
}

static void
test_settings_come_with_section_and_line(void)
{
    static const struct {
        const char *text;
        const char *heard;
    } rows[] = {
        {"", ""},
        {"\n\n", ""},
        {"[A]\nk=v\n", "2 [A] k=v\n"},
        {"[A]\nk=v", "2 [A] k=v\n"},
        {"[A]\r\nk = v \r\n", "2 [A] k=v\n"},
        {"\xef\xbb\xbf[A]\nk=v\n", "2 [A] k=v\n"},
        {"k=v\n", "1 [] k=v\n"},
        {"# c\n; c\n  # c ; c\n[A]\n\nk=v\n[B]\nl=w\n", "6 [A] k=v\n8 [B] l=w\n"},
        {"[A]\nk=\nl=x=y\n", "2 [A] k=\n3 [A] l=x=y\n"},
        {"[A]\nk=v\n  l=w\n", "2 [A] k=v\n3 [A] l=w\n"}, /* no continuation */
        {"[A]\nk=v;w#x\n", "2 [A] k=v;w#x\n"},
        {"[A]\nk=v #w\n", "2 [A] k=v #w\n"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Outcome outcome = parse(rows[i].text, strlen(rows[i].text));

        g_test_message("row %u", i);
        g_assert_cmpstr(outcome.heard->str, ==, rows[i].heard);
        g_assert_cmpuint(outcome.problems->len, ==, 0);
        clear(&outcome);
    }
}

static void
test_what_is_no_setting_is_a_problem_with_its_line(void)
{
    static const struct {
        const char *text;
        const char *problem;
        const char *heard;
    } rows[] = {
        {"[A]\nnonsense\nk=v\n", "f:2: nonsense: allowed is *", "3 [A] k=v\n"},
        {"[A]\nnonsense", "f:2: nonsense: allowed is *", ""},
        {"[A\nk=v\n", "f:1: [A: allowed is [Section]", "2 [] k=v\n"},
        {"[A] x\nk=v\n", "f:1: *", "2 [] k=v\n"},
        {"[A]\nk=v ; w\n", "f:2: *a comment needs a line of its own", ""},
        {"[A]\nk=\xff\n", "f:2: line is not text*", ""},
        {"[A]\nk=a\033b\n", "f:2: line holds the control character 0x1b", ""},
        {"[A]\nk=v\n nonsense\n", "f:3: nonsense: *", "2 [A] k=v\n"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Outcome outcome = parse(rows[i].text, strlen(rows[i].text));

        g_test_message("row %u", i);
        g_assert_cmpuint(outcome.problems->len, ==, 1);
        g_test_message("%s", (char *) outcome.problems->pdata[0]);
        g_assert_true(
            g_pattern_match_simple(rows[i].problem, outcome.problems->pdata[0]));
        g_assert_cmpstr(outcome.heard->str, ==, rows[i].heard);
        clear(&outcome);
    }
}

static void
test_every_wrong_line_is_told(void)
{
    Outcome outcome = parse("x\n[A]\ny\n\nz\n", 11);

    g_assert_cmpuint(outcome.problems->len, ==, 3);
    g_assert_true(g_str_has_prefix(outcome.problems->pdata[0], "f:1: x: "));
    g_assert_true(g_str_has_prefix(outcome.problems->pdata[1], "f:3: y: "));
    g_assert_true(g_str_has_prefix(outcome.problems->pdata[2], "f:5: z: "));
    clear(&outcome);
}

static void
test_nul_byte_is_a_problem(void)
{
    Outcome outcome = parse("[A]\nk=v\0w\n", 10);

    g_assert_cmpuint(outcome.problems->len, ==, 1);
    g_assert_true(g_str_has_prefix(outcome.problems->pdata[0], "f:2: line is not text"));
    g_assert_cmpstr(outcome.heard->str, ==, "");
    clear(&outcome);
}

/* Values around and far over libinih's buffer of 200 bytes arrive whole. */
static void
test_long_value_is_not_cut(void)
{
    static const char letters[] = "ab c;d#e[f]g=h:i  j";

    for (unsigned n = 150; n < VRD_INI_READER_LINE_MAX - 10; n += n < 450 ? 1 : 97) {
        g_autofree char *value = g_malloc(n + 1);
        g_autofree char *text = NULL;
        g_autofree char *heard = NULL;
        Outcome outcome;

        for (unsigned i = 0; i < n; i++) {
            value[i] = letters[(i * 7 + i / 19) % (sizeof(letters) - 1)];
            if (i > 0 && value[i] == ';' && value[i - 1] == ' ') {
                value[i] = 'x';
            }
        }
        value[0] = value[n - 1] = 'x';
        value[n] = '\0';
        text = g_strdup_printf("[A]\nk=%s\nl=w\n", value);
        heard = g_strdup_printf("2 [A] k=%s\n3 [A] l=w\n", value);
        outcome = parse(text, strlen(text));
        g_assert_cmpuint(outcome.problems->len, ==, 0);
        g_assert_cmpstr(outcome.heard->str, ==, heard);
        clear(&outcome);
    }
}

static void
test_line_over_the_limit_is_a_problem(void)
{
    static const char *const heads[] = {"k=", "#", "[", "", "x ", "[A] "};

    for (unsigned i = 0; i < G_N_ELEMENTS(heads); i++) {
        g_autofree char *tail = g_strnfill(VRD_INI_READER_LINE_MAX, 'x');
        g_autofree char *text = g_strdup_printf("[A]\n%s%sx\nl=w\n", heads[i], tail);
        Outcome outcome = parse(text, strlen(text));

        g_assert_cmpuint(outcome.problems->len, ==, 1);
        g_assert_true(g_pattern_match_simple("f:2: line is * bytes, allowed are 4096",
                                             outcome.problems->pdata[0]));
        g_assert_cmpstr(outcome.heard->str, ==, "3 [A] l=w\n");
        clear(&outcome);
    }
}

static void
test_long_line_that_is_no_setting_is_a_problem(void)
{
    g_autofree char *tail = g_strnfill(1000, 'x');
    g_autofree char *blanks = g_strnfill(1000, ' ');
    g_autofree char *no_setting = g_strdup_printf("[A]\nk=v\n%s\nl=w\n", tail);
    g_autofree char *section = g_strdup_printf("[A]\nk=v\n[%s\nl=w\n", tail);
    g_autofree char *gap = g_strdup_printf("[A]\nk=v\nm%s=x\nl=w\n", blanks);
    const char *texts[] = {no_setting, section, gap};

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        Outcome outcome = parse(texts[i], strlen(texts[i]));

        g_test_message("text %u", i);
        g_assert_cmpuint(outcome.problems->len, ==, 1);
        g_assert_true(g_str_has_prefix(outcome.problems->pdata[0], "f:3: "));
        g_assert_cmpstr(outcome.heard->str, ==, "2 [A] k=v\n4 [A] l=w\n");
        clear(&outcome);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ini-reader/settings-come-with-section-and-line",
                    test_settings_come_with_section_and_line);
    g_test_add_func("/ini-reader/what-is-no-setting-is-a-problem-with-its-line",
                    test_what_is_no_setting_is_a_problem_with_its_line);
    g_test_add_func("/ini-reader/every-wrong-line-is-told",
                    test_every_wrong_line_is_told);
    g_test_add_func("/ini-reader/nul-byte-is-a-problem", test_nul_byte_is_a_problem);
    g_test_add_func("/ini-reader/long-value-is-not-cut", test_long_value_is_not_cut);
    g_test_add_func("/ini-reader/line-over-the-limit-is-a-problem",
                    test_line_over_the_limit_is_a_problem);
    g_test_add_func("/ini-reader/long-line-that-is-no-setting-is-a-problem",
                    test_long_line_that_is_no_setting_is_a_problem);
    return g_test_run();
}

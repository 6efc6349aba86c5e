/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/text.h"

static void
test_ago_is_in_two_units_at_most(void)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } rows[] = {
        {0, "0 s ago"},
        {12, "12 s ago"},
        {59, "59 s ago"},
        {60, "1 min 0 s ago"},
        {3599, "59 min 59 s ago"},
        {3600, "1 h 0 min ago"},
        {86399, "23 h 59 min ago"},
        {86400 * 3 + 7200, "3 d 2 h ago"},
    };
    uint64_t now = UINT64_C(1000000) * G_USEC_PER_SEC;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = vrd_text_ago(now - rows[i].seconds * G_USEC_PER_SEC, now);

        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

static void
test_ago_of_never_and_of_the_future(void)
{
    g_autofree char *never = vrd_text_ago(0, 5);
    g_autofree char *future = vrd_text_ago(10, 5);

    g_assert_cmpstr(never, ==, "never");
    g_assert_cmpstr(future, ==, "0 s ago");
}

static void
test_bytes_have_the_largest_fitting_unit(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {3u << 20, "3 MiB"},
        {UINT64_C(64) << 30, "64 GiB"},
        {UINT64_MAX, "16 EiB"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = vrd_text_bytes(rows[i].bytes);

        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

static void
test_printable_escapes_what_is_not(void)
{
    g_autofree char *text = vrd_text_printable("a\033\xff\xc3\xa4");

    g_assert_true(g_utf8_validate(text, -1, NULL));
    g_assert_cmpstr(text, ==, "a\\x1b\xef\xbf\xbd\xc3\xa4");
}

static void
test_suggestions_are_near_words_only(void)
{
    static const char *const words[] = {"list", "show", "monitor", "log", NULL};
    static const struct {
        const char *word;
        const char *meant;
    } rows[] = {
        {"lsit", "list"}, {"mon", "monitor"}, {"shwo", "show"},
        {"logs", "log"},  {"restart", NULL},  {"", NULL},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpstr(vrd_text_suggest(rows[i].word, words), ==, rows[i].meant);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/ago-is-in-two-units-at-most",
                    test_ago_is_in_two_units_at_most);
    g_test_add_func("/text/ago-of-never-and-of-the-future",
                    test_ago_of_never_and_of_the_future);
    g_test_add_func("/text/bytes-have-the-largest-fitting-unit",
                    test_bytes_have_the_largest_fitting_unit);
    g_test_add_func("/text/printable-escapes-what-is-not",
                    test_printable_escapes_what_is_not);
    g_test_add_func("/text/suggestions-are-near-words-only",
                    test_suggestions_are_near_words_only);
    return g_test_run();
}

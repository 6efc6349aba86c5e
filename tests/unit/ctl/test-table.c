/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/table.h"

#include <string.h>

static const char *const headings[] = {"NAME", ">N", "LAST", NULL};

static void
add(VrdTable *table, const char *name, const char *n, const char *last)
{
    char *cells[] = {g_strdup(name), g_strdup(n), g_strdup(last)};

    vrd_table_add(table, cells);
}

static VrdTableStyle
red_if_bad(const char *text)
{
    return strcmp(text, "bad") == 0 ? VRD_TABLE_RED : VRD_TABLE_PLAIN;
}

static void
test_columns_are_as_wide_as_their_widest_cell(void)
{
    g_autoptr(VrdTable) table = vrd_table_new(headings);
    g_autofree char *text = NULL;

    add(table, "a", "1", "x");
    add(table, "longer", "1000", "");
    text = vrd_table_format(table, 0, FALSE);
    g_assert_cmpstr(text, ==,
                    "NAME       N  LAST\n"
                    "a          1  x\n"
                    "longer  1000\n");
}

static void
test_letters_count_not_bytes(void)
{
    g_autoptr(VrdTable) table = vrd_table_new(headings);
    g_autofree char *text = NULL;

    add(table, "äöüäöü", "1", "x");
    add(table, "abcdef", "2", "y");
    text = vrd_table_format(table, 2, FALSE);
    g_assert_cmpstr(text, ==,
                    "  NAME    N  LAST\n"
                    "  äöüäöü  1  x\n"
                    "  abcdef  2  y\n");
}

static void
test_colour_does_not_move_columns(void)
{
    g_autoptr(VrdTable) table = vrd_table_new(headings);
    g_autofree char *plain = NULL;
    g_autofree char *colour = NULL;
    g_autofree char *stripped = NULL;
    g_autoptr(GRegex) escape = g_regex_new("\033\\[[0-9]*m", 0, 0, NULL);

    add(table, "bad", "1", "x");
    add(table, "good-enough", "2", "y");
    vrd_table_set_style(table, 0, red_if_bad);
    plain = vrd_table_format(table, 0, FALSE);
    colour = vrd_table_format(table, 0, TRUE);
    g_assert_nonnull(strstr(colour, "\033[31mbad\033[0m"));
    g_assert_null(strchr(plain, '\033'));
    stripped = g_regex_replace_literal(escape, colour, -1, 0, "", 0, NULL);
    g_assert_cmpstr(stripped, ==, plain);
}

static void
test_control_characters_do_not_reach_the_terminal(void)
{
    g_autoptr(VrdTable) table = vrd_table_new(headings);
    g_autofree char *text = NULL;

    add(table, "a\033[2J\nb", "1", "x");
    text = vrd_table_format(table, 0, FALSE);
    g_assert_null(strchr(text, '\033'));
    g_assert_nonnull(strstr(text, "a\\x1b[2J\\x0ab"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/table/columns-are-as-wide-as-their-widest-cell",
                    test_columns_are_as_wide_as_their_widest_cell);
    g_test_add_func("/table/letters-count-not-bytes", test_letters_count_not_bytes);
    g_test_add_func("/table/colour-does-not-move-columns",
                    test_colour_does_not_move_columns);
    g_test_add_func("/table/control-characters-do-not-reach-the-terminal",
                    test_control_characters_do_not_reach_the_terminal);
    return g_test_run();
}

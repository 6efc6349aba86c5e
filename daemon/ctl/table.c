/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/table.h"

#include "ctl/text.h"

#define GAP 2u /* blanks between columns */

struct VrdTable {
    unsigned n_columns;
    char **headings;
    gboolean *right;
    VrdTableStyle (**styles)(const char *text);
    GPtrArray *rows; /* (element-type char **) */
};

static const char *const sequences[] = {
    [VRD_TABLE_PLAIN] = "",         [VRD_TABLE_BOLD] = "\033[1m",
    [VRD_TABLE_GREEN] = "\033[32m", [VRD_TABLE_YELLOW] = "\033[33m",
    [VRD_TABLE_RED] = "\033[31m",
};

VrdTable *
vrd_table_new(const char *const *headings)
{
    VrdTable *table = g_new0(VrdTable, 1);

    table->n_columns = g_strv_length((char **) headings);
    table->headings = g_new0(char *, table->n_columns + 1);
    table->right = g_new0(gboolean, table->n_columns);
    table->styles = g_malloc0_n(table->n_columns, sizeof(table->styles[0]));
    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
    for (unsigned i = 0; i < table->n_columns; i++) {
        table->right[i] = headings[i][0] == '>';
        table->headings[i] = g_strdup(headings[i] + (table->right[i] ? 1 : 0));
    }
    return table;
}

void
vrd_table_free(VrdTable *table)
{
    if (table == NULL) {
        return;
    }
    g_strfreev(table->headings);
    g_free(table->right);
    g_free(table->styles);
    g_ptr_array_unref(table->rows);
    g_free(table);
}

void
vrd_table_add(VrdTable *table, char *const *cells)
{
    char **row = g_new0(char *, table->n_columns + 1);

    for (unsigned i = 0; i < table->n_columns; i++) {
        row[i] = vrd_text_printable(cells[i]);
        g_free(cells[i]);
    }
    g_ptr_array_add(table->rows, row);
}

void
vrd_table_set_style(VrdTable *table, unsigned column,
                    VrdTableStyle (*style)(const char *))
{
    table->styles[column] = style;
}

char *
vrd_table_paint(const char *text, VrdTableStyle style, gboolean colour)
{
    if (!colour || style == VRD_TABLE_PLAIN) {
        return g_strdup(text);
    }
    return g_strconcat(sequences[style], text, "\033[0m", NULL);
}

static unsigned
column_width(const VrdTable *table, unsigned column)
{
    long width = g_utf8_strlen(table->headings[column], -1);

    for (unsigned i = 0; i < table->rows->len; i++) {
        char **row = g_ptr_array_index(table->rows, i);

        width = MAX(width, g_utf8_strlen(row[column], -1));
    }
    return (unsigned) width;
}

static void
append_blanks(GString *out, unsigned n)
{
    g_string_append_printf(out, "%*s", (int) n, "");
}

static void
append_row(const VrdTable *table, GString *out, char **row, const unsigned *widths,
           gboolean is_heading, gboolean colour)
{
    for (unsigned i = 0; i < table->n_columns; i++) {
        unsigned pad = widths[i] - (unsigned) g_utf8_strlen(row[i], -1);
        VrdTableStyle style = VRD_TABLE_PLAIN;
        g_autofree char *cell = NULL;

        if (is_heading) {
            style = VRD_TABLE_BOLD;
        } else if (table->styles[i] != NULL) {
            style = table->styles[i](row[i]);
        }
        cell = vrd_table_paint(row[i], style, colour);
        if (table->right[i]) {
            append_blanks(out, pad);
        }
        g_string_append(out, cell);
        if (i + 1 < table->n_columns) {
            append_blanks(out, (table->right[i] ? 0 : pad) + GAP);
        }
    }
    while (out->len > 0 && out->str[out->len - 1] == ' ') {
        g_string_truncate(out, out->len - 1);
    }
    g_string_append_c(out, '\n');
}

char *
vrd_table_format(const VrdTable *table, unsigned indent, gboolean colour)
{
    GString *out = g_string_new(NULL);
    g_autofree unsigned *widths = g_new0(unsigned, table->n_columns);

    for (unsigned i = 0; i < table->n_columns; i++) {
        widths[i] = column_width(table, i);
    }
    append_blanks(out, indent);
    append_row(table, out, table->headings, widths, TRUE, colour);
    for (unsigned i = 0; i < table->rows->len; i++) {
        append_blanks(out, indent);
        append_row(table, out, g_ptr_array_index(table->rows, i), widths, FALSE, colour);
    }
    return g_string_free(out, FALSE);
}

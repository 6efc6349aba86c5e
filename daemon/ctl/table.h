/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Rows of text in aligned columns. */
typedef struct VrdTable VrdTable;

typedef enum {
    VRD_TABLE_PLAIN,
    VRD_TABLE_BOLD,
    VRD_TABLE_GREEN,
    VRD_TABLE_YELLOW,
    VRD_TABLE_RED,
} VrdTableStyle;

/* @headings: NULL-terminated; one that begins with ">" has its column aligned to the
 * right */
VrdTable *vrd_table_new(const char *const *headings);
void vrd_table_free(VrdTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdTable, vrd_table_free)

/* @cells: (owned strings) as many as there are headings */
void vrd_table_add(VrdTable *table, char *const *cells);
/* Style of a column's cells, chosen by their text. */
void vrd_table_set_style(VrdTable *table, unsigned column,
                         VrdTableStyle (*style)(const char *text));
/* (owned) the lines, each after @indent blanks; no blanks at their ends */
char *vrd_table_format(const VrdTable *table, unsigned indent, gboolean colour);

/* (owned) @text between the escape sequences of @style, if @colour */
char *vrd_table_paint(const char *text, VrdTableStyle style, gboolean colour);

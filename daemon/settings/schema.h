/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "settings/setting-value.h"

/*
 * A file's settings as a table: what is not in it is an error. Rows are applied in the
 * order of the table, whatever the order in the file: a parser may look at the fields of
 * the rows above its own.
 */
typedef struct {
    const char *section;
    const char *key;
    VrdSettingParse parse;
    size_t offset;        /* of the field in the target */
    const char *fallback; /* for a key not given or given without a value; NULL: leave */
} VrdSetting;

/* Give each field of @target that has a fallback its fallback. */
void vrd_schema_set_defaults(const VrdSetting *settings, unsigned n_settings,
                             gpointer target);

/*
 * vrd_schema_parse - read a file's bytes into @target
 * @lines: (out) (array length=n_settings) where each setting was given, 0: not at all
 * @problems: (out) (element-type utf8)
 *
 * Fields of settings that are not in the file, or wrong, stay as they are.
 *
 * Returns: TRUE if no problem was found.
 */
gboolean vrd_schema_parse(const VrdSetting *settings, unsigned n_settings,
                          const char *file, const char *text, size_t n_bytes,
                          gpointer target, unsigned *lines, GPtrArray *problems);

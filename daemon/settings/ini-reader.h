/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * The lines of one ini file. A comment needs a line of its own (# or ;), a value ends
 * with its line, sections and keys are told apart by case.
 * (The file is not called ini.h: that is the name of libinih's header.)
 */
#define VRD_INI_READER_LINE_MAX 4096u /* bytes */

/*
 * Called for each section header (@key and @value are NULL) and each setting, in the
 * order of the file. @section is "" before the first header. Strings are borrowed.
 */
typedef void (*VrdIniReaderFunc)(const char *section, const char *key, const char *value,
                                 unsigned line, gpointer user_data);

/*
 * vrd_ini_reader_parse - take a file's bytes apart
 * @file: its name, for problems
 * @problems: (out) (element-type utf8) lines that are no ini lines are told here and
 *            left out
 */
void vrd_ini_reader_parse(const char *file, const char *text, size_t n_bytes,
                          VrdIniReaderFunc func, gpointer user_data, GPtrArray *problems);

/* Add "FILE:LINE: message" to @problems; @line 0: "FILE: message". */
void vrd_ini_reader_problem(GPtrArray *problems, const char *file, unsigned line,
                            const char *format, ...) G_GNUC_PRINTF(4, 5);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the lines of a file, by a table of settings, into the fields of a structure. */
#include "settings/schema.h"

#include <string.h>

#include "base/error.h"
#include "settings/ini-reader.h"

#define SHOWN_BYTES 160u /* of a value in a message */

typedef struct {
    const VrdSetting *settings;
    unsigned n_settings;
    const char *file;
    char **values; /* for each setting, NULL: not given */
    unsigned *lines;
    gboolean skip; /* the section is unknown, which has been said */
    GPtrArray *problems;
} Reading;

static gboolean
has_section(const Reading *reading, const char *section)
{
    for (unsigned i = 0; i < reading->n_settings; i++) {
        if (g_str_equal(reading->settings[i].section, section)) {
            return TRUE;
        }
    }
    return FALSE;
}

/* (owned) "[A], [B]": sections stand together in a table */
static char *
allowed_sections(const Reading *reading)
{
    GString *text = g_string_new(NULL);
    const char *last = "";

    for (unsigned i = 0; i < reading->n_settings; i++) {
        const char *section = reading->settings[i].section;

        if (!g_str_equal(section, last)) {
            g_string_append_printf(text, "%s[%s]", text->len > 0 ? ", " : "", section);
            last = section;
        }
    }
    return g_string_free(text, FALSE);
}

/* (owned) "A, B" */
static char *
allowed_keys(const Reading *reading, const char *section)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < reading->n_settings; i++) {
        if (g_str_equal(reading->settings[i].section, section)) {
            g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "",
                                   reading->settings[i].key);
        }
    }
    return g_string_free(text, FALSE);
}

/* (owned) as much of @value as a message should hold */
static char *
shown(const char *value)
{
    g_autofree char *head = NULL;
    g_autofree char *whole = NULL;

    if (strlen(value) <= SHOWN_BYTES) {
        return g_strdup(value);
    }
    head = g_strndup(value, SHOWN_BYTES);
    whole = g_utf8_make_valid(head, -1);
    return g_strconcat(whole, "...", NULL);
}

static void
take_section(Reading *reading, const char *section, unsigned line)
{
    reading->skip = !has_section(reading, section);
    if (reading->skip) {
        g_autofree char *allowed = allowed_sections(reading);
        g_autofree char *name = shown(section);

        vrd_ini_reader_problem(reading->problems, reading->file, line,
                               "[%s]: unknown section, allowed are %s", name, allowed);
    }
}

static void
take_unknown(Reading *reading, const char *section, const char *key, const char *value,
             unsigned line)
{
    g_autofree char *text = shown(value);
    g_autofree char *allowed = NULL;

    if (*section == '\0') {
        allowed = allowed_sections(reading);
        vrd_ini_reader_problem(reading->problems, reading->file, line,
                               "%s=%s: stands before any section, allowed are %s", key,
                               text, allowed);
        return;
    }
    allowed = allowed_keys(reading, section);
    vrd_ini_reader_problem(reading->problems, reading->file, line,
                           "%s=%s: unknown key, allowed in [%s] are %s", key, text,
                           section, allowed);
}

static void
take_entry(const char *section, const char *key, const char *value, unsigned line,
           gpointer user_data)
{
    Reading *reading = user_data;

    if (key == NULL) {
        take_section(reading, section, line);
        return;
    }
    if (reading->skip) {
        return;
    }
    for (unsigned i = 0; i < reading->n_settings; i++) {
        if (!g_str_equal(reading->settings[i].section, section) ||
            !g_str_equal(reading->settings[i].key, key)) {
            continue;
        }
        if (reading->values[i] != NULL) {
            g_autofree char *text = shown(value);

            vrd_ini_reader_problem(reading->problems, reading->file, line,
                                   "%s=%s: given already in line %u, allowed is once",
                                   key, text, reading->lines[i]);
            return;
        }
        reading->values[i] = g_strdup(value);
        reading->lines[i] = line;
        return;
    }
    take_unknown(reading, section, key, value, line);
}

static void
apply(const Reading *reading, unsigned i, gpointer target)
{
    const VrdSetting *setting = &reading->settings[i];
    const char *value = reading->values[i];
    g_autoptr(GError) error = NULL;

    if (value != NULL && *value == '\0') {
        value = setting->fallback;
    }
    if (value == NULL) {
        return;
    }
    if (!setting->parse(value, target, setting->offset, &error)) {
        g_autofree char *text = shown(reading->values[i]);

        vrd_ini_reader_problem(reading->problems, reading->file, reading->lines[i],
                               "%s=%s: %s", setting->key, text, error->message);
    }
}

void
vrd_schema_set_defaults(const VrdSetting *settings, unsigned n_settings, gpointer target)
{
    for (unsigned i = 0; i < n_settings; i++) {
        const VrdSetting *setting = &settings[i];
        g_autoptr(GError) error = NULL;

        if (setting->fallback != NULL &&
            !setting->parse(setting->fallback, target, setting->offset, &error)) {
            g_critical("default of %s: %s", setting->key, error->message);
        }
    }
}

gboolean
vrd_schema_parse(const VrdSetting *settings, unsigned n_settings, const char *file,
                 const char *text, size_t n_bytes, gpointer target, unsigned *lines,
                 GPtrArray *problems)
{
    guint n_problems = problems->len;
    Reading reading = {
        .settings = settings,
        .n_settings = n_settings,
        .file = file,
        .values = g_new0(char *, n_settings),
        .lines = lines,
        .problems = problems,
    };

    memset(lines, 0, n_settings * sizeof(*lines));
    vrd_ini_reader_parse(file, text, n_bytes, take_entry, &reading, problems);
    for (unsigned i = 0; i < n_settings; i++) {
        apply(&reading, i, target);
        g_free(reading.values[i]);
    }
    g_free(reading.values);
    return problems->len == n_problems;
}

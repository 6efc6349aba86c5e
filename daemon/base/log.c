/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log lines. What comes from outside (names, reasons of peers) reaches the journal with
 * its control characters escaped: one event is one line, whoever wrote its text.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* Every line would carry the place in this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/clock.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define MAX_FIELDS     6

static int max_level = LOG_INFO;

void
vrd_log_set_level(int level)
{
    max_level = CLAMP(level, LOG_ERR, LOG_DEBUG);
}

int
vrd_log_level(void)
{
    return max_level;
}

gboolean
vrd_log_wants(int level)
{
    return level <= max_level;
}

static gboolean
use_journal(void)
{
    static enum { NOT_ASKED, JOURNAL, STDERR } target = NOT_ASKED;

    if (target == NOT_ASKED) {
        gboolean to_stderr = g_strcmp0(g_getenv("VRINGD_LOG"), "stderr") == 0 ||
                             access(JOURNAL_SOCKET, W_OK) < 0;

        target = to_stderr ? STDERR : JOURNAL;
    }
    return target == JOURNAL;
}

/* Append @text with all that is not printable UTF-8 as \xNN. */
static void
append_escaped(GString *line, const char *text)
{
    while (*text != '\0') {
        gunichar c = g_utf8_get_char_validated(text, -1);
        gboolean valid = c != (gunichar) -1 && c != (gunichar) -2;
        int length = valid ? g_utf8_skip[(guchar) *text] : 1;

        if (valid && g_unichar_isprint(c)) {
            g_string_append_len(line, text, length);
        } else {
            for (int i = 0; i < length; i++) {
                g_string_append_printf(line, "\\x%02x", (unsigned) (guchar) text[i]);
            }
        }
        text += length;
    }
}

/* "vm1/net0: text (queue 1) [vmm pid 12 uid 64055]" */
static GString *
build_line(const VrdLogSubject *subject, const char *text)
{
    GString *line = g_string_new(NULL);

    if (subject != NULL && subject->vm != NULL) {
        append_escaped(line, subject->vm);
        g_string_append(line, subject->device != NULL ? "/" : ": ");
    }
    if (subject != NULL && subject->device != NULL) {
        append_escaped(line, subject->device);
        g_string_append(line, ": ");
    }
    append_escaped(line, text);
    if (subject != NULL && subject->queue >= 0) {
        g_string_append_printf(line, " (queue %d)", subject->queue);
    }
    if (subject != NULL && subject->peer != NULL) {
        g_string_append(line, " [");
        append_escaped(line, subject->peer);
        g_string_append_c(line, ']');
    }
    return line;
}

static void
add_field(GPtrArray *fields, const char *name, const char *value)
{
    GString *field;

    if (value == NULL) {
        return;
    }
    field = g_string_new(name);
    append_escaped(field, value);
    g_ptr_array_add(fields, g_string_free(field, FALSE));
}

static void
write_journal(int level, const VrdLogSubject *subject, const char *line)
{
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);
    struct iovec iov[MAX_FIELDS];

    g_ptr_array_add(fields, g_strconcat("MESSAGE=", line, NULL));
    g_ptr_array_add(fields, g_strdup_printf("PRIORITY=%d", level));
    if (subject != NULL) {
        add_field(fields, "VRINGD_VM=", subject->vm);
        add_field(fields, "VRINGD_DEVICE=", subject->device);
        add_field(fields, "VRINGD_PEER=", subject->peer);
        if (subject->queue >= 0) {
            g_ptr_array_add(fields, g_strdup_printf("VRINGD_QUEUE=%d", subject->queue));
        }
    }
    for (unsigned i = 0; i < fields->len; i++) {
        char *field = g_ptr_array_index(fields, i);

        iov[i] = (struct iovec){.iov_base = field, .iov_len = strlen(field)};
    }
    sd_journal_sendv(iov, (int) fields->len);
}

static void
write_text(int level, const VrdLogSubject *subject, const char *text)
{
    g_autoptr(GString) line = build_line(subject, text);

    if (use_journal()) {
        write_journal(level, subject, line->str);
    } else {
        fprintf(stderr, "<%d>%s\n", level, line->str);
    }
}

void
vrd_log_write(int level, const VrdLogSubject *subject, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (!vrd_log_wants(level)) {
        return;
    }
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    write_text(level, subject, text);
}

/* Take one line from the budget; FALSE: it is used up. */
static gboolean
take_line(VrdLogLimit *limit)
{
    uint64_t now = vrd_clock_now_us();

    if (limit->begin_us == 0 || now - limit->begin_us >= VRD_LOG_LIMIT_INTERVAL_US) {
        limit->begin_us = now;
        limit->used = 0;
    }
    if (limit->used >= VRD_LOG_LIMIT_LINES) {
        limit->suppressed++;
        return FALSE;
    }
    limit->used++;
    return TRUE;
}

void
vrd_log_limited(VrdLogLimit *limit, int level, const VrdLogSubject *subject,
                const char *format, ...)
{
    g_autoptr(GString) text = NULL;
    va_list args;

    if (!vrd_log_wants(level) || !take_line(limit)) {
        return;
    }
    text = g_string_new(NULL);
    va_start(args, format);
    g_string_append_vprintf(text, format, args);
    va_end(args);
    if (limit->suppressed > 0) {
        g_string_append_printf(text, " (%u lines like this were left out)",
                               limit->suppressed);
        limit->suppressed = 0;
    }
    write_text(level, subject, text->str);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libinih, fed line by line. How the installed libinih was built decides whether it
 * gives line numbers, how long a line may be (200 bytes by default, the rest becomes a
 * line of its own without a word) and whether " ;" begins a comment inside a value. One
 * file must mean the same everywhere, so the reader counts the lines, refuses what builds
 * disagree about, and hands a long line over in pieces, as continuation lines.
 */
#include "settings/ini-reader.h"

#include <ini.h>
#include <stdarg.h>
#include <string.h>

typedef struct {
    const char *file;
    const char *next; /* what has not been read */
    const char *end;
    unsigned line;    /* number of the current line, from 1 */
    char *pieces;     /* (owned) the current line, trimmed, or NULL */
    const char *rest; /* what libinih has not been given of it, or NULL */
    gboolean unheard; /* a line was given and libinih found no setting in it */
    char *section;    /* (owned) */
    char *key;        /* (owned) of the setting that is being put together, or NULL */
    GString *value;
    unsigned value_line;
    VrdIniReaderFunc func;
    gpointer user_data;
    GPtrArray *problems;
} Reader;

void
vrd_ini_reader_problem(GPtrArray *problems, const char *file, unsigned line,
                       const char *format, ...)
{
    g_autofree char *message = NULL;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    text = line > 0 ? g_strdup_printf("%s:%u: %s", file, line, message)
                    : g_strdup_printf("%s: %s", file, message);
    /* What is quoted may have been cut within a character, or never have been text. */
    g_ptr_array_add(problems, g_utf8_make_valid(text, -1));
}

static void
finish_setting(Reader *reader)
{
    if (reader->key != NULL) {
        reader->func(reader->section, reader->key, reader->value->str, reader->value_line,
                     reader->user_data);
        g_clear_pointer(&reader->key, g_free);
    }
}

/* The line without the blanks around it, or NULL if it cannot be one. */
static char *
check_line(Reader *reader, const char *start, size_t length)
{
    g_autofree char *line = NULL;

    if (length > VRD_INI_READER_LINE_MAX) {
        vrd_ini_reader_problem(reader->problems, reader->file, reader->line,
                               "line is %zu bytes, allowed are %u", length,
                               VRD_INI_READER_LINE_MAX);
        return NULL;
    }
    if (memchr(start, 0, length) != NULL || !g_utf8_validate_len(start, length, NULL)) {
        vrd_ini_reader_problem(reader->problems, reader->file, reader->line,
                               "line is not text, allowed is UTF-8 without NUL bytes");
        return NULL;
    }
    line = g_strstrip(g_strndup(start, length));
    for (const char *at = line; *at != '\0'; at++) {
        if (g_ascii_iscntrl(*at) && *at != '\t') {
            vrd_ini_reader_problem(reader->problems, reader->file, reader->line,
                                   "line holds the control character 0x%02x",
                                   (unsigned) *at);
            return NULL;
        }
        if (at > line && *at == ';' && g_ascii_isspace(at[-1]) && *line != ';' &&
            *line != '#') {
            vrd_ini_reader_problem(reader->problems, reader->file, reader->line,
                                   "\" ;\" in a line: a comment needs a line of its own");
            return NULL;
        }
    }
    return g_steal_pointer(&line);
}

static gboolean
take_section(Reader *reader, const char *line)
{
    size_t length = strlen(line);

    if (line[length - 1] != ']' || strchr(line, ']') != line + length - 1) {
        vrd_ini_reader_problem(reader->problems, reader->file, reader->line,
                               "%s: allowed is [Section]", line);
        return FALSE;
    }
    g_free(reader->section);
    reader->section = g_strndup(line + 1, length - 2);
    reader->func(reader->section, NULL, NULL, reader->line, reader->user_data);
    return TRUE;
}

/* Take the next line that says something; FALSE at the end. */
static gboolean
next_line(Reader *reader)
{
    while (reader->next < reader->end) {
        const char *start = reader->next;
        const char *newline = memchr(start, '\n', (size_t) (reader->end - start));
        const char *stop = newline != NULL ? newline : reader->end;

        reader->next = newline != NULL ? newline + 1 : reader->end;
        reader->line++;
        g_free(reader->pieces);
        reader->pieces = check_line(reader, start, (size_t) (stop - start));
        if (reader->pieces == NULL || strchr("#;", *reader->pieces) != NULL) {
            continue; /* strchr() finds the end of an empty line as well */
        }
        if (*reader->pieces == '[' && !take_section(reader, reader->pieces)) {
            continue;
        }
        reader->rest = reader->pieces;
        return TRUE;
    }
    return FALSE;
}

/*
 * Bytes of the rest that fit into @room so that libinih, which strips blanks and skips
 * comments, gives back every byte; 0 if there is no such place.
 */
static size_t
piece_bytes(const char *rest, size_t room)
{
    size_t length = strlen(rest);

    if (length <= room) {
        return length;
    }
    for (length = room; length > 0; length--) {
        if (!g_ascii_isspace(rest[length - 1]) && !g_ascii_isspace(rest[length]) &&
            strchr("#;", rest[length]) == NULL) {
            break;
        }
    }
    return length;
}

/* ini_reader: as fgets() on a file that has no empty lines. */
static char *
read_piece(char *buffer, int size, void *stream)
{
    Reader *reader = stream;
    size_t room = (size_t) size - 3; /* a blank before, newline and NUL after */
    gboolean is_first = reader->rest == NULL;
    size_t length;

    if (reader->unheard) {
        vrd_ini_reader_problem(reader->problems, reader->file, reader->line,
                               "%s: allowed is [Section], Key=value or a # comment",
                               reader->pieces);
        reader->unheard = FALSE;
        reader->rest = NULL;
        is_first = TRUE;
    }
    if (is_first) {
        finish_setting(reader);
        if (!next_line(reader)) {
            return NULL;
        }
    }
    length = piece_bytes(reader->rest, room);
    reader->unheard = *reader->pieces != '[';
    g_snprintf(buffer, (gulong) size, "%s%.*s\n", is_first ? "" : " ", (int) length,
               reader->rest);
    reader->rest += length;
    if (*reader->rest == '\0' || length == 0 || *reader->pieces == '[') {
        reader->rest = NULL;
    }
    return buffer;
}

/* ini_handler: with the same key, perhaps cut, for each piece after the first. */
static int
hear(void *user_data, const char *section, const char *key, const char *value)
{
    Reader *reader = user_data;

    if (reader->key == NULL) {
        reader->key = g_strdup(key);
        reader->value_line = reader->line;
        g_string_assign(reader->value, value);
    } else if (g_str_has_prefix(reader->key, key)) {
        g_string_append(reader->value, value);
    } else {
        return 1; /* a libinih without continuation lines: stays unheard */
    }
    reader->unheard = FALSE;
    return 1;
}

void
vrd_ini_reader_parse(const char *file, const char *text, size_t n_bytes,
                     VrdIniReaderFunc func, gpointer user_data, GPtrArray *problems)
{
    Reader reader = {
        .file = file,
        .next = text,
        .end = text + n_bytes,
        .section = g_strdup(""),
        .value = g_string_new(NULL),
        .func = func,
        .user_data = user_data,
        .problems = problems,
    };

    if (n_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        reader.next += 3;
    }
    /* What it returns is its own line count: each problem is told by the reader. */
    (void) ini_parse_stream(read_piece, &reader, hear, &reader);
    finish_setting(&reader);
    g_free(reader.pieces);
    g_free(reader.section);
    g_string_free(reader.value, TRUE);
}

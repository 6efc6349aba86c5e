/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/text.h"

#include <inttypes.h>
#include <string.h>

#define MINUTE 60u
#define HOUR   3600u
#define DAY    86400u

/* Words this far apart are no misspellings of each other. */
#define DISTANCE_MAX 2u
#define WORD_MAX     32u

char *
vrd_text_ago(uint64_t time_us, uint64_t now_us)
{
    uint64_t s;

    if (time_us == 0) {
        return g_strdup("never");
    }
    s = now_us > time_us ? (now_us - time_us) / G_USEC_PER_SEC : 0;
    if (s < MINUTE) {
        return g_strdup_printf("%" PRIu64 " s ago", s);
    }
    if (s < HOUR) {
        return g_strdup_printf("%" PRIu64 " min %" PRIu64 " s ago", s / MINUTE,
                               s % MINUTE);
    }
    if (s < DAY) {
        return g_strdup_printf("%" PRIu64 " h %" PRIu64 " min ago", s / HOUR,
                               s % HOUR / MINUTE);
    }
    return g_strdup_printf("%" PRIu64 " d %" PRIu64 " h ago", s / DAY, s % DAY / HOUR);
}

char *
vrd_text_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double) bytes;
    unsigned unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    if (value == (double) (uint64_t) value) {
        return g_strdup_printf("%" PRIu64 " %s", (uint64_t) value, units[unit]);
    }
    return g_strdup_printf("%.1f %s", value, units[unit]);
}

char *
vrd_text_printable(const char *text)
{
    GString *out = g_string_new(NULL);
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    for (const char *c = valid; *c != '\0'; c = g_utf8_next_char(c)) {
        gunichar ch = g_utf8_get_char(c);

        if (g_unichar_isprint(ch)) {
            g_string_append_unichar(out, ch);
        } else {
            g_string_append_printf(out, "\\x%02x", (unsigned) ch);
        }
    }
    return g_string_free(out, FALSE);
}

/* Letters to insert, drop or replace to make @b of @a. */
static unsigned
distance(const char *a, const char *b)
{
    size_t n = strlen(b);
    unsigned row[WORD_MAX + 1];

    for (unsigned j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned above = row[j];
            unsigned best = MIN(MIN(row[j - 1], above) + 1,
                                diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));

            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

const char *
vrd_text_suggest(const char *word, const char *const *words)
{
    const char *best = NULL;
    unsigned best_distance = DISTANCE_MAX + 1;

    for (; *words != NULL; words++) {
        unsigned d;

        if (strlen(*words) > WORD_MAX) {
            continue;
        }
        if (*word != '\0' && g_str_has_prefix(*words, word)) {
            return *words;
        }
        d = distance(word, *words);
        if (d < best_distance) {
            best = *words;
            best_distance = d;
        }
    }
    return best;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/* Numbers and words as people read them. All results are owned. */

/* "12 s ago", "3 h 5 min ago", "never" for 0; both in microseconds of CLOCK_MONOTONIC */
char *vrd_text_ago(uint64_t time_us, uint64_t now_us);
/* "4096", "32 KiB", "1.5 GiB" */
char *vrd_text_bytes(uint64_t bytes);
/* Control characters escaped: what a peer chose must not steer the terminal. */
char *vrd_text_printable(const char *text);
/* (nullable, borrowed) that of @words which @word was probably meant to be */
const char *vrd_text_suggest(const char *word, const char *const *words);

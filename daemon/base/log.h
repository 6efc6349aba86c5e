/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <syslog.h>

/*
 * The journal, with fields; stderr with <N> prefixes where there is no journal.
 * State changes are LOG_NOTICE, bad peers LOG_WARNING with a rate limit, a line for each
 * message only at LOG_DEBUG.
 */

/* Whom a line is about; each member may be NULL or, for queue, -1. Borrowed strings. */
typedef struct {
    const char *vm;     /* VRINGD_VM= */
    const char *device; /* VRINGD_DEVICE= */
    int queue;          /* VRINGD_QUEUE=, -1: none */
    const char *peer;   /* VRINGD_PEER=, "vmm pid 12 uid 64055" */
} VrdLogSubject;

/* A budget of lines: at most @burst in @interval_us, what is over is counted and said. */
typedef struct {
    uint64_t begin_us;
    unsigned used;
    unsigned suppressed;
} VrdLogLimit;

#define VRD_LOG_LIMIT_LINES       10u
#define VRD_LOG_LIMIT_INTERVAL_US (60u * G_USEC_PER_SEC)

void vrd_log_set_level(int level); /* LOG_ERR ... LOG_DEBUG; default LOG_INFO */
int vrd_log_level(void);

/* TRUE if a line of this level would be written: ask before building a costly one. */
gboolean vrd_log_wants(int level);

void vrd_log_write(int level, const VrdLogSubject *subject, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* As vrd_log_write(), within @limit; what was left out is told with the next line. */
void vrd_log_limited(VrdLogLimit *limit, int level, const VrdLogSubject *subject,
                     const char *format, ...) G_GNUC_PRINTF(4, 5);

#define vrd_log_error(subject_, ...)   vrd_log_write(LOG_ERR, subject_, __VA_ARGS__)
#define vrd_log_warning(subject_, ...) vrd_log_write(LOG_WARNING, subject_, __VA_ARGS__)
#define vrd_log_notice(subject_, ...)  vrd_log_write(LOG_NOTICE, subject_, __VA_ARGS__)
#define vrd_log_info(subject_, ...)    vrd_log_write(LOG_INFO, subject_, __VA_ARGS__)
#define vrd_log_debug(subject_, ...)                                                     \
    do {                                                                                 \
        if (vrd_log_wants(LOG_DEBUG)) {                                                  \
            vrd_log_write(LOG_DEBUG, subject_, __VA_ARGS__);                             \
        }                                                                                \
    } while (0)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

/*
 * Hears when a path's node appears, also while its directories do not exist yet: watches
 * the directory, or the nearest one above it that exists. One inotify descriptor serves
 * all watches of the loop (sd-event's); nothing wakes up while nothing happens.
 */
typedef struct VrdPathwatch VrdPathwatch;

typedef enum {
    VRD_PATHWATCH_APPEARED, /* the node was made or moved here */
    VRD_PATHWATCH_CHANGED, /* something else that may matter: access, a directory above */
    VRD_PATHWATCH_LOST,    /* nothing will be heard any more: make a new one later */
} VrdPathwatchEvent;

/* From the loop. May free the watch. */
typedef void (*VrdPathwatchHandler)(VrdPathwatchEvent what, gpointer user_data);

/*
 * Returns: (owned) the watch, or NULL with @error set (VRD_ERROR_SYSTEM). What happened
 * before the return is not told.
 */
VrdPathwatch *vrd_pathwatch_new(sd_event *event, const char *path,
                                VrdPathwatchHandler handler, gpointer user_data,
                                GError **error);
void vrd_pathwatch_free(VrdPathwatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdPathwatch, vrd_pathwatch_free)

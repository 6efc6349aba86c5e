/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/*
 * A listening Unix socket: activated by systemd, or made here. At EMFILE it stops
 * listening for 100 ms and uses a spare descriptor to refuse, so that the loop never
 * spins.
 */
typedef struct VrdListener VrdListener;

/* @fd: (owned by the callee) a new connection, close-on-exec and non-blocking */
typedef void (*VrdListenerAccepted)(int fd, gpointer user_data);

#define VRD_LISTENER_PATH_MAX 107u /* bytes */

typedef struct {
    uid_t owner; /* (uid_t) -1: leave */
    gid_t group; /* (gid_t) -1: leave */
    mode_t mode;
} VrdListenerAccess;

/*
 * vrd_listener_bind - make a listening socket at @path
 *
 * A stale socket of a dead process is replaced; one on which somebody listens, and any
 * other file, is refused. Errors: VRD_ERROR_SETTING (path too long, with its length),
 * VRD_ERROR_SYSTEM, VRD_ERROR_STATE (somebody listens).
 * Returns: (owned) the descriptor, or -1.
 */
int vrd_listener_bind(const char *path, const VrdListenerAccess *access, GError **error);

/*
 * @fd: (owned) a listening socket
 * @path: (nullable) removed by vrd_listener_free() if it is still the inode of @fd
 */
VrdListener *vrd_listener_new(sd_event *event, int fd, const char *path,
                              VrdListenerAccepted accepted, gpointer user_data,
                              GError **error);
void vrd_listener_free(VrdListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdListener, vrd_listener_free)

/* While paused, connections wait in the kernel. */
void vrd_listener_set_paused(VrdListener *listener, gboolean paused);
/* (owned) the listening descriptor, for a listener that goes on elsewhere */
int vrd_listener_dup_fd(const VrdListener *listener, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/*
 * Connects to a Unix socket, for ever: at once, then whenever the path's node appears
 * (inotify on its directory, or on the nearest directory that exists): 0.1 ms retries for
 * 20 ms, since bind() comes before listen(), then 1, 10, 100 ms. While the node is not
 * there no timer runs. A symlink is refused. Never blocks: the socket is non-blocking, a
 * full backlog is a retry.
 */
typedef struct VrdDialer VrdDialer;

/* @fd: (owned by the callee) the connected socket. The dialer has stopped. */
typedef void (*VrdDialerConnected)(int fd, gpointer user_data);

typedef struct {
    uid_t peer_uid; /* (uid_t) -1: any; else the listener's uid must be this */
} VrdDialerRules;

/* Error: VRD_ERROR_SETTING (path over 107 bytes, with its length) */
VrdDialer *vrd_dialer_new(sd_event *event, const char *path, const VrdDialerRules *rules,
                          VrdDialerConnected connected, gpointer user_data,
                          GError **error);
void vrd_dialer_free(VrdDialer *dialer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdDialer, vrd_dialer_free)

/*
 * Begin to try; @delay_ms before the first attempt (0: from the loop, at once). The
 * caller raises it when a peer accepts and closes again and again.
 */
void vrd_dialer_start(VrdDialer *dialer, unsigned delay_ms);
void vrd_dialer_stop(VrdDialer *dialer);

/*
 * Hear of each change of vrd_dialer_reason(), from the loop; must not stop or free the
 * dialer.
 */
typedef void (*VrdDialerWaiting)(const char *reason, gpointer user_data);
void vrd_dialer_set_waiting(VrdDialer *dialer, VrdDialerWaiting waiting,
                            gpointer user_data);

/* Why there is no connection: "no such path", "connection refused"; "" when stopped. */
const char *vrd_dialer_reason(const VrdDialer *dialer);

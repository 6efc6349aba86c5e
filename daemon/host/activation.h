/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * Listening sockets that systemd made for us (LISTEN_FDS, LISTEN_FDNAMES), handed out by
 * name: "vmm.NAME" and "backend.NAME" for device NAME. Their order means nothing.
 */
typedef struct VrdActivation VrdActivation;

/*
 * vrd_activation_new - take over what the environment promises
 *
 * The variables are unset, so it works once in a process, and no child takes the
 * sockets for its own. No promise is not an error.
 *
 * Returns: (owned) or NULL with @error set (VRD_ERROR_SYSTEM).
 */
VrdActivation *vrd_activation_new(GError **error);
void vrd_activation_free(VrdActivation *activation); /* closes what was not taken */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdActivation, vrd_activation_free)

/*
 * vrd_activation_take_fd - hand a socket over
 *
 * Returns: (owned) the socket, non-blocking and close-on-exec. -1 without @error if there
 * is none of that name; -1 with @error (VRD_ERROR_SETTING) if it is no listening unix
 * stream socket, and then it stays a left-over.
 */
int vrd_activation_take_fd(VrdActivation *activation, const char *name, GError **error);

/*
 * Bring a socket back, whose device went away: it can be taken again under its name
 * (*@fd becomes -1).
 */
void vrd_activation_give_fd(VrdActivation *activation, const char *name, int *fd);

/* (owned, NULL-terminated) names of the sockets nobody took, for a warning; may be empty.
 */
char **vrd_activation_leftovers(const VrdActivation *activation);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Who is at the other end of a Unix socket (SO_PEERCRED, SO_PEERSEC). */
typedef struct {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    char label[128]; /* security label, "" if none */
} VrdPeer;

void vrd_peer_read(int fd, VrdPeer *peer);

/* TRUE if the other end is closed, or writes no more, though nobody has read its end yet.
 */
gboolean vrd_peer_is_gone(int fd);

/* (owned) "pid 812 uid 64055", with " label ..." where there is one */
char *vrd_peer_text(const VrdPeer *peer);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is at the other end, as the kernel noted it at connect() or listen(). The process
 * may have gone and its number been used again: good for a log line and for a rule about
 * users, not to look the process up.
 */
#include "link/peer.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

void
vrd_peer_read(int fd, VrdPeer *peer)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;

    memset(peer, 0, sizeof *peer);
    peer->uid = (uid_t) -1;
    peer->gid = (gid_t) -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
        peer->pid = credentials.pid;
        peer->uid = credentials.uid;
        peer->gid = credentials.gid;
    }
    size = sizeof peer->label - 1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, peer->label, &size) < 0) {
        peer->label[0] = '\0';
    }
}

char *
vrd_peer_text(const VrdPeer *peer)
{
    g_autofree char *label = g_strescape(peer->label, NULL);

    return g_strdup_printf("pid %d uid %u%s%s", (int) peer->pid, peer->uid,
                           label[0] != '\0' ? " label " : "", label);
}

gboolean
vrd_peer_is_gone(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};

    return poll(&poll_fd, 1, 0) == 1 &&
           (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/message.h"

#include "base/closer.h"
#include "base/fd.h"

void
vrd_message_init(VrdMessage *message, uint32_t request)
{
    message->request = request;
    message->flags = VRD_MESSAGE_VERSION;
    message->size = 0;
    message->n_fds = 0;
    for (unsigned i = 0; i < VRD_MESSAGE_FDS_MAX; i++) {
        message->fds[i] = -1;
    }
}

void
vrd_message_init_reply(VrdMessage *reply, const VrdMessage *request)
{
    vrd_message_init(reply, request->request);
    reply->flags = VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY;
}

void
vrd_message_add_fd(VrdMessage *message, int fd)
{
    g_return_if_fail(fd >= 0);
    g_return_if_fail(message->n_fds < VRD_MESSAGE_FDS_MAX);

    message->fds[message->n_fds++] = fd;
}

int
vrd_message_take_fd(VrdMessage *message, unsigned i)
{
    return i < message->n_fds ? vrd_fd_steal(&message->fds[i]) : -1;
}

void
vrd_message_drop_fds(VrdMessage *message)
{
    for (unsigned i = 0; i < message->n_fds; i++) {
        vrd_closer_take(&message->fds[i]);
    }
    message->n_fds = 0;
}

gboolean
vrd_message_needs_reply(const VrdMessage *message)
{
    return (message->flags & VRD_MESSAGE_NEED_REPLY) != 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two halves of the backend channel. A backend's message is held against its row and
 * its gate; CONFIG_CHANGE_MSG is acknowledged at once, since a backend that waits for the
 * ack could not answer the GET_CONFIG that the VMM sends before its own. All others that
 * could pass need features that are never negotiated (docs/protocol.md).
 */
#include "flow/channel.h"

#include <sys/socket.h>

#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "link/call.h"
#include "link/stream.h"
#include "model/vm.h"
#include "wire/payload.h"
#include "wire/request.h"

struct VrdChannel {
    sd_event *event;
    VrdDevice *device;
    const VrdChannelOwner *owner;
    gpointer user_data;
    VrdCall *vmm;       /* NULL: the VMM gave no end, or lost it */
    VrdStream *backend; /* NULL: no backend has the other end */
    VrdLogLimit limit;
};

static void
warn(VrdChannel *channel, const char *side, const GError *reason)
{
    VrdLogSubject subject = {.vm = channel->device->vm->name,
                             .device = channel->device->name,
                             .queue = -1,
                             .peer = side};

    if (g_error_matches(reason, VRD_ERROR, VRD_ERROR_LOST)) {
        vrd_log_info(&subject, "backend channel: %s", reason->message);
        return;
    }
    vrd_log_limited(&channel->limit, LOG_WARNING, &subject, "backend channel closed: %s",
                    reason->message);
}

static void
answer(VrdChannel *channel, const VrdMessage *message, uint64_t value)
{
    VrdMessage reply;

    vrd_message_init_reply(&reply, message);
    vrd_payload_put_u64(&reply, value);
    vrd_stream_send(channel->backend, &reply);
}

static gboolean
check(const VrdChannel *channel, const VrdMessage *message, GError **error)
{
    const VrdRequest *row;

    if (!vrd_request_check_backend(message, error)) {
        return FALSE;
    }
    row = vrd_request_find_backend(message->request);
    if (row->needs != VRD_PROTOCOL_F_ANY &&
        !vrd_device_backend_has(channel->device, row->needs)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "%s: needs protocol feature %s, which is not negotiated", row->name,
                    vrd_feature_protocol_name(row->needs));
        return FALSE;
    }
    return TRUE;
}

static void
on_backend_message(VrdMessage *message, gpointer user_data)
{
    VrdChannel *channel = user_data;
    g_autoptr(GError) error = NULL;

    if (!check(channel, message, &error)) {
        vrd_stream_fail(channel->backend, error);
        return;
    }
    if (message->request != VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG) {
        error = g_error_new(VRD_ERROR, VRD_ERROR_UNSUPPORTED, "%s: not offered here",
                            vrd_request_backend_name(message->request));
        vrd_stream_fail(channel->backend, error);
        return;
    }
    if (vrd_message_needs_reply(message)) {
        answer(channel, message, 0);
    }
    channel->owner->config_changed(channel->user_data);
}

static void
on_backend_closed(const GError *reason, gpointer user_data)
{
    VrdChannel *channel = user_data;

    warn(channel, "backend", reason);
    vrd_channel_close_backend(channel);
}

static void
on_vmm_lost(const GError *reason, gpointer user_data)
{
    VrdChannel *channel = user_data;

    warn(channel, "vmm", reason);
    g_clear_pointer(&channel->vmm, vrd_call_free);
}

VrdChannel *
vrd_channel_new(sd_event *event, VrdDevice *device, const VrdChannelOwner *owner,
                gpointer user_data)
{
    VrdChannel *channel = g_new0(VrdChannel, 1);

    channel->event = event;
    channel->device = device;
    channel->owner = owner;
    channel->user_data = user_data;
    return channel;
}

void
vrd_channel_free(VrdChannel *channel)
{
    if (channel == NULL) {
        return;
    }
    vrd_call_free(channel->vmm);
    vrd_stream_free(channel->backend);
    g_free(channel);
}

gboolean
vrd_channel_set_vmm(VrdChannel *channel, int fd, GError **error)
{
    VrdCall *call = vrd_call_new(channel->event, fd, VRD_CALL_BACKEND, on_vmm_lost,
                                 channel, error);

    if (call == NULL) {
        return FALSE;
    }
    g_clear_pointer(&channel->vmm, vrd_call_free);
    channel->vmm = call;
    return TRUE;
}

gboolean
vrd_channel_has_vmm(const VrdChannel *channel)
{
    return channel->vmm != NULL;
}

int
vrd_channel_open_backend(VrdChannel *channel, GError **error)
{
    static const VrdStreamHandlers handlers = {on_backend_message, on_backend_closed};
    int ends[2];

    vrd_channel_close_backend(channel);
    /* The backend's end is blocking, as it would be if the VMM had made it. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        vrd_error_set_errno(error, errno, "making a backend channel");
        return -1;
    }
    channel->backend = vrd_stream_new(channel->event, ends[0], &handlers, channel, error);
    if (channel->backend == NULL) {
        vrd_fd_close(&ends[1]);
    }
    return ends[1];
}

void
vrd_channel_close_backend(VrdChannel *channel)
{
    g_clear_pointer(&channel->backend, vrd_stream_free);
}

void
vrd_channel_tell_config(VrdChannel *channel)
{
    VrdMessage message;

    if (channel->vmm == NULL) {
        return;
    }
    vrd_message_init(&message, VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG);
    vrd_call_send(channel->vmm, &message, VRD_CALL_NO_DEADLINE, NULL, NULL);
}

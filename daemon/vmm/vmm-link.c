/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMM link. Its road: a whole message from the stream; the row; the gate; the
 * handler; then the answer, or an effect that the owner ends. While an effect is in work
 * the socket is not read, so the VMM can never see two of its requests reordered.
 */
#include "vmm/vmm-link.h"

#include "base/error.h"
#include "base/log.h"
#include "link/peer.h"
#include "model/vm.h"
#include "vmm/handle.h"
#include "wire/payload.h"
#include "wire/request.h"

#define ACK_FAILURE 1u

struct VrdVmmLink {
    VrdStream *stream;
    VrdDevice *device;
    const VrdVmmLinkOwner *owner;
    gpointer user_data;
    sd_event_source *first_message; /* until the first message has come */
    VrdLogLimit limit;
    gboolean *is_freed; /* set while a callback of ours may free us */

    /* the request in work */
    gboolean busy;
    gboolean answered;
    uint32_t request;
    gboolean has_reply; /* a reply of its own is due */
    gboolean wants_ack; /* else: an ack is due */
};

static VrdHandler
find_handler(uint32_t request)
{
    static VrdHandler handlers[VRD_REQUEST_MAX + 1];
    static gboolean is_filled;

    if (!is_filled) {
        const VrdHandlerRow *tables[] = {vrd_handle_features_rows, vrd_handle_memory_rows,
                                         vrd_handle_ring_rows, vrd_handle_device_rows};

        for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++) {
            for (const VrdHandlerRow *row = tables[i]; row->request != 0; row++) {
                handlers[row->request] = row->handler;
            }
        }
        is_filled = TRUE;
    }
    return request <= VRD_REQUEST_MAX ? handlers[request] : NULL;
}

static VrdLogSubject
subject(const VrdVmmLink *link)
{
    return (VrdLogSubject){.vm = link->device->vm->name,
                           .device = link->device->name,
                           .queue = -1,
                           .peer = link->device->vmm_peer};
}

VrdDevice *
vrd_vmm_link_device(const VrdVmmLink *link)
{
    return link->device;
}

gboolean
vrd_vmm_link_is_gone(const VrdVmmLink *link)
{
    return vrd_peer_is_gone(vrd_stream_fd(link->stream));
}

gboolean
vrd_vmm_link_is_busy(const VrdVmmLink *link)
{
    return link->busy;
}

static void
end_request(VrdVmmLink *link)
{
    link->busy = FALSE;
    vrd_stream_set_paused(link->stream, FALSE);
}

static void
send_u64(VrdVmmLink *link, uint64_t value)
{
    VrdMessage reply;

    vrd_message_init(&reply, link->request);
    reply.flags |= VRD_MESSAGE_REPLY;
    vrd_payload_put_u64(&reply, value);
    vrd_stream_send(link->stream, &reply);
}

void
vrd_vmm_link_answer(VrdVmmLink *link, VrdMessage *reply)
{
    reply->request = link->request;
    reply->flags = VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY;
    vrd_stream_send(link->stream, reply);
    link->answered = TRUE;
}

void
vrd_vmm_link_answer_u64(VrdVmmLink *link, uint64_t value)
{
    send_u64(link, value);
    link->answered = TRUE;
}

/* SET_LOG_BASE is answered by its own 16 bytes, whatever the backend's answer was. */
static void
send_log_reply(VrdVmmLink *link)
{
    VrdMessage request = {.request = link->request};
    VrdPayloadLog log = {0};
    VrdMessage reply;

    if (link->device->log != NULL) {
        log.mmap_size = vrd_dirtylog_size(link->device->log);
        log.mmap_offset = vrd_dirtylog_offset(link->device->log);
    }
    vrd_message_init_reply(&reply, &request);
    vrd_payload_put_log(&reply, &log);
    vrd_stream_send(link->stream, &reply);
}

void
vrd_vmm_link_finish(VrdVmmLink *link, const GError *error)
{
    g_return_if_fail(link->busy);
    if (link->request == VRD_REQUEST_SET_LOG_BASE && link->has_reply) {
        send_log_reply(link);
    } else if (link->wants_ack) {
        send_u64(link, error != NULL ? ACK_FAILURE : 0);
    } else if (link->has_reply) {
        vrd_vmm_link_fail(link, error);
    }
    if (error != NULL) {
        VrdLogSubject about = subject(link);

        vrd_log_limited(&link->limit, LOG_WARNING, &about, "%s: %s",
                        vrd_request_name(link->request), error->message);
    }
    end_request(link);
}

void
vrd_vmm_link_finish_reply(VrdVmmLink *link, VrdMessage *reply)
{
    g_return_if_fail(link->busy);
    vrd_vmm_link_answer(link, reply);
    end_request(link);
}

void
vrd_vmm_link_fail(VrdVmmLink *link, const GError *reason)
{
    if (reason != NULL) {
        vrd_stream_fail(link->stream, reason);
    } else {
        g_autoptr(GError)
            error = g_error_new(VRD_ERROR, VRD_ERROR_STATE, "%s cannot be answered",
                                vrd_request_name(link->request));

        vrd_stream_fail(link->stream, error);
    }
}

static gboolean
check_gate(const VrdVmmLink *link, const VrdRequest *row, GError **error)
{
    if (row->needs != VRD_PROTOCOL_F_ANY && !vrd_device_has(link->device, row->needs)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "%s: needs protocol feature %s, which is not negotiated", row->name,
                    vrd_feature_protocol_name(row->needs));
        return FALSE;
    }
    /* DPDK's virtio-user as a server sends no SET_OWNER on its later connections. */
    if (row->stage == VRD_STAGE_OWNER && !link->device->has_owner) {
        link->device->is_owner_implied = TRUE;
    }
    return TRUE;
}

/*
 * A refused request: a non-zero ack where the VMM can hear one, else it loses its
 * socket. A size 0 answer is how GET_CONFIG fails.
 */
static void
refuse(VrdVmmLink *link, const VrdMessage *message, const GError *error)
{
    VrdLogSubject about = subject(link);

    if (vrd_message_needs_reply(message) && !link->has_reply &&
        vrd_device_has(link->device, VRD_PROTOCOL_F_REPLY_ACK) &&
        (message->flags & ~VRD_MESSAGE_NEED_REPLY) == VRD_MESSAGE_VERSION) {
        vrd_log_limited(&link->limit, LOG_WARNING, &about, "refused %s", error->message);
        send_u64(link, ACK_FAILURE);
        return;
    }
    vrd_vmm_link_fail(link, error);
}

static gboolean
prepare(VrdVmmLink *link, const VrdMessage *message, GError **error)
{
    const VrdRequest *row = vrd_request_find(message->request);

    link->request = message->request;
    link->answered = FALSE;
    /* Known before any check: an ack in the place of a reply would be read as its value.
     */
    link->has_reply = row != NULL &&
                      (row->answer == VRD_ANSWER_VALUE ||
                       (row->answer == VRD_ANSWER_LOG &&
                        vrd_device_has(link->device, VRD_PROTOCOL_F_LOG_SHMFD)));
    link->wants_ack = FALSE;
    if (!vrd_request_check(message, error)) {
        return FALSE;
    }
    link->wants_ack = !link->has_reply && vrd_message_needs_reply(message) &&
                      vrd_device_has(link->device, VRD_PROTOCOL_F_REPLY_ACK);
    if (!check_gate(link, row, error)) {
        return FALSE;
    }
    if (find_handler(message->request) == NULL) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_UNSUPPORTED, "%s: not offered here",
                    row->name);
        return FALSE;
    }
    return TRUE;
}

/* TRUE if the link is still there */
static gboolean
carry_out(VrdVmmLink *link, VrdEffect *effect)
{
    gboolean is_freed = FALSE;

    link->busy = TRUE;
    link->is_freed = &is_freed;
    link->owner->effect(effect, link->user_data);
    if (is_freed) {
        return FALSE;
    }
    link->is_freed = NULL;
    if (link->busy) {
        vrd_stream_set_paused(link->stream, TRUE);
    }
    return TRUE;
}

static void
on_message(VrdMessage *message, gpointer user_data)
{
    VrdVmmLink *link = user_data;
    VrdEffect effect = {.kind = VRD_EFFECT_NONE, .message = message};
    g_autoptr(GError) error = NULL;

    link->first_message = sd_event_source_disable_unref(link->first_message);
    if (!prepare(link, message, &error) ||
        !find_handler(message->request)(link, message, &effect, &error)) {
        refuse(link, message, error);
        return;
    }
    if (vrd_log_wants(LOG_DEBUG)) {
        VrdLogSubject about = subject(link);

        vrd_log_debug(&about, "%s from the VMM, %u bytes, %u descriptors",
                      vrd_request_name(message->request), message->size, message->n_fds);
    }
    effect.waits = link->wants_ack || link->has_reply;
    if (effect.kind != VRD_EFFECT_NONE) {
        carry_out(link, &effect);
    } else if (!link->answered && link->wants_ack) {
        send_u64(link, 0);
    }
}

static void
on_closed(const GError *reason, gpointer user_data)
{
    VrdVmmLink *link = user_data;

    link->owner->closed(reason, link->user_data);
}

static int
on_first_message_time(sd_event_source *source, uint64_t now_us, void *user_data)
{
    VrdVmmLink *link = user_data;
    g_autoptr(GError) error = g_error_new(VRD_ERROR, VRD_ERROR_TIMEOUT,
                                          "no message after the connection");

    vrd_stream_fail(link->stream, error);
    return 0;
}

VrdVmmLink *
vrd_vmm_link_new(sd_event *event, int fd, VrdDevice *device, unsigned first_message_ms,
                 const VrdVmmLinkOwner *owner, gpointer user_data, GError **error)
{
    static const VrdStreamHandlers handlers = {on_message, on_closed};
    g_autoptr(VrdVmmLink) link = g_new0(VrdVmmLink, 1);
    int r = 0;

    link->device = device;
    link->owner = owner;
    link->user_data = user_data;
    link->stream = vrd_stream_new(event, fd, &handlers, link, error);
    if (link->stream == NULL) {
        return NULL;
    }
    vrd_stream_set_in_turn(link->stream, TRUE);
    if (first_message_ms > 0) {
        r = sd_event_add_time_relative(event, &link->first_message, CLOCK_MONOTONIC,
                                       (uint64_t) first_message_ms * 1000, 0,
                                       on_first_message_time, link);
    }
    if (r < 0) {
        vrd_error_set_errno(error, -r, "arming a timer for the VMM link");
        return NULL;
    }
    return g_steal_pointer(&link);
}

void
vrd_vmm_link_free(VrdVmmLink *link)
{
    if (link == NULL) {
        return;
    }
    if (link->is_freed != NULL) {
        *link->is_freed = TRUE;
    }
    sd_event_source_disable_unref(link->first_message);
    vrd_stream_free(link->stream);
    g_free(link);
}

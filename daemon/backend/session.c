/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection with one backend. Negotiation first (GET_FEATURES,
 * GET_PROTOCOL_FEATURES, then the rest in one go), whether or not a VMM is there; after
 * it the owner says when the model may differ.
 */
#include "backend/session.h"

#include "backend/applied.h"
#include "backend/apply.h"
#include "backend/batch.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "link/call.h"
#include "wire/payload.h"
#include "wire/request.h"

/* A backend that answered this lately needs no proof of life before a drain. */
#define FRESH_US G_USEC_PER_SEC

#define QUEUES_MAX 65536u
#define SLOTS_MAX  65536u

struct VrdSession {
    VrdCall *call;
    VrdDevice *device;
    VrdSessionDeadlines deadlines;
    const VrdSessionOwner *owner;
    gpointer user_data;
    VrdOffer offer;
    gboolean is_negotiated;
    gboolean is_used;
    VrdApplied applied;
    int channel_fd;
    gboolean has_rarp;
    uint64_t rarp;
};

static void
send_get(VrdSession *session, uint32_t request, VrdCallDone done)
{
    VrdMessage message;

    vrd_message_init(&message, request);
    vrd_call_send(session->call, &message, session->deadlines.memory_ms, done, session);
}

static gboolean
offers(const VrdSession *session, VrdProtocolFeature feature)
{
    return (session->offer.protocol_features & VRD_FEATURE_BIT(feature)) != 0;
}

static void
refuse_offer(VrdSession *session, const char *what, uint64_t value, uint64_t allowed)
{
    g_autoptr(GError) error = g_error_new(VRD_ERROR, VRD_ERROR_PROTOCOL,
                                          "%s answered %" G_GUINT64_FORMAT
                                          ", allowed 1 to %" G_GUINT64_FORMAT,
                                          what, value, allowed);

    vrd_call_fail(session->call, error);
}

static void
end_negotiation(VrdSession *session)
{
    session->is_negotiated = TRUE;
    session->owner->negotiated(&session->offer, session->user_data);
}

static void
on_slots(VrdMessage *reply, const GError *error, gpointer user_data)
{
    VrdSession *session = user_data;

    if (error != NULL) {
        return;
    }
    session->offer.n_mem_slots = vrd_payload_get_u64(reply);
    if (session->offer.n_mem_slots == 0 || session->offer.n_mem_slots > SLOTS_MAX) {
        refuse_offer(session, "GET_MAX_MEM_SLOTS", session->offer.n_mem_slots, SLOTS_MAX);
        return;
    }
    end_negotiation(session);
}

static void
on_queues(VrdMessage *reply, const GError *error, gpointer user_data)
{
    VrdSession *session = user_data;

    if (error != NULL) {
        return;
    }
    session->offer.n_queues = vrd_payload_get_u64(reply);
    if (session->offer.n_queues == 0 || session->offer.n_queues > QUEUES_MAX) {
        refuse_offer(session, "GET_QUEUE_NUM", session->offer.n_queues, QUEUES_MAX);
        return;
    }
    if (!offers(session, VRD_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
        end_negotiation(session);
    }
}

static void
on_protocol_features(VrdMessage *reply, const GError *error, gpointer user_data)
{
    VrdSession *session = user_data;
    VrdMessage message;
    uint64_t acked;

    if (error != NULL) {
        return;
    }
    session->offer.protocol_features = vrd_payload_get_u64(reply);
    acked = session->offer.protocol_features & vrd_feature_protocol_backend_mask();
    vrd_message_init(&message, VRD_REQUEST_SET_PROTOCOL_FEATURES);
    vrd_payload_put_u64(&message, acked);
    vrd_call_send(session->call, &message, VRD_CALL_NO_DEADLINE, NULL, NULL);
    session->applied.protocol_features = acked;
    if (offers(session, VRD_PROTOCOL_F_MQ)) {
        send_get(session, VRD_REQUEST_GET_QUEUE_NUM, on_queues);
    }
    if (offers(session, VRD_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
        send_get(session, VRD_REQUEST_GET_MAX_MEM_SLOTS, on_slots);
    }
    if (!offers(session, VRD_PROTOCOL_F_MQ) &&
        !offers(session, VRD_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
        end_negotiation(session);
    }
}

static void
on_features(VrdMessage *reply, const GError *error, gpointer user_data)
{
    VrdSession *session = user_data;

    if (error != NULL) {
        return;
    }
    session->offer.features = vrd_payload_get_u64(reply);
    if (session->offer.features & VRD_FEATURE_BIT(VRD_VIRTIO_F_PROTOCOL_FEATURES)) {
        send_get(session, VRD_REQUEST_GET_PROTOCOL_FEATURES, on_protocol_features);
    } else {
        end_negotiation(session);
    }
}

static void
on_lost(const GError *reason, gpointer user_data)
{
    VrdSession *session = user_data;

    session->owner->lost(reason, session->user_data);
}

VrdSession *
vrd_session_new(sd_event *event, int fd, VrdDevice *device,
                const VrdSessionDeadlines *deadlines, const VrdSessionOwner *owner,
                gpointer user_data, GError **error)
{
    VrdSession *session = g_new0(VrdSession, 1);

    session->device = device;
    session->deadlines = *deadlines;
    session->owner = owner;
    session->user_data = user_data;
    session->channel_fd = -1;
    session->call = vrd_call_new(event, fd, VRD_CALL_FRONTEND, on_lost, session, error);
    if (session->call == NULL) {
        g_free(session);
        return NULL;
    }
    send_get(session, VRD_REQUEST_GET_FEATURES, on_features);
    return session;
}

void
vrd_session_free(VrdSession *session)
{
    if (session == NULL) {
        return;
    }
    vrd_call_free(session->call);
    vrd_applied_clear(&session->applied);
    vrd_fd_close(&session->channel_fd);
    g_free(session);
}

void
vrd_session_fail(VrdSession *session, const GError *reason)
{
    vrd_call_fail(session->call, reason);
}

gboolean
vrd_session_is_negotiated(const VrdSession *session)
{
    return session->is_negotiated;
}

gboolean
vrd_session_is_used(const VrdSession *session)
{
    return session->is_used;
}

uint32_t
vrd_session_waiting(const VrdSession *session, uint64_t *since_us)
{
    return vrd_call_waiting(session->call, since_us);
}

static gboolean
can_ack(const VrdSession *session)
{
    return (session->applied.protocol_features &
            VRD_FEATURE_BIT(VRD_PROTOCOL_F_REPLY_ACK)) != 0;
}

gboolean
vrd_session_sync(VrdSession *session, gboolean waits, VrdSessionDone done,
                 gpointer user_data)
{
    /* One at a time, and too large for the stack of a deep call. */
    static VrdBatch batch;
    VrdApply apply = {.device = session->device,
                      .applied = &session->applied,
                      .batch = &batch,
                      .memory_ms = session->deadlines.memory_ms,
                      .channel_fd = session->channel_fd,
                      .has_rarp = session->has_rarp,
                      .rarp = session->rarp};

    g_return_val_if_fail(session->is_negotiated, FALSE);
    vrd_call_set_log_reply(session->call, TRUE);
    vrd_batch_begin(&batch, session->call, can_ack(session), session->deadlines.ack_ms,
                    done, user_data);
    if (waits) {
        vrd_batch_wait(&batch, session->deadlines.ack_ms);
    }
    if (!vrd_apply_all(&apply)) {
        vrd_call_fail(session->call, apply.error);
        g_clear_error(&apply.error);
    }
    session->has_rarp = apply.has_rarp;
    waits = vrd_batch_end(&batch);
    session->is_used = session->is_used || !batch.is_empty;
    if (apply.channel_fd < 0) {
        vrd_fd_close(&session->channel_fd);
    }
    return waits;
}

/* What a drain or a transaction needs until its answer comes. */
typedef struct {
    VrdSession *session;
    uint32_t index;
    VrdSessionBase base;
    VrdSessionDone done;
    VrdSessionReply reply;
    gpointer user_data;
} Open;

static Open *
open_new(VrdSession *session, gpointer user_data)
{
    Open *open = g_new0(Open, 1);

    open->session = session;
    open->user_data = user_data;
    return open;
}

static void
on_base(VrdMessage *reply, const GError *error, gpointer user_data)
{
    g_autofree Open *open = user_data;
    VrdPayloadState state = {0};
    g_autoptr(GError) wrong = NULL;

    if (reply != NULL) {
        vrd_payload_get_state(reply, &state);
        if (state.index != open->index) {
            wrong = g_error_new(VRD_ERROR, VRD_ERROR_PROTOCOL,
                                "GET_VRING_BASE answered for ring %u, asked for ring %u",
                                state.index, open->index);
            vrd_call_fail(open->session->call, wrong);
            error = wrong;
        } else {
            vrd_applied_ring(&open->session->applied, open->index)->started = FALSE;
        }
    }
    open->base(state.num, error, open->user_data);
}

static void
on_alive(VrdMessage *reply, const GError *error, gpointer user_data)
{
    /* A backend that does not answer is ended by the deadline of the call. */
}

void
vrd_session_stop_ring(VrdSession *session, uint32_t index, VrdSessionBase done,
                      gpointer user_data)
{
    Open *open = open_new(session, user_data);
    VrdPayloadState state = {.index = index};
    VrdMessage message;

    session->is_used = TRUE;
    open->index = index;
    open->base = done;
    if (session->deadlines.drain_ms == VRD_CALL_NO_DEADLINE &&
        vrd_call_last_reply_us(session->call) + FRESH_US < vrd_clock_now_us()) {
        vrd_message_init(&message, VRD_REQUEST_GET_FEATURES);
        vrd_call_send(session->call, &message, session->deadlines.ack_ms, on_alive, NULL);
    }
    vrd_message_init(&message, VRD_REQUEST_GET_VRING_BASE);
    vrd_payload_put_state(&message, &state);
    vrd_call_send(session->call, &message, session->deadlines.drain_ms, on_base, open);
}

static void
on_reset(VrdMessage *reply, const GError *error, gpointer user_data)
{
    g_autofree Open *open = user_data;

    if (error == NULL) {
        vrd_applied_reset(&open->session->applied);
    }
    open->done(error, open->user_data);
}

static void stop_next(Open *open);

static void
on_stopped_for_reset(uint32_t base, const GError *error, gpointer user_data)
{
    Open *open = user_data;

    if (error != NULL) {
        open->done(error, open->user_data);
        g_free(open);
        return;
    }
    open->index++;
    stop_next(open);
}

/* The fence at the end makes sure that .done never comes from inside the start. */
static void
stop_next(Open *open)
{
    VrdSession *session = open->session;
    VrdMessage message;

    while (open->index < session->applied.n_rings &&
           !session->applied.rings[open->index].started) {
        open->index++;
    }
    if (open->index < session->applied.n_rings) {
        vrd_session_stop_ring(session, open->index, on_stopped_for_reset, open);
        return;
    }
    vrd_message_init(&message, VRD_REQUEST_GET_FEATURES);
    vrd_call_send(session->call, &message, session->deadlines.ack_ms, on_reset, open);
}

gboolean
vrd_session_reset(VrdSession *session, VrdSessionDone done, gpointer user_data)
{
    gboolean has_reset = vrd_device_backend_has(session->device,
                                                VRD_PROTOCOL_F_RESET_DEVICE);
    VrdMessage message;
    Open *open;

    /* QEMU resets idle devices again and again and then waits for the next answer. */
    if (!has_reset && !vrd_applied_is_started(&session->applied)) {
        vrd_applied_reset(&session->applied);
        return FALSE;
    }
    session->is_used = TRUE;
    open = open_new(session, user_data);
    open->done = done;
    if (!has_reset) {
        stop_next(open);
        return TRUE;
    }
    vrd_message_init(&message, VRD_REQUEST_RESET_DEVICE);
    vrd_call_send(session->call, &message, VRD_CALL_NO_DEADLINE, NULL, NULL);
    vrd_message_init(&message, VRD_REQUEST_GET_FEATURES);
    vrd_call_send(session->call, &message, session->deadlines.ack_ms, on_reset, open);
    return TRUE;
}

static void
on_reply(VrdMessage *reply, const GError *error, gpointer user_data)
{
    g_autofree Open *open = user_data;

    open->reply(reply, error, open->user_data);
}

static void
on_request_ack(VrdMessage *reply, const GError *error, gpointer user_data)
{
    g_autofree Open *open = user_data;

    open->reply(NULL, error, open->user_data);
}

void
vrd_session_request(VrdSession *session, const VrdMessage *message, unsigned timeout_ms,
                    VrdSessionReply done, gpointer user_data)
{
    const VrdRequest *row = vrd_request_find(message->request);
    Open *open = open_new(session, user_data);
    VrdMessage copy = *message;

    session->is_used = TRUE;
    open->reply = done;
    copy.flags = VRD_MESSAGE_VERSION;
    if (row->answer == VRD_ANSWER_VALUE) {
        vrd_call_send(session->call, &copy, timeout_ms, on_reply, open);
        return;
    }
    if (can_ack(session)) {
        copy.flags |= VRD_MESSAGE_NEED_REPLY;
        vrd_call_send(session->call, &copy, timeout_ms, on_request_ack, open);
        return;
    }
    vrd_call_send(session->call, &copy, VRD_CALL_NO_DEADLINE, NULL, NULL);
    vrd_message_init(&copy, VRD_REQUEST_GET_FEATURES);
    vrd_call_send(session->call, &copy, timeout_ms, on_request_ack, open);
}

void
vrd_session_set_channel(VrdSession *session, int fd)
{
    vrd_fd_close(&session->channel_fd);
    session->channel_fd = fd;
}

void
vrd_session_set_rarp(VrdSession *session, uint64_t mac)
{
    session->has_rarp = TRUE;
    session->rarp = mac;
}

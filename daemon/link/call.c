/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests and their answers. Answers carry no number of their own, only their order
 * tells which request they belong to: so the first one that is wrong, late or unasked
 * makes all that follow worthless, and the connection ends.
 *
 * An end has one road: the stream fails, its .closed comes from the loop, all open calls
 * are told, then the owner. The owner's functions may send again or free the call.
 */
#include "link/call.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "link/stream.h"
#include "wire/payload.h"
#include "wire/request.h"

#define ACCURACY_US G_TIME_SPAN_MILLISECOND

/* What the check of an answer looks at in a request's payload. */
#define HEAD_BYTES 24u

typedef struct {
    VrdCallDone done;
    gpointer user_data;
    unsigned timeout_ms;
    uint32_t request;
    uint32_t flags;
    uint32_t size;
    gboolean ack; /* the answer is a u64 that says success or failure */
    uint8_t head[HEAD_BYTES];
} Open;

struct VrdCall {
    unsigned n_refs;
    gboolean freed;
    sd_event *event;
    VrdStream *stream;
    VrdCallTable table;
    VrdCallLost lost;
    gpointer user_data;
    gboolean log_reply;
    GQueue open;            /* oldest first */
    uint64_t since_us;      /* since when the oldest is the oldest */
    uint64_t deadline_us;   /* of the oldest; 0: none */
    sd_event_source *timer; /* on demand */
    uint64_t timer_us;      /* when it goes off, at the deadline or before; 0: off */
    sd_event_source *post;  /* on demand: tells calls that were sent after the end */
    GError *reason;         /* why the connection is over */
    uint64_t n_replies;
    uint64_t last_reply_us;
};

static void
call_unref(VrdCall *call)
{
    if (--call->n_refs == 0) {
        g_clear_error(&call->reason);
        g_free(call);
    }
}

static const VrdRequest *
find_row(const VrdCall *call, uint32_t request)
{
    return call->table == VRD_CALL_FRONTEND ? vrd_request_find(request)
                                            : vrd_request_find_backend(request);
}

static const char *
request_name(const VrdCall *call, uint32_t request)
{
    return call->table == VRD_CALL_FRONTEND ? vrd_request_name(request)
                                            : vrd_request_backend_name(request);
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *data);

static void
arm_timer(VrdCall *call)
{
    if (!call->timer) {
        if (sd_event_add_time(call->event, &call->timer, CLOCK_MONOTONIC,
                              call->deadline_us, ACCURACY_US, on_timer, call) < 0) {
            return;
        }
        sd_event_source_set_description(call->timer, "call-deadline");
    } else {
        sd_event_source_set_time(call->timer, call->deadline_us);
        sd_event_source_set_enabled(call->timer, SD_EVENT_ONESHOT);
    }
    call->timer_us = call->deadline_us;
}

/*
 * The oldest call changed: its time begins now. A timer that goes off too early is left
 * alone, since setting it costs two system calls for each answer that comes in time.
 */
static void
start_oldest(VrdCall *call)
{
    const Open *open = g_queue_peek_head(&call->open);

    call->since_us = open ? vrd_clock_now_us() : 0;
    call->deadline_us = 0;
    if (!open || open->timeout_ms == VRD_CALL_NO_DEADLINE || call->reason) {
        return;
    }
    call->deadline_us = call->since_us +
                        open->timeout_ms * (uint64_t) G_TIME_SPAN_MILLISECOND;
    if (call->timer_us == 0 || call->timer_us > call->deadline_us) {
        arm_timer(call);
    }
}

/* Tell the oldest call; it may send, or free @call (hold a reference). */
static void
finish_oldest(VrdCall *call, VrdMessage *reply, const GError *error)
{
    g_autofree Open *open = g_queue_pop_head(&call->open);

    start_oldest(call);
    open->done(reply, error, open->user_data);
}

/* Tell the calls that are open now; what is sent meanwhile is told later. */
static void
finish_all(VrdCall *call, const GError *reason)
{
    g_autoptr(GError) lost = NULL;
    guint n = g_queue_get_length(&call->open);

    if (reason->domain != VRD_ERROR ||
        (reason->code != VRD_ERROR_LOST && reason->code != VRD_ERROR_PROTOCOL)) {
        lost = g_error_new(VRD_ERROR, VRD_ERROR_LOST, "connection ended: %s",
                           reason->message);
        reason = lost;
    }
    for (; n > 0 && !g_queue_is_empty(&call->open); n--) {
        finish_oldest(call, NULL, reason);
    }
}

static int
on_post(sd_event_source *source, void *data)
{
    VrdCall *call = data;

    call->n_refs++;
    finish_all(call, call->reason);
    if (!call->freed && !g_queue_is_empty(&call->open)) {
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    call_unref(call);
    return 0;
}

static void
post_finish(VrdCall *call)
{
    if (!call->post) {
        if (sd_event_add_defer(call->event, &call->post, on_post, call) >= 0) {
            sd_event_source_set_description(call->post, "call-late");
        }
        return;
    }
    sd_event_source_set_enabled(call->post, SD_EVENT_ONESHOT);
}

static void
on_closed(const GError *reason, gpointer user_data)
{
    VrdCall *call = user_data;

    call->n_refs++;
    call->reason = g_error_copy(reason);
    start_oldest(call);
    finish_all(call, call->reason);
    if (!call->freed) {
        call->lost(call->reason, call->user_data);
    }
    call_unref(call);
}

static int
on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
    VrdCall *call = data;
    const Open *open = g_queue_peek_head(&call->open);
    g_autoptr(GError) error = NULL;

    call->timer_us = 0;
    if (!open || call->deadline_us == 0) {
        return 0;
    }
    /* @now_us is when it was to go off: compared with that, no deadline is late twice. */
    if (call->deadline_us > now_us) {
        arm_timer(call);
        return 0;
    }
    error = g_error_new(VRD_ERROR, VRD_ERROR_TIMEOUT, "no answer to %s within %u ms",
                        request_name(call, open->request), open->timeout_ms);
    call->n_refs++;
    vrd_stream_fail(call->stream, error);
    finish_oldest(call, NULL, error);
    call_unref(call);
    return 0;
}

static gboolean
check_reply(const VrdCall *call, const VrdMessage *reply, const Open *open,
            GError **error)
{
    static VrdMessage request; /* rebuilt as far as a check looks */

    if (!open) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "answer to %s, which was not asked",
                    request_name(call, reply->request));
        return FALSE;
    }
    vrd_message_init(&request, open->request);
    request.flags = open->flags;
    request.size = open->size;
    memcpy(request.payload, open->head, HEAD_BYTES);
    if (call->table == VRD_CALL_FRONTEND
            ? !vrd_request_check_reply(reply, &request, error)
            : !vrd_request_check_backend_reply(reply, &request, error)) {
        return FALSE;
    }
    /* The row of SET_LOG_BASE allows more than an ack. */
    if (open->ack && (reply->size != sizeof(uint64_t) || reply->n_fds != 0)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "ack of %s: %u bytes and %u descriptors, allowed 8 and 0",
                    request_name(call, open->request), reply->size, reply->n_fds);
        return FALSE;
    }
    return TRUE;
}

static void
on_message(VrdMessage *reply, gpointer user_data)
{
    VrdCall *call = user_data;
    const Open *open = g_queue_peek_head(&call->open);
    g_autoptr(GError) error = NULL;
    uint64_t status;

    if (!check_reply(call, reply, open, &error)) {
        vrd_stream_fail(call->stream, error);
        return;
    }
    call->n_refs++;
    call->n_replies++;
    call->last_reply_us = vrd_clock_now_us();
    status = open->ack ? vrd_payload_get_u64(reply) : 0;
    if (status != 0) {
        error = g_error_new(VRD_ERROR, VRD_ERROR_REFUSED,
                            "%s refused %s with %" G_GUINT64_FORMAT,
                            call->table == VRD_CALL_FRONTEND ? "backend" : "vmm",
                            request_name(call, open->request), status);
        finish_oldest(call, NULL, error);
    } else {
        finish_oldest(call, reply, NULL);
    }
    call_unref(call);
}

static const VrdStreamHandlers stream_handlers = {
    .message = on_message,
    .closed = on_closed,
};

VrdCall *
vrd_call_new(sd_event *event, int fd, VrdCallTable table, VrdCallLost lost,
             gpointer user_data, GError **error)
{
    VrdCall *call = g_new0(VrdCall, 1);

    call->n_refs = 1;
    call->event = sd_event_ref(event);
    call->table = table;
    call->lost = lost;
    call->user_data = user_data;
    g_queue_init(&call->open);
    call->stream = vrd_stream_new(event, fd, &stream_handlers, call, error);
    if (!call->stream) {
        vrd_call_free(call);
        return NULL;
    }
    return call;
}

void
vrd_call_free(VrdCall *call)
{
    if (!call || call->freed) {
        return;
    }
    call->freed = TRUE;
    g_clear_pointer(&call->stream, vrd_stream_free);
    call->timer = sd_event_source_disable_unref(call->timer);
    call->post = sd_event_source_disable_unref(call->post);
    if (!call->reason) {
        call->reason = g_error_new(VRD_ERROR, VRD_ERROR_LOST, "connection closed here");
    }
    while (!g_queue_is_empty(&call->open)) {
        finish_all(call, call->reason);
    }
    call->event = sd_event_unref(call->event);
    call_unref(call);
}

/* TRUE if @message gets an answer; *@ack: one that only says success or failure. */
static gboolean
answer_is_due(const VrdCall *call, const VrdMessage *message, gboolean *ack)
{
    const VrdRequest *row = find_row(call, message->request);
    VrdAnswer answer = row ? row->answer : VRD_ANSWER_NONE;

    *ack = answer == VRD_ANSWER_NONE || (answer == VRD_ANSWER_LOG && !call->log_reply);
    return !*ack || vrd_message_needs_reply(message);
}

void
vrd_call_send(VrdCall *call, const VrdMessage *message, unsigned timeout_ms,
              VrdCallDone done, gpointer user_data)
{
    gboolean ack;
    gboolean due = answer_is_due(call, message, &ack);
    Open *open;

    g_return_if_fail(due == (done != NULL));
    if (due) {
        open = g_new0(Open, 1);
        open->done = done;
        open->user_data = user_data;
        open->timeout_ms = timeout_ms;
        open->request = message->request;
        open->flags = message->flags;
        open->size = message->size;
        open->ack = ack;
        memcpy(open->head, message->payload, MIN(message->size, HEAD_BYTES));
        g_queue_push_tail(&call->open, open);
        if (g_queue_get_length(&call->open) == 1) {
            start_oldest(call);
        }
    }
    if (!call->reason) {
        vrd_stream_send(call->stream, message);
    } else if (due && !call->freed) {
        post_finish(call);
    }
}

void
vrd_call_set_log_reply(VrdCall *call, gboolean reply)
{
    call->log_reply = reply;
}

void
vrd_call_fail(VrdCall *call, const GError *reason)
{
    if (!call->reason) {
        vrd_stream_fail(call->stream, reason);
    }
}

uint32_t
vrd_call_waiting(const VrdCall *call, uint64_t *since_us)
{
    const Open *open = g_queue_peek_head((GQueue *) &call->open);

    if (since_us) {
        *since_us = call->since_us;
    }
    return open ? open->request : 0;
}

uint64_t
vrd_call_n_replies(const VrdCall *call)
{
    return call->n_replies;
}

uint64_t
vrd_call_last_reply_us(const VrdCall *call)
{
    return call->last_reply_us;
}

int
vrd_call_fd(const VrdCall *call)
{
    return call->stream ? vrd_stream_fd(call->stream) : -1;
}

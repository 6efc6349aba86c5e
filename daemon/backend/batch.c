/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/batch.h"

#include <string.h>

#include "wire/request.h"

/* What outlives the building of a batch: the answers that are still to come. */
struct VrdBatchOpen {
    unsigned n_open;
    gboolean is_complete; /* no further message comes */
    GError *error;        /* the first one */
    VrdBatchDone done;
    gpointer user_data;
};

static void
settle(struct VrdBatchOpen *open)
{
    if (open->n_open > 0 || !open->is_complete) {
        return;
    }
    open->done(open->error, open->user_data);
    g_clear_error(&open->error);
    g_free(open);
}

static void
on_answer(VrdMessage *reply, const GError *error, gpointer user_data)
{
    struct VrdBatchOpen *open = user_data;

    if (error != NULL && open->error == NULL) {
        open->error = g_error_copy(error);
    }
    open->n_open--;
    settle(open);
}

static void
send_waiting(VrdBatch *batch, const VrdMessage *message)
{
    if (batch->open == NULL) {
        batch->open = g_new0(struct VrdBatchOpen, 1);
        batch->open->done = batch->done;
        batch->open->user_data = batch->user_data;
    }
    batch->open->n_open++;
    vrd_call_send(batch->call, message, batch->timeout_ms, on_answer, batch->open);
}

/* SET_LOG_BASE has a reply of its own: the call knows, by vrd_call_set_log_reply(). */
static gboolean
has_reply(const VrdMessage *message)
{
    const VrdRequest *row = vrd_request_find(message->request);

    return row->answer != VRD_ANSWER_NONE;
}

static void
flush(VrdBatch *batch, gboolean wants_ack)
{
    if (!batch->has_held) {
        return;
    }
    batch->has_held = FALSE;
    if (has_reply(&batch->held)) {
        send_waiting(batch, &batch->held);
        return;
    }
    if (wants_ack && batch->can_ack) {
        batch->held.flags |= VRD_MESSAGE_NEED_REPLY;
        send_waiting(batch, &batch->held);
        return;
    }
    vrd_call_send(batch->call, &batch->held, VRD_CALL_NO_DEADLINE, NULL, NULL);
    if (wants_ack) {
        VrdMessage fence;

        vrd_message_init(&fence, VRD_REQUEST_GET_FEATURES);
        send_waiting(batch, &fence);
    }
}

void
vrd_batch_begin(VrdBatch *batch, VrdCall *call, gboolean can_ack, unsigned timeout_ms,
                VrdBatchDone done, gpointer user_data)
{
    batch->call = call;
    batch->can_ack = can_ack;
    batch->timeout_ms = timeout_ms;
    batch->waits = FALSE;
    batch->is_empty = TRUE;
    batch->done = done;
    batch->user_data = user_data;
    batch->open = NULL;
    batch->has_held = FALSE;
}

void
vrd_batch_add(VrdBatch *batch, const VrdMessage *message)
{
    flush(batch, FALSE);
    batch->is_empty = FALSE;
    memcpy(&batch->held, message, offsetof(VrdMessage, payload));
    memcpy(batch->held.payload, message->payload, message->size);
    batch->has_held = TRUE;
}

void
vrd_batch_wait(VrdBatch *batch, unsigned timeout_ms)
{
    batch->waits = TRUE;
    if (timeout_ms == VRD_CALL_NO_DEADLINE || batch->timeout_ms == VRD_CALL_NO_DEADLINE) {
        batch->timeout_ms = VRD_CALL_NO_DEADLINE;
    } else {
        batch->timeout_ms = MAX(batch->timeout_ms, timeout_ms);
    }
}

gboolean
vrd_batch_end(VrdBatch *batch)
{
    flush(batch, batch->waits);
    if (batch->open == NULL) {
        return FALSE;
    }
    batch->open->is_complete = TRUE;
    return TRUE;
}

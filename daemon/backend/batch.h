/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "link/call.h"
#include "wire/message.h"

/*
 * Messages sent to a backend one behind the other without waiting, with one outcome at
 * the end. A backend handles messages in order, so the answer to the last one says that
 * all were handled; an error in one that is not acknowledged ends the connection, which
 * is an outcome too.
 */
typedef void (*VrdBatchDone)(const GError *error, gpointer user_data);

typedef struct {
    VrdCall *call;
    gboolean can_ack; /* REPLY_ACK is negotiated with the backend */
    unsigned timeout_ms;
    gboolean waits;
    gboolean is_empty; /* nothing was added */
    VrdBatchDone done;
    gpointer user_data;
    struct VrdBatchOpen *open; /* once something is waited for */
    gboolean has_held;
    VrdMessage held; /* the last message: sent when it is known whether another follows */
} VrdBatch;

/* @done: called if vrd_batch_end() returns TRUE; at once after a failure, else at the end
 */
void vrd_batch_begin(VrdBatch *batch, VrdCall *call, gboolean can_ack,
                     unsigned timeout_ms, VrdBatchDone done, gpointer user_data);
/* @message: (borrowed) descriptors too, until the next call of this header */
void vrd_batch_add(VrdBatch *batch, const VrdMessage *message);
/* The outcome of what was added so far is needed, and the deadline is @timeout_ms. */
void vrd_batch_wait(VrdBatch *batch, unsigned timeout_ms);
/* TRUE if the outcome is waited for */
gboolean vrd_batch_end(VrdBatch *batch);

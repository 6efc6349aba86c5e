/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "wire/message.h"

/*
 * Requests and their answers on a stream on which we are the requesting side: the
 * front-end towards a backend, or the back-end on a VMM's backend channel. Answers come
 * in the order of the requests. A wrong, unasked or late answer ends the connection: all
 * open calls end with VRD_ERROR_LOST, VRD_ERROR_PROTOCOL or VRD_ERROR_TIMEOUT, then .lost
 * comes.
 */
typedef struct VrdCall VrdCall;

typedef enum {
    VRD_CALL_FRONTEND, /* table wire/requests.inc */
    VRD_CALL_BACKEND,  /* table wire/backend-requests.inc */
} VrdCallTable;

/*
 * Called exactly once for each request that is answered, from the loop and never from
 * inside vrd_call_send(). @reply: (borrowed) checked against its row, descriptors may be
 * taken; NULL with @error set. A non-zero ack comes as VRD_ERROR_REFUSED.
 */
typedef void (*VrdCallDone)(VrdMessage *reply, const GError *error, gpointer user_data);

/* The connection is over, after all open calls were told. From the loop. */
typedef void (*VrdCallLost)(const GError *reason, gpointer user_data);

/* @fd: (owned) a connected socket */
VrdCall *vrd_call_new(sd_event *event, int fd, VrdCallTable table, VrdCallLost lost,
                      gpointer user_data, GError **error);
/* Open calls are told first (VRD_ERROR_LOST); .lost does not come. */
void vrd_call_free(VrdCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdCall, vrd_call_free)

#define VRD_CALL_NO_DEADLINE 0u

/*
 * vrd_call_send - send a request
 * @message: (borrowed) as in vrd_stream_send()
 * @timeout_ms: milliseconds until VRD_ERROR_TIMEOUT, counted from when it is the oldest
 *              open call and at the earliest from now; VRD_CALL_NO_DEADLINE: none
 * @done: hears of the outcome; must be NULL exactly if no answer is due (the row says
 *        VRD_ANSWER_NONE and NEED_REPLY is not set)
 */
void vrd_call_send(VrdCall *call, const VrdMessage *message, unsigned timeout_ms,
                   VrdCallDone done, gpointer user_data);

/* With it, SET_LOG_BASE is answered (LOG_SHMFD is negotiated); default FALSE. */
void vrd_call_set_log_reply(VrdCall *call, gboolean reply);

/* End the connection from our side: as if it was lost for @reason. */
void vrd_call_fail(VrdCall *call, const GError *reason);

/* Oldest open call: its request number and since when (us, monotonic); 0: none. */
uint32_t vrd_call_waiting(const VrdCall *call, uint64_t *since_us);
uint64_t vrd_call_n_replies(const VrdCall *call); /* answers received so far */
uint64_t vrd_call_last_reply_us(const VrdCall *call);
int vrd_call_fd(const VrdCall *call); /* (borrowed) */

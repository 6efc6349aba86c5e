/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "model/device.h"
#include "model/offer.h"
#include "wire/message.h"

/*
 * The backend link: here vringd is the front-end. A session is one connection with one
 * backend: it negotiates, then makes the backend agree with the model whenever it is told
 * that the model may differ from what the backend has. It knows what the backend has
 * been told ("applied") and sends only the difference, in the order that back-ends ask
 * for (spec "Front-end message types"; docs/protocol.md "Order towards a backend").
 */
typedef struct VrdSession VrdSession;

/* Milliseconds; 0: no deadline. */
typedef struct {
    unsigned ack_ms;
    unsigned memory_ms;
    unsigned drain_ms;
    unsigned state_ms;
} VrdSessionDeadlines;

typedef struct {
    /* The backend's offer is known. From the loop, once. */
    void (*negotiated)(const VrdOffer *offer, gpointer user_data);
    /*
     * The connection is over, from the loop, once; all that was open has been ended with
     * an error before. May free the session.
     */
    void (*lost)(const GError *reason, gpointer user_data);
} VrdSessionOwner;

/* From the loop, exactly once, never from inside the call that started it. */
typedef void (*VrdSessionDone)(const GError *error, gpointer user_data);
typedef void (*VrdSessionBase)(uint32_t base, const GError *error, gpointer user_data);
/* @reply: as in VrdCallDone */
typedef void (*VrdSessionReply)(VrdMessage *reply, const GError *error,
                                gpointer user_data);

/*
 * vrd_session_new - begin to negotiate on a connected socket
 * @fd: (owned) the socket
 * @device: (borrowed) outlives the session
 */
VrdSession *vrd_session_new(sd_event *event, int fd, VrdDevice *device,
                            const VrdSessionDeadlines *deadlines,
                            const VrdSessionOwner *owner, gpointer user_data,
                            GError **error);
/* What is open is ended first (VRD_ERROR_LOST). */
void vrd_session_free(VrdSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdSession, vrd_session_free)

/* End it from our side: .lost comes with @reason. */
void vrd_session_fail(VrdSession *session, const GError *reason);

gboolean vrd_session_is_negotiated(const VrdSession *session);
/* Something of a VMM went to the backend: not to be used for another VMM. */
gboolean vrd_session_is_used(const VrdSession *session);

/*
 * vrd_session_sync - send what the model has and the backend has not
 * @waits: the outcome must be known: the last message is acknowledged, or fenced by a
 *         GET_FEATURES where the backend cannot acknowledge
 * @done: hears of the outcome when TRUE is returned
 *
 * A change of memory or log always waits.
 * Returns: TRUE if @done will be called; FALSE if there is nothing to wait for.
 */
gboolean vrd_session_sync(VrdSession *session, gboolean waits, VrdSessionDone done,
                          gpointer user_data);

/*
 * vrd_session_stop_ring - GET_VRING_BASE: drain ring @index
 *
 * A backend that has not been heard of lately must first show within the ack deadline
 * that it still answers; the drain itself has its own deadline.
 */
void vrd_session_stop_ring(VrdSession *session, uint32_t index, VrdSessionBase done,
                           gpointer user_data);

/*
 * vrd_session_reset - RESET_DEVICE where the backend has it, else its rings are stopped
 *
 * Returns: FALSE when there is nothing to stop: it is done and @done is not called.
 */
gboolean vrd_session_reset(VrdSession *session, VrdSessionDone done, gpointer user_data);

/*
 * vrd_session_request - a request that is no state: pass it and hear the answer
 * @message: (borrowed) flags are set here; one without an answer of its own is
 *           acknowledged or fenced, and @reply is then NULL on success
 * @timeout_ms: of the answer
 */
void vrd_session_request(VrdSession *session, const VrdMessage *message,
                         unsigned timeout_ms, VrdSessionReply done, gpointer user_data);

/* The backend's end of the backend channel, told at the next sync. @fd: (owned) */
void vrd_session_set_channel(VrdSession *session, int fd);

/* A MAC to be announced as soon as a ring is started (spec "SEND_RARP"). */
void vrd_session_set_rarp(VrdSession *session, uint64_t mac);

/* Request whose answer is awaited, and since when (us, monotonic); 0: none. */
uint32_t vrd_session_waiting(const VrdSession *session, uint64_t *since_us);

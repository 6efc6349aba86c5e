/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "wire/message.h"

/*
 * Messages on their way into a non-blocking socket. What the socket does not take is kept
 * as a copy with duplicated descriptors, in order, up to a bound. No event source: the
 * owner asks again when the state says so.
 */
typedef enum {
    VRD_OUTBOX_EMPTY,   /* everything is written */
    VRD_OUTBOX_FULL,    /* the socket is full: flush when it is writable */
    VRD_OUTBOX_CROWDED, /* too many descriptors of our uid are in flight: flush later */
    VRD_OUTBOX_BROKEN,  /* error is set */
} VrdOutboxState;

typedef struct {
    GQueue items;
    size_t bytes;
    unsigned n_fds;
    VrdOutboxState state;
} VrdOutbox;

/*
 * vrd_outbox_send - write @message after what waits, or keep it
 * @message: (borrowed)
 * @limit: bytes that may wait; a waiting descriptor counts as VRD_OUTBOX_FD_BYTES
 * @error: VRD_ERROR_LOST (the peer is gone), VRD_ERROR_PROTOCOL (it reads nothing, the
 *         bound is reached), VRD_ERROR_SYSTEM
 *
 * Returns: the new state; VRD_OUTBOX_BROKEN with @error set.
 */
VrdOutboxState vrd_outbox_send(VrdOutbox *outbox, int socket, const VrdMessage *message,
                               size_t limit, GError **error);
VrdOutboxState vrd_outbox_flush(VrdOutbox *outbox, int socket, GError **error);

/* Drop what waits; nothing can be sent after it. */
void vrd_outbox_close(VrdOutbox *outbox);

#define VRD_OUTBOX_FD_BYTES 64u

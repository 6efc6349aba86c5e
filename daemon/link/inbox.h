/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stddef.h>

#include "base/error.h"
#include "wire/message.h"

/*
 * vrd_inbox_read - read on in a message, never beyond it
 * @socket: non-blocking
 * @message: what came so far; .n_fds must be 0 before the first byte
 * @got: (inout) bytes that came so far, header included
 * @error: VRD_ERROR_LOST (an end between two messages), VRD_ERROR_PROTOCOL (an end within
 *         one, a header that is not allowed, too many descriptors), VRD_ERROR_SYSTEM
 *
 * Descriptors of @message are the caller's, whatever the outcome.
 * Returns: TRUE if @message is complete; FALSE without @error if the socket is empty.
 */
gboolean vrd_inbox_read(int socket, VrdMessage *message, size_t *got, GError **error);

/* (owned) "header incomplete@when, 5 of 12 bytes" for what vrd_inbox_read() left */
GError *vrd_inbox_incomplete(const VrdMessage *message, size_t got, VrdErrorCode code,
                             const char *when);

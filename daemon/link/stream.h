/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "wire/message.h"

/*
 * One connected socket, read and written in whole messages (spec "Message
 * Specification"). Reads exactly a header, then exactly its payload, so that no
 * descriptor is given to a message it did not come with. What breaks the framing ends
 * the stream: lost descriptors (MSG_CTRUNC), more than VRD_MESSAGE_FDS_MAX, a payload
 * over VRD_MESSAGE_PAYLOAD_MAX, a wrong version, reserved flag bits, an end within a
 * message, a started message that is not complete after VRD_STREAM_MESSAGE_MS.
 * Never blocks. Writes each message by one sendmsg; what the socket does not take is
 * queued, up to VRD_STREAM_QUEUE_BYTES.
 */
typedef struct VrdStream VrdStream;

#define VRD_STREAM_MESSAGE_MS  5000u
#define VRD_STREAM_ANSWER_MS   10000u
#define VRD_STREAM_QUEUE_BYTES (64u * 1024u)

typedef struct {
    /*
     * A whole message. @message is the stream's and gone after the return; descriptors
     * that were not taken with vrd_message_take_fd() go to the closer then. May pause or
     * free the stream.
     */
    void (*message)(VrdMessage *message, gpointer user_data);
    /*
     * The stream ended, once: VRD_ERROR_LOST at an orderly end, else VRD_ERROR_PROTOCOL,
     * VRD_ERROR_TIMEOUT or VRD_ERROR_SYSTEM. Always from the loop, never from inside a
     * call of this header. May free the stream.
     */
    void (*closed)(const GError *reason, gpointer user_data);
} VrdStreamHandlers;

/*
 * vrd_stream_new - start to read a connected socket
 * @fd: (owned) the socket; made non-blocking
 * @handlers: (borrowed) must outlive the stream
 */
VrdStream *vrd_stream_new(sd_event *event, int fd, const VrdStreamHandlers *handlers,
                          gpointer user_data, GError **error);
void vrd_stream_free(VrdStream *stream); /* no callback comes after it */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdStream, vrd_stream_free)

/*
 * vrd_stream_send - send a message, or queue it
 * @message: (borrowed) its descriptors too: they are sent or duplicated before the return
 *
 * A full queue or a broken socket ends the stream (.closed comes later from the loop).
 */
void vrd_stream_send(VrdStream *stream, const VrdMessage *message);

/* While paused no message is delivered; the end of the connection still is. */
void vrd_stream_set_paused(VrdStream *stream, gboolean paused);

/*
 * In turn: no further message is read before what was sent is out, so that a peer that
 * asks and never reads costs one answer; after VRD_STREAM_ANSWER_MS the stream ends
 * (VRD_ERROR_TIMEOUT). For the answering side only: two that wait for each other would
 * wait for ever.
 */
void vrd_stream_set_in_turn(VrdStream *stream, gboolean in_turn);

/* End it from our side with a reason of ours: .closed comes from the loop. */
void vrd_stream_fail(VrdStream *stream, const GError *reason);

/* Everything that was sent is out of the queue. */
gboolean vrd_stream_is_drained(const VrdStream *stream);
int vrd_stream_fd(const VrdStream *stream); /* (borrowed) */

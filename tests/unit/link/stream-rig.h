/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A stream at one end of a socketpair, the test at the other. */

#include "base/fd.h"
#include "link-rig.h"
#include "link/stream.h"

#define MESSAGE_BYTES 20u /* header and a u64 */
#define V1            VRD_MESSAGE_VERSION

typedef enum { ACT_NOTHING, ACT_FREE, ACT_PAUSE, ACT_FAIL } Act;

typedef struct {
    sd_event *event;
    VrdStream *stream;
    int peer;
    unsigned base_fds;
    Act act; /* at the first message */
    unsigned n_messages;
    uint32_t last_request;
    unsigned last_fds;
    unsigned n_fds;
    unsigned n_closed;
    GError *reason;
} Rig;

static inline void
on_message(VrdMessage *message, gpointer user_data)
{
    Rig *rig = user_data;
    g_autoptr(GError) reason = NULL;

    g_assert_cmpuint(rig->n_closed, ==, 0);
    rig->n_messages++;
    rig->last_request = message->request;
    rig->last_fds = message->n_fds;
    rig->n_fds += message->n_fds;
    for (uint32_t i = 0; i < message->size; i++) {
        g_assert_cmpuint(message->payload[i], ==, (uint8_t) (message->request + i));
    }
    for (unsigned i = 0; i < message->n_fds; i++) {
        g_assert_cmpint(fcntl(message->fds[i], F_GETFD), ==, FD_CLOEXEC);
    }
    switch (rig->act) {
    case ACT_NOTHING:
        break;
    case ACT_FREE:
        g_clear_pointer(&rig->stream, vrd_stream_free);
        break;
    case ACT_PAUSE:
        vrd_stream_set_paused(rig->stream, TRUE);
        break;
    case ACT_FAIL:
        reason = g_error_new(VRD_ERROR, VRD_ERROR_STATE, "enough");
        vrd_stream_fail(rig->stream, reason);
        break;
    }
}

static inline void
on_closed(const GError *reason, gpointer user_data)
{
    Rig *rig = user_data;

    rig->n_closed++;
    rig->reason = g_error_copy(reason);
    if (rig->act == ACT_FREE) {
        g_clear_pointer(&rig->stream, vrd_stream_free);
    }
}

static const VrdStreamHandlers handlers = {.message = on_message, .closed = on_closed};

static inline void
rig_start(Rig *rig)
{
    int ends[2];

    memset(rig, 0, sizeof *rig);
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig_pair(ends);
    rig->peer = ends[1];
    rig->stream = vrd_stream_new(rig->event, ends[0], &handlers, rig, NULL);
    g_assert_nonnull(rig->stream);
}

static inline void
rig_end(Rig *rig)
{
    vrd_stream_free(rig->stream);
    vrd_fd_close(&rig->peer);
    g_clear_error(&rig->reason);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

/* A second stream in the loop of @first; without descriptor count. */
static inline void
rig_start_second(Rig *rig, const Rig *first)
{
    int ends[2];

    memset(rig, 0, sizeof *rig);
    rig_pair(ends);
    rig->peer = ends[1];
    rig->stream = vrd_stream_new(first->event, ends[0], &handlers, rig, NULL);
}

static inline void
rig_end_second(Rig *rig)
{
    vrd_stream_free(rig->stream);
    vrd_fd_close(&rig->peer);
    g_clear_error(&rig->reason);
}

static inline void
assert_closed(const Rig *rig, VrdErrorCode code, const char *text)
{
    g_assert_cmpuint(rig->n_closed, ==, 1);
    g_assert_error(rig->reason, VRD_ERROR, (gint) code);
    g_assert_nonnull(strstr(rig->reason->message, text));
}

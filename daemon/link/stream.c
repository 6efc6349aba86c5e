/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A socket read and written in whole messages: link/inbox.c reads, link/outbox.c writes,
 * here is when. A message that is there whole is built in one buffer that all streams
 * share (handlers do not read); only a torn one gets memory, so that an idle stream costs
 * next to nothing.
 */
#include "link/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"
#include "link/inbox.h"
#include "link/outbox.h"

/* Messages of one peer in one loop turn: what is left waits behind the other peers. */
#define BATCH 16u
/* A peer that we cannot write to any more may have left this many to read: its socket
 * buffer holds 278 of the smallest ones. */
#define FAREWELL_BATCH 512u

#define DOUBT_MAX 63u

#define CROWDED_MIN_US (10u * G_TIME_SPAN_MILLISECOND)
#define CROWDED_MAX_US (100u * G_TIME_SPAN_MILLISECOND)
#define ACCURACY_US    G_TIME_SPAN_MILLISECOND

struct VrdStream {
    unsigned n_refs;
    int fd;
    sd_event *event;
    sd_event_source *io;
    sd_event_source *post;    /* on demand: tells the end from the loop */
    sd_event_source *timer;   /* on demand: armed while a message is torn */
    sd_event_source *crowded; /* on demand: another try after ETOOMANYREFS */
    sd_event_source *stuck;   /* on demand: armed while an answer waits, in turn */
    uint64_t crowded_us;
    const VrdStreamHandlers *handlers; /* NULL: freed or told of the end */
    gpointer user_data;
    GError *failure; /* why no message is delivered any more */
    GError *broken;  /* why nothing can be sent any more: what came is still read */
    VrdMessage *torn;
    size_t got; /* bytes of @torn */
    VrdOutbox outbox;
    uint64_t last_turn; /* loop iteration of the last wake-up with a message */
    uint8_t n_single;   /* wake-ups that read one message only, still to come */
    uint8_t doubt;      /* how many of those follow a useless second read */
    gboolean paused;
    gboolean in_turn;
    gboolean muted; /* something to read came while resting: not to be told again */
};

static VrdMessage shared_message;

static void
stream_unref(VrdStream *stream)
{
    if (--stream->n_refs > 0) {
        return;
    }
    g_clear_error(&stream->failure);
    g_clear_error(&stream->broken);
    g_free(stream);
}

/* Let go of everything that costs; the memory may live a little longer. */
static void
stream_shut(VrdStream *stream)
{
    stream->handlers = NULL;
    stream->io = sd_event_source_disable_unref(stream->io);
    stream->post = sd_event_source_disable_unref(stream->post);
    stream->timer = sd_event_source_disable_unref(stream->timer);
    stream->crowded = sd_event_source_disable_unref(stream->crowded);
    stream->stuck = sd_event_source_disable_unref(stream->stuck);
    vrd_outbox_close(&stream->outbox);
    if (stream->torn) {
        vrd_message_drop_fds(stream->torn);
        g_clear_pointer(&stream->torn, g_free);
    }
}

/* Nothing is delivered: the owner said so, or an answer of ours is not out yet. */
static gboolean
is_resting(const VrdStream *stream)
{
    return stream->paused ||
           (stream->in_turn && stream->outbox.state != VRD_OUTBOX_EMPTY);
}

/*
 * A peer that asks and waits sends nothing while we rest: only when it does, the socket
 * is told apart, which saves two system calls for each request.
 */
static void
update_events(VrdStream *stream)
{
    uint32_t events;

    stream->muted = stream->muted && is_resting(stream);
    events = stream->muted || stream->failure ? 0 : EPOLLIN;
    if (stream->outbox.state == VRD_OUTBOX_FULL) {
        events |= EPOLLOUT;
    }
    if (stream->io) {
        sd_event_source_set_io_events(stream->io, events);
    }
}

static void
stop_timer(VrdStream *stream)
{
    if (stream->timer) {
        sd_event_source_set_enabled(stream->timer, SD_EVENT_OFF);
    }
}

/* Tell the end, once. From the loop only; @stream is inert after it. */
static void
tell_closed(VrdStream *stream)
{
    const VrdStreamHandlers *handlers = stream->handlers;
    const GError *reason = stream->failure ? stream->failure : stream->broken;

    if (handlers) {
        stream_shut(stream);
        handlers->closed(reason, stream->user_data);
    }
}

static unsigned read_batch(VrdStream *stream, unsigned n_max);

static int
on_post(sd_event_source *source, void *data)
{
    VrdStream *stream = data;

    stream->n_refs++;
    if (!stream->failure && !is_resting(stream)) {
        read_batch(stream, FAREWELL_BATCH);
    }
    tell_closed(stream);
    stream_unref(stream);
    return 0;
}

static void
post_end(VrdStream *stream)
{
    if (!stream->post && stream->handlers &&
        sd_event_add_defer(stream->event, &stream->post, on_post, stream) >= 0) {
        sd_event_source_set_description(stream->post, "stream-end");
    }
    update_events(stream);
}

/* Take @error (owned) as the end, unless there is one already. */
static void
stream_end(VrdStream *stream, GError *error)
{
    if (stream->failure) {
        g_error_free(error);
        return;
    }
    stream->failure = error;
    stop_timer(stream);
    vrd_outbox_close(&stream->outbox);
}

static int
on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
    VrdStream *stream = data;
    g_autofree char *when = g_strdup_printf(" after %u ms", VRD_STREAM_MESSAGE_MS);

    stream->n_refs++;
    if (stream->torn) {
        stream_end(stream, vrd_inbox_incomplete(stream->torn, stream->got,
                                                VRD_ERROR_TIMEOUT, when));
        tell_closed(stream);
    }
    stream_unref(stream);
    return 0;
}

static void
start_timer(VrdStream *stream)
{
    uint64_t delay_us = VRD_STREAM_MESSAGE_MS * (uint64_t) G_TIME_SPAN_MILLISECOND;

    if (!stream->timer) {
        if (sd_event_add_time_relative(stream->event, &stream->timer, CLOCK_MONOTONIC,
                                       delay_us, ACCURACY_US, on_timer, stream) >= 0) {
            sd_event_source_set_description(stream->timer, "stream-message");
        }
        return;
    }
    sd_event_source_set_time_relative(stream->timer, delay_us);
    sd_event_source_set_enabled(stream->timer, SD_EVENT_ONESHOT);
}

/* Keep the beginning of a message that is not complete, and its descriptors. */
static void
keep_torn(VrdStream *stream, const VrdMessage *message, size_t got)
{
    size_t used = offsetof(VrdMessage, payload);

    if (!stream->torn) {
        if (got > VRD_MESSAGE_HEADER_BYTES) {
            used += got - VRD_MESSAGE_HEADER_BYTES;
        }
        stream->torn = g_new(VrdMessage, 1);
        memcpy(stream->torn, message, used);
        start_timer(stream);
    }
    stream->got = got;
}

static void
deliver(VrdStream *stream, VrdMessage *message)
{
    VrdMessage *torn = stream->torn;

    if (torn) {
        stream->torn = NULL;
        stop_timer(stream);
    }
    stream->handlers->message(message, stream->user_data);
    vrd_message_drop_fds(message);
    g_free(torn);
}

/* Read a message, or go on with a torn one, and deliver it if it is complete. */
static gboolean
read_message(VrdStream *stream)
{
    VrdMessage *message = stream->torn ? stream->torn : &shared_message;
    size_t got = stream->torn ? stream->got : 0;
    GError *error = NULL;

    if (!stream->torn) {
        message->n_fds = 0;
    }
    if (vrd_inbox_read(stream->fd, message, &got, &error)) {
        deliver(stream, message);
        return TRUE;
    }
    if (!error && got > 0) {
        keep_torn(stream, message, got);
    }
    if (error) {
        vrd_message_drop_fds(message);
        stream_end(stream, error);
    }
    return FALSE;
}

/* Returns: messages delivered. The stream may be freed after it: hold a reference. */
static unsigned
read_batch(VrdStream *stream, unsigned n_max)
{
    unsigned n = 0;

    while (n < n_max && stream->handlers && !is_resting(stream) && !stream->failure &&
           read_message(stream)) {
        n++;
    }
    return n;
}

/*
 * One wake-up's reading. Only a peer that wakes us turn by turn may have more to say, and
 * one that goes question by answer does so too: a second message is looked for as often
 * as there has been one, since in vain it costs a system call each time.
 */
static void
read_turn(VrdStream *stream)
{
    gboolean look;
    uint64_t turn = 0;
    unsigned n;

    sd_event_get_iteration(stream->event, &turn);
    look = turn == stream->last_turn + 1 && stream->n_single == 0;
    n = read_batch(stream, look ? BATCH : 1);
    if (n > 0) {
        stream->last_turn = turn;
    }
    if (look) {
        stream->doubt = n > 1 ? 0 : (uint8_t) MIN(stream->doubt * 2u + 1, DOUBT_MAX);
        stream->n_single = stream->doubt;
    } else if (stream->n_single > 0) {
        stream->n_single--;
    }
}

static int on_crowded(sd_event_source *source, uint64_t now_us, void *data);

/* Try the queue again after a while: nobody tells when descriptors leave the flight. */
static void
wait_crowded(VrdStream *stream)
{
    stream->crowded_us = CLAMP(stream->crowded_us * 2, CROWDED_MIN_US, CROWDED_MAX_US);
    if (!stream->crowded) {
        if (sd_event_add_time_relative(stream->event, &stream->crowded, CLOCK_MONOTONIC,
                                       stream->crowded_us, ACCURACY_US, on_crowded,
                                       stream) >= 0) {
            sd_event_source_set_description(stream->crowded, "stream-crowded");
        }
        return;
    }
    sd_event_source_set_time_relative(stream->crowded, stream->crowded_us);
    sd_event_source_set_enabled(stream->crowded, SD_EVENT_ONESHOT);
}

static int
on_stuck(sd_event_source *source, uint64_t now_us, void *data)
{
    VrdStream *stream = data;

    stream->n_refs++;
    stream_end(stream, g_error_new(VRD_ERROR, VRD_ERROR_TIMEOUT,
                                   "peer reads nothing: an answer waits for %u ms",
                                   VRD_STREAM_ANSWER_MS));
    tell_closed(stream);
    stream_unref(stream);
    return 0;
}

/* In turn, an answer has only so long to go out. */
static void
watch_answer(VrdStream *stream, gboolean waits)
{
    uint64_t delay_us = VRD_STREAM_ANSWER_MS * (uint64_t) G_TIME_SPAN_MILLISECOND;
    int enabled = SD_EVENT_OFF;

    if (stream->stuck) {
        sd_event_source_get_enabled(stream->stuck, &enabled);
    }
    if (!waits || !stream->in_turn || enabled != SD_EVENT_OFF) {
        if (stream->stuck && !waits) {
            sd_event_source_set_enabled(stream->stuck, SD_EVENT_OFF);
        }
        return;
    }
    if (!stream->stuck) {
        if (sd_event_add_time_relative(stream->event, &stream->stuck, CLOCK_MONOTONIC,
                                       delay_us, ACCURACY_US, on_stuck, stream) >= 0) {
            sd_event_source_set_description(stream->stuck, "stream-stuck");
        }
        return;
    }
    sd_event_source_set_time_relative(stream->stuck, delay_us);
    sd_event_source_set_enabled(stream->stuck, SD_EVENT_ONESHOT);
}

/* Act on what the outbox said; @error (owned) with VRD_OUTBOX_BROKEN. */
static void
after_write(VrdStream *stream, VrdOutboxState state, GError *error)
{
    switch (state) {
    case VRD_OUTBOX_EMPTY:
        stream->crowded_us = 0;
        break;
    case VRD_OUTBOX_FULL:
        break;
    case VRD_OUTBOX_CROWDED:
        wait_crowded(stream);
        break;
    case VRD_OUTBOX_BROKEN:
        if (error->code == VRD_ERROR_LOST && !stream->broken) {
            stream->broken = error;
            vrd_outbox_close(&stream->outbox);
        } else {
            stream_end(stream, error);
        }
        post_end(stream);
        return;
    }
    watch_answer(stream, state != VRD_OUTBOX_EMPTY);
    update_events(stream);
}

static void
flush(VrdStream *stream)
{
    GError *error = NULL;
    VrdOutboxState state = vrd_outbox_flush(&stream->outbox, stream->fd, &error);

    after_write(stream, state, error);
}

static int
on_crowded(sd_event_source *source, uint64_t now_us, void *data)
{
    VrdStream *stream = data;

    if (stream->outbox.state == VRD_OUTBOX_CROWDED) {
        flush(stream);
    }
    return 0;
}

static int
on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
    VrdStream *stream = data;

    stream->n_refs++;
    if ((events & EPOLLOUT) && stream->outbox.state == VRD_OUTBOX_FULL) {
        flush(stream);
    }
    if (is_resting(stream) && (events & (EPOLLHUP | EPOLLERR)) && !stream->failure) {
        stream_end(stream,
                   g_error_new(VRD_ERROR, VRD_ERROR_LOST, "connection closed by peer"));
    } else if (is_resting(stream)) {
        stream->muted = (events & EPOLLIN) != 0;
        update_events(stream);
    } else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        read_turn(stream);
    }
    if (stream->failure) {
        tell_closed(stream);
    }
    stream_unref(stream);
    return 0;
}

VrdStream *
vrd_stream_new(sd_event *event, int fd, const VrdStreamHandlers *handlers,
               gpointer user_data, GError **error)
{
    VrdStream *stream = g_new0(VrdStream, 1);
    int flags = fcntl(fd, F_GETFL);
    int r;

    stream->n_refs = 1;
    stream->fd = fd;
    stream->event = sd_event_ref(event);
    stream->handlers = handlers;
    stream->user_data = user_data;
    g_queue_init(&stream->outbox.items);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        vrd_error_set_errno(error, errno, "making a socket non-blocking");
        vrd_stream_free(stream);
        return NULL;
    }
    r = sd_event_add_io(event, &stream->io, fd, EPOLLIN, on_io, stream);
    if (r < 0) {
        vrd_error_set_errno(error, -r, "watching a socket");
        vrd_stream_free(stream);
        return NULL;
    }
    sd_event_source_set_description(stream->io, "stream");
    return stream;
}

void
vrd_stream_free(VrdStream *stream)
{
    if (!stream) {
        return;
    }
    stream_shut(stream);
    vrd_closer_take(&stream->fd);
    stream->event = sd_event_unref(stream->event);
    stream_unref(stream);
}

void
vrd_stream_send(VrdStream *stream, const VrdMessage *message)
{
    GError *error = NULL;
    VrdOutboxState before = stream->outbox.state;
    VrdOutboxState state;

    if (!stream->handlers || stream->failure || stream->broken) {
        return;
    }
    state = vrd_outbox_send(&stream->outbox, stream->fd, message, VRD_STREAM_QUEUE_BYTES,
                            &error);
    if (state != before) {
        after_write(stream, state, error);
    }
}

void
vrd_stream_set_in_turn(VrdStream *stream, gboolean in_turn)
{
    stream->in_turn = in_turn;
    update_events(stream);
}

void
vrd_stream_set_paused(VrdStream *stream, gboolean paused)
{
    if (stream->paused == paused) {
        return;
    }
    stream->paused = paused;
    /* What we do not read cannot be late. */
    if (stream->torn && paused) {
        stop_timer(stream);
    } else if (stream->torn) {
        start_timer(stream);
    }
    update_events(stream);
}

void
vrd_stream_fail(VrdStream *stream, const GError *reason)
{
    stream_end(stream, g_error_copy(reason));
    post_end(stream);
}

gboolean
vrd_stream_is_drained(const VrdStream *stream)
{
    return stream->outbox.state == VRD_OUTBOX_EMPTY;
}

int
vrd_stream_fd(const VrdStream *stream)
{
    return stream->fd;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any pieces of any size with 0 to 11 real descriptors, sent to a stream; any calls of
 * the owner between them. No descriptor may be left over, and an end comes once.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "link/stream.h"
#include "target.h"

#define FDS_MAX 11u

typedef struct {
    const uint8_t *data;
    size_t size;
} Input;

typedef struct {
    VrdStream *stream;
    unsigned n_messages;
    unsigned n_closed;
    uint8_t moods; /* what the handler does, a bit each */
} Owner;

static uint8_t
take(Input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

/* The lowest free descriptor: it moves up when one below it is left over. */
static int
lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    g_assert(fd >= 0);
    close(fd);
    return fd;
}

static void
on_message(VrdMessage *message, gpointer user_data)
{
    Owner *owner = user_data;

    g_assert(owner->n_closed == 0);
    g_assert(message->size <= VRD_MESSAGE_PAYLOAD_MAX);
    g_assert(message->n_fds <= VRD_MESSAGE_FDS_MAX);
    g_assert((message->flags & VRD_MESSAGE_VERSION_MASK) == VRD_MESSAGE_VERSION);
    for (unsigned i = 0; i < message->n_fds; i++) {
        g_assert(fcntl(message->fds[i], F_GETFD) == FD_CLOEXEC);
    }
    owner->n_messages++;
    if (owner->moods & 1) {
        int fd = vrd_message_take_fd(message, 0);

        if (fd >= 0) {
            close(fd);
        }
    }
    if (owner->moods & 2) {
        vrd_stream_send(owner->stream, message);
    }
    if ((owner->moods & 4) && owner->n_messages == 3) {
        vrd_stream_set_paused(owner->stream, TRUE);
    }
    if ((owner->moods & 8) && owner->n_messages == 5) {
        g_clear_pointer(&owner->stream, vrd_stream_free);
    }
}

static void
on_closed(const GError *reason, gpointer user_data)
{
    Owner *owner = user_data;

    g_assert(owner->n_closed++ == 0);
    g_assert(reason->domain == VRD_ERROR && reason->message[0] != '\0');
    if (owner->moods & 16) {
        g_clear_pointer(&owner->stream, vrd_stream_free);
    }
}

static const VrdStreamHandlers handlers = {.message = on_message, .closed = on_closed};

static void
send_piece(int socket, const uint8_t *bytes, size_t size, unsigned n_fds, int file)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = (void *) bytes, .iov_len = size};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};

    if (n_fds > 0) {
        memset(&control, 0, sizeof control);
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned i = 0; i < n_fds; i++) {
            memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &file, sizeof file);
        }
    }
    /* A full or closed socket is as good as any other outcome. */
    (void) !sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
settle(sd_event *event)
{
    while (sd_event_run(event, 0) > 0) {
    }
}

/*
 * One piece: a byte of descriptors and doings, a byte of length (times 17 with the top
 * bit, to reach over the largest payload), then its bytes.
 */
static void
play_piece(Input *input, sd_event *event, Owner *owner, int peer, int file)
{
    uint8_t what = take(input);
    size_t size = take(input);
    unsigned n_fds = (what & 0xf) % (FDS_MAX + 1);

    if (what & 0x80) {
        size *= 17;
    }
    size = MIN(size, input->size);
    if (size > 0) {
        send_piece(peer, input->data, size, n_fds, file);
        input->data += size;
        input->size -= size;
    }
    if (what & 0x40) {
        settle(event);
    }
    if ((what & 0x20) && owner->stream) {
        vrd_stream_set_paused(owner->stream, FALSE);
    }
    if (what == 0x10) {
        shutdown(peer, SHUT_WR);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = {data, size};
    int before = lowest_free();
    sd_event *event = NULL;
    Owner owner = {.moods = take(&input)};
    int ends[2];
    int file;

    g_assert(sd_event_new(&event) >= 0);
    g_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    owner.stream = vrd_stream_new(event, ends[0], &handlers, &owner, NULL);
    while (input.size > 0) {
        play_piece(&input, event, &owner, ends[1], file);
    }
    settle(event);
    close(ends[1]);
    settle(event);
    g_assert(owner.n_closed == 1 || owner.stream == NULL);
    vrd_stream_free(owner.stream);
    close(file);
    sd_event_unref(event);
    g_assert(lowest_free() == before);
    return 0;
}

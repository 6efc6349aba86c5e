/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sending half of a stream. A message goes out by one sendmsg, header, payload and
 * descriptors together: some receivers give up on a message that comes in two pieces.
 * Only a socket that is full makes us break that, and then the descriptors went with the
 * first byte.
 */
#include "link/outbox.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"

typedef struct {
    size_t size;
    size_t sent;
    unsigned n_fds;
    int fds[VRD_MESSAGE_FDS_MAX]; /* owned */
    uint8_t bytes[];
} Item;

static_assert(offsetof(VrdMessage, request) == 0 && offsetof(VrdMessage, flags) == 4 &&
                  offsetof(VrdMessage, size) == 8,
              "a message begins with its header");

static void
item_free(Item *item)
{
    for (unsigned i = 0; i < item->n_fds; i++) {
        vrd_closer_take(&item->fds[i]);
    }
    g_free(item);
}

static Item *
item_new(const VrdMessage *message, size_t sent, GError **error)
{
    size_t size = VRD_MESSAGE_HEADER_BYTES + message->size;
    Item *item = g_malloc(sizeof *item + size);

    item->size = size;
    item->sent = sent;
    item->n_fds = 0;
    memcpy(item->bytes, message, VRD_MESSAGE_HEADER_BYTES);
    memcpy(item->bytes + VRD_MESSAGE_HEADER_BYTES, message->payload, message->size);
    for (unsigned i = 0; sent == 0 && i < message->n_fds; i++) {
        int fd = vrd_fd_dup(message->fds[i], error);

        if (fd < 0) {
            item_free(item);
            return NULL;
        }
        item->fds[item->n_fds++] = fd;
    }
    return item;
}

/* One sendmsg. Returns: bytes taken, or a negative errno. */
static ssize_t
transmit(int socket, struct iovec *parts, size_t n_parts, const int *fds, unsigned n_fds)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(VRD_MESSAGE_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = n_parts};
    ssize_t n;

    if (n_fds > 0) {
        struct cmsghdr *record = &control.header;

        memset(&control, 0, sizeof control);
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        record->cmsg_level = SOL_SOCKET;
        record->cmsg_type = SCM_RIGHTS;
        record->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(record), fds, n_fds * sizeof(int));
    }
    do {
        n = sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* What a failed sendmsg means for the messages that wait. */
static VrdOutboxState
judge(int errnum, GError **error)
{
    switch (errnum) {
    case EAGAIN:
        return VRD_OUTBOX_FULL;
    case ETOOMANYREFS:
    case ENOBUFS:
    case ENOMEM:
        return VRD_OUTBOX_CROWDED;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        g_set_error(error, VRD_ERROR, VRD_ERROR_LOST, "connection closed by peer");
        return VRD_OUTBOX_BROKEN;
    default:
        vrd_error_set_errno(error, errnum, "sending");
        return VRD_OUTBOX_BROKEN;
    }
}

static gboolean
keep(VrdOutbox *outbox, const VrdMessage *message, size_t sent, size_t limit,
     GError **error)
{
    size_t bytes = outbox->bytes + VRD_MESSAGE_HEADER_BYTES + message->size - sent;
    unsigned n_fds = outbox->n_fds + (sent == 0 ? message->n_fds : 0);
    Item *item;

    if (bytes + (size_t) n_fds * VRD_OUTBOX_FD_BYTES > limit) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "peer reads nothing: %zu bytes and %u descriptors queued",
                    outbox->bytes, outbox->n_fds);
        return FALSE;
    }
    item = item_new(message, sent, error);
    if (!item) {
        return FALSE;
    }
    g_queue_push_tail(&outbox->items, item);
    outbox->bytes = bytes;
    outbox->n_fds = n_fds;
    return TRUE;
}

VrdOutboxState
vrd_outbox_send(VrdOutbox *outbox, int socket, const VrdMessage *message, size_t limit,
                GError **error)
{
    size_t size = VRD_MESSAGE_HEADER_BYTES + message->size;
    struct iovec parts[2] = {
        {.iov_base = (void *) message, .iov_len = VRD_MESSAGE_HEADER_BYTES},
        {.iov_base = (void *) message->payload, .iov_len = message->size},
    };
    ssize_t n = 0;

    if (outbox->state == VRD_OUTBOX_EMPTY) {
        n = transmit(socket, parts, 2, message->fds, message->n_fds);
        if (n == (ssize_t) size) {
            return VRD_OUTBOX_EMPTY;
        }
        outbox->state = n < 0 ? judge((int) -n, error) : VRD_OUTBOX_FULL;
    }
    if (outbox->state != VRD_OUTBOX_BROKEN &&
        !keep(outbox, message, n > 0 ? (size_t) n : 0, limit, error)) {
        outbox->state = VRD_OUTBOX_BROKEN;
    }
    return outbox->state;
}

VrdOutboxState
vrd_outbox_flush(VrdOutbox *outbox, int socket, GError **error)
{
    Item *item;

    while ((item = g_queue_peek_head(&outbox->items))) {
        struct iovec part = {.iov_base = item->bytes + item->sent,
                             .iov_len = item->size - item->sent};
        ssize_t n = transmit(socket, &part, 1, item->fds, item->n_fds);

        if (n < 0) {
            outbox->state = judge((int) -n, error);
            return outbox->state;
        }
        outbox->bytes -= (size_t) n;
        outbox->n_fds -= item->n_fds;
        for (unsigned i = 0; i < item->n_fds; i++) {
            vrd_closer_take(&item->fds[i]);
        }
        item->n_fds = 0;
        item->sent += (size_t) n;
        if (item->sent < item->size) {
            outbox->state = VRD_OUTBOX_FULL;
            return outbox->state;
        }
        item_free(g_queue_pop_head(&outbox->items));
    }
    outbox->state = VRD_OUTBOX_EMPTY;
    return outbox->state;
}

void
vrd_outbox_close(VrdOutbox *outbox)
{
    g_queue_clear_full(&outbox->items, (GDestroyNotify) item_free);
    outbox->bytes = 0;
    outbox->n_fds = 0;
    outbox->state = VRD_OUTBOX_BROKEN;
}

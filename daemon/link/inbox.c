/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The receiving half of a stream. Every read has a control buffer and stops at the end of
 * a header or of its payload: descriptors come with the first byte of what they were sent
 * with, and a read that went on into the next message could not tell whose they are.
 */
#include "link/inbox.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/closer.h"

/* One slot over what is allowed shows a surplus; the kernel's rounding may add another.
 */
#define CONTROL_FDS (VRD_MESSAGE_FDS_MAX + 1)

GError *
vrd_inbox_incomplete(const VrdMessage *message, size_t got, VrdErrorCode code,
                     const char *when)
{
    if (got < VRD_MESSAGE_HEADER_BYTES) {
        return g_error_new(VRD_ERROR, code, "header incomplete%s, %zu of %u bytes", when,
                           got, VRD_MESSAGE_HEADER_BYTES);
    }
    return g_error_new(VRD_ERROR, code, "payload incomplete%s, %zu of %u bytes", when,
                       got - VRD_MESSAGE_HEADER_BYTES, message->size);
}

/* Move the descriptors of @packet into @message; FALSE: more than a message may have. */
static gboolean
take_fds(struct msghdr *packet, VrdMessage *message)
{
    gboolean fits = TRUE;

    for (struct cmsghdr *record = CMSG_FIRSTHDR(packet); record;
         record = CMSG_NXTHDR(packet, record)) {
        size_t bytes = record->cmsg_len - CMSG_LEN(0);

        if (record->cmsg_level != SOL_SOCKET || record->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(record) + at, sizeof fd);
            if (message->n_fds < VRD_MESSAGE_FDS_MAX) {
                message->fds[message->n_fds++] = fd;
            } else {
                vrd_closer_take(&fd);
                fits = FALSE;
            }
        }
    }
    return fits;
}

/*
 * One recvmsg of up to @size bytes that belong to @message.
 * Returns: bytes, 0 at the end, -EAGAIN, or -EBADMSG with @error set.
 */
static ssize_t
receive(int fd, void *bytes, size_t size, VrdMessage *message, GError **error)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    ssize_t n;

    do {
        n = recvmsg(fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return -EAGAIN;
    }
    if (n < 0 && errno == ECONNRESET) {
        return 0;
    }
    if (n < 0) {
        vrd_error_set_errno(error, errno, "receiving");
        return -EBADMSG;
    }
    if (!take_fds(&packet, message)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "more than %u descriptors with a message, allowed 0 to %u",
                    VRD_MESSAGE_FDS_MAX, VRD_MESSAGE_FDS_MAX);
        return -EBADMSG;
    }
    if (packet.msg_flags & MSG_CTRUNC) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM,
                    "descriptors of a message were lost, %u arrived: out of descriptors",
                    message->n_fds);
        return -EBADMSG;
    }
    return n;
}

static gboolean
check_header(const VrdMessage *message, GError **error)
{
    uint32_t version = message->flags & VRD_MESSAGE_VERSION_MASK;

    if (version != VRD_MESSAGE_VERSION) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "request %u: version %u, allowed %u", message->request, version,
                    VRD_MESSAGE_VERSION);
        return FALSE;
    }
    if (message->flags & ~VRD_MESSAGE_FLAGS_MASK) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "request %u: flags 0x%x, allowed bits 0x%x", message->request,
                    message->flags, VRD_MESSAGE_FLAGS_MASK);
        return FALSE;
    }
    if (message->size > VRD_MESSAGE_PAYLOAD_MAX) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "request %u: payload %u bytes, allowed 0 to %u", message->request,
                    message->size, VRD_MESSAGE_PAYLOAD_MAX);
        return FALSE;
    }
    return TRUE;
}

static GError *
end_error(const VrdMessage *message, size_t got)
{
    if (got > 0) {
        return vrd_inbox_incomplete(message, got, VRD_ERROR_PROTOCOL, "");
    }
    return g_error_new(VRD_ERROR, VRD_ERROR_LOST, "connection closed by peer");
}

gboolean
vrd_inbox_read(int fd, VrdMessage *message, size_t *got, GError **error)
{
    size_t want = VRD_MESSAGE_HEADER_BYTES;

    if (*got >= want) {
        want += message->size;
    }
    while (*got < want) {
        uint8_t *at = *got < VRD_MESSAGE_HEADER_BYTES
                          ? (uint8_t *) message + *got
                          : message->payload + (*got - VRD_MESSAGE_HEADER_BYTES);
        ssize_t n = receive(fd, at, want - *got, message, error);

        if (n < 0) {
            return FALSE;
        }
        if (n == 0) {
            g_propagate_error(error, end_error(message, *got));
            return FALSE;
        }
        *got += (size_t) n;
        if (*got == VRD_MESSAGE_HEADER_BYTES) {
            if (!check_header(message, error)) {
                return FALSE;
            }
            want += message->size;
        }
    }
    return TRUE;
}

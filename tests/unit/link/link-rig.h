/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of link/ share: a peer's end of a socketpair and a loop run by hand. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/error.h"
#include "wire/message.h"

#define RIG_PATIENCE_US (20u * G_USEC_PER_SEC)
#define RIG_FDS_MAX     253u

static inline unsigned
rig_count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

static inline sd_event *
rig_event_new(void)
{
    sd_event *event = NULL;

    g_assert_cmpint(sd_event_new(&event), >=, 0);
    return event;
}

/* Run the loop until it has nothing to do at once. */
static inline void
rig_settle(sd_event *event)
{
    while (sd_event_run(event, 0) > 0) {
    }
}

/* Run the loop until @condition holds. */
#define rig_run_until(event_, condition_)                                                \
    do {                                                                                 \
        while (!(condition_)) {                                                          \
            g_assert_cmpint(sd_event_run(event_, RIG_PATIENCE_US), >, 0);                \
        }                                                                                \
    } while (0)

static inline void
rig_pair(int ends[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
}

/* A file that descriptors are made of. */
static inline int
rig_file(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* Write @size bytes with @n_fds descriptors of one file, as one sendmsg. */
static inline void
rig_write(int socket, const void *bytes, size_t size, unsigned n_fds)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(RIG_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = (void *) bytes, .iov_len = size};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    int fd = n_fds > 0 ? rig_file() : -1;

    if (n_fds > 0) {
        memset(&control, 0, sizeof control);
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned i = 0; i < n_fds; i++) {
            memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof fd);
        }
    }
    g_assert_cmpint(sendmsg(socket, &packet, MSG_NOSIGNAL), ==, (ssize_t) size);
    if (fd >= 0) {
        close(fd);
    }
}

/* Lay out a message as it is on the wire. Returns: its bytes. */
static inline size_t
rig_lay(uint8_t *bytes, uint32_t request, uint32_t flags, uint32_t size)
{
    memcpy(bytes, &request, 4);
    memcpy(bytes + 4, &flags, 4);
    memcpy(bytes + 8, &size, 4);
    for (uint32_t i = 0; i < size; i++) {
        bytes[VRD_MESSAGE_HEADER_BYTES + i] = (uint8_t) (request + i);
    }
    return VRD_MESSAGE_HEADER_BYTES + size;
}

/* Read exactly @size bytes and close their descriptors. Returns: how many those were. */
static inline unsigned
rig_read(int socket, void *bytes, size_t size)
{
    unsigned n_fds = 0;

    for (size_t got = 0; got < size;) {
        union {
            struct cmsghdr header;
            uint8_t bytes[CMSG_SPACE(RIG_FDS_MAX * sizeof(int))];
        } control;
        struct iovec part = {.iov_base = (uint8_t *) bytes + got, .iov_len = size - got};
        struct msghdr packet = {.msg_iov = &part,
                                .msg_iovlen = 1,
                                .msg_control = &control,
                                .msg_controllen = sizeof control};
        ssize_t n = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
        struct cmsghdr *record = n > 0 ? CMSG_FIRSTHDR(&packet) : NULL;

        g_assert_cmpint(n, >, 0);
        got += (size_t) n;
        for (size_t at = 0; record && at < record->cmsg_len - CMSG_LEN(0);
             at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(record) + at, sizeof fd);
            close(fd);
            n_fds++;
        }
    }
    return n_fds;
}

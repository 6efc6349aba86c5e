/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of vmm, backend and flow share: a peer that speaks in whole messages
 * with real descriptors, and the guest that all of them know: one region of memory with
 * the rings at fixed places.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "link/link-rig.h"
#include "wire/feature.h"
#include "wire/payload.h"
#include "wire/request.h"

#define P(name_)   VRD_FEATURE_BIT(VRD_PROTOCOL_F_##name_)
#define F(name_)   VRD_FEATURE_BIT(VRD_VIRTIO_F_##name_)
#define NEED_REPLY VRD_MESSAGE_NEED_REPLY

#define GUEST_BYTES (UINT64_C(1) << 20)
#define GUEST_USER  UINT64_C(0x7f0000000000)
#define RING_SIZE   16u
#define RING_BYTES  0x4000u /* all of one ring */
#define AVAIL_AT    0x1000u
#define USED_AT     0x2000u
#define LOG_BYTES   4096u

typedef enum { FAKE_NOTHING, FAKE_MESSAGE, FAKE_END } FakeResult;

/* As one sendmsg. Returns: FALSE if the peer has gone. */
static inline gboolean
fake_send(int socket, const VrdMessage *message)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(VRD_MESSAGE_FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec parts[] = {{(void *) message, VRD_MESSAGE_HEADER_BYTES},
                            {(void *) message->payload, message->size}};
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n;

    G_STATIC_ASSERT(offsetof(VrdMessage, size) == 8);
    if (message->n_fds > 0) {
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(message->n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(message->n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), message->fds, message->n_fds * sizeof(int));
    }
    n = sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n == (ssize_t) (VRD_MESSAGE_HEADER_BYTES + message->size);
}

static inline void
fake_take_fds(struct msghdr *packet, VrdMessage *message)
{
    struct cmsghdr *record = CMSG_FIRSTHDR(packet);

    if (record != NULL) {
        message->n_fds = (unsigned) ((record->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(message->fds, CMSG_DATA(record), record->cmsg_len - CMSG_LEN(0));
    }
}

/* What has come by now. The descriptors are the caller's. */
static inline FakeResult
fake_receive(int socket, VrdMessage *message)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(VRD_MESSAGE_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {message, VRD_MESSAGE_HEADER_BYTES};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    ssize_t n;

    vrd_message_init(message, 0);
    n = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return FAKE_NOTHING;
    }
    if (n <= 0) {
        return FAKE_END;
    }
    g_assert_cmpint(n, ==, VRD_MESSAGE_HEADER_BYTES);
    fake_take_fds(&packet, message);
    g_assert_cmpuint(message->size, <=, VRD_MESSAGE_PAYLOAD_MAX);
    if (message->size > 0) {
        g_assert_cmpint(recv(socket, message->payload, message->size, MSG_DONTWAIT), ==,
                        message->size);
    }
    return FAKE_MESSAGE;
}

static inline void
fake_drop(VrdMessage *message)
{
    for (unsigned i = 0; i < message->n_fds; i++) {
        vrd_fd_close(&message->fds[i]);
    }
    message->n_fds = 0;
}

/* Turn the loop until something has come. */
static inline FakeResult
fake_await(sd_event *event, int socket, VrdMessage *message)
{
    FakeResult result;

    rig_run_until(event, (result = fake_receive(socket, message)) != FAKE_NOTHING);
    return result;
}

static inline void
fake_expect(sd_event *event, int socket, uint32_t request, VrdMessage *message)
{
    g_assert_cmpint(fake_await(event, socket, message), ==, FAKE_MESSAGE);
    g_assert_cmpstr(vrd_request_name(message->request), ==, vrd_request_name(request));
}

static inline void
fake_expect_end(sd_event *event, int socket)
{
    VrdMessage message;

    g_assert_cmpint(fake_await(event, socket, &message), ==, FAKE_END);
}

static inline void
fake_expect_nothing(sd_event *event, int socket)
{
    VrdMessage message;

    rig_settle(event);
    g_assert_cmpint(fake_receive(socket, &message), ==, FAKE_NOTHING);
}

static inline void
fake_answer(int socket, const VrdMessage *request, VrdMessage *reply)
{
    reply->request = request->request;
    reply->flags = VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY;
    fake_send(socket, reply);
}

static inline void
fake_answer_u64(int socket, const VrdMessage *request, uint64_t value)
{
    VrdMessage reply;

    vrd_message_init(&reply, request->request);
    vrd_payload_put_u64(&reply, value);
    fake_answer(socket, request, &reply);
}

static inline VrdMessage
fake_empty(uint32_t request, uint32_t flags)
{
    VrdMessage message;

    vrd_message_init(&message, request);
    message.flags |= flags;
    return message;
}

static inline VrdMessage
fake_u64(uint32_t request, uint32_t flags, uint64_t value)
{
    VrdMessage message = fake_empty(request, flags);

    vrd_payload_put_u64(&message, value);
    return message;
}

static inline VrdMessage
fake_state(uint32_t request, uint32_t flags, uint32_t index, uint32_t num)
{
    VrdMessage message = fake_empty(request, flags);
    VrdPayloadState state = {index, num};

    vrd_payload_put_state(&message, &state);
    return message;
}

static inline VrdPayloadAddr
fake_ring_addr(uint32_t index, uint32_t flags)
{
    uint64_t at = GUEST_USER + index * (uint64_t) RING_BYTES;

    return (VrdPayloadAddr){.index = index,
                            .flags = flags,
                            .desc = at,
                            .avail = at + AVAIL_AT,
                            .used = at + USED_AT,
                            .log = index * (uint64_t) RING_BYTES + USED_AT};
}

static inline VrdMessage
fake_addr(uint32_t flags, uint32_t index, uint32_t addr_flags)
{
    VrdMessage message = fake_empty(VRD_REQUEST_SET_VRING_ADDR, flags);
    VrdPayloadAddr addr = fake_ring_addr(index, addr_flags);

    vrd_payload_put_addr(&message, &addr);
    return message;
}

/* @fd: (borrowed) or -1: the no-descriptor bit */
static inline VrdMessage
fake_file(uint32_t request, uint32_t flags, uint32_t index, int fd)
{
    VrdMessage message = fake_u64(request, flags,
                                  fd < 0 ? index | VRD_PAYLOAD_NOFD : index);

    if (fd >= 0) {
        vrd_message_add_fd(&message, fd);
    }
    return message;
}

static inline VrdPayloadRegion
fake_region(unsigned i)
{
    return (VrdPayloadRegion){.guest_addr = i * GUEST_BYTES,
                              .size = GUEST_BYTES,
                              .user_addr = GUEST_USER + i * GUEST_BYTES,
                              .mmap_offset = i * GUEST_BYTES};
}

static inline VrdMessage
fake_table(uint32_t flags, int fd, unsigned n_regions)
{
    VrdMessage message = fake_empty(VRD_REQUEST_SET_MEM_TABLE, flags);
    VrdPayloadMemory memory = {.n_regions = n_regions};

    for (unsigned i = 0; i < n_regions; i++) {
        memory.regions[i] = fake_region(i);
        vrd_message_add_fd(&message, fd);
    }
    vrd_payload_put_memory(&message, &memory);
    return message;
}

/* @fd: (borrowed) -1: none, for REM_MEM_REG */
static inline VrdMessage
fake_slot(uint32_t request, uint32_t flags, unsigned i, int fd)
{
    VrdMessage message = fake_empty(request, flags);
    VrdPayloadSingleRegion single = {.region = fake_region(i)};

    vrd_payload_put_single_region(&message, &single);
    if (fd >= 0) {
        vrd_message_add_fd(&message, fd);
    }
    return message;
}

static inline VrdMessage
fake_log(uint32_t flags, int fd)
{
    VrdMessage message = fake_empty(VRD_REQUEST_SET_LOG_BASE, flags);
    VrdPayloadLog log = {.mmap_size = LOG_BYTES};

    vrd_payload_put_log(&message, &log);
    if (fd >= 0) {
        vrd_message_add_fd(&message, fd);
    }
    return message;
}

static inline VrdMessage
fake_config(uint32_t request, uint32_t flags, uint32_t offset, uint32_t size,
            uint8_t first)
{
    VrdMessage message = fake_empty(request, flags);
    VrdPayloadConfig config = {.offset = offset, .size = size};

    for (uint32_t i = 0; i < size; i++) {
        config.bytes[i] = (uint8_t) (first + i);
    }
    vrd_payload_put_config(&message, &config);
    return message;
}

/* @fd: (borrowed) -1: none, for GET_INFLIGHT_FD */
static inline VrdMessage
fake_inflight(uint32_t request, uint32_t flags, uint64_t bytes, uint16_t n_queues, int fd)
{
    VrdMessage message = fake_empty(request, flags);
    VrdPayloadInflight inflight = {
        .mmap_size = bytes, .n_queues = n_queues, .queue_size = RING_SIZE};

    vrd_payload_put_inflight(&message, &inflight);
    if (fd >= 0) {
        vrd_message_add_fd(&message, fd);
    }
    return message;
}

static inline VrdMessage
fake_state_fd(uint32_t flags, uint32_t direction, int fd)
{
    VrdMessage message = fake_state(VRD_REQUEST_SET_DEVICE_STATE_FD, flags, direction, 0);

    vrd_message_add_fd(&message, fd);
    return message;
}

/* (owned) */
static inline int
fake_memfd(uint64_t bytes)
{
    int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t) bytes), ==, 0);
    return fd;
}

/* (owned) */
static inline int
fake_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* What the guest and the device have written into ring @index. */
static inline void
fake_set_indices(int guest, uint32_t index, uint16_t used, uint16_t avail)
{
    off_t at = (off_t) index * RING_BYTES + 2;

    g_assert_cmpint(pwrite(guest, &used, 2, at + USED_AT), ==, 2);
    g_assert_cmpint(pwrite(guest, &avail, 2, at + AVAIL_AT), ==, 2);
}

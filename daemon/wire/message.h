/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/*
 * One vhost-user message in memory, with its descriptors (spec "Header", "Payload").
 * No socket, no state.
 */
#define VRD_MESSAGE_HEADER_BYTES 12u
#define VRD_MESSAGE_PAYLOAD_MAX  4096u /* bytes */
#define VRD_MESSAGE_FDS_MAX      8u

#define VRD_MESSAGE_VERSION      0x1u
#define VRD_MESSAGE_VERSION_MASK 0x3u
#define VRD_MESSAGE_REPLY        0x4u
#define VRD_MESSAGE_NEED_REPLY   0x8u
#define VRD_MESSAGE_FLAGS_MASK   0xfu

typedef struct {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* payload bytes */
    unsigned n_fds;
    int fds[VRD_MESSAGE_FDS_MAX]; /* -1: taken */
    _Alignas(8) uint8_t payload[VRD_MESSAGE_PAYLOAD_MAX];
} VrdMessage;

/* Make @message an empty one: flags = version 1, no payload, no descriptors. */
void vrd_message_init(VrdMessage *message, uint32_t request);

/* Make @reply the start of an answer to @request: same number, flags exactly 0x5. */
void vrd_message_init_reply(VrdMessage *reply, const VrdMessage *request);

/* Append a borrowed descriptor; at most VRD_MESSAGE_FDS_MAX. */
void vrd_message_add_fd(VrdMessage *message, int fd);

/* (owned) descriptor number @i, which is then -1 in @message; -1 if there is none. */
int vrd_message_take_fd(VrdMessage *message, unsigned i);

/* Give all descriptors that were not taken to the closer. */
void vrd_message_drop_fds(VrdMessage *message);

gboolean vrd_message_needs_reply(const VrdMessage *message);

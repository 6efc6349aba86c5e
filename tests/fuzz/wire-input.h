/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include "wire/payload.h"
#include "wire/request.h"

/*
 * Messages out of fuzzer bytes. A message is what the link would deliver: a payload of at
 * most VRD_MESSAGE_PAYLOAD_MAX that is all there, and a number of descriptors.
 */
typedef struct {
    const uint8_t *data;
    size_t size;
} FuzzInput;

static inline uint32_t
fuzz_take(FuzzInput *input, size_t bytes)
{
    uint32_t value = 0;

    bytes = MIN(bytes, input->size);
    memcpy(&value, input->data, bytes);
    input->data += bytes;
    input->size -= bytes;
    return value;
}

/* Number of descriptors (1 byte), request and flags (4 each), then all of the payload. */
static inline void
fuzz_take_message(FuzzInput *input, VrdMessage *message)
{
    unsigned n_fds = fuzz_take(input, 1) % (VRD_MESSAGE_FDS_MAX + 1);

    vrd_message_init(message, fuzz_take(input, 4));
    message->n_fds = n_fds;
    message->flags = fuzz_take(input, 4);
    message->size = (uint32_t) MIN(input->size, VRD_MESSAGE_PAYLOAD_MAX);
    memcpy(message->payload, input->data, message->size);
}

/* Every decoder, whatever the message is: none may read or write out of bounds. */
static inline void
fuzz_decode_all(const VrdMessage *message)
{
    static VrdMessage copy;
    uint64_t u64 = vrd_payload_get_u64(message);

    vrd_message_init(&copy, message->request);
    vrd_payload_put_u64(&copy, u64);
#define DECODE(name_, type_)                                                             \
    do {                                                                                 \
        static type_ value_;                                                             \
                                                                                         \
        vrd_payload_get_##name_(message, &value_);                                       \
        vrd_payload_put_##name_(&copy, &value_);                                         \
        g_assert(copy.size <= sizeof value_);                                            \
    } while (0)
    DECODE(state, VrdPayloadState);
    DECODE(addr, VrdPayloadAddr);
    DECODE(memory, VrdPayloadMemory);
    DECODE(single_region, VrdPayloadSingleRegion);
    DECODE(log, VrdPayloadLog);
    DECODE(iotlb, VrdPayloadIotlb);
    DECODE(config, VrdPayloadConfig);
    DECODE(area, VrdPayloadArea);
    DECODE(inflight, VrdPayloadInflight);
    DECODE(uuid, VrdPayloadUuid);
    DECODE(device_state, VrdPayloadDeviceState);
    DECODE(mmap, VrdPayloadMmap);
    DECODE(shmem, VrdPayloadShmem);
#undef DECODE
}

/* A check says no exactly with an error, and an error has a text. */
static inline gboolean
fuzz_verdict(gboolean good, GError *error)
{
    g_assert(good == (error == NULL));
    g_assert(error == NULL || error->message[0] != '\0');
    g_clear_error(&error);
    return good;
}

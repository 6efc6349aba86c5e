/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoding and decoding of payloads. Each struct of payload.h is laid out as on the wire,
 * which the assertions below hold; a decoder copies no more than the message has and
 * leaves zeros for the rest.
 */
#include "wire/payload.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define CONFIG_HEADER offsetof(VrdPayloadConfig, bytes)
#define MEMORY_HEADER offsetof(VrdPayloadMemory, regions)

static_assert(sizeof(VrdPayloadState) == 8, "vring state");
static_assert(sizeof(VrdPayloadAddr) == 40, "vring address");
static_assert(sizeof(VrdPayloadRegion) == 32, "memory region");
static_assert(sizeof(VrdPayloadMemory) == 8 + 8 * 32, "memory table");
static_assert(sizeof(VrdPayloadSingleRegion) == 40, "single region");
static_assert(sizeof(VrdPayloadLog) == 16, "log");
static_assert(sizeof(VrdPayloadIotlb) == 32, "IOTLB");
static_assert(sizeof(VrdPayloadConfig) == 12 + 256, "config");
static_assert(sizeof(VrdPayloadArea) == 24, "vring area");
static_assert(sizeof(VrdPayloadInflight) == 24, "inflight");
static_assert(sizeof(VrdPayloadUuid) == 16, "shared object");
static_assert(sizeof(VrdPayloadDeviceState) == 8, "device state");
static_assert(sizeof(VrdPayloadMmap) == 40, "mmap request");
static_assert(sizeof(VrdPayloadShmem) == 2056, "shared memory configuration");
static_assert(sizeof(VrdPayloadShmem) <= VRD_MESSAGE_PAYLOAD_MAX, "largest payload");

static void
get_bytes(const VrdMessage *message, void *value, size_t size)
{
    size_t present = MIN(MIN(size, message->size), VRD_MESSAGE_PAYLOAD_MAX);

    memcpy(value, message->payload, present);
    memset((uint8_t *) value + present, 0, size - present);
}

static void
put_bytes(VrdMessage *message, const void *value, size_t size)
{
    memcpy(message->payload, value, size);
    message->size = (uint32_t) size;
}

uint64_t
vrd_payload_get_u64(const VrdMessage *message)
{
    uint64_t value;

    get_bytes(message, &value, sizeof value);
    return value;
}

void
vrd_payload_put_u64(VrdMessage *message, uint64_t value)
{
    put_bytes(message, &value, sizeof value);
}

#define PLAIN_CODEC(name_, type_)                                                        \
    void vrd_payload_get_##name_(const VrdMessage *message, type_ *value)                \
    {                                                                                    \
        get_bytes(message, value, sizeof *value);                                        \
    }                                                                                    \
    void vrd_payload_put_##name_(VrdMessage *message, const type_ *value)                \
    {                                                                                    \
        put_bytes(message, value, sizeof *value);                                        \
    }

PLAIN_CODEC(state, VrdPayloadState)
PLAIN_CODEC(addr, VrdPayloadAddr)
PLAIN_CODEC(single_region, VrdPayloadSingleRegion)
PLAIN_CODEC(log, VrdPayloadLog)
PLAIN_CODEC(iotlb, VrdPayloadIotlb)
PLAIN_CODEC(area, VrdPayloadArea)
PLAIN_CODEC(inflight, VrdPayloadInflight)
PLAIN_CODEC(uuid, VrdPayloadUuid)
PLAIN_CODEC(device_state, VrdPayloadDeviceState)
PLAIN_CODEC(mmap, VrdPayloadMmap)
PLAIN_CODEC(shmem, VrdPayloadShmem)
#undef PLAIN_CODEC

void
vrd_payload_get_memory(const VrdMessage *message, VrdPayloadMemory *value)
{
    get_bytes(message, value, sizeof *value);
    value->n_regions = MIN(value->n_regions, VRD_PAYLOAD_REGIONS_MAX);
}

void
vrd_payload_put_memory(VrdMessage *message, const VrdPayloadMemory *value)
{
    uint32_t n = MIN(value->n_regions, VRD_PAYLOAD_REGIONS_MAX);

    put_bytes(message, value, MEMORY_HEADER + n * sizeof value->regions[0]);
}

void
vrd_payload_get_config(const VrdMessage *message, VrdPayloadConfig *value)
{
    get_bytes(message, value, sizeof *value);
    value->size = MIN(value->size, VRD_PAYLOAD_CONFIG_MAX);
}

void
vrd_payload_put_config(VrdMessage *message, const VrdPayloadConfig *value)
{
    put_bytes(message, value, CONFIG_HEADER + MIN(value->size, VRD_PAYLOAD_CONFIG_MAX));
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "wire/message.h"

/*
 * The payloads, as laid out on an x86-64 wire (native byte order). A _get reads the
 * payload of a message whose row (wire/request.h) has been checked; a _put replaces the
 * payload of a message and its size.
 */
typedef struct {
    uint32_t index;
    uint32_t num;
} VrdPayloadState; /* spec "A vring state description" */

typedef struct {
    uint32_t index;
    uint32_t flags; /* bit 0: log writes to the used ring */
    uint64_t desc;  /* user address */
    uint64_t used;  /* user address */
    uint64_t avail; /* user address */
    uint64_t log;   /* guest address of the used ring, for the log */
} VrdPayloadAddr;   /* spec "A vring address description" */

typedef struct {
    uint64_t guest_addr;
    uint64_t size; /* bytes */
    uint64_t user_addr;
    uint64_t mmap_offset; /* bytes */
} VrdPayloadRegion;       /* spec "Memory region description" */

#define VRD_PAYLOAD_REGIONS_MAX 8u

typedef struct {
    uint32_t n_regions;
    uint32_t padding;
    VrdPayloadRegion regions[VRD_PAYLOAD_REGIONS_MAX];
} VrdPayloadMemory; /* spec "Multiple memory regions description" */

typedef struct {
    uint64_t padding;
    VrdPayloadRegion region;
} VrdPayloadSingleRegion; /* spec "Single memory region description" */

typedef struct {
    uint64_t mmap_size;   /* bytes */
    uint64_t mmap_offset; /* bytes */
} VrdPayloadLog;          /* spec "Log description" */

typedef struct {
    uint64_t iova;
    uint64_t size;
    uint64_t user_addr;
    uint8_t permission;
    uint8_t type;
    uint8_t padding[6];
} VrdPayloadIotlb; /* spec "An IOTLB message"; 32 bytes on the wire */

#define VRD_PAYLOAD_CONFIG_MAX 256u

typedef struct {
    uint32_t offset;
    uint32_t size; /* bytes that follow */
    uint32_t flags;
    uint8_t bytes[VRD_PAYLOAD_CONFIG_MAX];
} VrdPayloadConfig; /* spec "Virtio device config space" */

typedef struct {
    uint64_t value; /* ring index and no-descriptor bit */
    uint64_t size;
    uint64_t offset;
} VrdPayloadArea; /* spec "Vring area description" */

typedef struct {
    uint64_t mmap_size;
    uint64_t mmap_offset;
    uint16_t n_queues;
    uint16_t queue_size;
    uint32_t padding;
} VrdPayloadInflight; /* spec "Inflight description"; 24 bytes on the wire */

typedef struct {
    uint8_t uuid[16];
} VrdPayloadUuid; /* spec "VhostUserShared" */

typedef struct {
    uint32_t direction;  /* 0 save, 1 load */
    uint32_t phase;      /* 0 stopped */
} VrdPayloadDeviceState; /* spec "Device state transfer parameters" */

typedef struct {
    uint8_t shmid;
    uint8_t padding[7];
    uint64_t fd_offset;
    uint64_t shm_offset;
    uint64_t length;
    uint64_t flags;
} VrdPayloadMmap; /* spec "MMAP request" */

#define VRD_PAYLOAD_SHMEM_MAX 256u

typedef struct {
    uint32_t n_regions;
    uint32_t padding;
    uint64_t sizes[VRD_PAYLOAD_SHMEM_MAX];
} VrdPayloadShmem; /* spec "VIRTIO Shared Memory Region configuration" */

/* u64: bits 0-7 ring index, bit 8 no descriptor (spec "A vring descriptor index") */
#define VRD_PAYLOAD_RING_MASK 0xffu
#define VRD_PAYLOAD_NOFD      0x100u

uint64_t vrd_payload_get_u64(const VrdMessage *message);
void vrd_payload_put_u64(VrdMessage *message, uint64_t value);

#define VRD_PAYLOAD_CODEC(name_, type_)                                                  \
    void vrd_payload_get_##name_(const VrdMessage *message, type_ *value);               \
    void vrd_payload_put_##name_(VrdMessage *message, const type_ *value);

VRD_PAYLOAD_CODEC(state, VrdPayloadState)
VRD_PAYLOAD_CODEC(addr, VrdPayloadAddr)
VRD_PAYLOAD_CODEC(memory, VrdPayloadMemory)
VRD_PAYLOAD_CODEC(single_region, VrdPayloadSingleRegion)
VRD_PAYLOAD_CODEC(log, VrdPayloadLog)
VRD_PAYLOAD_CODEC(iotlb, VrdPayloadIotlb)
VRD_PAYLOAD_CODEC(config, VrdPayloadConfig)
VRD_PAYLOAD_CODEC(area, VrdPayloadArea)
VRD_PAYLOAD_CODEC(inflight, VrdPayloadInflight)
VRD_PAYLOAD_CODEC(uuid, VrdPayloadUuid)
VRD_PAYLOAD_CODEC(device_state, VrdPayloadDeviceState)
VRD_PAYLOAD_CODEC(mmap, VrdPayloadMmap)
VRD_PAYLOAD_CODEC(shmem, VrdPayloadShmem)
#undef VRD_PAYLOAD_CODEC

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "model/memtable.h"
#include "wire/payload.h"

/*
 * One virtqueue of a device, as the VMM wants it (spec "Ring states"). Read the members
 * freely, change them only by the functions here: they keep the time of the last change.
 */
typedef enum {
    VRD_RING_FILE_NEVER, /* the VMM never sent the message */
    VRD_RING_FILE_NONE, /* it sent it with the no-descriptor bit: polling, no interrupt */
    VRD_RING_FILE_FD,
} VrdRingFileState;

typedef struct {
    VrdRingFileState state;
    int fd;          /* (owned) -1 unless FD */
    uint64_t serial; /* another one at each message: tells the descriptors apart */
} VrdRingFile;

typedef enum {
    VRD_RING_KICK,
    VRD_RING_CALL,
    VRD_RING_ERR,
    VRD_RING_N_FILES,
} VrdRingFileKind;

typedef struct {
    unsigned index;
    uint32_t size; /* entries; 0: not set */
    gboolean has_addr;
    VrdPayloadAddr addr;
    uint32_t base; /* as on the wire; packed rings hold both indices */
    VrdRingFile files[VRD_RING_N_FILES];
    gboolean enabled;    /* as the VMM asked for by SET_VRING_ENABLE */
    gboolean started;    /* between SET_VRING_KICK and GET_VRING_BASE */
    gboolean mapped;     /* all of it lies in the memory table */
    gboolean served;     /* since it was started a backend has had it: base is history */
    uint64_t served_us;  /* since when the last one has had it (monotonic) */
    uint64_t changed_us; /* monotonic; 0: never */
} VrdRing;

#define VRD_RING_SIZE_MAX 32768u

void vrd_ring_init(VrdRing *ring, unsigned index);
void vrd_ring_clear(VrdRing *ring); /* closes its descriptors; back to the start */

/*
 * Each setter checks the value against the state of the ring and the specification and
 * changes nothing when it refuses (VRD_ERROR_PROTOCOL, VRD_ERROR_STATE).
 */
gboolean vrd_ring_set_size(VrdRing *ring, uint32_t entries, gboolean packed,
                           GError **error);
gboolean vrd_ring_set_base(VrdRing *ring, uint32_t base, gboolean packed, GError **error);
/* @memory: (nullable) when there is a table, the whole ring must lie inside one region */
gboolean vrd_ring_set_addr(VrdRing *ring, const VrdPayloadAddr *addr, gboolean packed,
                           const VrdMemtable *memory, GError **error);
/* @fd: (owned, also on failure) an eventfd, or -1 for the no-descriptor bit */
gboolean vrd_ring_set_file(VrdRing *ring, VrdRingFileKind kind, int fd, GError **error);
void vrd_ring_set_enabled(VrdRing *ring, gboolean enabled);

/* May it start: are size, addresses and memory there? */
gboolean vrd_ring_check_start(const VrdRing *ring, gboolean packed,
                              const VrdMemtable *memory, GError **error);
/* SET_VRING_KICK: if it may start, it is started. */
gboolean vrd_ring_start(VrdRing *ring, gboolean packed, const VrdMemtable *memory,
                        GError **error);
/* After GET_VRING_BASE: stopped, @base is where it stands; kick and call are closed. */
void vrd_ring_stop(VrdRing *ring, uint32_t base);
/* After a change of the memory table: does it lie inside still? */
void vrd_ring_remap(VrdRing *ring, gboolean packed, const VrdMemtable *memory);

/* Bytes of the three areas of a ring of @entries (virtio "Split/Packed Virtqueues"). */
uint64_t vrd_ring_desc_bytes(uint32_t entries, gboolean packed);
uint64_t vrd_ring_avail_bytes(uint32_t entries, gboolean packed);
uint64_t vrd_ring_used_bytes(uint32_t entries, gboolean packed);

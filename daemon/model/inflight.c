/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inflight region: held and handed back, never looked into. What is in it is between
 * a backend and its successor.
 */
#include "model/inflight.h"

#include <inttypes.h>

#include "base/closer.h"
#include "base/error.h"
#include "model/fdcheck.h"

#define QUEUE_ALIGNMENT  64u
#define PACKED_HEADER    32u /* 29 bytes, entries aligned to 8 */
#define PACKED_ENTRY     32u
#define SPLIT_HEADER     16u
#define SPLIT_ENTRY      16u
#define OFFSET_ALIGNMENT 4096u
#define QUEUE_SIZE_MAX   32768u

static uint64_t last_serial;

void
vrd_inflight_init(VrdInflight *inflight)
{
    *inflight = (VrdInflight){.fd = -1};
}

void
vrd_inflight_clear(VrdInflight *inflight)
{
    vrd_closer_take(&inflight->fd);
    vrd_inflight_init(inflight);
}

uint64_t
vrd_inflight_bytes(uint16_t n_queues, uint16_t queue_size, gboolean packed)
{
    uint64_t queue = packed ? PACKED_HEADER + (uint64_t) PACKED_ENTRY * queue_size
                            : SPLIT_HEADER + (uint64_t) SPLIT_ENTRY * queue_size;

    queue = (queue + QUEUE_ALIGNMENT - 1) / QUEUE_ALIGNMENT * QUEUE_ALIGNMENT;
    return n_queues * queue;
}

static gboolean
check_range(const char *field, uint64_t value, uint64_t max, GError **error)
{
    if (value >= 1 && value <= max) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                "inflight region: %s %" PRIu64 ", allowed is 1 to %" PRIu64, field, value,
                max);
    return FALSE;
}

static gboolean
check_place(const VrdPayloadInflight *geometry, gboolean packed, GError **error)
{
    uint64_t needed = vrd_inflight_bytes(geometry->n_queues, geometry->queue_size,
                                         packed);

    if (geometry->mmap_size < needed) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "inflight region: size %" PRIu64 ", needed are %" PRIu64
                    " for %u queues of %u",
                    geometry->mmap_size, needed, geometry->n_queues,
                    geometry->queue_size);
        return FALSE;
    }
    if (geometry->mmap_offset % OFFSET_ALIGNMENT != 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "inflight region: offset %" PRIu64 ", allowed are multiples of %u",
                    geometry->mmap_offset, OFFSET_ALIGNMENT);
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_inflight_check(int fd, const VrdPayloadInflight *geometry, gboolean packed,
                   unsigned n_rings, GError **error)
{
    if (!check_range("queues", geometry->n_queues, n_rings, error) ||
        !check_range("queue size", geometry->queue_size, QUEUE_SIZE_MAX, error)) {
        return FALSE;
    }
    /* A VMM that asks for a region does not know its size yet. */
    if (fd < 0) {
        return TRUE;
    }
    return check_place(geometry, packed, error) &&
           vrd_fdcheck_memory(fd, "inflight descriptor", error) &&
           vrd_fdcheck_holds(fd, "the inflight region", geometry->mmap_offset,
                             geometry->mmap_size, error);
}

void
vrd_inflight_set(VrdInflight *inflight, int fd, const VrdPayloadInflight *geometry)
{
    vrd_closer_take(&inflight->fd);
    inflight->fd = fd;
    inflight->geometry = *geometry;
    inflight->serial = ++last_serial;
}

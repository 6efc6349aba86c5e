/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One ring. A setter checks, then changes: a value that is refused leaves no trace. The
 * addresses are a VMM's, opaque here; they are held against the memory table only.
 */
#include "model/ring.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/error.h"
#include "model/fdcheck.h"

#define ADDR_FLAG_LOG     1u
#define SPLIT_BASE_MAX    0xffffu
#define PACKED_INDEX      0x7fffu /* without the wrap counter above it */
#define PACKED_USED_SHIFT 16

static uint64_t last_serial;

static const char *const file_names[VRD_RING_N_FILES] = {
    [VRD_RING_KICK] = "kick",
    [VRD_RING_CALL] = "call",
    [VRD_RING_ERR] = "err",
};

/* One of the three parts of a ring, in the table of areas_of(). */
typedef struct {
    const char *name;
    uint64_t start;
    uint64_t bytes;
    unsigned alignment;
} Area;

#define N_AREAS 3

static void
areas_of(const VrdPayloadAddr *addr, uint32_t entries, gboolean packed,
         Area areas[N_AREAS])
{
    areas[0] = (Area){"descriptor table", addr->desc,
                      vrd_ring_desc_bytes(entries, packed), 16};
    areas[1] = (Area){packed ? "driver event area" : "avail ring", addr->avail,
                      vrd_ring_avail_bytes(entries, packed), packed ? 4 : 2};
    areas[2] = (Area){packed ? "device event area" : "used ring", addr->used,
                      vrd_ring_used_bytes(entries, packed), 4};
}

static void
touch(VrdRing *ring)
{
    ring->changed_us = vrd_clock_now_us();
}

void
vrd_ring_init(VrdRing *ring, unsigned index)
{
    *ring = (VrdRing){.index = index};
    for (unsigned i = 0; i < VRD_RING_N_FILES; i++) {
        ring->files[i].fd = -1;
    }
}

void
vrd_ring_clear(VrdRing *ring)
{
    for (unsigned i = 0; i < VRD_RING_N_FILES; i++) {
        vrd_closer_take(&ring->files[i].fd);
    }
    vrd_ring_init(ring, ring->index);
}

static gboolean
check_stopped(const VrdRing *ring, const char *field, uint64_t value, GError **error)
{
    if (!ring->started) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                "ring %u: %s %" PRIu64 " while it is started, allowed is after "
                "GET_VRING_BASE",
                ring->index, field, value);
    return FALSE;
}

static gboolean
is_power_of_two(uint32_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static gboolean
check_size(const VrdRing *ring, uint32_t entries, gboolean packed, GError **error)
{
    if (entries == 0 || entries > VRD_RING_SIZE_MAX) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "ring %u: size %" PRIu32 ", allowed is 1 to %u", ring->index, entries,
                    VRD_RING_SIZE_MAX);
        return FALSE;
    }
    if (!packed && !is_power_of_two(entries)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "ring %u: size %" PRIu32 ", allowed is a power of two for a split "
                    "ring",
                    ring->index, entries);
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_ring_set_size(VrdRing *ring, uint32_t entries, gboolean packed, GError **error)
{
    if (!check_size(ring, entries, packed, error) ||
        !check_stopped(ring, "size", entries, error)) {
        return FALSE;
    }
    if (ring->size != entries) {
        ring->size = entries;
        ring->mapped = FALSE; /* not known for the new length; asked at the start */
        touch(ring);
    }
    return TRUE;
}

static gboolean
check_packed_index(const VrdRing *ring, const char *name, uint32_t index, GError **error)
{
    if (ring->size == 0 || index < ring->size) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                "ring %u: base has %s index %" PRIu32
                ", allowed is below its size %" PRIu32,
                ring->index, name, index, ring->size);
    return FALSE;
}

static gboolean
check_base(const VrdRing *ring, uint32_t base, gboolean packed, GError **error)
{
    if (packed) {
        return check_packed_index(ring, "avail", base & PACKED_INDEX, error) &&
               check_packed_index(ring, "used",
                                  (base >> PACKED_USED_SHIFT) & PACKED_INDEX, error);
    }
    if (base > SPLIT_BASE_MAX) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "ring %u: base %" PRIu32 ", allowed is 0 to %u for a split ring",
                    ring->index, base, SPLIT_BASE_MAX);
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_ring_set_base(VrdRing *ring, uint32_t base, gboolean packed, GError **error)
{
    if (!check_base(ring, base, packed, error) ||
        !check_stopped(ring, "base", base, error)) {
        return FALSE;
    }
    if (ring->base != base) {
        ring->base = base;
        touch(ring);
    }
    return TRUE;
}

static gboolean
check_areas(const VrdRing *ring, const VrdPayloadAddr *addr, gboolean packed,
            GError **error)
{
    Area areas[N_AREAS];
    uint64_t end;

    areas_of(addr, ring->size, packed, areas);
    for (unsigned i = 0; i < N_AREAS; i++) {
        if (areas[i].start % areas[i].alignment != 0) {
            g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                        "ring %u: %s at 0x%" PRIx64 ", allowed are multiples of %u",
                        ring->index, areas[i].name, areas[i].start, areas[i].alignment);
            return FALSE;
        }
        if (__builtin_add_overflow(areas[i].start, areas[i].bytes, &end)) {
            g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                        "ring %u: %s at 0x%" PRIx64 " with %" PRIu64
                        " bytes is over the 64-bit limit",
                        ring->index, areas[i].name, areas[i].start, areas[i].bytes);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
check_log_addr(const VrdRing *ring, const VrdPayloadAddr *addr, gboolean packed,
               GError **error)
{
    uint64_t bytes = vrd_ring_used_bytes(ring->size, packed);
    uint64_t end;

    if ((addr->flags & ADDR_FLAG_LOG) == 0 ||
        !__builtin_add_overflow(addr->log, bytes, &end)) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                "ring %u: log address 0x%" PRIx64 " with %" PRIu64
                " bytes is over the 64-bit limit",
                ring->index, addr->log, bytes);
    return FALSE;
}

/* An area in two regions is refused too: they need not be neighbours in the backend. */
static gboolean
check_mapped(const VrdRing *ring, const VrdPayloadAddr *addr, gboolean packed,
             const VrdMemtable *memory, VrdErrorCode code, GError **error)
{
    Area areas[N_AREAS];

    areas_of(addr, ring->size, packed, areas);
    for (unsigned i = 0; i < N_AREAS; i++) {
        if (vrd_memtable_find_user(memory, areas[i].start, areas[i].bytes) == NULL) {
            g_set_error(error, VRD_ERROR, code,
                        "ring %u: %s at 0x%" PRIx64 " with %" PRIu64
                        " bytes, allowed is inside one of the %u memory regions",
                        ring->index, areas[i].name, areas[i].start, areas[i].bytes,
                        vrd_memtable_n_regions(memory));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
has_regions(const VrdMemtable *memory)
{
    return memory != NULL && vrd_memtable_n_regions(memory) > 0;
}

static gboolean
check_same_place(const VrdRing *ring, const VrdPayloadAddr *addr, GError **error)
{
    if (!ring->started ||
        (addr->desc == ring->addr.desc && addr->used == ring->addr.used &&
         addr->avail == ring->addr.avail)) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                "ring %u: addresses 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64
                " while it is started, allowed is a change of the log flag and address",
                ring->index, addr->desc, addr->avail, addr->used);
    return FALSE;
}

gboolean
vrd_ring_set_addr(VrdRing *ring, const VrdPayloadAddr *addr, gboolean packed,
                  const VrdMemtable *memory, GError **error)
{
    /* Without size or memory the place cannot be judged yet; the start does it then. */
    gboolean can_judge = ring->size != 0 && has_regions(memory);

    if ((addr->flags & ~ADDR_FLAG_LOG) != 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "ring %u: address flags 0x%" PRIx32 ", allowed is 0x%x", ring->index,
                    addr->flags, ADDR_FLAG_LOG);
        return FALSE;
    }
    if (!check_areas(ring, addr, packed, error) ||
        !check_log_addr(ring, addr, packed, error) ||
        !check_same_place(ring, addr, error)) {
        return FALSE;
    }
    /* A started ring that lost its memory may have its log flag changed all the same. */
    if (can_judge && !ring->started &&
        !check_mapped(ring, addr, packed, memory, VRD_ERROR_PROTOCOL, error)) {
        return FALSE;
    }
    ring->addr = *addr;
    ring->addr.index = ring->index;
    ring->has_addr = TRUE;
    vrd_ring_remap(ring, packed, memory);
    touch(ring);
    return TRUE;
}

gboolean
vrd_ring_set_file(VrdRing *ring, VrdRingFileKind kind, int fd, GError **error)
{
    VrdRingFile *file = &ring->files[kind];

    if (fd >= 0) {
        char what[48];

        g_snprintf(what, sizeof what, "%s descriptor of ring %u", file_names[kind],
                   ring->index);
        if (!vrd_fdcheck_eventfd(fd, what, error)) {
            vrd_closer_take(&fd);
            return FALSE;
        }
    }
    vrd_closer_take(&file->fd);
    file->fd = fd;
    file->state = fd >= 0 ? VRD_RING_FILE_FD : VRD_RING_FILE_NONE;
    file->serial = ++last_serial;
    touch(ring);
    return TRUE;
}

void
vrd_ring_set_enabled(VrdRing *ring, gboolean enabled)
{
    if (ring->enabled != enabled) {
        ring->enabled = enabled;
        touch(ring);
    }
}

static gboolean
check_ready(const VrdRing *ring, const VrdMemtable *memory, GError **error)
{
    const char *lacks = NULL;

    if (ring->size == 0) {
        lacks = "size";
    } else if (!ring->has_addr) {
        lacks = "addresses";
    } else if (!has_regions(memory)) {
        lacks = "memory table";
    }
    if (lacks != NULL) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "ring %u has no %s, needed before it is started", ring->index, lacks);
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_ring_check_start(const VrdRing *ring, gboolean packed, const VrdMemtable *memory,
                     GError **error)
{
    /* Size, base and features may have come in any order: what each setter could not see
     * is held together here. */
    return check_ready(ring, memory, error) &&
           check_size(ring, ring->size, packed, error) &&
           check_base(ring, ring->base, packed, error) &&
           check_areas(ring, &ring->addr, packed, error) &&
           check_log_addr(ring, &ring->addr, packed, error) &&
           check_mapped(ring, &ring->addr, packed, memory, VRD_ERROR_STATE, error);
}

gboolean
vrd_ring_start(VrdRing *ring, gboolean packed, const VrdMemtable *memory, GError **error)
{
    if (!vrd_ring_check_start(ring, packed, memory, error)) {
        return FALSE;
    }
    ring->mapped = TRUE;
    ring->started = TRUE;
    touch(ring);
    return TRUE;
}

static void
forget_file(VrdRing *ring, VrdRingFileKind kind)
{
    vrd_closer_take(&ring->files[kind].fd);
    ring->files[kind].state = VRD_RING_FILE_NEVER;
}

void
vrd_ring_stop(VrdRing *ring, uint32_t base)
{
    forget_file(ring, VRD_RING_KICK);
    forget_file(ring, VRD_RING_CALL);
    ring->started = FALSE;
    ring->served = FALSE;
    ring->base = base;
    /* The guest may use that memory for anything now: the next start needs new ones. */
    ring->has_addr = FALSE;
    ring->addr = (VrdPayloadAddr){0};
    ring->mapped = FALSE;
    touch(ring);
}

void
vrd_ring_remap(VrdRing *ring, gboolean packed, const VrdMemtable *memory)
{
    gboolean mapped = ring->has_addr && ring->size != 0 && has_regions(memory) &&
                      check_mapped(ring, &ring->addr, packed, memory, VRD_ERROR_STATE,
                                   NULL);

    if (ring->mapped != mapped) {
        ring->mapped = mapped;
        touch(ring);
    }
}

uint64_t
vrd_ring_desc_bytes(uint32_t entries, gboolean packed)
{
    return UINT64_C(16) * entries;
}

uint64_t
vrd_ring_avail_bytes(uint32_t entries, gboolean packed)
{
    return packed ? 4 : 6 + UINT64_C(2) * entries;
}

uint64_t
vrd_ring_used_bytes(uint32_t entries, gboolean packed)
{
    return packed ? 4 : 6 + UINT64_C(8) * entries;
}

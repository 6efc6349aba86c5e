/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ring indices in guest memory, by pread only: a mapped read would allocate the page of a
 * hole (wrong in post-copy, and it undoes ballooning) and would fault after truncation.
 */
#include "guest/usedindex.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/error.h"

#define INDEX_OFFSET 2u /* after the flags, in both rings */

static gboolean
read_index(const VrdRing *ring, const char *name, uint64_t user_addr,
           const VrdMemtable *memory, uint16_t *index, GError **error)
{
    const VrdMemregion *region = vrd_memtable_find_user(memory, user_addr,
                                                        INDEX_OFFSET + sizeof *index);
    uint64_t offset;
    uint16_t value;
    ssize_t n;

    if (region == NULL) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "ring %u: %s at 0x%" PRIx64 " is outside the %u memory regions",
                    ring->index, name, user_addr, vrd_memtable_n_regions(memory));
        return FALSE;
    }
    offset = region->mmap_offset + (user_addr - region->user_addr) + INDEX_OFFSET;
    do {
        n = pread(vrd_memfile_fd(region->file), &value, sizeof value, (off_t) offset);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        vrd_error_set_errno(error, errno, "ring %u: reading the index of its %s",
                            ring->index, name);
        return FALSE;
    }
    if (n != sizeof value) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM,
                    "ring %u: the memory of its %s is gone, the file has %" PRIu64
                    " bytes, needed %" PRIu64,
                    ring->index, name, (uint64_t) vrd_memfile_size(region->file),
                    offset + sizeof value);
        return FALSE;
    }
    *index = le16toh(value);
    return TRUE;
}

gboolean
vrd_usedindex_read(const VrdRing *ring, const VrdMemtable *memory, uint16_t *used,
                   uint16_t *avail, GError **error)
{
    if (!ring->has_addr || memory == NULL) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE, "ring %u has no %s", ring->index,
                    ring->has_addr ? "memory table" : "addresses");
        return FALSE;
    }
    return read_index(ring, "used ring", ring->addr.used, memory, used, error) &&
           read_index(ring, "avail ring", ring->addr.avail, memory, avail, error);
}

gboolean
vrd_usedindex_is_quiet(uint16_t used, uint16_t avail)
{
    return used == avail;
}

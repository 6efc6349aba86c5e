/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "model/memfile.h"

/*
 * A memory table (spec "Multiple memory regions description"): what a VM lets its
 * devices see. A table does not change once a device has it; a change is a new table, so
 * that devices with equal tables share one object.
 */
typedef struct {
    uint64_t guest_addr;
    uint64_t size; /* bytes */
    uint64_t user_addr;
    uint64_t mmap_offset; /* bytes */
    VrdMemfile *file;     /* (owned reference) */
} VrdMemregion;

typedef struct VrdMemtable VrdMemtable;

#define VRD_MEMTABLE_SLOTS_MAX 512u

VrdMemtable *vrd_memtable_new(void);
VrdMemtable *vrd_memtable_copy(const VrdMemtable *table);
VrdMemtable *vrd_memtable_ref(VrdMemtable *table);
void vrd_memtable_unref(VrdMemtable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdMemtable, vrd_memtable_unref)

/*
 * vrd_memtable_add - add a region to a table that nobody shares yet
 * @region: copied; takes a reference of its own on .file
 *
 * Refused (VRD_ERROR_PROTOCOL) with the numbers: size 0, sums that overflow, overlap in
 * guest or user addresses, a file shorter than offset plus size, more than
 * VRD_MEMTABLE_SLOTS_MAX regions.
 */
gboolean vrd_memtable_add(VrdMemtable *table, const VrdMemregion *region, GError **error);

/* Remove the region with these guest address, user address and size (VRD_ERROR_PROTOCOL).
 */
gboolean vrd_memtable_remove(VrdMemtable *table, uint64_t guest_addr, uint64_t user_addr,
                             uint64_t size, GError **error);

unsigned vrd_memtable_n_regions(const VrdMemtable *table);
const VrdMemregion *vrd_memtable_region(const VrdMemtable *table, unsigned i);
gboolean vrd_memtable_equal(const VrdMemtable *a, const VrdMemtable *b);

/* (borrowed) the region that holds all of [user_addr, user_addr + bytes), or NULL */
const VrdMemregion *vrd_memtable_find_user(const VrdMemtable *table, uint64_t user_addr,
                                           uint64_t bytes);
/* Highest guest address plus one, in bytes; 0 for an empty table. */
uint64_t vrd_memtable_guest_end(const VrdMemtable *table);
/* (borrowed) the file with this device and inode, or NULL */
VrdMemfile *vrd_memtable_find_file(const VrdMemtable *table, dev_t device, ino_t inode);

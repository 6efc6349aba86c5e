/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A memory table. Every region in it has passed the checks of vrd_memtable_add(), so that
 * a sum of its members cannot overflow: others may add without looking.
 */
#include "model/memtable.h"

#include <inttypes.h>

#include "base/error.h"
#include "model/fdcheck.h"

struct VrdMemtable {
    GArray *regions; /* of VrdMemregion */
    int n_refs;
};

static void
clear_region(gpointer data)
{
    VrdMemregion *region = data;

    g_clear_pointer(&region->file, vrd_memfile_unref);
}

VrdMemtable *
vrd_memtable_new(void)
{
    VrdMemtable *table = g_new0(VrdMemtable, 1);

    table->regions = g_array_new(FALSE, FALSE, sizeof(VrdMemregion));
    g_array_set_clear_func(table->regions, clear_region);
    table->n_refs = 1;
    return table;
}

static void
append(VrdMemtable *table, const VrdMemregion *region)
{
    VrdMemregion copy = *region;

    vrd_memfile_ref(copy.file);
    g_array_append_val(table->regions, copy);
}

VrdMemtable *
vrd_memtable_copy(const VrdMemtable *table)
{
    VrdMemtable *copy = vrd_memtable_new();

    for (unsigned i = 0; i < table->regions->len; i++) {
        append(copy, vrd_memtable_region(table, i));
    }
    return copy;
}

VrdMemtable *
vrd_memtable_ref(VrdMemtable *table)
{
    table->n_refs++;
    return table;
}

void
vrd_memtable_unref(VrdMemtable *table)
{
    if (table == NULL || --table->n_refs > 0) {
        return;
    }
    g_array_unref(table->regions);
    g_free(table);
}

static gboolean
check_sum(unsigned number, const char *name, uint64_t start, uint64_t size,
          GError **error)
{
    uint64_t end;

    if (!__builtin_add_overflow(start, size, &end)) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                "region %u: %s address 0x%" PRIx64 " plus size 0x%" PRIx64
                " is over the 64-bit limit",
                number, name, start, size);
    return FALSE;
}

/* Both ranges end below 2^64. */
static gboolean
overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static gboolean
check_overlap(unsigned number, unsigned other, const char *name, uint64_t start,
              uint64_t size, uint64_t other_start, uint64_t other_size, GError **error)
{
    if (!overlaps(start, size, other_start, other_size)) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                "region %u: %s addresses 0x%" PRIx64 " to 0x%" PRIx64
                " overlap region %u, which has 0x%" PRIx64 " to 0x%" PRIx64,
                number, name, start, start + size - 1, other, other_start,
                other_start + other_size - 1);
    return FALSE;
}

static gboolean
check_against_others(const VrdMemtable *table, const VrdMemregion *region, GError **error)
{
    unsigned number = table->regions->len;

    for (unsigned i = 0; i < number; i++) {
        const VrdMemregion *other = vrd_memtable_region(table, i);

        if (!check_overlap(number, i, "guest", region->guest_addr, region->size,
                           other->guest_addr, other->size, error) ||
            !check_overlap(number, i, "user", region->user_addr, region->size,
                           other->user_addr, other->size, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
vrd_memtable_add(VrdMemtable *table, const VrdMemregion *region, GError **error)
{
    unsigned number = table->regions->len;
    char what[32];

    g_return_val_if_fail(table->n_refs == 1 && region->file != NULL, FALSE);

    if (number >= VRD_MEMTABLE_SLOTS_MAX) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "region %u is one too many, allowed are %u", number,
                    VRD_MEMTABLE_SLOTS_MAX);
        return FALSE;
    }
    if (region->size == 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "region %u: size 0, allowed is at least 1", number);
        return FALSE;
    }
    g_snprintf(what, sizeof what, "region %u", number);
    if (!check_sum(number, "guest", region->guest_addr, region->size, error) ||
        !check_sum(number, "user", region->user_addr, region->size, error) ||
        !check_against_others(table, region, error) ||
        !vrd_fdcheck_holds(vrd_memfile_fd(region->file), what, region->mmap_offset,
                           region->size, error)) {
        return FALSE;
    }
    append(table, region);
    return TRUE;
}

gboolean
vrd_memtable_remove(VrdMemtable *table, uint64_t guest_addr, uint64_t user_addr,
                    uint64_t size, GError **error)
{
    g_return_val_if_fail(table->n_refs == 1, FALSE);

    for (unsigned i = 0; i < table->regions->len; i++) {
        const VrdMemregion *region = vrd_memtable_region(table, i);

        if (region->guest_addr == guest_addr && region->user_addr == user_addr &&
            region->size == size) {
            g_array_remove_index(table->regions, i);
            return TRUE;
        }
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                "none of the %u regions has guest address 0x%" PRIx64
                ", user address 0x%" PRIx64 " and size 0x%" PRIx64,
                table->regions->len, guest_addr, user_addr, size);
    return FALSE;
}

unsigned
vrd_memtable_n_regions(const VrdMemtable *table)
{
    return table->regions->len;
}

const VrdMemregion *
vrd_memtable_region(const VrdMemtable *table, unsigned i)
{
    return &g_array_index(table->regions, VrdMemregion, i);
}

static gboolean
is_same_file(const VrdMemfile *a, const VrdMemfile *b)
{
    return vrd_memfile_device(a) == vrd_memfile_device(b) &&
           vrd_memfile_inode(a) == vrd_memfile_inode(b);
}

gboolean
vrd_memtable_equal(const VrdMemtable *a, const VrdMemtable *b)
{
    if (a == b) {
        return TRUE;
    }
    if (a == NULL || b == NULL || a->regions->len != b->regions->len) {
        return FALSE;
    }
    for (unsigned i = 0; i < a->regions->len; i++) {
        const VrdMemregion *left = vrd_memtable_region(a, i);
        const VrdMemregion *right = vrd_memtable_region(b, i);

        if (left->guest_addr != right->guest_addr || left->size != right->size ||
            left->user_addr != right->user_addr ||
            left->mmap_offset != right->mmap_offset ||
            !is_same_file(left->file, right->file)) {
            return FALSE;
        }
    }
    return TRUE;
}

const VrdMemregion *
vrd_memtable_find_user(const VrdMemtable *table, uint64_t user_addr, uint64_t bytes)
{
    for (unsigned i = 0; i < table->regions->len; i++) {
        const VrdMemregion *region = vrd_memtable_region(table, i);
        uint64_t inside = user_addr - region->user_addr;

        if (user_addr >= region->user_addr && inside < region->size &&
            bytes <= region->size - inside) {
            return region;
        }
    }
    return NULL;
}

uint64_t
vrd_memtable_guest_end(const VrdMemtable *table)
{
    uint64_t end = 0;

    for (unsigned i = 0; i < table->regions->len; i++) {
        const VrdMemregion *region = vrd_memtable_region(table, i);

        end = MAX(end, region->guest_addr + region->size);
    }
    return end;
}

VrdMemfile *
vrd_memtable_find_file(const VrdMemtable *table, dev_t device, ino_t inode)
{
    for (unsigned i = 0; i < table->regions->len; i++) {
        VrdMemfile *file = vrd_memtable_region(table, i)->file;

        if (vrd_memfile_device(file) == device && vrd_memfile_inode(file) == inode) {
            return file;
        }
    }
    return NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory tables and the dirty log (spec "Memory region description", "Migration"). Both
 * forms of a table end in one model: a whole table, or one with a slot more or less.
 */
#include "base/closer.h"
#include "base/error.h"
#include "model/vm.h"
#include "vmm/handle.h"
#include "wire/payload.h"
#include "wire/request.h"

static gboolean
add_region(VrdDevice *device, VrdMemtable *table, const VrdPayloadRegion *region, int fd,
           const char *name, GError **error)
{
    g_autoptr(VrdMemfile) file = vrd_vm_memfile(device->vm, fd, error);
    VrdMemregion wanted = {.guest_addr = region->guest_addr,
                           .size = region->size,
                           .user_addr = region->user_addr,
                           .mmap_offset = region->mmap_offset,
                           .file = file};

    if (file == NULL || !vrd_memtable_add(table, &wanted, error)) {
        g_prefix_error(error, "%s: ", name);
        return FALSE;
    }
    return TRUE;
}

static void
take_table(VrdDevice *device, VrdMemtable *table)
{
    vrd_device_set_memory(device, vrd_vm_share_table(device->vm, table));
}

static gboolean
set_mem_table(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    g_autoptr(VrdMemtable) table = vrd_memtable_new();
    VrdPayloadMemory memory;

    vrd_payload_get_memory(message, &memory);
    for (unsigned i = 0; i < memory.n_regions; i++) {
        if (!add_region(device, table, &memory.regions[i],
                        vrd_message_take_fd(message, i), "SET_MEM_TABLE", error)) {
            return FALSE;
        }
    }
    g_clear_pointer(&device->repeats, g_array_unref);
    take_table(device, g_steal_pointer(&table));
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static VrdMemtable *
copy_table(const VrdDevice *device)
{
    return device->memory != NULL ? vrd_memtable_copy(device->memory)
                                  : vrd_memtable_new();
}

static gboolean
add_mem_reg(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    g_autoptr(VrdMemtable) table = NULL;
    VrdPayloadSingleRegion single;

    vrd_payload_get_single_region(message, &single);
    if (vrd_device_repeat_region(device, &single.region)) {
        return TRUE;
    }
    table = copy_table(device);
    if (vrd_memtable_n_regions(table) >= device->offer.n_mem_slots) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_LIMIT,
                    "ADD_MEM_REG: region %u, allowed are %" G_GUINT64_FORMAT,
                    vrd_memtable_n_regions(table) + 1, device->offer.n_mem_slots);
        return FALSE;
    }
    if (!add_region(device, table, &single.region, vrd_message_take_fd(message, 0),
                    "ADD_MEM_REG", error)) {
        return FALSE;
    }
    take_table(device, g_steal_pointer(&table));
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static gboolean
rem_mem_reg(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    g_autoptr(VrdMemtable) table = NULL;
    VrdPayloadSingleRegion single;

    vrd_payload_get_single_region(message, &single);
    if (vrd_device_unrepeat_region(device, &single.region)) {
        return TRUE;
    }
    table = copy_table(device);
    if (!vrd_memtable_remove(table, single.region.guest_addr, single.region.user_addr,
                             single.region.size, error)) {
        g_prefix_error(error, "REM_MEM_REG: ");
        return FALSE;
    }
    take_table(device, g_steal_pointer(&table));
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static gboolean
set_log_base(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    uint64_t end = device->memory != NULL ? vrd_memtable_guest_end(device->memory) : 0;
    VrdPayloadLog base;
    VrdDirtylog *log;

    if (!vrd_device_has(device, VRD_PROTOCOL_F_LOG_SHMFD) || message->n_fds == 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_UNSUPPORTED,
                    "SET_LOG_BASE: %u descriptors, allowed is 1 with protocol feature "
                    "LOG_SHMFD negotiated",
                    message->n_fds);
        return FALSE;
    }
    vrd_payload_get_log(message, &base);
    log = vrd_dirtylog_new(vrd_message_take_fd(message, 0), base.mmap_size,
                           base.mmap_offset, end, error);
    if (log == NULL) {
        g_prefix_error(error, "SET_LOG_BASE: ");
        return FALSE;
    }
    vrd_device_set_log(device, log);
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

/* No back-end uses it the same way and no front-end needs it: accepted, not passed on. */
static gboolean
set_log_fd(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    return TRUE;
}

const VrdHandlerRow vrd_handle_memory_rows[] = {
    {VRD_REQUEST_SET_MEM_TABLE, set_mem_table}, {VRD_REQUEST_ADD_MEM_REG, add_mem_reg},
    {VRD_REQUEST_REM_MEM_REG, rem_mem_reg},     {VRD_REQUEST_SET_LOG_BASE, set_log_base},
    {VRD_REQUEST_SET_LOG_FD, set_log_fd},       {0, NULL},
};

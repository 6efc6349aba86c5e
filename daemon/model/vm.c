/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM: the devices of one guest, and the memory files and tables that they share. It
 * holds nothing of them itself: what no device has any more is gone.
 */
#include "model/vm.h"

#include <string.h>

VrdVm *
vrd_vm_new(const char *name, const char *uuid)
{
    VrdVm *vm = g_new0(VrdVm, 1);

    vm->name = g_strdup(name);
    vm->uuid = uuid != NULL ? g_ascii_strdown(uuid, -1) : NULL;
    vm->devices = g_ptr_array_new();
    vm->n_refs = 1;
    return vm;
}

VrdVm *
vrd_vm_ref(VrdVm *vm)
{
    vm->n_refs++;
    return vm;
}

void
vrd_vm_unref(VrdVm *vm)
{
    if (vm == NULL || --vm->n_refs > 0) {
        return;
    }
    g_ptr_array_unref(vm->devices);
    g_free(vm->name);
    g_free(vm->uuid);
    g_free(vm);
}

static VrdDevice *
device_at(const VrdVm *vm, unsigned i)
{
    return g_ptr_array_index(vm->devices, i);
}

VrdMemfile *
vrd_vm_memfile(VrdVm *vm, int fd, GError **error)
{
    VrdMemfile *file = vrd_memfile_new(fd, error);

    for (unsigned i = 0; file != NULL && i < vm->devices->len; i++) {
        const VrdMemtable *table = device_at(vm, i)->memory;
        VrdMemfile *known = NULL;

        if (table != NULL) {
            known = vrd_memtable_find_file(table, vrd_memfile_device(file),
                                           vrd_memfile_inode(file));
        }
        if (known != NULL) {
            vrd_memfile_unref(file);
            return vrd_memfile_ref(known);
        }
    }
    return file;
}

VrdMemtable *
vrd_vm_share_table(VrdVm *vm, VrdMemtable *table)
{
    for (unsigned i = 0; i < vm->devices->len; i++) {
        VrdMemtable *other = device_at(vm, i)->memory;

        if (other != NULL && vrd_memtable_equal(other, table)) {
            vrd_memtable_ref(other);
            vrd_memtable_unref(table);
            return other;
        }
    }
    return table;
}

static unsigned
count_devices_with(const VrdVm *vm, const VrdMemtable *table)
{
    unsigned n = 0;

    for (unsigned i = 0; i < vm->devices->len; i++) {
        const VrdMemtable *other = device_at(vm, i)->memory;

        n += other != NULL && vrd_memtable_equal(other, table) ? 1 : 0;
    }
    return n;
}

VrdMemtable *
vrd_vm_memory(const VrdVm *vm)
{
    VrdMemtable *best = NULL;
    unsigned n_best = 0;

    for (unsigned i = 0; i < vm->devices->len; i++) {
        VrdMemtable *table = device_at(vm, i)->memory;
        unsigned n;

        if (table == NULL || table == best) {
            continue;
        }
        n = count_devices_with(vm, table);
        if (n > n_best) {
            best = table;
            n_best = n;
        }
    }
    return best;
}

gboolean
vrd_vm_memory_is_consistent(const VrdVm *vm)
{
    const VrdMemtable *first = NULL;

    for (unsigned i = 0; i < vm->devices->len; i++) {
        const VrdMemtable *table = device_at(vm, i)->memory;

        if (table == NULL || vrd_memtable_n_regions(table) == 0) {
            continue;
        }
        if (first != NULL && !vrd_memtable_equal(first, table)) {
            return FALSE;
        }
        first = table;
    }
    return TRUE;
}

VrdDirtylog *
vrd_vm_log(const VrdVm *vm)
{
    VrdDirtylog *newest = NULL;

    for (unsigned i = 0; i < vm->devices->len; i++) {
        const VrdDevice *device = device_at(vm, i);

        if (device->log == NULL || !vrd_device_is_logging(device)) {
            continue;
        }
        if (newest == NULL ||
            vrd_dirtylog_generation(device->log) > vrd_dirtylog_generation(newest)) {
            newest = device->log;
        }
    }
    return newest;
}

VrdDevice *
vrd_vm_find_device(const VrdVm *vm, const char *name)
{
    for (unsigned i = 0; i < vm->devices->len; i++) {
        if (strcmp(device_at(vm, i)->name, name) == 0) {
            return device_at(vm, i);
        }
    }
    return NULL;
}

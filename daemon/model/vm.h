/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "model/device.h"
#include "model/dirtylog.h"
#include "model/memtable.h"

/* One guest: owns its devices' one memory table and, while logging, its one dirty log. */
struct VrdVm {
    char *name;
    char *uuid; /* lower case; NULL: not known */
    GPtrArray
        *devices; /* (element-type VrdDevice, borrowed: they own a reference on us) */
    const VrdVmObserver *observer; /* (borrowed, nullable) */
    gpointer observer_data;
    int n_refs;
};

VrdVm *vrd_vm_new(const char *name, const char *uuid);
VrdVm *vrd_vm_ref(VrdVm *vm);
void vrd_vm_unref(VrdVm *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdVm, vrd_vm_unref)

/*
 * (owned) the file that @fd is of: one that a device of the VM has already, or a new one.
 * @fd: (owned, also on failure)
 */
VrdMemfile *vrd_vm_memfile(VrdVm *vm, int fd, GError **error);

/* (owned) @table, or the equal one that another device of the VM has. @table: (owned) */
VrdMemtable *vrd_vm_share_table(VrdVm *vm, VrdMemtable *table);

/* (borrowed, nullable) the table that most devices have */
VrdMemtable *vrd_vm_memory(const VrdVm *vm);
/* FALSE if two of its devices have differing, non-empty tables. */
gboolean vrd_vm_memory_is_consistent(const VrdVm *vm);
/* (borrowed, nullable) the log that is active now, the newest if there are several */
VrdDirtylog *vrd_vm_log(const VrdVm *vm);
/* (borrowed, nullable) */
VrdDevice *vrd_vm_find_device(const VrdVm *vm, const char *name);

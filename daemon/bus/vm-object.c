/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/vm-object.h"

#include "base/error.h"
#include "base/fd.h"
#include "bus/bus-error.h"
#include "bus/getter.h"
#include "bus/objects.h"

#define OFFSET(member_) offsetof(VrdVm, member_)
#define CONST           VRD_INTERFACE_CONST
#define MEMBERS         VRD_INTERFACE_MEMBERS
#define MEMORY          VRD_DEVICE_MEMORY
#define LOG             VRD_DEVICE_LOG

static gboolean
open_log(VrdObjects *objects, gpointer target, sd_bus_message *call,
         sd_bus_message *reply, GError **error)
{
    const VrdVm *vm = target;
    const VrdDirtylog *log = vrd_vm_log(vm);
    vrd_autofd fd = -1;
    int r;

    if (log == NULL) {
        g_set_error(error, VRD_BUS_ERROR, VRD_BUS_ERROR_CODE_NOT_LOGGING,
                    "VM %s: its VMM does not log dirty pages now", vm->name);
        return FALSE;
    }
    fd = vrd_dirtylog_snapshot(log, error);
    if (fd < 0) {
        return FALSE;
    }
    r = sd_bus_message_append(reply, "httt", fd, vrd_dirtylog_size(log),
                              (uint64_t) VRD_DIRTYLOG_PAGE, vrd_dirtylog_generation(log));
    if (r < 0) {
        vrd_error_set_errno(error, -r, "VM %s: handing out its log", vm->name);
    }
    return r >= 0;
}

static VRD_GETTER(get_devices)
{
    const VrdObjects *objects = vrd_interface_objects(bus);
    const VrdVm *vm = member;
    int r = sd_bus_message_open_container(reply, 'a', "o");

    for (unsigned i = 0; r >= 0 && i < vm->devices->len; i++) {
        const char *device = vrd_objects_path(objects, g_ptr_array_index(vm->devices, i));

        r = sd_bus_message_append_basic(reply, 'o', device);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static VRD_GETTER(get_memory)
{
    return vrd_getter_append_memory(reply, vrd_vm_memory(member));
}

static VRD_GETTER(get_memory_consistent)
{
    return sd_bus_message_append(reply, "b", (int) vrd_vm_memory_is_consistent(member));
}

static VRD_GETTER(get_memory_bytes)
{
    const VrdMemtable *memory = vrd_vm_memory(member);
    unsigned n = memory != NULL ? vrd_memtable_n_regions(memory) : 0;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < n; i++) {
        bytes += vrd_memtable_region(memory, i)->size;
    }
    return sd_bus_message_append(reply, "t", bytes);
}

static VRD_GETTER(get_log_active)
{
    return sd_bus_message_append(reply, "b", (int) (vrd_vm_log(member) != NULL));
}

static VRD_GETTER(get_log_size)
{
    const VrdDirtylog *log = vrd_vm_log(member);

    return sd_bus_message_append(reply, "t", log != NULL ? vrd_dirtylog_size(log) : 0);
}

static VRD_GETTER(get_log_page_size)
{
    return sd_bus_message_append(reply, "t", (uint64_t) VRD_DIRTYLOG_PAGE);
}

static VRD_GETTER(get_log_generation)
{
    const VrdDirtylog *log = vrd_vm_log(member);

    return sd_bus_message_append(reply, "t",
                                 log != NULL ? vrd_dirtylog_generation(log) : 0);
}

static const VrdInterfaceMethod methods[] = {
    /* method   in  out     names                                    run      who */
    {"OpenLog", "", "httt", "log\0size\0page_size\0generation\0", open_log,
     VRD_INTERFACE_ROOT},
};

static const VrdInterfaceProperty properties[] = {
    /* property          type         getter              member        changes with */
    {"Name", "s", vrd_getter_text, OFFSET(name), CONST},
    {"UUID", "s", vrd_getter_text, OFFSET(uuid), CONST},
    {"Devices", "ao", get_devices, 0, MEMBERS},
    {"Memory", "a(tttttt)", get_memory, 0, MEMORY},
    {"MemoryConsistent", "b", get_memory_consistent, 0, MEMORY},
    {"MemoryBytes", "t", get_memory_bytes, 0, MEMORY},
    {"LogActive", "b", get_log_active, 0, LOG},
    {"LogSize", "t", get_log_size, 0, LOG},
    {"LogPageSize", "t", get_log_page_size, 0, CONST},
    {"LogGeneration", "t", get_log_generation, 0, LOG},
};

const VrdInterface vrd_vm_object_interface = {
    .name = "org.vringd1.VM",
    .methods = methods,
    .n_methods = G_N_ELEMENTS(methods),
    .properties = properties,
    .n_properties = G_N_ELEMENTS(properties),
};

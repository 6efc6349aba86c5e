/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/manager-object.h"

#include <string.h>

#include "base/error.h"
#include "bus/getter.h"
#include "bus/health.h"
#include "bus/objects.h"

#define OFFSET(member_) offsetof(VrdObjects, member_)

static gboolean
check_reply(int r, GError **error)
{
    if (r < 0) {
        vrd_error_set_errno(error, -r, "making a D-Bus reply");
    }
    return r >= 0;
}

static gboolean
list_vms(VrdObjects *objects, gpointer target, sd_bus_message *call,
         sd_bus_message *reply, GError **error)
{
    GPtrArray *vms = vrd_hub_vms(objects->hub);
    int r = sd_bus_message_open_container(reply, 'a', "(sso)");

    for (unsigned i = 0; r >= 0 && i < vms->len; i++) {
        const VrdVm *vm = g_ptr_array_index(vms, i);

        r = sd_bus_message_append(reply, "(sso)", vm->name, vm->uuid,
                                  vrd_objects_path(objects, vm));
    }
    if (r >= 0) {
        r = sd_bus_message_close_container(reply);
    }
    return check_reply(r, error);
}

static int
append_device(VrdObjects *objects, sd_bus_message *reply, const VrdDevice *device)
{
    return sd_bus_message_append(
        reply, "(ssssssuuso)", device->vm->name, device->name, device->id,
        vrd_feature_kind_name(device->kind), vrd_device_vmm_state_name(device->vmm_state),
        vrd_device_backend_state_name(device->backend_state),
        vrd_device_n_started(device), device->n_rings,
        vrd_health_name(vrd_health_ask(device, NULL)), vrd_objects_path(objects, device));
}

static gboolean
list_devices(VrdObjects *objects, gpointer target, sd_bus_message *call,
             sd_bus_message *reply, GError **error)
{
    GPtrArray *vms = vrd_hub_vms(objects->hub);
    int r = sd_bus_message_open_container(reply, 'a', "(ssssssuuso)");

    for (unsigned i = 0; r >= 0 && i < vms->len; i++) {
        const VrdVm *vm = g_ptr_array_index(vms, i);

        for (unsigned j = 0; r >= 0 && j < vm->devices->len; j++) {
            r = append_device(objects, reply, g_ptr_array_index(vm->devices, j));
        }
    }
    if (r >= 0) {
        r = sd_bus_message_close_container(reply);
    }
    return check_reply(r, error);
}

static gboolean
lookup_vm(VrdObjects *objects, gpointer target, sd_bus_message *call,
          sd_bus_message *reply, GError **error)
{
    GPtrArray *vms = vrd_hub_vms(objects->hub);
    const char *name = NULL;

    if (!check_reply(sd_bus_message_read_basic(call, 's', &name), error)) {
        return FALSE;
    }
    for (unsigned i = 0; i < vms->len; i++) {
        const VrdVm *vm = g_ptr_array_index(vms, i);

        if (strcmp(vm->name, name) == 0 ||
            (vm->uuid != NULL && g_ascii_strcasecmp(vm->uuid, name) == 0)) {
            return check_reply(
                sd_bus_message_append(reply, "o", vrd_objects_path(objects, vm)), error);
        }
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_NOT_FOUND,
                "no VM has the name or UUID %.128s (there are %u)", name, vms->len);
    return FALSE;
}

static gboolean
device_is(VrdObjects *objects, const VrdDevice *device, const char *name)
{
    size_t vm_length = strlen(device->vm->name);

    return strcmp(device->id, name) == 0 ||
           g_strcmp0(vrd_hub_vmm_path(objects->hub, device), name) == 0 ||
           g_strcmp0(vrd_hub_backend_path(objects->hub, device), name) == 0 ||
           (strncmp(name, device->vm->name, vm_length) == 0 && name[vm_length] == '/' &&
            strcmp(name + vm_length + 1, device->name) == 0);
}

static gboolean
lookup_device(VrdObjects *objects, gpointer target, sd_bus_message *call,
              sd_bus_message *reply, GError **error)
{
    GPtrArray *vms = vrd_hub_vms(objects->hub);
    const char *name = NULL;

    if (!check_reply(sd_bus_message_read_basic(call, 's', &name), error)) {
        return FALSE;
    }
    for (unsigned i = 0; i < vms->len; i++) {
        const VrdVm *vm = g_ptr_array_index(vms, i);

        for (unsigned j = 0; j < vm->devices->len; j++) {
            const VrdDevice *device = g_ptr_array_index(vm->devices, j);

            if (device_is(objects, device, name)) {
                return check_reply(
                    sd_bus_message_append(reply, "o", vrd_objects_path(objects, device)),
                    error);
            }
        }
    }
    g_set_error(
        error, VRD_ERROR, VRD_ERROR_NOT_FOUND,
        "no device has the id, the name VM/DEVICE or the socket %.128s (there are %u)",
        name, vrd_hub_n_devices(objects->hub));
    return FALSE;
}

static gboolean
reload(VrdObjects *objects, gpointer target, sd_bus_message *call, sd_bus_message *reply,
       GError **error)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    int r;

    if (!objects->reload(problems, objects->reload_data)) {
        g_ptr_array_add(problems, NULL);
        g_autofree char *text = g_strjoinv("; ", (char **) problems->pdata);
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        g_set_error(error, VRD_ERROR, VRD_ERROR_SETTING, "nothing was changed: %s",
                    valid);
        return FALSE;
    }
    r = sd_bus_message_open_container(reply, 'a', "s");
    for (unsigned i = 0; r >= 0 && i < problems->len; i++) {
        r = vrd_getter_append_text(reply, g_ptr_array_index(problems, i));
    }
    if (r >= 0) {
        r = sd_bus_message_close_container(reply);
    }
    return check_reply(r, error);
}

static VRD_GETTER(get_version)
{
    return sd_bus_message_append(reply, "s", VRINGD_VERSION);
}

static VRD_GETTER(get_features)
{
    return sd_bus_message_append(reply, "t", vrd_feature_protocol_vmm_mask());
}

static VRD_GETTER(get_feature_names)
{
    uint64_t features = vrd_feature_protocol_vmm_mask();

    return vrd_getter_protocol_names(bus, path, interface, property, reply, &features,
                                     bus_error);
}

static VRD_GETTER(get_n_vms)
{
    const VrdObjects *objects = member;

    return sd_bus_message_append(reply, "u", vrd_hub_vms(objects->hub)->len);
}

static VRD_GETTER(get_n_devices)
{
    const VrdObjects *objects = member;

    return sd_bus_message_append(reply, "u", vrd_hub_n_devices(objects->hub));
}

static const VrdInterfaceMethod methods[] = {
    /* method        in   out              names              run           who */
    {"ListVMs", "", "a(sso)", "vms\0", list_vms, VRD_INTERFACE_ANYONE},
    {"ListDevices", "", "a(ssssssuuso)", "devices\0", list_devices, VRD_INTERFACE_ANYONE},
    {"LookupVM", "s", "o", "name\0vm\0", lookup_vm, VRD_INTERFACE_ANYONE},
    {"LookupDevice", "s", "o", "name\0device\0", lookup_device, VRD_INTERFACE_ANYONE},
    {"Reload", "", "as", "problems\0", reload, VRD_INTERFACE_ROOT},
};

static const VrdInterfaceProperty properties[] = {
    /* property     type  getter        member                 changes with */
    {"Version", "s", get_version, 0, VRD_INTERFACE_CONST},
    {"Features", "t", get_features, 0, VRD_INTERFACE_CONST},
    {"FeatureNames", "as", get_feature_names, 0, VRD_INTERFACE_CONST},
    {"NVms", "u", get_n_vms, 0, VRD_INTERFACE_MEMBERS},
    {"NDevices", "u", get_n_devices, 0, VRD_INTERFACE_MEMBERS},
    {"MaxDevices", "u", NULL, OFFSET(n_devices_max), VRD_INTERFACE_MEMBERS},
};

const VrdInterface vrd_manager_object_interface = {
    .name = "org.vringd1.Manager",
    .methods = methods,
    .n_methods = G_N_ELEMENTS(methods),
    .properties = properties,
    .n_properties = G_N_ELEMENTS(properties),
};

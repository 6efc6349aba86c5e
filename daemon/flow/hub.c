/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All devices of the daemon. A device is changed by being made anew: its links end and
 * come back; devices whose settings did not change are not touched.
 */
#include "flow/hub.h"

#include "base/error.h"
#include "base/log.h"
#include "flow/bridge.h"

struct VrdHub {
    sd_event *event;
    VrdActivation *activation;
    char *runtime_directory;
    GHashTable *bridges; /* file name -> VrdBridge (owned) */
    GPtrArray *vms;      /* (element-type VrdVm, owned references) */
    const VrdHubWatcher *watcher;
    gpointer watcher_data;
};

static void
on_changed(VrdDevice *device, unsigned aspects, gpointer user_data)
{
    VrdHub *hub = user_data;

    if (hub->watcher != NULL && hub->watcher->changed != NULL) {
        hub->watcher->changed(device, aspects, hub->watcher_data);
    }
}

static const VrdVmObserver observer = {on_changed};

VrdHub *
vrd_hub_new(sd_event *event, VrdActivation *activation, const char *runtime_directory)
{
    VrdHub *hub = g_new0(VrdHub, 1);

    hub->event = sd_event_ref(event);
    hub->activation = activation;
    hub->runtime_directory = g_strdup(runtime_directory);
    hub->bridges = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    hub->vms = g_ptr_array_new_with_free_func((GDestroyNotify) vrd_vm_unref);
    return hub;
}

static void
drop_vm_if_empty(VrdHub *hub, VrdVm *vm)
{
    if (vm->devices->len > 0) {
        return;
    }
    if (hub->watcher != NULL) {
        hub->watcher->vm_removed(vm, hub->watcher_data);
    }
    vm->observer = NULL;
    g_ptr_array_remove(hub->vms, vm);
}

static void
remove_bridge(VrdHub *hub, const char *name)
{
    VrdBridge *bridge = g_hash_table_lookup(hub->bridges, name);
    VrdDevice *device = vrd_bridge_device(bridge);
    VrdVm *vm = device->vm;

    if (hub->watcher != NULL) {
        hub->watcher->device_removed(device, hub->watcher_data);
    }
    g_hash_table_remove(hub->bridges, name);
    vrd_bridge_free(bridge);
    drop_vm_if_empty(hub, vm);
}

void
vrd_hub_free(VrdHub *hub)
{
    g_autoptr(GList) names = NULL;

    if (hub == NULL) {
        return;
    }
    names = g_hash_table_get_keys(hub->bridges);
    for (GList *name = names; name != NULL; name = name->next) {
        g_autofree char *copy = g_strdup(name->data);

        remove_bridge(hub, copy);
    }
    g_hash_table_unref(hub->bridges);
    g_ptr_array_unref(hub->vms);
    g_free(hub->runtime_directory);
    sd_event_unref(hub->event);
    g_free(hub);
}

void
vrd_hub_set_watcher(VrdHub *hub, const VrdHubWatcher *watcher, gpointer user_data)
{
    hub->watcher = watcher;
    hub->watcher_data = user_data;
    for (unsigned i = 0; watcher != NULL && i < hub->vms->len; i++) {
        VrdVm *vm = hub->vms->pdata[i];

        watcher->vm_added(vm, user_data);
        for (unsigned j = 0; j < vm->devices->len; j++) {
            watcher->device_added(vm->devices->pdata[j], user_data);
        }
    }
}

static VrdVm *
find_vm(VrdHub *hub, const VrdSettingsDevice *settings)
{
    VrdVm *vm;

    for (unsigned i = 0; i < hub->vms->len; i++) {
        vm = hub->vms->pdata[i];
        if (g_str_equal(vm->name, settings->vm_name) &&
            g_strcmp0(vm->uuid, settings->vm_uuid) == 0) {
            return vm;
        }
    }
    vm = vrd_vm_new(settings->vm_name, settings->vm_uuid);
    vm->observer = &observer;
    vm->observer_data = hub;
    g_ptr_array_add(hub->vms, vm);
    if (hub->watcher != NULL) {
        hub->watcher->vm_added(vm, hub->watcher_data);
    }
    return vm;
}

static void
add_bridge(VrdHub *hub, const VrdSettingsDevice *settings, GPtrArray *problems)
{
    VrdVm *vm = find_vm(hub, settings);
    g_autoptr(GError) error = NULL;
    VrdBridge *bridge = vrd_bridge_new(hub->event, vm, settings, hub->activation,
                                       hub->runtime_directory, &error);

    if (bridge == NULL) {
        g_ptr_array_add(problems,
                        g_strdup_printf("%s: %s", settings->file, error->message));
        drop_vm_if_empty(hub, vm);
        return;
    }
    g_hash_table_insert(hub->bridges, g_strdup(settings->name), bridge);
    if (hub->watcher != NULL) {
        hub->watcher->device_added(vrd_bridge_device(bridge), hub->watcher_data);
    }
}

static const VrdSettingsDevice *
find_settings(const VrdSettings *settings, const char *name)
{
    for (unsigned i = 0; i < settings->devices->len; i++) {
        const VrdSettingsDevice *device = settings->devices->pdata[i];

        if (g_str_equal(device->name, name)) {
            return device;
        }
    }
    return NULL;
}

/* First all that goes, so that what comes finds paths and names free. */
void
vrd_hub_apply(VrdHub *hub, const VrdSettings *settings, GPtrArray *problems)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer name, bridge;

    g_hash_table_iter_init(&iter, hub->bridges);
    while (g_hash_table_iter_next(&iter, &name, &bridge)) {
        const VrdSettingsDevice *device = find_settings(settings, name);

        if (device == NULL ||
            !vrd_settings_device_equal(device, vrd_bridge_settings(bridge))) {
            g_ptr_array_add(gone, g_strdup(name));
        }
    }
    for (unsigned i = 0; i < gone->len; i++) {
        remove_bridge(hub, gone->pdata[i]);
    }
    for (unsigned i = 0; i < settings->devices->len; i++) {
        const VrdSettingsDevice *device = settings->devices->pdata[i];

        if (g_hash_table_contains(hub->bridges, device->name)) {
            continue;
        }
        if (g_hash_table_size(hub->bridges) >= settings->n_devices_max) {
            g_ptr_array_add(problems,
                            g_strdup_printf("%s: device %u, MaxDevices=%u allows no more",
                                            device->file,
                                            g_hash_table_size(hub->bridges) + 1,
                                            settings->n_devices_max));
            continue;
        }
        add_bridge(hub, device, problems);
    }
}

GPtrArray *
vrd_hub_vms(const VrdHub *hub)
{
    return hub->vms;
}

unsigned
vrd_hub_n_devices(const VrdHub *hub)
{
    return g_hash_table_size(hub->bridges);
}

static const VrdBridge *
find_bridge(const VrdHub *hub, const VrdDevice *device)
{
    return g_hash_table_lookup(hub->bridges, device->id);
}

const VrdSettingsDevice *
vrd_hub_device_settings(const VrdHub *hub, const VrdDevice *device)
{
    const VrdBridge *bridge = find_bridge(hub, device);

    return bridge != NULL ? vrd_bridge_settings(bridge) : NULL;
}

const char *
vrd_hub_vmm_path(const VrdHub *hub, const VrdDevice *device)
{
    const VrdBridge *bridge = find_bridge(hub, device);

    return bridge != NULL ? vrd_bridge_vmm_path(bridge) : NULL;
}

const char *
vrd_hub_backend_path(const VrdHub *hub, const VrdDevice *device)
{
    const VrdBridge *bridge = find_bridge(hub, device);

    return bridge != NULL ? vrd_bridge_backend_path(bridge) : NULL;
}

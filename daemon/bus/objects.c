/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bus/device-object.h"
#include "bus/manager-object.h"
#include "bus/vm-object.h"

/* Messages that wait for a bus that does not read; then signals are held back. */
#define QUEUE_MAX   1024u
#define LATER_US    (100u * 1000u)
#define ACCURACY_US (20u * 1000u)

static const VrdInterface *const interfaces[VRD_OBJECTS_N_INTERFACES] = {
    &vrd_manager_object_interface,
    &vrd_vm_object_interface,
    &vrd_device_object_interface,
};

static void
free_object(gpointer data)
{
    VrdObject *object = data;

    g_free(object->path);
    g_free(object);
}

VrdObject *
vrd_objects_find(const VrdObjects *objects, const char *path)
{
    return g_hash_table_lookup(objects->by_path, path);
}

const char *
vrd_objects_path(const VrdObjects *objects, gconstpointer target)
{
    const VrdObject *object = g_hash_table_lookup(objects->by_target, target);

    return object != NULL ? object->path : "/";
}

void
vrd_objects_touch(VrdObjects *objects, gconstpointer target, unsigned aspects)
{
    VrdObject *object = g_hash_table_lookup(objects->by_target, target);

    if (object == NULL || objects->bus == NULL) {
        return; /* who connects later reads everything */
    }
    if (object->changed == 0) {
        g_ptr_array_add(objects->changed, object);
    }
    object->changed |= aspects;
    sd_event_source_set_enabled(objects->turn, SD_EVENT_ONESHOT);
}

static void
send_changes(VrdObjects *objects)
{
    for (unsigned i = 0; i < objects->changed->len; i++) {
        VrdObject *object = g_ptr_array_index(objects->changed, i);
        g_autofree char **names = vrd_interface_changed(object->interface,
                                                        object->changed);

        object->changed = 0;
        if (names[0] != NULL) {
            sd_bus_emit_properties_changed_strv(objects->bus, object->path,
                                                object->interface->name, names);
        }
    }
    g_ptr_array_set_size(objects->changed, 0);
}

static int
on_turn(sd_event_source *source, void *user_data)
{
    VrdObjects *objects = user_data;
    uint64_t n_queued = 0;

    if (objects->bus == NULL) {
        return 0;
    }
    sd_bus_get_n_queued_write(objects->bus, &n_queued);
    if (n_queued > QUEUE_MAX) {
        sd_event_source_set_time_relative(objects->later, LATER_US);
        sd_event_source_set_enabled(objects->later, SD_EVENT_ONESHOT);
        return 0;
    }
    send_changes(objects);
    return 0;
}

static int
on_later(sd_event_source *source, uint64_t usec, void *user_data)
{
    return on_turn(source, user_data);
}

static VrdObject *
add_object(VrdObjects *objects, char *path, const VrdInterface *interface,
           gpointer target)
{
    VrdObject *object;

    if (path == NULL || vrd_objects_find(objects, path) != NULL) {
        vrd_log_error(NULL, "no D-Bus object for %s: another one has its path", path);
        g_free(path);
        return NULL;
    }
    object = g_new0(VrdObject, 1);
    object->path = path;
    object->interface = interface;
    object->target = target;
    g_hash_table_insert(objects->by_path, object->path, object);
    g_hash_table_insert(objects->by_target, target, object);
    if (objects->bus != NULL) {
        sd_bus_emit_object_added(objects->bus, object->path);
    }
    return object;
}

static void
remove_object(VrdObjects *objects, gpointer target)
{
    VrdObject *object = g_hash_table_lookup(objects->by_target, target);

    if (object == NULL) {
        return;
    }
    if (objects->bus != NULL) {
        sd_bus_emit_object_removed(objects->bus, object->path);
    }
    g_ptr_array_remove(objects->changed, object);
    g_hash_table_remove(objects->by_target, target);
    g_hash_table_remove(objects->by_path, object->path);
}

/* A UUID keeps its looks; what else there is comes escaped into the path. */
static char *
vm_path(const VrdVm *vm)
{
    char *path = NULL;

    if (vm->uuid != NULL && vm->uuid[strspn(vm->uuid, "0123456789abcdef-")] == '\0') {
        path = g_strconcat(VRD_BUS_ROOT "/vm/_", vm->uuid, NULL);
        return g_strdelimit(path, "-", '_');
    }
    sd_bus_path_encode(VRD_BUS_ROOT "/vm", vm->name, &path);
    return path;
}

static void
on_vm_added(VrdVm *vm, gpointer user_data)
{
    VrdObjects *objects = user_data;

    add_object(objects, vm_path(vm), &vrd_vm_object_interface, vm);
    vrd_objects_touch(objects, objects, VRD_INTERFACE_MEMBERS);
}

static void
on_vm_removed(VrdVm *vm, gpointer user_data)
{
    VrdObjects *objects = user_data;

    remove_object(objects, vm);
    vrd_objects_touch(objects, objects, VRD_INTERFACE_MEMBERS);
}

static void
on_device_added(VrdDevice *device, gpointer user_data)
{
    VrdObjects *objects = user_data;
    char *path = NULL;

    sd_bus_path_encode(vrd_objects_path(objects, device->vm), device->name, &path);
    add_object(objects, path, &vrd_device_object_interface, device);
    vrd_objects_touch(objects, device->vm, VRD_INTERFACE_MEMBERS);
    vrd_objects_touch(objects, objects, VRD_INTERFACE_MEMBERS);
}

static void
on_device_removed(VrdDevice *device, gpointer user_data)
{
    VrdObjects *objects = user_data;

    remove_object(objects, device);
    vrd_objects_touch(objects, device->vm, VRD_INTERFACE_MEMBERS | VRD_DEVICE_MEMORY);
    vrd_objects_touch(objects, objects, VRD_INTERFACE_MEMBERS);
}

static void
on_changed(VrdDevice *device, unsigned aspects, gpointer user_data)
{
    VrdObjects *objects = user_data;
    unsigned of_vm = aspects & (VRD_DEVICE_MEMORY | VRD_DEVICE_LOG);

    vrd_objects_touch(objects, device, aspects);
    if (of_vm != 0) {
        vrd_objects_touch(objects, device->vm, of_vm);
    }
}

static const VrdHubWatcher watcher = {
    .vm_added = on_vm_added,
    .vm_removed = on_vm_removed,
    .device_added = on_device_added,
    .device_removed = on_device_removed,
    .changed = on_changed,
};

VrdObjects *
vrd_objects_new(sd_event *event, VrdHub *hub, VrdBusReload reload, gpointer user_data)
{
    g_autoptr(VrdObjects) objects = g_new0(VrdObjects, 1);

    objects->hub = hub;
    objects->reload = reload;
    objects->reload_data = user_data;
    objects->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_object);
    objects->by_target = g_hash_table_new(NULL, NULL);
    objects->changed = g_ptr_array_new();
    for (unsigned i = 0; i < VRD_OBJECTS_N_INTERFACES; i++) {
        objects->vtables[i] = vrd_interface_vtable(interfaces[i]);
    }
    if (sd_event_add_defer(event, &objects->turn, on_turn, objects) < 0 ||
        sd_event_source_set_enabled(objects->turn, SD_EVENT_OFF) < 0 ||
        sd_event_add_time_relative(event, &objects->later, CLOCK_MONOTONIC, LATER_US,
                                   ACCURACY_US, on_later, objects) < 0 ||
        sd_event_source_set_enabled(objects->later, SD_EVENT_OFF) < 0) {
        return NULL;
    }
    add_object(objects, g_strdup(VRD_BUS_ROOT), &vrd_manager_object_interface, objects);
    vrd_hub_set_watcher(hub, &watcher, objects);
    return g_steal_pointer(&objects);
}

void
vrd_objects_free(VrdObjects *objects)
{
    if (objects == NULL) {
        return;
    }
    vrd_hub_set_watcher(objects->hub, NULL, NULL);
    sd_event_source_disable_unref(objects->turn);
    sd_event_source_disable_unref(objects->later);
    g_ptr_array_unref(objects->changed);
    g_hash_table_unref(objects->by_target);
    g_hash_table_unref(objects->by_path);
    for (unsigned i = 0; i < VRD_OBJECTS_N_INTERFACES; i++) {
        g_free(objects->vtables[i]);
    }
    g_free(objects);
}

/* For sd-bus: is there @interface at @path, and of which object? */
static int
on_find(sd_bus *bus, const char *path, const char *interface, void *user_data,
        void **target, sd_bus_error *bus_error)
{
    const VrdObject *object = vrd_objects_find(user_data, path);

    if (object == NULL || strcmp(object->interface->name, interface) != 0) {
        return 0;
    }
    *target = object->target;
    return 1;
}

static int
on_enumerate(sd_bus *bus, const char *prefix, void *user_data, char ***nodes,
             sd_bus_error *bus_error)
{
    const VrdObjects *objects = user_data;
    GHashTableIter iter;
    gpointer path;
    char **next;

    /* sd-bus frees it with free(). */
    next = *nodes = calloc(g_hash_table_size(objects->by_path) + 1, sizeof(char *));
    if (next == NULL) {
        return -ENOMEM;
    }
    g_hash_table_iter_init(&iter, objects->by_path);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        *next = strdup(path);
        if (*next++ == NULL) {
            return -ENOMEM;
        }
    }
    return 1;
}

int
vrd_objects_attach(VrdObjects *objects, sd_bus *bus)
{
    int r = sd_bus_add_object_manager(bus, NULL, VRD_BUS_ROOT);

    for (unsigned i = 0; r >= 0 && i < VRD_OBJECTS_N_INTERFACES; i++) {
        r = sd_bus_add_fallback_vtable(bus, NULL, VRD_BUS_ROOT, interfaces[i]->name,
                                       objects->vtables[i], on_find, objects);
    }
    if (r >= 0) {
        r = sd_bus_add_node_enumerator(bus, NULL, VRD_BUS_ROOT, on_enumerate, objects);
    }
    if (r >= 0) {
        objects->bus = bus;
    }
    return r;
}

void
vrd_objects_detach(VrdObjects *objects)
{
    objects->bus = NULL;
    vrd_interface_cancel(objects);
    for (unsigned i = 0; i < objects->changed->len; i++) {
        ((VrdObject *) g_ptr_array_index(objects->changed, i))->changed = 0;
    }
    g_ptr_array_set_size(objects->changed, 0);
}

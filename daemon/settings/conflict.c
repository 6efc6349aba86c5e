/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/conflict.h"

#include "settings/ini-reader.h"

/* Keys are owned, values are the VrdDeviceFile that claimed them first. */
struct VrdConflict {
    GHashTable *paths;   /* canonical socket path */
    GHashTable *devices; /* "VM/DEVICE" */
    GHashTable *uuids;   /* UUID of a VM */
    GHashTable *vms;     /* name of a VM that has a UUID */
};

static GHashTable *
new_table(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

VrdConflict *
vrd_conflict_new(void)
{
    VrdConflict *conflict = g_new0(VrdConflict, 1);

    conflict->paths = new_table();
    conflict->devices = new_table();
    conflict->uuids = new_table();
    conflict->vms = new_table();
    return conflict;
}

void
vrd_conflict_free(VrdConflict *conflict)
{
    if (conflict != NULL) {
        g_hash_table_unref(conflict->paths);
        g_hash_table_unref(conflict->devices);
        g_hash_table_unref(conflict->uuids);
        g_hash_table_unref(conflict->vms);
        g_free(conflict);
    }
}

static void
check_path(const VrdConflict *conflict, const VrdDeviceFile *file, const char *section,
           const char *path, GPtrArray *problems)
{
    g_autofree char *key = path != NULL ? vrd_device_file_canonical_path(path) : NULL;
    const VrdDeviceFile *other;

    other = key != NULL ? g_hash_table_lookup(conflict->paths, key) : NULL;
    if (other != NULL) {
        vrd_ini_reader_problem(problems, file->device->file,
                               vrd_device_file_line(file, section, "Path"),
                               "Path=%s: belongs to %s already, allowed is another one",
                               path, other->device->file);
    }
}

static void
check_identity(const VrdConflict *conflict, const VrdDeviceFile *file, const char *place,
               GPtrArray *problems)
{
    const VrdSettingsDevice *device = file->device;
    const VrdDeviceFile *other = g_hash_table_lookup(conflict->devices, place);

    if (other != NULL) {
        vrd_ini_reader_problem(
            problems, device->file, vrd_device_file_line(file, "Device", "Name"),
            "Name=%s: VM %s has it from %s already, allowed is another one",
            device->device, device->vm_name, other->device->file);
    }
    if (device->vm_uuid == NULL) {
        return;
    }
    other = g_hash_table_lookup(conflict->uuids, device->vm_uuid);
    if (other != NULL && !g_str_equal(other->device->vm_name, device->vm_name)) {
        vrd_ini_reader_problem(
            problems, device->file, vrd_device_file_line(file, "Device", "UUID"),
            "UUID=%s: is that of VM %s in %s, allowed is another one", device->vm_uuid,
            other->device->vm_name, other->device->file);
    }
    other = g_hash_table_lookup(conflict->vms, device->vm_name);
    if (other != NULL && !g_str_equal(other->device->vm_uuid, device->vm_uuid)) {
        vrd_ini_reader_problem(
            problems, device->file, vrd_device_file_line(file, "Device", "UUID"),
            "UUID=%s: VM %s has %s in %s, allowed is the same", device->vm_uuid,
            device->vm_name, other->device->vm_uuid, other->device->file);
    }
}

static void
claim(GHashTable *table, char *key, const VrdDeviceFile *file)
{
    if (key != NULL && !g_hash_table_contains(table, key)) {
        g_hash_table_insert(table, key, (gpointer) file);
    } else {
        g_free(key);
    }
}

gboolean
vrd_conflict_admit(VrdConflict *conflict, const VrdDeviceFile *file, GPtrArray *problems)
{
    const VrdSettingsDevice *device = file->device;
    guint n_problems = problems->len;
    g_autofree char *place = g_strdup_printf("%s/%s", device->vm_name, device->device);

    check_identity(conflict, file, place, problems);
    check_path(conflict, file, "VMM", device->vmm.path, problems);
    check_path(conflict, file, "Backend", device->backend.path, problems);
    if (problems->len != n_problems) {
        return FALSE;
    }
    claim(conflict->devices, g_steal_pointer(&place), file);
    if (device->vmm.path != NULL) {
        claim(conflict->paths, vrd_device_file_canonical_path(device->vmm.path), file);
    }
    if (device->backend.path != NULL) {
        claim(conflict->paths, vrd_device_file_canonical_path(device->backend.path),
              file);
    }
    if (device->vm_uuid != NULL) {
        claim(conflict->uuids, g_strdup(device->vm_uuid), file);
        claim(conflict->vms, g_strdup(device->vm_name), file);
    }
    return TRUE;
}

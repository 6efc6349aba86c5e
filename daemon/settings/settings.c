/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/settings.h"

#include <string.h>
#include <syslog.h>

#include "settings/confdir.h"
#include "settings/conflict.h"
#include "settings/deadline-settings.h"
#include "settings/device-file.h"
#include "settings/ini-reader.h"
#include "settings/schema.h"

#define OFFSET(field_) offsetof(VrdSettings, field_)
#define VALUE(type_)   vrd_setting_value_##type_

/* clang-format off */
static const VrdSetting settings_table[] = {
    /* section  key            parser            field                  default */
    {"vringd",  "LogLevel",    VALUE(log_level), OFFSET(log_level),     "info"},
    {"vringd",  "Bus",         VALUE(bus),       OFFSET(bus),           "system"},
    {"vringd",  "MaxDevices",  VALUE(devices),   OFFSET(n_devices_max), "1024"},
    {"vringd",  "SocketOwner", VALUE(user),      OFFSET(access.owner),  ""},
    {"vringd",  "SocketGroup", VALUE(group),     OFFSET(access.group),  ""},
    {"vringd",  "SocketMode",  VALUE(mode),      OFFSET(access.mode),   "0660"},
    VRD_DEADLINE_SETTINGS(VrdSettings),
};
/* clang-format on */

static const VrdSettingsDeadlines default_deadlines = {
    .ack_ms = 900,
    .memory_ms = 30000,
    .drain_ms = 0,
    .state_ms = 0,
    .offer_ms = 900,
    .first_message_ms = 10000,
};

static void
read_settings_file(const char *path, VrdSettings *settings, GPtrArray *problems)
{
    unsigned lines[G_N_ELEMENTS(settings_table)];
    size_t n_bytes = 0;
    g_autofree char *text = vrd_confdir_read(path, &n_bytes, problems);

    if (text != NULL) {
        vrd_schema_parse(settings_table, G_N_ELEMENTS(settings_table), path, text,
                         n_bytes, settings, lines, problems);
    }
}

/* vringd.conf, then its drop-ins, each over those before. */
static gboolean
load_daemon(const char *root, VrdSettings *settings, GPtrArray *problems)
{
    guint n_problems = problems->len;
    g_autofree char *path = vrd_confdir_find(root, "vringd.conf");
    g_autoptr(GPtrArray) drop_ins = vrd_confdir_list(root, "vringd.conf.d", problems);

    if (path != NULL) {
        read_settings_file(path, settings, problems);
    }
    for (guint i = 0; i < drop_ins->len; i++) {
        read_settings_file(drop_ins->pdata[i], settings, problems);
    }
    return problems->len == n_problems;
}

/*
 * A VM has one UUID, so it is enough that one of its files gives it: the others learn it,
 * and every device of the VM names it alike.
 */
static void
share_uuids(GPtrArray *devices)
{
    g_autoptr(GHashTable) uuids = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < devices->len; i++) {
        const VrdSettingsDevice *device = devices->pdata[i];

        if (device->vm_uuid != NULL) {
            g_hash_table_insert(uuids, device->vm_name, device->vm_uuid);
        }
    }
    for (guint i = 0; i < devices->len; i++) {
        VrdSettingsDevice *device = devices->pdata[i];

        if (device->vm_uuid == NULL) {
            device->vm_uuid = g_strdup(g_hash_table_lookup(uuids, device->vm_name));
        }
    }
}

static void
load_devices(const char *root, VrdSettings *settings, GPtrArray *problems)
{
    g_autoptr(GPtrArray) paths = vrd_confdir_list(root, "devices.d", problems);
    g_autoptr(GPtrArray)
        files = g_ptr_array_new_with_free_func((GDestroyNotify) vrd_device_file_free);
    g_autoptr(VrdConflict) conflict = vrd_conflict_new();

    for (guint i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[i];
        size_t n_bytes = 0;
        g_autofree char *text = vrd_confdir_read(path, &n_bytes, problems);
        g_autoptr(VrdDeviceFile) file = NULL;

        if (text != NULL) {
            file = vrd_device_file_parse(path, text, n_bytes, settings, problems);
        }
        if (file == NULL) {
            continue;
        }
        if (files->len >= settings->n_devices_max) {
            vrd_ini_reader_problem(problems, path, 0,
                                   "is one device more than MaxDevices=%u",
                                   settings->n_devices_max);
            continue;
        }
        if (vrd_conflict_admit(conflict, file, problems)) {
            g_ptr_array_add(files, g_steal_pointer(&file));
        }
    }
    for (guint i = 0; i < files->len; i++) {
        VrdDeviceFile *file = files->pdata[i];

        g_ptr_array_add(settings->devices, g_steal_pointer(&file->device));
    }
    share_uuids(settings->devices);
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    const VrdSettingsDevice *const *left = a;
    const VrdSettingsDevice *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

VrdSettings *
vrd_settings_load(const char *root, GPtrArray *problems)
{
    g_autoptr(VrdSettings) settings = g_new0(VrdSettings, 1);
    gboolean is_good;

    settings->devices = g_ptr_array_new_with_free_func(
        (GDestroyNotify) vrd_settings_device_free);
    settings->deadlines = default_deadlines;
    vrd_schema_set_defaults(settings_table, G_N_ELEMENTS(settings_table), settings);
    is_good = load_daemon(root, settings, problems);
    load_devices(root, settings, problems);
    /* "a.conf" comes after "a-b.conf", the name "a" before "a-b" */
    g_ptr_array_sort(settings->devices, compare_names);
    return is_good ? g_steal_pointer(&settings) : NULL;
}

void
vrd_settings_free(VrdSettings *settings)
{
    if (settings != NULL) {
        g_free(settings->bus);
        g_clear_pointer(&settings->devices, g_ptr_array_unref);
        g_free(settings);
    }
}

VrdSettingsDevice *
vrd_settings_device_copy(const VrdSettingsDevice *device)
{
    VrdSettingsDevice *copy = g_memdup2(device, sizeof(*device));

    copy->name = g_strdup(device->name);
    copy->file = g_strdup(device->file);
    copy->vm_name = g_strdup(device->vm_name);
    copy->vm_uuid = g_strdup(device->vm_uuid);
    copy->device = g_strdup(device->device);
    copy->vmm.path = g_strdup(device->vmm.path);
    copy->backend.path = g_strdup(device->backend.path);
    copy->profile.config = g_memdup2(device->profile.config,
                                     device->profile.config_bytes);
    return copy;
}

void
vrd_settings_device_free(VrdSettingsDevice *device)
{
    if (device != NULL) {
        g_free(device->name);
        g_free(device->file);
        g_free(device->vm_name);
        g_free(device->vm_uuid);
        g_free(device->device);
        g_free(device->vmm.path);
        g_free(device->backend.path);
        g_free(device->profile.config);
        g_free(device);
    }
}

static gboolean
side_equal(const VrdSettingsSide *a, const VrdSettingsSide *b)
{
    return a->role == b->role && g_strcmp0(a->path, b->path) == 0 &&
           a->access.owner == b->access.owner && a->access.group == b->access.group &&
           a->access.mode == b->access.mode && a->peer_uid == b->peer_uid;
}

static gboolean
deadlines_equal(const VrdSettingsDeadlines *a, const VrdSettingsDeadlines *b)
{
    return a->ack_ms == b->ack_ms && a->memory_ms == b->memory_ms &&
           a->drain_ms == b->drain_ms && a->state_ms == b->state_ms &&
           a->offer_ms == b->offer_ms && a->first_message_ms == b->first_message_ms;
}

static gboolean
profile_equal(const VrdSettingsProfile *a, const VrdSettingsProfile *b)
{
    return a->is_set == b->is_set && a->features == b->features &&
           a->protocol_features == b->protocol_features && a->n_queues == b->n_queues &&
           a->n_mem_slots == b->n_mem_slots && a->config_bytes == b->config_bytes &&
           (a->config_bytes == 0 || memcmp(a->config, b->config, a->config_bytes) == 0);
}

gboolean
vrd_settings_device_equal(const VrdSettingsDevice *a, const VrdSettingsDevice *b)
{
    return g_strcmp0(a->name, b->name) == 0 && g_strcmp0(a->vm_name, b->vm_name) == 0 &&
           g_strcmp0(a->vm_uuid, b->vm_uuid) == 0 &&
           g_strcmp0(a->device, b->device) == 0 && a->kind == b->kind &&
           a->n_queues_max == b->n_queues_max &&
           a->hidden_features == b->hidden_features &&
           a->hidden_protocol_features == b->hidden_protocol_features &&
           side_equal(&a->vmm, &b->vmm) && side_equal(&a->backend, &b->backend) &&
           deadlines_equal(&a->deadlines, &b->deadlines) &&
           profile_equal(&a->profile, &b->profile);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of devices.d: its table of settings, and what must hold between them. */
#include "settings/device-file.h"

#include <string.h>

#include "settings/deadline-settings.h"
#include "settings/ini-reader.h"
#include "settings/schema.h"

#define OFFSET(field_) offsetof(VrdSettingsDevice, field_)
#define VALUE(type_)   vrd_setting_value_##type_

/* clang-format off */
#define SIDE(section_, side_, role_)                                            \
    {section_, "Role",     VALUE(role),  OFFSET(side_.role),         role_},    \
    {section_, "Path",     VALUE(path),  OFFSET(side_.path),         NULL},     \
    {section_, "Owner",    VALUE(user),  OFFSET(side_.access.owner), NULL},     \
    {section_, "Group",    VALUE(group), OFFSET(side_.access.group), NULL},     \
    {section_, "Mode",     VALUE(mode),  OFFSET(side_.access.mode),  NULL},     \
    {section_, "PeerUser", VALUE(user),  OFFSET(side_.peer_uid),     ""}

/* Kind stands first: it gives the feature names their meaning. */
static const VrdSetting settings[] = {
    /* section  key         parser        field                 default */
    {"Device",  "Kind",     VALUE(kind),  OFFSET(kind),         "generic"},
    {"Device",  "VM",       VALUE(name),  OFFSET(vm_name),      NULL},
    {"Device",  "UUID",     VALUE(uuid),  OFFSET(vm_uuid),      NULL},
    {"Device",  "Name",     VALUE(name),  OFFSET(device),       NULL},
    {"Device",  "Queues",   VALUE(rings), OFFSET(n_queues_max), "256"},
    {"Device",  "HideFeatures",
     VALUE(features),          OFFSET(hidden_features),          ""},
    {"Device",  "HideProtocolFeatures",
     VALUE(protocol_features), OFFSET(hidden_protocol_features), ""},
    SIDE("VMM", vmm, "listen"),
    SIDE("Backend", backend, "dial"),
    VRD_DEADLINE_SETTINGS(VrdSettingsDevice),
    {"Profile", "Features", VALUE(features), OFFSET(profile.features),    NULL},
    {"Profile", "ProtocolFeatures",
     VALUE(protocol_features), OFFSET(profile.protocol_features), NULL},
    {"Profile", "Queues",   VALUE(queues),   OFFSET(profile.n_queues),    NULL},
    {"Profile", "MemSlots", VALUE(slots),    OFFSET(profile.n_mem_slots), NULL},
    {"Profile", "Config",   VALUE(config),   OFFSET(profile),             NULL},
};
/* clang-format on */

unsigned
vrd_device_file_line(const VrdDeviceFile *file, const char *section, const char *key)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++) {
        if (g_str_equal(settings[i].section, section) &&
            g_str_equal(settings[i].key, key)) {
            return file->lines[i];
        }
    }
    return 0;
}

static gboolean
has_section(const VrdDeviceFile *file, const char *section)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++) {
        if (g_str_equal(settings[i].section, section) && file->lines[i] > 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static void
check_side(const VrdDeviceFile *file, const char *section, const VrdSettingsSide *side,
           GPtrArray *problems)
{
    if (side->role == VRD_ROLE_DIAL && side->path == NULL) {
        vrd_ini_reader_problem(problems, file->device->file,
                               vrd_device_file_line(file, section, "Role"),
                               "Role=dial in [%s]: allowed with Path= only", section);
    }
}

char *
vrd_device_file_canonical_path(const char *path)
{
    while (path[0] == '/' && path[1] == '/') {
        path++; /* GLib keeps two, which POSIX allows to mean something */
    }
    return g_canonicalize_filename(path, "/");
}

/* What has to hold between the settings of one device. */
static void
check_device(const VrdDeviceFile *file, GPtrArray *problems)
{
    const VrdSettingsDevice *device = file->device;
    g_autofree char *vmm = NULL;
    g_autofree char *backend = NULL;

    if (device->vm_name == NULL) {
        vrd_ini_reader_problem(problems, device->file, 0,
                               "VM= of [Device] is missing: allowed "
                               "are " VRD_SETTING_VALUE_NAME_ALLOWED);
    }
    check_side(file, "VMM", &device->vmm, problems);
    check_side(file, "Backend", &device->backend, problems);
    if (device->profile.is_set &&
        vrd_device_file_line(file, "Profile", "Features") == 0) {
        vrd_ini_reader_problem(problems, device->file, 0,
                               "Features= of [Profile] is missing: the section needs it");
    }
    if (device->vmm.path == NULL || device->backend.path == NULL) {
        return;
    }
    vmm = vrd_device_file_canonical_path(device->vmm.path);
    backend = vrd_device_file_canonical_path(device->backend.path);
    if (g_str_equal(vmm, backend)) {
        vrd_ini_reader_problem(
            problems, device->file, vrd_device_file_line(file, "Backend", "Path"),
            "Path=%s: is the path of [VMM] too, allowed is another one",
            device->backend.path);
    }
}

/* (owned) the device as it is before its file has been read */
static VrdSettingsDevice *
new_device(const char *file, const VrdSettings *defaults)
{
    VrdSettingsDevice *device = g_new0(VrdSettingsDevice, 1);
    g_autofree char *base = g_path_get_basename(file);

    device->name = g_str_has_suffix(base, ".conf")
                       ? g_strndup(base, strlen(base) - strlen(".conf"))
                       : g_strdup(base);
    device->file = g_strdup(file);
    device->vmm.access = defaults->access;
    device->backend.access = defaults->access;
    device->deadlines = defaults->deadlines;
    return device;
}

VrdDeviceFile *
vrd_device_file_parse(const char *path, const char *text, size_t n_bytes,
                      const VrdSettings *defaults, GPtrArray *problems)
{
    g_autoptr(VrdDeviceFile) file = g_new0(VrdDeviceFile, 1);
    VrdSettingsDevice *device = new_device(path, defaults);
    guint n_problems = problems->len;

    file->device = device;
    file->lines = g_new0(unsigned, G_N_ELEMENTS(settings));
    if (!vrd_setting_value_is_name(device->name)) {
        vrd_ini_reader_problem(problems, path, 0,
                               "file name without .conf: allowed "
                               "are " VRD_SETTING_VALUE_NAME_ALLOWED);
    }
    vrd_schema_set_defaults(settings, G_N_ELEMENTS(settings), device);
    if (vrd_schema_parse(settings, G_N_ELEMENTS(settings), path, text, n_bytes, device,
                         file->lines, problems)) {
        device->profile.is_set = has_section(file, "Profile");
        check_device(file, problems);
    }
    if (problems->len != n_problems) {
        return NULL;
    }
    if (device->device == NULL) {
        device->device = g_strdup(device->name);
    }
    return g_steal_pointer(&file);
}

void
vrd_device_file_free(VrdDeviceFile *file)
{
    if (file != NULL) {
        vrd_settings_device_free(file->device);
        g_free(file->lines);
        g_free(file);
    }
}

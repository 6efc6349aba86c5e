/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a device's file: a device that keeps the promises, or a problem. */
#include <glib.h>
#include <string.h>

#include "settings/device-file.h"
#include "settings/setting-value.h"
#include "target.h"

static void
assert_side(const VrdSettingsSide *side)
{
    g_assert(side->role == VRD_ROLE_LISTEN || side->path != NULL);
    g_assert(side->path == NULL || (*side->path == '/' && strlen(side->path) <= 107));
    g_assert(side->access.mode <= 0777);
}

static void
assert_promises(const VrdSettingsDevice *device)
{
    g_assert(vrd_setting_value_is_name(device->name));
    g_assert(vrd_setting_value_is_name(device->vm_name));
    g_assert(vrd_setting_value_is_name(device->device));
    g_assert(device->vm_uuid == NULL || g_uuid_string_is_valid(device->vm_uuid));
    g_assert(device->kind < VRD_N_KINDS);
    g_assert(device->n_queues_max >= 1 && device->n_queues_max <= 256);
    g_assert(device->profile.config_bytes <= 256);
    assert_side(&device->vmm);
    assert_side(&device->backend);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const VrdSettings defaults = {.access = {.mode = 0660}};
    GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
    VrdDeviceFile *file;

    file = vrd_device_file_parse("/d/x.conf", (const char *) data, size, &defaults,
                                 problems);
    if (file != NULL) {
        VrdSettingsDevice *copy = vrd_settings_device_copy(file->device);

        g_assert(problems->len == 0);
        assert_promises(file->device);
        g_assert(vrd_settings_device_equal(file->device, copy));
        vrd_settings_device_free(copy);
    } else {
        g_assert(problems->len > 0);
    }
    for (guint i = 0; i < problems->len; i++) {
        g_assert(g_str_has_prefix(problems->pdata[i], "/d/x.conf:"));
        g_assert(g_utf8_validate(problems->pdata[i], -1, NULL));
    }
    vrd_device_file_free(file);
    g_ptr_array_unref(problems);
    return 0;
}

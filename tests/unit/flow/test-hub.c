/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices come, change and go by settings; those that did not change notice nothing. */
#include "flow/hub.h"

#include "flow-rig.h"

typedef struct {
    GString *heard;
    unsigned n_changed;
} Watch;

static void
on_vm_added(VrdVm *vm, gpointer user_data)
{
    g_string_append_printf(((Watch *) user_data)->heard, " +%s", vm->name);
}

static void
on_vm_removed(VrdVm *vm, gpointer user_data)
{
    g_string_append_printf(((Watch *) user_data)->heard, " -%s", vm->name);
}

static void
on_device_added(VrdDevice *device, gpointer user_data)
{
    g_string_append_printf(((Watch *) user_data)->heard, " +%s", device->id);
}

static void
on_device_removed(VrdDevice *device, gpointer user_data)
{
    g_string_append_printf(((Watch *) user_data)->heard, " -%s", device->id);
}

static void
on_changed(VrdDevice *device, unsigned aspects, gpointer user_data)
{
    ((Watch *) user_data)->n_changed++;
}

static const VrdHubWatcher watcher = {on_vm_added, on_vm_removed, on_device_added,
                                      on_device_removed, on_changed};

static void
assert_heard(Watch *watch, const char *text)
{
    g_assert_cmpstr(watch->heard->str, ==, text);
    g_string_truncate(watch->heard, 0);
}

static void
add_device(Rig *rig, const char *name)
{
    g_ptr_array_add(rig->settings->devices, rig_device_settings(rig, name, VRD_KIND_NET));
}

static void
test_devices_come_change_and_go_without_the_others(void)
{
    Watch watch = {g_string_new(NULL), 0};
    VrdSettingsDevice *second;
    g_autofree char *path = NULL;
    Rig rig;

    rig_start(&rig);
    vrd_hub_set_watcher(rig.hub, &watcher, &watch);
    assert_heard(&watch, " +web1 +net0");
    add_device(&rig, "net1");
    rig_apply(&rig, 0);
    assert_heard(&watch, " +net1");
    g_assert_cmpuint(vrd_hub_n_devices(rig.hub), ==, 2);
    g_assert_cmpuint(vrd_hub_vms(rig.hub)->len, ==, 1);
    path = g_build_filename(rig.directory, "vmm", "net1.sock", NULL);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));

    rig_apply(&rig, 0); /* nothing new */
    assert_heard(&watch, "");

    second = rig.settings->devices->pdata[1];
    second->hidden_features = 1;
    rig_apply(&rig, 0);
    assert_heard(&watch, " -net1 +net1");
    g_assert_cmphex(
        vrd_hub_device_settings(rig.hub, vrd_vm_find_device(rig.device->vm, "net1"))
            ->hidden_features,
        ==, 1);

    g_ptr_array_remove_index(rig.settings->devices, 1);
    rig_apply(&rig, 0);
    assert_heard(&watch, " -net1");
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));

    /* the first one has kept VMM, backend and rings through it all */
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 0xf));
    g_assert_cmpuint(rig.backend.n_connections, ==, 1);
    g_assert_cmpuint(vrd_device_n_started(rig.device), ==, 2);
    g_assert_cmpuint(watch.n_changed, >, 0);

    g_ptr_array_remove_index(rig.settings->devices, 0);
    rig_apply(&rig, 0);
    assert_heard(&watch, " -net0 -web1");
    vmm_expect_end(&rig);
    rig_close(&rig);
    g_string_free(watch.heard, TRUE);
}

static void
test_vms_are_told_apart_by_uuid(void)
{
    VrdSettingsDevice *second;
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    add_device(&rig, "net1");
    second = rig.settings->devices->pdata[1];
    second->vm_uuid = g_strdup("11111111-2222-3333-4444-555555555555");
    rig_apply(&rig, 0);
    g_assert_cmpuint(vrd_hub_vms(rig.hub)->len, ==, 2);
    rig_close(&rig);
}

static void
test_device_that_cannot_be_made_leaves_the_rest(void)
{
    Watch watch = {g_string_new(NULL), 0};
    VrdSettingsDevice *wrong;
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    vrd_hub_set_watcher(rig.hub, &watcher, &watch);
    wrong = rig.settings->devices->pdata[0];
    wrong->vm_name[0] = 'x';
    wrong->vmm.path = g_strdup("/nonexistent/vmm.sock");
    add_device(&rig, "net1");
    rig_apply(&rig, 1);
    assert_heard(&watch, " +xeb1 -xeb1 +web1 +net1");
    g_assert_cmpuint(vrd_hub_n_devices(rig.hub), ==, 1);
    rig_close(&rig);
    g_string_free(watch.heard, TRUE);
}

static void
test_number_of_devices_has_a_limit(void)
{
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    add_device(&rig, "net1");
    rig.settings->n_devices_max = 1;
    rig_apply(&rig, 1);
    g_assert_cmpuint(vrd_hub_n_devices(rig.hub), ==, 1);
    rig_close(&rig);
}

static void
test_device_that_changes_keeps_its_paths(void)
{
    VrdSettingsDevice *device;
    Rig rig;

    rig_start(&rig);
    device = rig.settings->devices->pdata[0];
    device->deadlines.ack_ms = 5000;
    rig_open(&rig);
    vmm_expect_end(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_start(&rig, VMM_FEATURES);
    rig_close(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/hub/" #name_, test_##name_)
    ADD(devices_come_change_and_go_without_the_others);
    ADD(vms_are_told_apart_by_uuid);
    ADD(device_that_cannot_be_made_leaves_the_rest);
    ADD(number_of_devices_has_a_limit);
    ADD(device_that_changes_keeps_its_paths);
    return g_test_run();
}

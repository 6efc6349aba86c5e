/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "bus-rig.h"

#define DEVICE "org.vringd1.Device"
#define PATH   "/org/vringd1/vm/web1/net0"

static Rig *
new_rig(VrdDevice **device)
{
    Rig *rig = rig_new();

    rig_start(rig);
    *device = rig_add_device(rig, rig_add_vm(rig, "web1", NULL), "net0", VRD_KIND_NET);
    return rig;
}

static void
assert_text(Rig *rig, const char *property, const char *expected)
{
    g_autofree char *text = rig_get_text(rig, PATH, DEVICE, property);

    g_assert_cmpstr(text, ==, expected);
}

static void
test_links_are_shown_as_the_model_has_them(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);

    device->has_offer = TRUE; /* what a VMM needs to be let in */
    vrd_device_begin_vmm(device, "pid 812 uid 64055");
    vrd_device_set_backend_state(device, VRD_BACKEND_QUARANTINED, "answered twice");
    assert_text(rig, "VMMState", "handshake");
    assert_text(rig, "VMMPeer", "pid 812 uid 64055");
    assert_text(rig, "VMMRole", "listen");
    assert_text(rig, "BackendState", "quarantined");
    assert_text(rig, "BackendReason", "answered twice");
    assert_text(rig, "BackendRole", "dial");
    assert_text(rig, "Health", "failed");
    g_assert_cmpuint(rig_get_u64(rig, PATH, DEVICE, "VMMConnections"), ==, 1);
    g_assert_cmpuint(rig_get_u64(rig, PATH, DEVICE, "VMMSince"), ==,
                     device->vmm_since_us);
    vrd_device_end_vmm(device, "it left");
    assert_text(rig, "VMMPeer", "");
    assert_text(rig, "VMMReason", "it left");
}

static void
test_text_that_is_no_utf8_does_not_cost_the_connection(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    g_autofree char *path = rig_get_text(rig, PATH, DEVICE, "BackendPath");

    g_assert_true(g_utf8_validate(path, -1, NULL));
    vrd_device_set_backend_state(device, VRD_BACKEND_DOWN, "\xff\xfe lost");
    rig_settle(rig); /* the signal with it */
    assert_text(rig, "Name", "net0");
}

static void
test_features_come_as_number_and_names(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    sd_bus_message *answer;
    char **names = NULL;

    device->offer.features = VRD_FEATURE_BIT(VRD_VIRTIO_F_VERSION_1);
    device->protocol_features = VRD_FEATURE_BIT(VRD_PROTOCOL_F_MQ) |
                                VRD_FEATURE_BIT(VRD_PROTOCOL_F_LOG_SHMFD);
    g_assert_cmpuint(rig_get_u64(rig, PATH, DEVICE, "Offered"), ==,
                     VRD_FEATURE_BIT(VRD_VIRTIO_F_VERSION_1));
    answer = rig_get(rig, PATH, DEVICE, "ProtocolFeatureNames", "as");
    g_assert_cmpint(sd_bus_message_read_strv(answer, &names), >, 0);
    g_assert_cmpuint(g_strv_length(names), ==, 2);
    g_assert_true(g_strv_contains((const char *const *) names, "MQ"));
    g_assert_true(g_strv_contains((const char *const *) names, "LOG_SHMFD"));
    for (char **name = names; *name != NULL; name++) {
        free(*name);
    }
    free(names);
    sd_bus_message_unref(answer);
}

static void
test_rings_tell_never_none_and_descriptor_apart(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    sd_bus_message *answer;
    uint32_t index, size, flags, base;
    uint64_t desc, avail, used, log, changed;
    const char *kick, *call, *err;
    int enabled, started, mapped;

    device->rings = g_new0(VrdRing, 1);
    device->n_rings = 1;
    vrd_ring_init(&device->rings[0], 0);
    g_assert_true(vrd_ring_set_size(&device->rings[0], 256, FALSE, NULL));
    g_assert_true(vrd_ring_set_base(&device->rings[0], 7, FALSE, NULL));
    g_assert_true(vrd_ring_set_file(&device->rings[0], VRD_RING_CALL, -1, NULL));
    answer = rig_get(rig, PATH, DEVICE, "Rings", "a(uuttttuusssbbbt)");
    g_assert_cmpint(sd_bus_message_enter_container(answer, 'a', "(uuttttuusssbbbt)"), >,
                    0);
    g_assert_cmpint(sd_bus_message_read(answer, "(uuttttuusssbbbt)", &index, &size, &desc,
                                        &avail, &used, &log, &flags, &base, &kick, &call,
                                        &err, &enabled, &started, &mapped, &changed),
                    >, 0);
    g_assert_cmpuint(index, ==, 0);
    g_assert_cmpuint(size, ==, 256);
    g_assert_cmpuint(base, ==, 7);
    g_assert_cmpstr(kick, ==, "never");
    g_assert_cmpstr(call, ==, "none");
    g_assert_cmpstr(err, ==, "never");
    g_assert_false(started);
    g_assert_cmpuint(changed, >, 0);
    sd_bus_message_unref(answer);
}

static void
test_get_all_of_a_bare_device_works(void)
{
    VrdDevice *device;
    g_autoptr(Rig) rig = new_rig(&device);
    sd_bus_message *answer = rig_call(rig, PATH, "org.freedesktop.DBus.Properties",
                                      "GetAll", DEVICE);

    g_assert_false(sd_bus_message_is_method_error(answer, NULL));
    sd_bus_message_unref(answer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device-object/links-are-shown-as-the-model-has-them",
                    test_links_are_shown_as_the_model_has_them);
    g_test_add_func("/device-object/text-that-is-no-utf8-does-not-cost-the-connection",
                    test_text_that_is_no_utf8_does_not_cost_the_connection);
    g_test_add_func("/device-object/features-come-as-number-and-names",
                    test_features_come_as_number_and_names);
    g_test_add_func("/device-object/rings-tell-never-none-and-descriptor-apart",
                    test_rings_tell_never_none_and_descriptor_apart);
    g_test_add_func("/device-object/get-all-of-a-bare-device-works",
                    test_get_all_of_a_bare_device_works);
    return g_test_run();
}

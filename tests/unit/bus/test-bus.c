/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "bus-rig.h"

static gboolean
is_on_bus(Rig *rig)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus *client = rig_connect(rig);
    int r = sd_bus_call_method(client, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "GetNameOwner", &error, NULL, "s",
                               VRD_BUS_NAME);

    sd_bus_error_free(&error);
    sd_bus_close_unref(client);
    return r >= 0;
}

/* Turn the loop until vringd has its name; a minute at most. */
static void
wait_on_bus(Rig *rig)
{
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (!is_on_bus(rig)) {
        g_assert_cmpint(sd_event_run(rig->event, 100000), >=, 0);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

static void
reconnect_client(Rig *rig)
{
    sd_bus_detach_event(rig->client);
    sd_bus_close_unref(rig->client);
    rig->client = rig_connect(rig);
    g_assert_cmpint(sd_bus_attach_event(rig->client, rig->event, 0), >=, 0);
}

static void
test_a_second_instance_is_told_so(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GError) error = NULL;
    VrdBus *second;

    rig_start(rig);
    second = rig_new_bus(rig, &error);
    g_assert_null(second);
    g_assert_error(error, VRD_ERROR, VRD_ERROR_STATE);
    g_assert_nonnull(strstr(error->message, "is vringd running already"));
    g_assert_nonnull(strstr(error->message, VRD_BUS_NAME));
}

static void
test_a_bus_that_comes_late_is_joined(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GError) error = NULL;

    rig->bus = rig_new_bus(rig, &error);
    g_assert_no_error(error);
    g_assert_nonnull(rig->bus);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(sd_event_run(rig->event, 150000), >=, 0);
    }
    rig_start_daemon(rig);
    wait_on_bus(rig);
}

static void
test_a_restarted_bus_gets_name_and_objects_again(void)
{
    g_autoptr(Rig) rig = rig_new();
    VrdDevice *device;

    rig_start(rig);
    device = rig_add_device(rig, rig_add_vm(rig, "web1", NULL), "net0", VRD_KIND_NET);
    for (unsigned round = 0; round < 3; round++) {
        g_autofree char *name = NULL;

        rig_stop_daemon(rig);
        vrd_device_touch(device, VRD_DEVICE_LINKS | VRD_DEVICE_MEMORY);
        g_assert_cmpint(sd_event_run(rig->event, 100000), >=, 0);
        rig_start_daemon(rig);
        wait_on_bus(rig);
        reconnect_client(rig);
        name = rig_get_text(rig, "/org/vringd1/vm/web1/net0", "org.vringd1.Device",
                            "Name");
        g_assert_cmpstr(name, ==, "net0");
    }
}

static int
ignore(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    return 1;
}

static void
test_a_bus_that_goes_in_the_middle_of_a_call_is_survived(void)
{
    g_autoptr(Rig) rig = rig_new();

    rig_start(rig);
    g_assert_cmpint(sd_bus_call_method_async(rig->client, NULL, VRD_BUS_NAME,
                                             VRD_BUS_ROOT, "org.vringd1.Manager",
                                             "Reload", ignore, NULL, ""),
                    >=, 0);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpint(sd_event_run(rig->event, 1000), >=, 0);
    }
    rig_stop_daemon(rig);
    rig_start_daemon(rig);
    wait_on_bus(rig);
}

static void
test_nothing_wakes_up_while_nothing_happens(void)
{
    g_autoptr(Rig) rig = rig_new();

    rig_start(rig);
    rig_settle(rig);
    while (sd_event_run(rig->event, 0) > 0) {
    }
    g_assert_cmpint(sd_event_run(rig->event, 1500000), ==, 0);
}

static void
test_without_a_bus_nothing_is_tried(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GError) error = NULL;

    rig->bus = vrd_bus_new(rig->event, rig->hub, "none", NULL, NULL, &error);
    g_assert_no_error(error);
    rig_add_device(rig, rig_add_vm(rig, "web1", NULL), "net0", VRD_KIND_NET);
    g_assert_cmpint(sd_event_run(rig->event, 1500000), ==, 0);
}

static void
test_an_address_that_is_none_is_refused(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GError) error = NULL;

    g_assert_null(vrd_bus_new(rig->event, rig->hub, "sytem", NULL, NULL, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SYSTEM);
    g_assert_nonnull(strstr(error->message, "sytem"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus/a-second-instance-is-told-so",
                    test_a_second_instance_is_told_so);
    g_test_add_func("/bus/a-bus-that-comes-late-is-joined",
                    test_a_bus_that_comes_late_is_joined);
    g_test_add_func("/bus/a-restarted-bus-gets-name-and-objects-again",
                    test_a_restarted_bus_gets_name_and_objects_again);
    g_test_add_func("/bus/a-bus-that-goes-in-the-middle-of-a-call-is-survived",
                    test_a_bus_that_goes_in_the_middle_of_a_call_is_survived);
    g_test_add_func("/bus/nothing-wakes-up-while-nothing-happens",
                    test_nothing_wakes_up_while_nothing_happens);
    g_test_add_func("/bus/without-a-bus-nothing-is-tried",
                    test_without_a_bus_nothing_is_tried);
    g_test_add_func("/bus/an-address-that-is-none-is-refused",
                    test_an_address_that_is_none_is_refused);
    return g_test_run();
}

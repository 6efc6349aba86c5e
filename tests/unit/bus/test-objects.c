/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "bus-rig.h"

#define UUID    "6f1c0c8e-7a1d-4f0c-9a55-2f1d3f0a9b11"
#define VM_PATH "/org/vringd1/vm/_6f1c0c8e_7a1d_4f0c_9a55_2f1d3f0a9b11"

/* What the client heard, one line for each signal: "member path first-argument". */
static int
on_signal(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    GPtrArray *heard = user_data;
    const char *member = sd_bus_message_get_member(message);
    const char *first = "";

    if (strcmp(sd_bus_message_get_path(message), "/org/freedesktop/DBus") == 0) {
        return 0;
    }
    sd_bus_message_read_basic(message, strncmp(member, "Interfaces", 10) == 0 ? 'o' : 's',
                              &first);
    g_ptr_array_add(heard, g_strdup_printf("%s %s %s", member,
                                           sd_bus_message_get_path(message), first));
    return 0;
}

static GPtrArray *
listen(Rig *rig)
{
    GPtrArray *heard = g_ptr_array_new_with_free_func(g_free);

    g_assert_cmpint(sd_bus_add_match(rig->client, NULL,
                                     "type='signal',sender='org.vringd1'", on_signal,
                                     heard),
                    >=, 0);
    rig_settle(rig);
    g_ptr_array_set_size(heard, 0);
    return heard;
}

static unsigned
count(const GPtrArray *heard, const char *line)
{
    unsigned n = 0;

    for (unsigned i = 0; i < heard->len; i++) {
        n += strcmp(g_ptr_array_index(heard, i), line) == 0;
    }
    return n;
}

static void
test_many_changes_in_a_turn_are_one_signal(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GPtrArray) heard = NULL;
    VrdDevice *device;

    rig_start(rig);
    device = rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    heard = listen(rig);
    for (unsigned i = 0; i < 500; i++) {
        vrd_device_touch(device, VRD_DEVICE_RINGS);
        vrd_device_touch(device, VRD_DEVICE_MEMORY);
    }
    rig_settle(rig);
    g_assert_cmpuint(heard->len, ==, 2);
    g_assert_cmpuint(
        count(heard, "PropertiesChanged " VM_PATH "/net0 org.vringd1.Device"), ==, 1);
    g_assert_cmpuint(count(heard, "PropertiesChanged " VM_PATH " org.vringd1.VM"), ==, 1);
}

static void
test_no_signal_without_a_change(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GPtrArray) heard = NULL;

    rig_start(rig);
    rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    heard = listen(rig);
    rig_settle(rig);
    rig_settle(rig);
    g_assert_cmpuint(heard->len, ==, 0);
}

static int
on_changed(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    GPtrArray *names = user_data;
    const char *name;

    g_assert_cmpint(sd_bus_message_skip(message, "s"), >=, 0);
    g_assert_cmpint(sd_bus_message_enter_container(message, 'a', "{sv}"), >=, 0);
    while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
        g_assert_cmpint(sd_bus_message_read(message, "s", &name), >, 0);
        g_ptr_array_add(names, g_strdup(name));
        g_assert_cmpint(sd_bus_message_skip(message, "v"), >=, 0);
        g_assert_cmpint(sd_bus_message_exit_container(message), >=, 0);
    }
    return 0;
}

static void
test_a_signal_tells_what_changed_and_no_more(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    VrdDevice *device;

    rig_start(rig);
    device = rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    g_assert_cmpint(sd_bus_match_signal(rig->client, NULL, "org.vringd1", VM_PATH "/net0",
                                        "org.freedesktop.DBus.Properties",
                                        "PropertiesChanged", on_changed, names),
                    >=, 0);
    rig_settle(rig);
    g_ptr_array_set_size(names, 0);
    vrd_device_touch(device, VRD_DEVICE_RINGS);
    rig_settle(rig);
    g_assert_true(g_ptr_array_find_with_equal_func(names, "Rings", g_str_equal, NULL));
    g_assert_true(g_ptr_array_find_with_equal_func(names, "Health", g_str_equal, NULL));
    g_assert_false(g_ptr_array_find_with_equal_func(names, "Memory", g_str_equal, NULL));
    g_assert_false(g_ptr_array_find_with_equal_func(names, "Name", g_str_equal, NULL));
    g_assert_false(
        g_ptr_array_find_with_equal_func(names, "BackendWaiting", g_str_equal, NULL));
}

static void
test_objects_come_and_go_with_signals(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autoptr(GPtrArray) heard = NULL;
    VrdDevice *device;
    VrdVm *vm;

    rig_start(rig);
    heard = listen(rig);
    vm = rig_add_vm(rig, "web1", UUID);
    device = rig_add_device(rig, vm, "net0", VRD_KIND_NET);
    vrd_device_touch(device, VRD_DEVICE_LINKS); /* told of by the signal below already */
    rig_settle(rig);
    g_assert_cmpuint(count(heard, "InterfacesAdded /org/vringd1 " VM_PATH), ==, 1);
    g_assert_cmpuint(count(heard, "InterfacesAdded /org/vringd1 " VM_PATH "/net0"), ==,
                     1);
    g_assert_cmpuint(count(heard, "PropertiesChanged /org/vringd1 org.vringd1.Manager"),
                     ==, 1);
    g_ptr_array_set_size(heard, 0);
    vrd_device_touch(device, VRD_DEVICE_LINKS);
    rig_remove_device(rig, device); /* with a change that was not told of yet */
    rig_remove_vm(rig, vm);
    rig_settle(rig);
    g_assert_cmpuint(count(heard, "InterfacesRemoved /org/vringd1 " VM_PATH "/net0"), ==,
                     1);
    g_assert_cmpuint(count(heard, "InterfacesRemoved /org/vringd1 " VM_PATH), ==, 1);
    g_assert_cmpuint(
        count(heard, "PropertiesChanged " VM_PATH "/net0 org.vringd1.Device"), ==, 0);
}

static void
test_names_from_outside_are_escaped_in_paths(void)
{
    static const struct {
        const char *vm;
        const char *uuid;
        const char *device;
        const char *path;
    } rows[] = {
        {"web1", UUID, "net0", VM_PATH "/net0"},
        {"web1", NULL, "net0", "/org/vringd1/vm/web1/net0"},
        {"a.b-c", NULL, "n_0", "/org/vringd1/vm/a_2eb_2dc/n_5f0"},
        {"../..", NULL, "x/y", "/org/vringd1/vm/_2e_2e_2f_2e_2e/x_2fy"},
        {"web2", "no/uuid", "0", "/org/vringd1/vm/web2/_30"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Rig) rig = rig_new();
        g_autofree char *name = NULL;

        g_test_message("%s %s %s", rows[i].vm, rows[i].uuid, rows[i].device);
        rig_start(rig);
        rig_add_device(rig, rig_add_vm(rig, rows[i].vm, rows[i].uuid), rows[i].device,
                       VRD_KIND_NET);
        name = rig_get_text(rig, rows[i].path, "org.vringd1.Device", "Name");
        g_assert_cmpstr(name, ==, rows[i].device);
    }
}

static void
test_get_managed_objects_lists_all(void)
{
    g_autoptr(Rig) rig = rig_new();
    sd_bus_message *answer;
    VrdVm *vm;
    unsigned n = 0;

    rig_start(rig);
    vm = rig_add_vm(rig, "web1", NULL);
    rig_add_device(rig, vm, "net0", VRD_KIND_NET);
    rig_add_device(rig, vm, "disk0", VRD_KIND_BLK);
    answer = rig_call(rig, VRD_BUS_ROOT, "org.freedesktop.DBus.ObjectManager",
                      "GetManagedObjects", NULL);
    g_assert_cmpint(sd_bus_message_enter_container(answer, 'a', "{oa{sa{sv}}}"), >, 0);
    while (sd_bus_message_enter_container(answer, 'e', "oa{sa{sv}}") > 0) {
        const char *path = NULL;

        g_assert_cmpint(sd_bus_message_read(answer, "o", &path), >, 0);
        n += strncmp(path, "/org/vringd1/vm/web1", 20) == 0;
        g_assert_cmpint(sd_bus_message_skip(answer, "a{sa{sv}}"), >=, 0);
        g_assert_cmpint(sd_bus_message_exit_container(answer), >=, 0);
    }
    g_assert_cmpuint(n, ==, 3);
    sd_bus_message_unref(answer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/objects/many-changes-in-a-turn-are-one-signal",
                    test_many_changes_in_a_turn_are_one_signal);
    g_test_add_func("/objects/no-signal-without-a-change",
                    test_no_signal_without_a_change);
    g_test_add_func("/objects/a-signal-tells-what-changed-and-no-more",
                    test_a_signal_tells_what_changed_and_no_more);
    g_test_add_func("/objects/objects-come-and-go-with-signals",
                    test_objects_come_and_go_with_signals);
    g_test_add_func("/objects/names-from-outside-are-escaped-in-paths",
                    test_names_from_outside_are_escaped_in_paths);
    g_test_add_func("/objects/get-managed-objects-lists-all",
                    test_get_managed_objects_lists_all);
    return g_test_run();
}

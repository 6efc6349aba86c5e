/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The XML contract against what the daemon says of itself: this test decides whether
 * clients may believe the contract.
 */
#include <gio/gio.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus-rig.h"

#define UUID    "6f1c0c8e-7a1d-4f0c-9a55-2f1d3f0a9b11"
#define VM_PATH "/org/vringd1/vm/_6f1c0c8e_7a1d_4f0c_9a55_2f1d3f0a9b11"
#define NOBODY  65534

static GDBusNodeInfo *
parse(const char *xml)
{
    g_autoptr(GError) error = NULL;
    GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml, &error);

    g_assert_no_error(error);
    return node;
}

static GDBusNodeInfo *
introspect(Rig *rig, const char *path)
{
    sd_bus_message *answer = rig_call(rig, path, "org.freedesktop.DBus.Introspectable",
                                      "Introspect", NULL);
    const char *xml = NULL;
    GDBusNodeInfo *node;

    g_assert_cmpint(sd_bus_message_read(answer, "s", &xml), >, 0);
    node = parse(xml);
    sd_bus_message_unref(answer);
    return node;
}

static GDBusNodeInfo *
read_contract(void)
{
    g_autofree char *xml = NULL;

    g_assert_true(g_file_get_contents(VRINGD_XML, &xml, NULL, NULL));
    return parse(xml);
}

static void
add_args(GString *text, const char *direction, GDBusArgInfo **args)
{
    for (; args != NULL && *args != NULL; args++) {
        g_string_append_printf(text, " %s %s:%s", direction, (*args)->name,
                               (*args)->signature);
    }
}

static const char *
emits(const GDBusPropertyInfo *property)
{
    const char *value = g_dbus_annotation_info_lookup(
        property->annotations, "org.freedesktop.DBus.Property.EmitsChangedSignal");

    return value != NULL ? value : "true";
}

static int
compare(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *) a, *(char *const *) b);
}

/* One line for each member, sorted: what a client can tell from it. */
static char *
describe(GDBusInterfaceInfo *interface)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; interface->methods && interface->methods[i] != NULL; i++) {
        g_autoptr(GString) line = g_string_new("method ");

        g_string_append(line, interface->methods[i]->name);
        add_args(line, "in", interface->methods[i]->in_args);
        add_args(line, "out", interface->methods[i]->out_args);
        g_ptr_array_add(lines, g_strdup(line->str));
    }
    for (unsigned i = 0; interface->signals && interface->signals[i] != NULL; i++) {
        g_ptr_array_add(lines, g_strdup_printf("signal %s", interface->signals[i]->name));
    }
    for (unsigned i = 0; interface->properties && interface->properties[i] != NULL; i++) {
        const GDBusPropertyInfo *property = interface->properties[i];

        g_ptr_array_add(lines, g_strdup_printf("property %s:%s flags %d emits %s",
                                               property->name, property->signature,
                                               (int) property->flags, emits(property)));
    }
    g_ptr_array_sort(lines, compare);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **) lines->pdata);
}

static void
test_contract_equals_live_introspection(void)
{
    g_autoptr(Rig) rig = rig_new();
    GDBusNodeInfo *contract = read_contract();
    const char *const objects[][2] = {
        {VRD_BUS_ROOT, "org.vringd1.Manager"},
        {VM_PATH, "org.vringd1.VM"},
        {VM_PATH "/net0", "org.vringd1.Device"},
    };

    rig_start(rig);
    rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    for (unsigned i = 0; i < G_N_ELEMENTS(objects); i++) {
        GDBusNodeInfo *live = introspect(rig, objects[i][0]);
        GDBusInterfaceInfo *is = g_dbus_node_info_lookup_interface(live, objects[i][1]);
        GDBusInterfaceInfo *says = g_dbus_node_info_lookup_interface(contract,
                                                                     objects[i][1]);
        g_autofree char *is_text = NULL;
        g_autofree char *says_text = NULL;

        g_assert_nonnull(is);
        g_assert_nonnull(says);
        is_text = describe(is);
        says_text = describe(says);
        g_assert_cmpstr(is_text, ==, says_text);
        g_dbus_node_info_unref(live);
    }
    g_dbus_node_info_unref(contract);
}

static void
test_contract_has_no_interface_that_is_not_served(void)
{
    GDBusNodeInfo *contract = read_contract();
    unsigned n = 0;

    while (contract->interfaces[n] != NULL) {
        n++;
    }
    g_assert_cmpuint(n, ==, 3);
    g_dbus_node_info_unref(contract);
}

/* In a child: call as nobody; exit status 0 if the answer is @error. */
static void
call_as_nobody(Rig *rig, const char *path, const char *interface, const char *method,
               const char *name)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus *client;

    if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0) {
        _exit(2);
    }
    client = rig_connect(rig);
    if (sd_bus_call_method(client, VRD_BUS_NAME, path, interface, method, &error, NULL,
                           NULL) >= 0) {
        _exit(3);
    }
    _exit(sd_bus_error_has_name(&error, name) ? 0 : 4);
}

static int
on_child(sd_event_source *source, const siginfo_t *info, void *user_data)
{
    g_assert_cmpint(info->si_code, ==, CLD_EXITED);
    g_assert_cmpint(info->si_status, ==, 0);
    *(gboolean *) user_data = TRUE;
    return 0;
}

static void
test_others_are_denied_what_is_for_root(void)
{
    const char *const methods[][3] = {
        {VM_PATH, "org.vringd1.VM", "OpenLog"},
        {VRD_BUS_ROOT, "org.vringd1.Manager", "Reload"},
    };
    g_autoptr(Rig) rig = rig_new();
    VrdDevice *device;
    sigset_t signals;

    if (geteuid() != 0) {
        g_test_skip("needs root to call as another user");
        return;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    rig_start(rig);
    device = rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    vrd_device_set_log(device, rig_new_log());
    device->features |= VRD_FEATURE_BIT(VRD_VIRTIO_F_LOG_ALL);
    for (unsigned i = 0; i < G_N_ELEMENTS(methods); i++) {
        gboolean done = FALSE;
        pid_t pid = fork();

        if (pid == 0) {
            call_as_nobody(rig, methods[i][0], methods[i][1], methods[i][2],
                           "org.vringd1.Error.Denied");
        }
        g_assert_cmpint(
            sd_event_add_child(rig->event, NULL, pid, WEXITED, on_child, &done), >=, 0);
        rig_wait(rig, &done);
    }
    g_assert_cmpuint(rig->n_reloads, ==, 0);
}

static int
count_answer(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    unsigned *counts = user_data;
    gboolean is_refused = sd_bus_message_is_method_error(message, NULL);

    if (is_refused) {
        g_assert_true(sd_bus_message_is_method_error(message, "org.vringd1.Error.Limit"));
    }
    counts[is_refused ? 1 : 0]++;
    return 1;
}

static void
test_a_flood_of_calls_is_bounded(void)
{
    enum { N_CALLS = 100 }; /* dbus-daemon lets a client wait for 128 */
    g_autoptr(Rig) rig = rig_new();
    unsigned counts[2] = {0, 0}; /* answered, refused */

    rig_start(rig);
    for (unsigned i = 0; i < N_CALLS; i++) {
        g_assert_cmpint(sd_bus_call_method_async(rig->client, NULL, VRD_BUS_NAME,
                                                 VRD_BUS_ROOT, "org.vringd1.Manager",
                                                 "Reload", count_answer, counts, ""),
                        >=, 0);
    }
    while (counts[0] + counts[1] < N_CALLS) {
        g_assert_cmpint(sd_event_run(rig->event, G_USEC_PER_SEC), >=, 0);
    }
    g_test_message("%u answered, %u refused", counts[0], counts[1]);
    g_assert_cmpuint(counts[0], >=, 32);
    g_assert_cmpuint(counts[1], >, 0);
    g_assert_cmpuint(counts[0], ==, rig->n_reloads);
}

static void
test_unknown_members_and_wrong_arguments_are_errors(void)
{
    g_autoptr(Rig) rig = rig_new();
    sd_bus_message *answer;

    rig_start(rig);
    answer = rig_call(rig, VRD_BUS_ROOT, "org.vringd1.Manager", "Explode", NULL);
    g_assert_true(sd_bus_message_is_method_error(
        answer, "org.freedesktop.DBus.Error.UnknownMethod"));
    sd_bus_message_unref(answer);
    answer = rig_call(rig, VRD_BUS_ROOT, "org.vringd1.Manager", "ListVMs", "surplus");
    g_assert_true(
        sd_bus_message_is_method_error(answer, "org.freedesktop.DBus.Error.InvalidArgs"));
    sd_bus_message_unref(answer);
    answer = rig_call(rig, VRD_BUS_ROOT "/vm/absent", "org.vringd1.VM", "OpenLog", NULL);
    g_assert_true(sd_bus_message_is_method_error(
        answer, "org.freedesktop.DBus.Error.UnknownObject"));
    sd_bus_message_unref(answer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interface/contract-equals-live-introspection",
                    test_contract_equals_live_introspection);
    g_test_add_func("/interface/contract-has-no-interface-that-is-not-served",
                    test_contract_has_no_interface_that_is_not_served);
    g_test_add_func("/interface/others-are-denied-what-is-for-root",
                    test_others_are_denied_what_is_for_root);
    g_test_add_func("/interface/a-flood-of-calls-is-bounded",
                    test_a_flood_of_calls_is_bounded);
    g_test_add_func("/interface/unknown-members-and-wrong-arguments-are-errors",
                    test_unknown_members_and_wrong_arguments_are_errors);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "bus-rig.h"

#define MANAGER "org.vringd1.Manager"
#define UUID    "6f1c0c8e-7a1d-4f0c-9a55-2f1d3f0a9b11"
#define VM_PATH "/org/vringd1/vm/_6f1c0c8e_7a1d_4f0c_9a55_2f1d3f0a9b11"

static void
test_lookups_take_every_name(void)
{
    static const struct {
        const char *method;
        const char *name;
        const char *path; /* NULL: not found */
    } rows[] = {
        {"LookupVM", "web1", VM_PATH},
        {"LookupVM", UUID, VM_PATH},
        {"LookupVM", "6F1C0C8E-7A1D-4F0C-9A55-2F1D3F0A9B11", VM_PATH},
        {"LookupVM", "web", NULL},
        {"LookupVM", "", NULL},
        {"LookupVM", "../../etc", NULL},
        {"LookupDevice", "web1-net0", VM_PATH "/net0"},
        {"LookupDevice", "web1/net0", VM_PATH "/net0"},
        {"LookupDevice", "/run/vringd/vmm/x.sock", VM_PATH "/net0"},
        {"LookupDevice", "web1/", NULL},
        {"LookupDevice", "web1/net00", NULL},
        {"LookupDevice", "net0", NULL},
    };
    g_autoptr(Rig) rig = rig_new();

    rig_start(rig);
    rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        sd_bus_message *answer = rig_call(rig, VRD_BUS_ROOT, MANAGER, rows[i].method,
                                          rows[i].name);
        const char *path = NULL;

        g_test_message("%s %s", rows[i].method, rows[i].name);
        if (rows[i].path == NULL) {
            g_assert_true(
                sd_bus_message_is_method_error(answer, "org.vringd1.Error.NotFound"));
        } else {
            g_assert_cmpint(sd_bus_message_read(answer, "o", &path), >, 0);
            g_assert_cmpstr(path, ==, rows[i].path);
        }
        sd_bus_message_unref(answer);
    }
}

static void
test_a_huge_name_is_only_not_found(void)
{
    g_autoptr(Rig) rig = rig_new();
    g_autofree char *name = g_strnfill(1 << 20, 'x');
    sd_bus_message *answer;

    rig_start(rig);
    answer = rig_call(rig, VRD_BUS_ROOT, MANAGER, "LookupDevice", name);
    g_assert_true(sd_bus_message_is_method_error(answer, "org.vringd1.Error.NotFound"));
    g_assert_cmpuint(strlen(sd_bus_message_get_error(answer)->message), <, 512);
    sd_bus_message_unref(answer);
}

static void
test_list_devices_tells_each_one(void)
{
    g_autoptr(Rig) rig = rig_new();
    sd_bus_message *answer;
    const char *vm, *name, *id, *kind, *vmm, *backend, *health, *path;
    uint32_t n_started, n_rings;

    rig_start(rig);
    rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    answer = rig_call(rig, VRD_BUS_ROOT, MANAGER, "ListDevices", NULL);
    g_assert_cmpint(sd_bus_message_enter_container(answer, 'a', "(ssssssuuso)"), >, 0);
    g_assert_cmpint(sd_bus_message_read(answer, "(ssssssuuso)", &vm, &name, &id, &kind,
                                        &vmm, &backend, &n_started, &n_rings, &health,
                                        &path),
                    >, 0);
    g_assert_cmpstr(vm, ==, "web1");
    g_assert_cmpstr(name, ==, "net0");
    g_assert_cmpstr(id, ==, "web1-net0");
    g_assert_cmpstr(kind, ==, "net");
    g_assert_cmpstr(vmm, ==, "idle");
    g_assert_cmpstr(backend, ==, "down");
    g_assert_cmpstr(health, ==, "waiting");
    g_assert_cmpstr(path, ==, VM_PATH "/net0");
    g_assert_true(sd_bus_message_at_end(answer, 0) > 0);
    sd_bus_message_unref(answer);
}

static void
test_reload_answers_with_the_problems(void)
{
    g_autoptr(Rig) rig = rig_new();
    sd_bus_message *answer;
    const char *problem = NULL;

    rig_start(rig);
    answer = rig_call(rig, VRD_BUS_ROOT, MANAGER, "Reload", NULL);
    g_assert_cmpint(sd_bus_message_enter_container(answer, 'a', "s"), >, 0);
    g_assert_cmpint(sd_bus_message_read(answer, "s", &problem), >, 0);
    g_assert_cmpstr(problem, ==, "a.conf:3: Kind=car: must be net");
    sd_bus_message_unref(answer);
    g_assert_cmpuint(rig->n_reloads, ==, 1);

    rig->is_reload_usable = FALSE;
    answer = rig_call(rig, VRD_BUS_ROOT, MANAGER, "Reload", NULL);
    g_assert_true(sd_bus_message_is_method_error(answer, "org.vringd1.Error.Settings"));
    g_assert_nonnull(strstr(sd_bus_message_get_error(answer)->message, "a.conf:3"));
    sd_bus_message_unref(answer);
}

static void
test_counts_follow_what_is_there(void)
{
    g_autoptr(Rig) rig = rig_new();
    sd_bus_message *answer;
    uint32_t n = 0;

    rig_start(rig);
    rig_add_device(rig, rig_add_vm(rig, "web1", UUID), "net0", VRD_KIND_NET);
    vrd_bus_set_max_devices(rig->bus, 77);
    answer = rig_get(rig, VRD_BUS_ROOT, MANAGER, "NDevices", "u");
    g_assert_cmpint(sd_bus_message_read(answer, "u", &n), >, 0);
    g_assert_cmpuint(n, ==, 1);
    sd_bus_message_unref(answer);
    answer = rig_get(rig, VRD_BUS_ROOT, MANAGER, "MaxDevices", "u");
    g_assert_cmpint(sd_bus_message_read(answer, "u", &n), >, 0);
    g_assert_cmpuint(n, ==, 77);
    sd_bus_message_unref(answer);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/manager-object/lookups-take-every-name",
                    test_lookups_take_every_name);
    g_test_add_func("/manager-object/a-huge-name-is-only-not-found",
                    test_a_huge_name_is_only_not_found);
    g_test_add_func("/manager-object/list-devices-tells-each-one",
                    test_list_devices_tells_each_one);
    g_test_add_func("/manager-object/reload-answers-with-the-problems",
                    test_reload_answers_with_the_problems);
    g_test_add_func("/manager-object/counts-follow-what-is-there",
                    test_counts_follow_what_is_there);
    return g_test_run();
}

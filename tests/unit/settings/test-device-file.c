/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/device-file.h"

#include <string.h>

#define UPPER "5E4F1B0C-3F0E-4C51-9D0A-6A4C0E6D2B11"
#define LOWER "5e4f1b0c-3f0e-4c51-9d0a-6a4c0e6d2b11"

static const VrdSettings defaults = {
    .access = {.owner = 11, .group = 12, .mode = 0640},
    .deadlines = {.ack_ms = 1,
                  .memory_ms = 2,
                  .drain_ms = 3,
                  .state_ms = 4,
                  .offer_ms = 5,
                  .first_message_ms = 6},
};

static VrdDeviceFile *
parse(const char *file, const char *text, GPtrArray *problems)
{
    return vrd_device_file_parse(file, text, strlen(text), &defaults, problems);
}

static void
test_little_is_enough(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(VrdDeviceFile)
        file = parse("/d/a.b.conf", "[Device]\nVM=web1\n[Backend]\nPath=/b\n", problems);
    const VrdSettingsDevice *device;

    g_assert_cmpuint(problems->len, ==, 0);
    device = file->device;
    g_assert_cmpstr(device->name, ==, "a.b");
    g_assert_cmpstr(device->file, ==, "/d/a.b.conf");
    g_assert_cmpstr(device->vm_name, ==, "web1");
    g_assert_null(device->vm_uuid);
    g_assert_cmpstr(device->device, ==, "a.b");
    g_assert_cmpint(device->kind, ==, VRD_KIND_GENERIC);
    g_assert_cmpuint(device->n_queues_max, ==, 256);
    g_assert_cmpint(device->vmm.role, ==, VRD_ROLE_LISTEN);
    g_assert_null(device->vmm.path);
    g_assert_cmpint(device->backend.role, ==, VRD_ROLE_DIAL);
    g_assert_cmpstr(device->backend.path, ==, "/b");
    g_assert_cmpuint(device->vmm.access.owner, ==, 11);
    g_assert_cmpuint(device->backend.access.group, ==, 12);
    g_assert_cmpuint(device->vmm.access.mode, ==, 0640);
    g_assert_cmpuint(device->vmm.peer_uid, ==, (uid_t) -1);
    g_assert_cmpuint(device->deadlines.first_message_ms, ==, 6);
    g_assert_false(device->profile.is_set);
    g_assert_cmpuint(vrd_device_file_line(file, "Backend", "Path"), ==, 4);
    g_assert_cmpuint(vrd_device_file_line(file, "VMM", "Path"), ==, 0);
}

static void
test_each_key_reaches_its_field(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    /* features before the kind that gives them their meaning */
    g_autoptr(VrdDeviceFile) file = parse(
        "/d/x.conf",
        "[Profile]\nFeatures=MRG_RXBUF\nProtocolFeatures=MQ\nQueues=2\nMemSlots=8\n"
        "Config=0102\n"
        "[Device]\nHideFeatures=MRG_RXBUF RING_PACKED\nHideProtocolFeatures=0x8\n"
        "VM=web1\nUUID=" UPPER "\nName=net0\nKind=net\nQueues=4\n"
        "[VMM]\nRole=dial\nPath=/v\nOwner=1\nGroup=2\nMode=600\nPeerUser=3\n"
        "[Backend]\nRole=listen\nPath=/b\nOwner=4\nGroup=5\nMode=0666\nPeerUser=root\n"
        "[Deadlines]\nAckMs=10\nMemoryMs=20\nDrainMs=30\nStateMs=40\nOfferMs=50\n"
        "FirstMessageMs=60\n",
        problems);
    const VrdSettingsDevice *d;

    g_assert_cmpuint(problems->len, ==, 0);
    d = file->device;
    g_assert_cmpstr(d->vm_uuid, ==, LOWER);
    g_assert_cmpstr(d->device, ==, "net0");
    g_assert_cmpint(d->kind, ==, VRD_KIND_NET);
    g_assert_cmpuint(d->n_queues_max, ==, 4);
    g_assert_cmphex(d->hidden_features, ==, UINT64_C(1) << 15 | UINT64_C(1) << 34);
    g_assert_cmphex(d->hidden_protocol_features, ==, 8);
    g_assert_true(d->vmm.role == VRD_ROLE_DIAL && d->backend.role == VRD_ROLE_LISTEN);
    g_assert_cmpstr(d->vmm.path, ==, "/v");
    g_assert_true(d->vmm.access.owner == 1 && d->vmm.access.group == 2);
    g_assert_true(d->vmm.access.mode == 0600 && d->vmm.peer_uid == 3);
    g_assert_true(d->backend.access.owner == 4 && d->backend.access.group == 5);
    g_assert_true(d->backend.access.mode == 0666 && d->backend.peer_uid == 0);
    g_assert_true(d->deadlines.ack_ms == 10 && d->deadlines.memory_ms == 20);
    g_assert_true(d->deadlines.drain_ms == 30 && d->deadlines.state_ms == 40);
    g_assert_true(d->deadlines.offer_ms == 50 && d->deadlines.first_message_ms == 60);
    g_assert_true(d->profile.is_set);
    g_assert_cmphex(d->profile.features, ==, 1 << 15);
    g_assert_cmphex(d->profile.protocol_features, ==, 1);
    g_assert_true(d->profile.n_queues == 2 && d->profile.n_mem_slots == 8);
    g_assert_cmpmem(d->profile.config, d->profile.config_bytes, "\1\2", 2);
}

static void
test_what_does_not_fit_together_is_a_problem(void)
{
    static const struct {
        const char *file;
        const char *text;
        const char *problem;
    } rows[] = {
        {"/d/x.conf", "[Backend]\nPath=/b\n", "/d/x.conf: VM= of [Device] is missing: *"},
        {"/d/x.conf", "", "/d/x.conf: VM= *"},
        {"/d/x.conf", "[Device]\nVM=w\n",
         "/d/x.conf: Role=dial in [Backend]: allowed with Path= only"},
        {"/d/x.conf", "[Device]\nVM=w\n[VMM]\nRole=dial\n[Backend]\nPath=/b\n",
         "/d/x.conf:4: Role=dial in [VMM]: allowed with Path= only"},
        {"/d/x.conf", "[Device]\nVM=w\n[VMM]\nPath=/b\n[Backend]\nPath=/./b\n",
         "/d/x.conf:6: Path=/./b: is the path of [VMM] too, *"},
        {"/d/x.conf", "[Device]\nVM=w\n[Backend]\nPath=/b\n[Profile]\nQueues=1\n",
         "/d/x.conf: Features= of [Profile] is missing*"},
        {"/d/x y.conf", "[Device]\nVM=w\n[Backend]\nPath=/b\n",
         "/d/x y.conf: file name without .conf: allowed are 1 to 64 of *"},
        {"/d/x.conf", "[Device]\nVM=w\n[Backend]\nPath=/b\nMode=0999\n",
         "/d/x.conf:5: Mode=0999: allowed is an octal number up to 0777"},
        {"/d/x.conf",
         "[Device]\nVM=w\nHideFeatures=MRG_RXBUF\nKind=blk\n[Backend]\n"
         "Path=/b\n",
         "/d/x.conf:3: HideFeatures=MRG_RXBUF: *"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(VrdDeviceFile) file = parse(rows[i].file, rows[i].text, problems);

        g_test_message("row %u", i);
        g_assert_null(file);
        g_assert_cmpuint(problems->len, >=, 1);
        g_test_message("%s", (char *) problems->pdata[0]);
        g_assert_true(g_pattern_match_simple(rows[i].problem, problems->pdata[0]));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/device-file/little-is-enough", test_little_is_enough);
    g_test_add_func("/device-file/each-key-reaches-its-field",
                    test_each_key_reaches_its_field);
    g_test_add_func("/device-file/what-does-not-fit-together-is-a-problem",
                    test_what_does_not_fit_together_is_a_problem);
    return g_test_run();
}

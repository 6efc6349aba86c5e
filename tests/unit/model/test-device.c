/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/device.h"

#include <sys/eventfd.h>

#include "give.h"
#include "model/vm.h"

#define BIT(n_)   (UINT64_C(1) << (n_))
#define MQ        BIT(0)
#define LOG_SHMFD BIT(1)
#define REPLY_ACK BIT(3)
#define CONFIG    BIT(9)
#define MEM_SLOTS BIT(15)
#define MRG_RXBUF BIT(15)
#define LOG_ALL   BIT(26)
#define BIT_30    BIT(30)
#define VERSION_1 BIT(32)
#define PACKED    BIT(34)
#define USER      UINT64_C(0x10000000)
#define BYTES     UINT64_C(0x100000)
#define GOOD      (VERSION_1 | MRG_RXBUF | BIT_30)

/* A network card of two pairs whose VMM has just connected. */
typedef struct {
    VrdDevice *device;
    unsigned n_fds;
    unsigned n_changes; /* calls of the observer */
    unsigned aspects;   /* all it was told */
} Fixture;

static void
on_changed(VrdDevice *device, unsigned aspects, gpointer user_data)
{
    Fixture *f = user_data;

    f->n_changes++;
    f->aspects |= aspects;
}

static const VrdVmObserver observer = {on_changed};

static void
set_up(Fixture *f)
{
    VrdVm *vm = vrd_vm_new("guest", NULL);

    *f = (Fixture){.n_fds = count_fds()};
    f->device = vrd_device_new(vm, "net0", "guest-net0", VRD_KIND_NET);
    vm->observer = &observer;
    vm->observer_data = f;
    vrd_vm_unref(vm);
    f->device->has_offer = TRUE;
    f->device->backend_offer = (VrdOffer){GOOD | PACKED | LOG_ALL,
                                          MQ | LOG_SHMFD | CONFIG | MEM_SLOTS, 2, 32};
    vrd_device_begin_vmm(f->device, "pid 1 uid 2");
}

static void
tear_down(Fixture *f)
{
    vrd_device_free(f->device);
    g_assert_cmpuint(count_fds(), ==, f->n_fds);
}

/* Start ring @index by all the messages that it takes. */
static void
start_ring(VrdDevice *device, uint32_t index)
{
    VrdPayloadAddr addr = {index, 0, USER, USER + 0x2000, USER + 0x1000, 0};
    VrdRing *ring;

    if (device->memory == NULL) {
        vrd_device_set_memory(device, give_table(0, BYTES, USER));
    }
    ring = vrd_device_ring(device, index, NULL);
    g_assert_nonnull(ring);
    g_assert_true(vrd_ring_set_size(ring, 256, FALSE, NULL));
    g_assert_true(vrd_ring_set_addr(ring, &addr, FALSE, device->memory, NULL));
    g_assert_true(vrd_ring_set_file(ring, VRD_RING_KICK, eventfd(0, EFD_CLOEXEC), NULL));
    g_assert_true(vrd_ring_set_file(ring, VRD_RING_ERR, eventfd(0, EFD_CLOEXEC), NULL));
    g_assert_true(vrd_ring_start(ring, FALSE, device->memory, NULL));
}

static void
test_features_are_those_offered(void)
{
    GError *error = NULL;
    Fixture f;

    set_up(&f);
    assert_refused(vrd_device_set_features(f.device, GOOD | BIT(33) | BIT(49), &error),
                   &error, VRD_ERROR_PROTOCOL,
                   "SET_FEATURES: bits 0x2000200000000 were not offered: "
                   "IOMMU_PLATFORM BIT_49");
    g_assert_false(f.device->has_features);
    assert_refused(vrd_device_set_protocol_features(f.device, MQ | BIT(14), &error),
                   &error, VRD_ERROR_PROTOCOL,
                   "SET_PROTOCOL_FEATURES: bits 0x4000 were not offered: "
                   "INBAND_NOTIFICATIONS");
    g_assert_false(f.device->has_protocol_features);
    g_assert_true(vrd_device_set_features(f.device, GOOD, &error));
    g_assert_true(f.device->has_features);
    g_assert_cmphex(f.device->features, ==, GOOD);
    g_assert_true(vrd_device_set_protocol_features(f.device, MQ | REPLY_ACK, &error));
    g_assert_true(vrd_device_has(f.device, VRD_PROTOCOL_F_REPLY_ACK));
    g_assert_true(vrd_device_has(f.device, VRD_PROTOCOL_F_ANY));
    g_assert_false(vrd_device_has(f.device, VRD_PROTOCOL_F_CONFIG));
    g_assert_false(vrd_device_backend_has(f.device, VRD_PROTOCOL_F_REPLY_ACK));
    g_assert_false(vrd_device_is_packed(f.device));
    g_assert_true(vrd_device_set_features(f.device, GOOD | PACKED, &error));
    g_assert_true(vrd_device_is_packed(f.device));
    tear_down(&f);
}

static void
test_a_started_ring_fixes_all_features_but_the_log(void)
{
    GError *error = NULL;
    Fixture f;

    set_up(&f);
    g_assert_true(vrd_device_set_features(f.device, GOOD, NULL));
    g_assert_true(vrd_device_set_protocol_features(f.device, MQ | REPLY_ACK, NULL));
    start_ring(f.device, 0);
    start_ring(f.device, 1);
    assert_refused(vrd_device_set_features(f.device, VERSION_1 | BIT_30, &error), &error,
                   VRD_ERROR_STATE,
                   "SET_FEATURES: bits 0x8000 change while 2 rings are started: "
                   "MRG_RXBUF");
    assert_refused(vrd_device_set_protocol_features(f.device, MQ | CONFIG, &error),
                   &error, VRD_ERROR_STATE,
                   "SET_PROTOCOL_FEATURES: bits 0x208 change while 2 rings are started: "
                   "REPLY_ACK CONFIG");
    g_assert_cmphex(f.device->features, ==, GOOD);
    g_assert_cmphex(f.device->protocol_features, ==, MQ | REPLY_ACK);
    g_assert_true(vrd_device_set_features(f.device, GOOD, &error));
    g_assert_true(vrd_device_set_protocol_features(f.device, MQ | REPLY_ACK, &error));
    g_assert_true(vrd_device_set_features(f.device, GOOD | LOG_ALL, &error));
    g_assert_true(vrd_device_is_logging(f.device));
    g_assert_true(vrd_device_set_features(f.device, GOOD, &error));
    g_assert_false(vrd_device_is_logging(f.device));
    tear_down(&f);
}

static const struct {
    uint32_t index;
    const char *text; /* NULL: taken */
} index_rows[] = {
    {3, NULL},
    {0, NULL},
    {4, "ring index 4, allowed is below 4"},
    {256, "ring index 256, allowed is below 4"},
    {0x10000, "ring index 65536, allowed is below 4"},
    {0x10005, "ring index 65541, allowed is below 4"},
    {UINT32_MAX, "ring index 4294967295, allowed is below 4"},
};

static void
test_a_ring_index_counts_in_full_width(void)
{
    Fixture f;

    set_up(&f);
    for (unsigned i = 0; i < G_N_ELEMENTS(index_rows); i++) {
        GError *error = NULL;
        VrdRing *ring = vrd_device_ring(f.device, index_rows[i].index, &error);

        if (index_rows[i].text != NULL) {
            assert_refused(ring != NULL, &error, VRD_ERROR_PROTOCOL, index_rows[i].text);
            g_assert_null(vrd_device_find_ring(f.device, index_rows[i].index));
            continue;
        }
        g_assert_no_error(error);
        g_assert_cmpuint(ring->index, ==, index_rows[i].index);
        g_assert_true(vrd_device_find_ring(f.device, index_rows[i].index) == ring);
    }
    g_assert_cmpuint(f.device->n_rings, ==, 4);
    tear_down(&f);
}

static void
test_rings_keep_their_state_while_more_are_made(void)
{
    Fixture f;

    set_up(&f);
    start_ring(f.device, 0);
    g_assert_nonnull(vrd_device_ring(f.device, 3, NULL));
    g_assert_true(vrd_device_find_ring(f.device, 0)->started);
    g_assert_cmpint(vrd_device_find_ring(f.device, 2)->files[VRD_RING_KICK].fd, ==, -1);
    g_assert_cmpuint(vrd_device_n_started(f.device), ==, 1);
    tear_down(&f);
}

static void
test_the_vmm_state_follows_the_rings(void)
{
    Fixture f;

    set_up(&f);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_HANDSHAKE);
    g_assert_cmpstr(f.device->vmm_peer, ==, "pid 1 uid 2");
    vrd_device_update_vmm_state(f.device);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_HANDSHAKE);
    start_ring(f.device, 0);
    vrd_device_update_vmm_state(f.device);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_RUNNING);
    vrd_ring_stop(vrd_device_find_ring(f.device, 0), 5);
    vrd_device_update_vmm_state(f.device);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_STOPPED);
    start_ring(f.device, 0);
    vrd_device_update_vmm_state(f.device);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_RUNNING);
    vrd_device_end_vmm(f.device, "it went");
    vrd_device_update_vmm_state(f.device);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_IDLE);
    tear_down(&f);
}

/* All that a VMM can set. */
static void
set_everything(VrdDevice *device)
{
    VrdPayloadInflight geometry = {4096, 0, 1, 128, 0};

    g_assert_true(vrd_device_set_features(device, GOOD | LOG_ALL, NULL));
    g_assert_true(vrd_device_set_protocol_features(device, MQ | CONFIG, NULL));
    device->has_owner = TRUE;
    device->status = 7;
    device->has_mtu = TRUE;
    device->mtu = 1400;
    start_ring(device, 1);
    vrd_device_set_log(device, vrd_dirtylog_new(give_memfd(4096), 4096, 0, 0, NULL));
    vrd_inflight_set(&device->inflight, give_memfd(4096), &geometry);
    vrd_configspace_store(&device->config, 0, (const uint8_t *) "abc", 3);
}

static void
assert_nothing_of_a_vmm(const VrdDevice *device)
{
    g_assert_false(device->has_features || device->has_mtu);
    g_assert_cmphex(device->features, ==, 0);
    g_assert_cmpuint(device->status, ==, 0);
    g_assert_cmpuint(device->mtu, ==, 0);
    g_assert_null(device->memory);
    g_assert_null(device->log);
    g_assert_null(device->rings);
    g_assert_cmpuint(device->n_rings, ==, 0);
    g_assert_cmpint(device->inflight.fd, ==, -1);
}

static void
test_the_end_of_a_vmm_releases_all_of_it(void)
{
    uint8_t bytes[3];
    Fixture f;

    set_up(&f);
    set_everything(f.device);
    g_assert_cmpuint(count_fds(), ==, f.n_fds + 5);
    f.aspects = 0;
    vrd_device_end_vmm(f.device, "connection closed");
    g_assert_cmpuint(count_fds(), ==, f.n_fds);
    assert_nothing_of_a_vmm(f.device);
    g_assert_false(f.device->has_owner || f.device->has_protocol_features);
    g_assert_cmphex(f.device->protocol_features, ==, 0);
    g_assert_null(f.device->vmm_peer);
    g_assert_cmpstr(f.device->vmm_reason, ==, "connection closed");
    g_assert_cmphex(f.aspects, ==,
                    VRD_DEVICE_LINKS | VRD_DEVICE_FEATURES | VRD_DEVICE_RINGS |
                        VRD_DEVICE_MEMORY | VRD_DEVICE_LOG);
    /* What is known of the device itself stays. */
    g_assert_true(vrd_configspace_read(&f.device->config, 0, bytes, 3));
    g_assert_true(f.device->has_offer);
    tear_down(&f);
}

static void
test_a_new_vmm_finds_nothing_of_the_former(void)
{
    Fixture f;

    set_up(&f);
    set_everything(f.device);
    vrd_device_begin_vmm(f.device, "pid 3 uid 4");
    assert_nothing_of_a_vmm(f.device);
    g_assert_false(f.device->has_owner || f.device->has_protocol_features);
    g_assert_cmpstr(f.device->vmm_peer, ==, "pid 3 uid 4");
    g_assert_cmpuint(f.device->vmm_generation, ==, 2);
    g_assert_cmpuint(count_fds(), ==, f.n_fds);
    tear_down(&f);
}

static void
test_a_vmm_that_begins_anew_keeps_what_it_negotiated(void)
{
    Fixture f;

    set_up(&f);
    set_everything(f.device);
    vrd_device_restart_vmm(f.device);
    assert_nothing_of_a_vmm(f.device);
    g_assert_true(f.device->has_owner && f.device->has_protocol_features);
    g_assert_cmphex(f.device->protocol_features, ==, MQ | CONFIG);
    g_assert_cmpstr(f.device->vmm_peer, ==, "pid 1 uid 2");
    g_assert_cmpuint(f.device->vmm_generation, ==, 1);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_HANDSHAKE);
    g_assert_cmpuint(count_fds(), ==, f.n_fds);
    tear_down(&f);
}

static void
test_a_reset_stops_rings_and_keeps_memory_and_log(void)
{
    Fixture f;

    set_up(&f);
    set_everything(f.device);
    vrd_ring_set_enabled(vrd_device_find_ring(f.device, 1), TRUE);
    vrd_device_update_vmm_state(f.device);
    vrd_device_reset(f.device);
    g_assert_cmpuint(vrd_device_n_started(f.device), ==, 0);
    g_assert_false(vrd_device_find_ring(f.device, 1)->enabled);
    g_assert_cmpint(f.device->inflight.fd, ==, -1);
    g_assert_cmpuint(f.device->status, ==, 0);
    g_assert_nonnull(f.device->memory);
    g_assert_nonnull(f.device->log);
    g_assert_true(f.device->has_owner);
    g_assert_cmpint(f.device->vmm_state, ==, VRD_VMM_STOPPED);
    tear_down(&f);
}

static void
test_the_offer_is_fixed_for_a_connection_and_slots_never_shrink(void)
{
    Fixture f;

    set_up(&f);
    f.device->backend_offer.n_mem_slots = 509;
    f.device->backend_offer.features &= ~MRG_RXBUF;
    g_assert_cmpuint(f.device->offer.n_mem_slots, ==, 32);
    g_assert_cmphex(f.device->offer.features & MRG_RXBUF, ==, MRG_RXBUF);
    vrd_device_begin_vmm(f.device, "pid 3 uid 4");
    g_assert_cmpuint(f.device->offer.n_mem_slots, ==, 509);
    g_assert_cmphex(f.device->offer.features & MRG_RXBUF, ==, 0);
    f.device->backend_offer.n_mem_slots = 8;
    vrd_device_begin_vmm(f.device, "pid 5 uid 6");
    g_assert_cmpuint(f.device->offer.n_mem_slots, ==, 509);
    g_assert_cmpuint(f.device->n_slots_answered, ==, 509);
    tear_down(&f);
}

static void
test_removed_memory_unmaps_its_rings(void)
{
    Fixture f;

    set_up(&f);
    start_ring(f.device, 0);
    vrd_device_set_memory(f.device, give_table(0, BYTES, 0));
    g_assert_true(vrd_device_find_ring(f.device, 0)->started);
    g_assert_false(vrd_device_find_ring(f.device, 0)->mapped);
    vrd_device_set_memory(f.device, give_table(0, BYTES, USER));
    g_assert_true(vrd_device_find_ring(f.device, 0)->mapped);
    /* The very table that it has. */
    vrd_device_set_memory(f.device, vrd_memtable_ref(f.device->memory));
    g_assert_true(vrd_device_find_ring(f.device, 0)->mapped);
    tear_down(&f);
}

static void
test_a_slot_added_again_is_removed_as_often(void)
{
    VrdPayloadRegion region = {0, BYTES, USER, 0};
    VrdPayloadRegion other = {0, BYTES, USER, 4096};
    Fixture f;

    set_up(&f);
    g_assert_false(vrd_device_repeat_region(f.device, &region));
    vrd_device_set_memory(f.device, give_table(0, BYTES, USER));
    g_assert_false(vrd_device_repeat_region(f.device, &other));
    g_assert_false(vrd_device_unrepeat_region(f.device, &region));
    g_assert_true(vrd_device_repeat_region(f.device, &region));
    g_assert_true(vrd_device_repeat_region(f.device, &region));
    g_assert_true(vrd_device_unrepeat_region(f.device, &region));
    g_assert_true(vrd_device_unrepeat_region(f.device, &region));
    g_assert_false(vrd_device_unrepeat_region(f.device, &region));
    /* What is left over does not reach the next VMM. */
    g_assert_true(vrd_device_repeat_region(f.device, &region));
    vrd_device_begin_vmm(f.device, "pid 3 uid 4");
    g_assert_false(vrd_device_unrepeat_region(f.device, &region));
    tear_down(&f);
}

static const struct {
    uint64_t features;
    gboolean enabled;
    gboolean started;
    gboolean is_enabled;
} enable_rows[] = {
    {BIT_30, FALSE, TRUE, FALSE}, {BIT_30, TRUE, TRUE, TRUE}, {BIT_30, TRUE, FALSE, TRUE},
    {0, FALSE, TRUE, TRUE},       {0, FALSE, FALSE, FALSE},
};

static void
test_a_ring_is_enabled_as_bit_30_says(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(enable_rows); i++) {
        VrdRing ring = {.enabled = enable_rows[i].enabled,
                        .started = enable_rows[i].started};
        Fixture f;

        set_up(&f);
        g_assert_true(vrd_device_set_features(f.device, enable_rows[i].features, NULL));
        g_assert_cmpint(vrd_device_ring_is_enabled(f.device, &ring), ==,
                        enable_rows[i].is_enabled);
        tear_down(&f);
    }
}

static const struct {
    VrdBackendState from;
    gboolean is_loss;
} loss_rows[] = {
    {VRD_BACKEND_DOWN, FALSE},       {VRD_BACKEND_CONNECTING, FALSE},
    {VRD_BACKEND_NEGOTIATING, TRUE}, {VRD_BACKEND_REPLAYING, TRUE},
    {VRD_BACKEND_LIVE, TRUE},        {VRD_BACKEND_DRAINING, TRUE},
    {VRD_BACKEND_HELD, FALSE},       {VRD_BACKEND_QUARANTINED, FALSE},
};

static void
test_losses_of_a_working_backend_are_counted(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(loss_rows); i++) {
        Fixture f;

        set_up(&f);
        vrd_device_set_backend_state(f.device, loss_rows[i].from, NULL);
        vrd_device_set_backend_state(f.device, VRD_BACKEND_DOWN, "it died");
        g_test_message("%s", vrd_device_backend_state_name(loss_rows[i].from));
        g_assert_cmpuint(f.device->backend_n_lost, ==, loss_rows[i].is_loss ? 1 : 0);
        g_assert_cmpstr(f.device->backend_reason, ==, "it died");
        tear_down(&f);
    }
}

static void
test_only_a_change_of_the_backend_is_told(void)
{
    Fixture f;

    set_up(&f);
    vrd_device_set_backend_state(f.device, VRD_BACKEND_DOWN, "it died");
    vrd_device_set_backend_state(f.device, VRD_BACKEND_LIVE, NULL);
    g_assert_cmpstr(f.device->backend_reason, ==, "it died");
    f.n_changes = 0;
    vrd_device_set_backend_state(f.device, VRD_BACKEND_LIVE, NULL);
    vrd_device_set_backend_state(f.device, VRD_BACKEND_LIVE, f.device->backend_reason);
    g_assert_cmpuint(f.n_changes, ==, 0);
    vrd_device_set_backend_state(f.device, VRD_BACKEND_LIVE, "slow");
    g_assert_cmpuint(f.n_changes, ==, 1);
    g_assert_cmpstr(f.device->backend_reason, ==, "slow");
    tear_down(&f);
}

static void
test_every_state_has_a_name_of_its_own(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (int i = VRD_VMM_IDLE; i <= VRD_VMM_STOPPED; i++) {
        g_hash_table_add(names, (gpointer) vrd_device_vmm_state_name((VrdVmmState) i));
    }
    for (int i = VRD_BACKEND_DOWN; i <= VRD_BACKEND_QUARANTINED; i++) {
        g_hash_table_add(names,
                         (gpointer) vrd_device_backend_state_name((VrdBackendState) i));
    }
    g_assert_cmpuint(g_hash_table_size(names), ==, 12);
    g_assert_false(g_hash_table_contains(names, "unknown"));
}

static void
test_an_idle_device_is_small(void)
{
    g_assert_cmpuint(sizeof(VrdDevice), <=, 1024);
}

static const struct {
    const char *path;
    void (*run)(void);
} tests[] = {
    {"features-are-those-offered", test_features_are_those_offered},
    {"a-started-ring-fixes-all-features-but-the-log",
     test_a_started_ring_fixes_all_features_but_the_log},
    {"a-ring-index-counts-in-full-width", test_a_ring_index_counts_in_full_width},
    {"rings-keep-their-state-while-more-are-made",
     test_rings_keep_their_state_while_more_are_made},
    {"the-vmm-state-follows-the-rings", test_the_vmm_state_follows_the_rings},
    {"the-end-of-a-vmm-releases-all-of-it", test_the_end_of_a_vmm_releases_all_of_it},
    {"a-new-vmm-finds-nothing-of-the-former", test_a_new_vmm_finds_nothing_of_the_former},
    {"a-vmm-that-begins-anew-keeps-what-it-negotiated",
     test_a_vmm_that_begins_anew_keeps_what_it_negotiated},
    {"a-reset-stops-rings-and-keeps-memory-and-log",
     test_a_reset_stops_rings_and_keeps_memory_and_log},
    {"the-offer-is-fixed-for-a-connection-and-slots-never-shrink",
     test_the_offer_is_fixed_for_a_connection_and_slots_never_shrink},
    {"removed-memory-unmaps-its-rings", test_removed_memory_unmaps_its_rings},
    {"a-slot-added-again-is-removed-as-often",
     test_a_slot_added_again_is_removed_as_often},
    {"a-ring-is-enabled-as-bit-30-says", test_a_ring_is_enabled_as_bit_30_says},
    {"losses-of-a-working-backend-are-counted",
     test_losses_of_a_working_backend_are_counted},
    {"only-a-change-of-the-backend-is-told", test_only_a_change_of_the_backend_is_told},
    {"every-state-has-a-name-of-its-own", test_every_state_has_a_name_of_its_own},
    {"an-idle-device-is-small", test_an_idle_device_is_small},
};

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/device/", tests[i].path, NULL);

        g_test_add_func(path, tests[i].run);
    }
    return g_test_run();
}

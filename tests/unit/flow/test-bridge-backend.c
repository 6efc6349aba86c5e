/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backend's side of a device: loss, replay, refusal, quarantine. */
#include "flow-rig.h"

/* Turn the loop until somebody has written to an eventfd. */
static void
await_write(Rig *rig, int fd)
{
    uint64_t value;

    rig_run_until(rig->event, read(fd, &value, sizeof value) == sizeof value);
}

static void
test_late_backend_is_brought_to_all_that_changed(void)
{
    Rig rig;

    rig_start(&rig);
    fake_set_indices(rig.guest, 0, 5, 7);
    fake_backend_die(&rig.backend);
    rig_await_backend(&rig, VRD_BACKEND_DOWN);
    assert_acked(&rig, fake_table(NEED_REPLY, rig.guest, 2));
    g_assert_cmpuint(vmm_ask(&rig, fake_log(0, rig.guest)).size, ==, 16);
    assert_acked(
        &rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, VMM_FEATURES | F(LOG_ALL)));
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 0xf));
    assert_acked(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 1, 0));
    fake_backend_listen(&rig.backend);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    g_assert_true(fake_backend_heard(
        &rig.backend, " SET_OWNER SET_FEATURES SET_MEM_TABLE SET_LOG_BASE"
                      " NUM:0 BASE:0=5 ADDR:0 CALL:0 KICK:0 ENABLE:0=1"
                      " NUM:1 BASE:1=0 ADDR:1 CALL:1 ENABLE:1=0 KICK:1 SET_STATUS"));
    /* what was said while nobody listened is made up for, on both sides */
    await_write(&rig, rig.kick);
    await_write(&rig, rig.call);
    rig_close(&rig);
}

static void
test_backend_may_come_and_go_again_and_again(void)
{
    Rig rig;
    unsigned n = 0;

    rig_start(&rig);
    for (unsigned i = 0; i < 4; i++) {
        fake_backend_hang_up(&rig.backend);
        rig_run_until(rig.event, rig.backend.n_connections == i + 2);
        rig_await_backend(&rig, VRD_BACKEND_LIVE);
        rig_settle(rig.event);
        assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, i));
        n = n == 0 ? rig_count_fds() : n;
        /* closed by a child: the last one may be there for a moment */
        rig_run_until(rig.event, rig_count_fds() <= n);
    }
    g_assert_cmpuint(rig.device->backend_n_lost, ==, 4);
    rig_close(&rig);
}

static void
test_backend_that_dies_in_its_replay_is_replaced(void)
{
    Rig rig;

    rig_start(&rig);
    rig.backend.lose_on = VRD_REQUEST_SET_VRING_KICK;
    fake_backend_hang_up(&rig.backend);
    rig_run_until(rig.event, rig.backend.n_connections >= 3);
    rig.backend.lose_on = 0;
    rig_run_until(rig.event, rig.device->backend_state == VRD_BACKEND_LIVE &&
                                 rig.backend.socket >= 0);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 1));
    rig_close(&rig);
}

static void
test_backend_that_lacks_an_acked_bit_is_refused(void)
{
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_start(&rig, VMM_FEATURES | UINT64_C(1) << 21);
    rig.backend.features &= ~(UINT64_C(1) << 21);
    fake_backend_hang_up(&rig.backend);
    rig_run_until(rig.event,
                  strstr(rig.device->backend_reason, "GUEST_ANNOUNCE") != NULL);
    g_assert_cmpint(rig.device->backend_state, ==, VRD_BACKEND_DOWN);
    /* the VMM does not notice */
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 1));
    rig.backend.features |= UINT64_C(1) << 21;
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    rig_close(&rig);
}

static void
start_with_requests_in_flight(Rig *rig)
{
    rig_start_kind(rig, VRD_KIND_BLK);
    fake_set_indices(rig->guest, 0, 3, 5);
    fake_backend_hang_up(&rig->backend);
    rig_await_backend(rig, VRD_BACKEND_HELD);
    g_assert_nonnull(strstr(rig->device->backend_reason, "ring 0"));
    fake_backend_forget(&rig->backend);
}

static void
test_backend_is_held_until_nothing_is_in_flight(void)
{
    Rig rig;

    start_with_requests_in_flight(&rig);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 1));
    rig_settle(rig.event);
    g_assert_cmpstr(rig.backend.heard->str, ==, "");
    g_assert_cmpuint(vmm_ask_base(&rig, 0), ==, 3);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    g_assert_true(fake_backend_heard(&rig.backend, "BASE:1=0 ADDR:1"));
    g_assert_false(fake_backend_heard(&rig.backend, "KICK:0"));
    vmm_start_ring(&rig, 0);
    g_assert_true(fake_backend_heard(&rig.backend, "KICK:0"));
    rig_close(&rig);
}

static void
test_held_backend_is_free_for_the_next_vmm(void)
{
    Rig rig;

    start_with_requests_in_flight(&rig);
    vrd_fd_close(&rig.vmm);
    rig_run_until(rig.event, rig.device->vmm_state == VRD_VMM_IDLE);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    fake_set_indices(rig.guest, 0, 0, 0);
    vmm_start(&rig, VMM_FEATURES);
    rig_close(&rig);
}

static void
test_inflight_region_lets_a_backend_go_on(void)
{
    uint64_t bytes = vrd_inflight_bytes(2, RING_SIZE, FALSE);
    Rig rig;

    rig_prepare(&rig, VRD_KIND_BLK);
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_connect(&rig);
    vmm_greet(&rig, ALL_PROTOCOL & ~(P(RARP) | P(NET_MTU)));
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, VMM_FEATURES));
    assert_acked(&rig, fake_inflight(VRD_REQUEST_SET_INFLIGHT_FD, NEED_REPLY, bytes, 2,
                                     rig.guest));
    assert_acked(&rig, fake_table(NEED_REPLY, rig.guest, 1));
    vmm_start_ring(&rig, 0);
    fake_set_indices(rig.guest, 0, 3, 5);
    fake_backend_forget(&rig.backend);
    fake_backend_hang_up(&rig.backend);
    rig_run_until(rig.event, rig.backend.n_connections == 2);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    g_assert_true(
        fake_backend_heard(&rig.backend, "NUM:0 SET_INFLIGHT_FD NUM:0 BASE:0=3"));
    rig_close(&rig);
}

static void
test_backend_that_answers_wrongly_is_quarantined(void)
{
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    rig.backend.wrong_on = VRD_REQUEST_GET_PROTOCOL_FEATURES;
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_QUARANTINED);
    g_assert_cmpuint(rig.backend.n_connections, ==, 3);
    g_assert_nonnull(strstr(rig.device->backend_reason, "GET_PROTOCOL_FEATURES"));
    rig_settle(rig.event);
    g_assert_cmpuint(rig.backend.n_connections, ==, 3);
    rig_close(&rig);
}

static void
test_silent_backend_counts_as_dead(void)
{
    VrdSettingsDevice *settings;
    Rig rig;

    settings = rig_prepare(&rig, VRD_KIND_NET);
    settings->deadlines.ack_ms = 300;
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_start(&rig, VMM_FEATURES);
    rig.backend.silent_on = VRD_REQUEST_SET_STATUS;
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 0xf));
    rig.backend.silent_on = 0;
    rig_run_until(rig.event, rig.backend.n_connections == 2);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    g_assert_nonnull(strstr(rig.device->backend_reason, "no answer to SET_STATUS"));
    g_assert_true(fake_backend_heard(&rig.backend, "ENABLE:1=1 SET_STATUS"));
    rig_close(&rig);
}

static void
test_next_backend_may_connect_before_the_last_has_gone(void)
{
    VrdSettingsDevice *settings;
    FakeBackend next;
    int third;
    Rig rig;

    settings = rig_prepare(&rig, VRD_KIND_NET);
    settings->backend.role = VRD_ROLE_LISTEN;
    rig_open(&rig);
    fake_backend_serve(&rig.backend, fake_connect(settings->backend.path));
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_start(&rig, VMM_FEATURES);
    fake_backend_init(&next, rig.event, settings->backend.path, ALL_FEATURES,
                      ALL_PROTOCOL);
    fake_backend_serve(&next, fake_connect(settings->backend.path));
    rig_settle(rig.event);
    g_assert_cmpstr(next.heard->str, ==, "");
    third = fake_connect(settings->backend.path);
    fake_expect_end(rig.event, third);
    close(third);
    fake_backend_hang_up(&rig.backend);
    rig_run_until(rig.event, fake_backend_heard(&next, "ENABLE:1=1"));
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 1));
    fake_backend_clear(&next);
    rig_close(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/bridge-backend/" #name_, test_##name_)
    ADD(late_backend_is_brought_to_all_that_changed);
    ADD(backend_may_come_and_go_again_and_again);
    ADD(backend_that_dies_in_its_replay_is_replaced);
    ADD(backend_that_lacks_an_acked_bit_is_refused);
    ADD(backend_is_held_until_nothing_is_in_flight);
    ADD(held_backend_is_free_for_the_next_vmm);
    ADD(inflight_region_lets_a_backend_go_on);
    ADD(backend_that_answers_wrongly_is_quarantined);
    ADD(silent_backend_counts_as_dead);
    ADD(next_backend_may_connect_before_the_last_has_gone);
    return g_test_run();
}

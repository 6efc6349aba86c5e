/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rings towards a backend: all of a ring at its start, then only what changes. */
#include "backend/apply-ring.h"

#include "backend-rig.h"

static VrdRing *
ring0(Rig *rig)
{
    return vrd_device_find_ring(rig->device, 0);
}

static void
sync_all(Rig *rig)
{
    vrd_session_sync(rig->session, TRUE, on_done, rig);
}

static void
test_values_are_those_of_the_vmm(void)
{
    VrdPayloadAddr wanted = fake_ring_addr(1, 0);
    VrdPayloadState state;
    VrdPayloadAddr addr;
    VrdMessage message;
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_start_ring(&rig, 1, TRUE)->base = 5;
    sync_all(&rig);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_VRING_NUM, &message);
    vrd_payload_get_state(&message, &state);
    g_assert_cmpuint(state.index, ==, 1);
    g_assert_cmpuint(state.num, ==, RING_SIZE);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_VRING_BASE, &message);
    vrd_payload_get_state(&message, &state);
    g_assert_cmpuint(state.num, ==, 5);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_VRING_ADDR, &message);
    vrd_payload_get_addr(&message, &addr);
    g_assert_cmpmem(&addr, sizeof addr, &wanted, sizeof wanted);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_VRING_CALL, &message);
    g_assert_cmphex(vrd_payload_get_u64(&message), ==, 1);
    g_assert_cmpuint(message.n_fds, ==, 1);
    fake_drop(&message);
    assert_hears(&rig, "KICK:1 ENABLE:1=1+");
    rig_end(&rig);
}

static void
test_call_is_told_though_the_vmm_never_did(void)
{
    VrdMessage message;
    VrdRing *ring;
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    ring = rig_start_ring(&rig, 1, TRUE);
    vrd_fd_close(&ring->files[VRD_RING_CALL].fd);
    ring->files[VRD_RING_CALL].state = VRD_RING_FILE_NEVER;
    sync_all(&rig);
    for (unsigned i = 0; i < 3; i++) {
        fake_await(rig.event, rig.socket, &message);
    }
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_VRING_CALL, &message);
    g_assert_cmphex(vrd_payload_get_u64(&message), ==, 1 | VRD_PAYLOAD_NOFD);
    g_assert_cmpuint(message.n_fds, ==, 0);
    assert_hears(&rig, "KICK:1 ENABLE:1=1+");
    rig_end(&rig);
}

static void
test_change_of_each_part_is_told(void)
{
    VrdPayloadAddr addr = fake_ring_addr(0, 1);
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_set_file(&rig, ring0(&rig), VRD_RING_CALL);
    sync_all(&rig);
    assert_hears(&rig, "CALL:0+");
    rig_set_file(&rig, ring0(&rig), VRD_RING_KICK);
    sync_all(&rig);
    assert_hears(&rig, "KICK:0+");
    rig_set_file(&rig, ring0(&rig), VRD_RING_ERR);
    sync_all(&rig);
    assert_hears(&rig, "ERR:0+");
    g_assert_true(vrd_ring_set_addr(ring0(&rig), &addr, FALSE, rig.device->memory, NULL));
    sync_all(&rig);
    assert_hears(&rig, "ADDR:0+");
    vrd_ring_set_enabled(ring0(&rig), FALSE);
    sync_all(&rig);
    assert_hears(&rig, "ENABLE:0=0+");
    sync_all(&rig);
    assert_hears(&rig, "");
    rig_end(&rig);
}

static void
test_other_rings_are_left_alone(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_start_ring(&rig, 2, FALSE);
    sync_all(&rig);
    assert_hears(&rig, "NUM:2 BASE:2 ADDR:2 CALL:2 ENABLE:2=0 KICK:2+");
    rig_end(&rig);
}

static void
test_all_of_a_ring_is_told_anew_after_its_stop(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    g_assert_true(ring0(&rig)->served);
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    assert_hears(&rig, "GET_VRING_BASE:0");
    g_assert_cmpuint(rig.base, ==, BASE);
    vrd_ring_stop(ring0(&rig), rig.base);
    sync_all(&rig);
    assert_hears(&rig, "");
    rig_start_ring(&rig, 0, TRUE);
    sync_all(&rig);
    assert_hears(&rig, "NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1+");
    rig_end(&rig);
}

static void
test_inflight_region_is_told_before_the_first_start(void)
{
    VrdPayloadInflight geometry = {.mmap_size = vrd_inflight_bytes(2, RING_SIZE, FALSE),
                                   .n_queues = 2,
                                   .queue_size = RING_SIZE};
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, CLASSIC);
    rig_set_up(&rig, CLASSIC);
    vrd_inflight_set(&rig.device->inflight, vrd_fd_dup(rig.guest, NULL), &geometry);
    sync_all(&rig);
    assert_hears(&rig, "SET_OWNER SET_FEATURES SET_MEM_TABLE+");
    rig_start_ring(&rig, 0, TRUE);
    sync_all(&rig);
    assert_hears(&rig, "NUM:0 SET_INFLIGHT_FD "
                       "NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1+");
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/apply-ring/" #name_, test_##name_)
    ADD(values_are_those_of_the_vmm);
    ADD(call_is_told_though_the_vmm_never_did);
    ADD(change_of_each_part_is_told);
    ADD(other_rings_are_left_alone);
    ADD(all_of_a_ring_is_told_anew_after_its_stop);
    ADD(inflight_region_is_told_before_the_first_start);
    return g_test_run();
}

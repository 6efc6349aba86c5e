/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of what a backend is told, and that only a difference is told again. */
#include "backend/apply.h"

#include "backend-rig.h"

static void
sync_all(Rig *rig)
{
    vrd_session_sync(rig->session, TRUE, on_done, rig);
}

static void
set_everything(Rig *rig)
{
    VrdPayloadInflight geometry = {.mmap_size = vrd_inflight_bytes(2, RING_SIZE, FALSE),
                                   .n_queues = 2,
                                   .queue_size = RING_SIZE};
    VrdDevice *device = rig->device;

    rig_set_memory(rig, 2);
    rig_set_log(rig);
    device->has_mtu = TRUE;
    device->mtu = 1500;
    device->status = 0xf;
    vrd_inflight_set(&device->inflight, vrd_fd_dup(rig->guest, NULL), &geometry);
    rig_start_ring(rig, 0, TRUE);
    rig_set_file(rig, rig_start_ring(rig, 1, FALSE), VRD_RING_ERR);
    vrd_session_set_channel(rig->session, vrd_fd_dup(rig->bell, NULL));
    vrd_session_set_rarp(rig->session, 0x563412005452);
}

static void
test_full_replay_is_in_order(void)
{
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, EVERYTHING);
    rig_set_up(&rig, EVERYTHING);
    set_everything(&rig);
    sync_all(&rig);
    assert_hears(&rig, "SET_OWNER SET_BACKEND_REQ_FD SET_FEATURES "
                       "ADD_MEM_REG ADD_MEM_REG SET_LOG_BASE NET_SET_MTU "
                       "NUM:0 NUM:1 SET_INFLIGHT_FD "
                       "NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1 "
                       "NUM:1 BASE:1 ADDR:1 ERR:1 CALL:1 ENABLE:1=0 KICK:1 "
                       "SET_STATUS SEND_RARP+");
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_no_error(rig.error);
    /* and nothing of it twice */
    g_assert_false(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    assert_hears(&rig, "");
    rig_end(&rig);
}

static void
test_backend_that_cannot_ack_is_fenced(void)
{
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, CLASSIC & ~P(REPLY_ACK));
    rig_set_up(&rig, P(MQ));
    rig_start_ring(&rig, 0, TRUE);
    sync_all(&rig);
    assert_hears(&rig, "SET_PROTOCOL_FEATURES SET_OWNER SET_FEATURES SET_MEM_TABLE "
                       "NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1 GET_FEATURES");
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_no_error(rig.error);
    rig_end(&rig);
}

static void
test_vmm_without_protocol_features_gets_a_backend_with_our_own(void)
{
    VrdDevice *device;
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, CLASSIC);
    device = rig.device;
    vrd_device_begin_vmm(device, "pid 1 uid 0");
    device->has_owner = TRUE;
    g_assert_true(vrd_device_set_features(device, F(VERSION_1), NULL));
    g_assert_cmphex(vrd_apply_protocol_features(device), ==,
                    P(MQ) | P(LOG_SHMFD) | P(REPLY_ACK) | P(RESET_DEVICE));
    rig_set_memory(&rig, 1);
    rig_start_ring(&rig, 0, FALSE);
    sync_all(&rig);
    /* no bit 30: a ring is enabled when it starts */
    assert_hears(&rig, "SET_PROTOCOL_FEATURES SET_OWNER SET_FEATURES SET_MEM_TABLE "
                       "NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0+");
    rig_end(&rig);
}

static void
test_nothing_is_told_before_the_vmm_says_it(void)
{
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, EVERYTHING);
    vrd_device_begin_vmm(rig.device, "pid 1 uid 0");
    g_assert_false(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    assert_hears(&rig, "");
    g_assert_false(vrd_session_is_used(rig.session));
    /* what only an owner asks for implies one */
    rig.device->is_owner_implied = TRUE;
    sync_all(&rig);
    assert_hears(&rig, "SET_OWNER+");
    g_assert_true(vrd_session_is_used(rig.session));
    rig_end(&rig);
}

static void
test_change_of_features_is_told(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    g_assert_true(vrd_device_set_features(rig.device, BACKEND_FEATURES, NULL));
    sync_all(&rig);
    assert_hears(&rig, "SET_FEATURES+");
    rig_end(&rig);
}

static void
test_equal_memory_is_not_told_again(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_set_memory(&rig, 1);
    g_assert_false(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    assert_hears(&rig, "");
    rig_end(&rig);
}

static void
test_table_is_told_whole_and_waited_for(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_set_memory(&rig, 3);
    /* waited for though nobody asked: the VMM may take memory back after it */
    g_assert_true(vrd_session_sync(rig.session, FALSE, on_done, &rig));
    assert_hears(&rig, "SET_MEM_TABLE+");
    g_assert_cmpuint(rig.n_done, ==, 1);
    rig_end(&rig);
}

static void
test_slots_go_from_the_last_to_the_first_then_come(void)
{
    static const uint64_t wanted[] = {2 * GUEST_BYTES, GUEST_BYTES};
    VrdMemtable *table = vrd_memtable_new();
    VrdPayloadSingleRegion single;
    VrdMessage message;
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, EVERYTHING);
    rig_set_up(&rig, EVERYTHING);
    rig_set_memory(&rig, 3);
    sync_all(&rig);
    assert_hears(&rig, "SET_OWNER SET_FEATURES ADD_MEM_REG ADD_MEM_REG ADD_MEM_REG+");
    /* 0 stays, 1 and 2 go, another one comes */
    {
        VrdPayloadRegion regions[] = {fake_region(0), fake_region(1)};
        g_autoptr(VrdMemfile)
            file = vrd_vm_memfile(rig.vm, vrd_fd_dup(rig.guest, NULL), NULL);

        regions[1].mmap_offset = 0;
        for (unsigned i = 0; i < 2; i++) {
            VrdMemregion region = {regions[i].guest_addr, regions[i].size,
                                   regions[i].user_addr, regions[i].mmap_offset, file};

            g_assert_true(vrd_memtable_add(table, &region, NULL));
        }
    }
    vrd_device_set_memory(rig.device, table);
    sync_all(&rig);
    for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++) {
        fake_expect(rig.event, rig.socket, VRD_REQUEST_REM_MEM_REG, &message);
        g_assert_cmpuint(message.n_fds, ==, 0);
        vrd_payload_get_single_region(&message, &single);
        g_assert_cmphex(single.region.guest_addr, ==, wanted[i]);
    }
    assert_hears(&rig, "ADD_MEM_REG+");
    rig_end(&rig);
}

static void
test_table_that_is_too_long_loses_the_backend(void)
{
    VrdMemtable *table = vrd_memtable_new();
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, CLASSIC);
    rig_set_up(&rig, CLASSIC);
    for (unsigned i = 0; i < 9; i++) {
        g_autoptr(VrdMemfile)
            file = vrd_vm_memfile(rig.vm, vrd_fd_dup(rig.guest, NULL), NULL);
        VrdMemregion region = {i * GUEST_BYTES, 4096, GUEST_USER + i * GUEST_BYTES, 0,
                               file};

        g_assert_true(vrd_memtable_add(table, &region, NULL));
    }
    vrd_device_set_memory(rig.device, table);
    vrd_session_sync(rig.session, TRUE, on_done, &rig);
    rig_run_until(rig.event, rig.n_lost == 1);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(rig.reason->message, "9 regions"));
    rig_end(&rig);
}

static void
test_log_is_told_again_after_memory(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_set_log(&rig);
    sync_all(&rig);
    assert_hears(&rig, "SET_LOG_BASE");
    sync_all(&rig);
    assert_hears(&rig, "");
    rig_set_memory(&rig, 2);
    sync_all(&rig);
    assert_hears(&rig, "SET_MEM_TABLE SET_LOG_BASE");
    rig_end(&rig);
}

static void
test_answers_to_the_log_may_have_three_sizes(void)
{
    static const unsigned sizes[] = {0, 8, 16};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Rig rig;

        rig_start(&rig);
        rig_go_live(&rig, CLASSIC);
        rig.log_bytes = sizes[i];
        rig_set_log(&rig);
        sync_all(&rig);
        assert_hears(&rig, "SET_LOG_BASE");
        g_assert_cmpuint(rig.n_done, ==, 1);
        g_assert_no_error(rig.error);
        g_assert_cmpuint(rig.n_lost, ==, 0);
        rig_end(&rig);
    }
}

static void
test_status_and_mtu_are_told_when_they_change(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig.device->status = 7;
    rig.device->has_mtu = TRUE;
    rig.device->mtu = 9000;
    sync_all(&rig);
    assert_hears(&rig, "NET_SET_MTU SET_STATUS+");
    rig.device->status = 0;
    sync_all(&rig);
    assert_hears(&rig, "SET_STATUS+");
    rig_end(&rig);
}

static void
test_what_the_backend_lacks_is_not_told(void)
{
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, P(MQ) | P(REPLY_ACK));
    rig_set_up(&rig, P(MQ) | P(REPLY_ACK));
    set_everything(&rig);
    sync_all(&rig);
    assert_hears(&rig, "SET_OWNER SET_FEATURES SET_MEM_TABLE "
                       "NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1 "
                       "NUM:1 BASE:1 ADDR:1 ERR:1 CALL:1 ENABLE:1=0 KICK:1+");
    rig_end(&rig);
}

static void
test_announcement_waits_for_a_ring(void)
{
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, CLASSIC);
    rig_set_up(&rig, CLASSIC);
    vrd_session_set_rarp(rig.session, 1);
    sync_all(&rig);
    assert_hears(&rig, "SET_OWNER SET_FEATURES SET_MEM_TABLE+");
    rig_start_ring(&rig, 0, TRUE);
    sync_all(&rig);
    assert_hears(&rig, "NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1 SEND_RARP+");
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/apply/" #name_, test_##name_)
    ADD(full_replay_is_in_order);
    ADD(backend_that_cannot_ack_is_fenced);
    ADD(vmm_without_protocol_features_gets_a_backend_with_our_own);
    ADD(nothing_is_told_before_the_vmm_says_it);
    ADD(change_of_features_is_told);
    ADD(equal_memory_is_not_told_again);
    ADD(table_is_told_whole_and_waited_for);
    ADD(slots_go_from_the_last_to_the_first_then_come);
    ADD(table_that_is_too_long_loses_the_backend);
    ADD(log_is_told_again_after_memory);
    ADD(answers_to_the_log_may_have_three_sizes);
    ADD(status_and_mtu_are_told_when_they_change);
    ADD(what_the_backend_lacks_is_not_told);
    ADD(announcement_waits_for_a_ring);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a VMM's requests ask for, with a backend that does it, and with one that dies. */
#include "flow-rig.h"

/* The backend is lost at @request; then a new one is there and all goes on. */
static void
lose_at(Rig *rig, uint32_t request)
{
    rig->backend.lose_on = request;
}

static void
assert_goes_on(Rig *rig)
{
    rig->backend.lose_on = 0;
    rig_run_until(rig->event, rig->backend.n_connections == 2);
    rig_await_backend(rig, VRD_BACKEND_LIVE);
    assert_acked(rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 0x4));
    rig_close(rig);
}

static void
test_loss_in_a_request_is_no_error_of_the_vmm(void)
{
    for (unsigned i = 0; i < 11; i++) {
        VrdMessage message;
        Rig rig;

        rig_start(&rig);
        switch (i) {
        case 0:
            message = fake_u64(VRD_REQUEST_SET_FEATURES, 0, VMM_FEATURES | F(LOG_ALL));
            break;
        case 1:
            message = fake_table(0, rig.guest, 2);
            break;
        case 2:
            message = fake_addr(0, 0, 1);
            break;
        case 3:
            message = fake_file(VRD_REQUEST_SET_VRING_CALL, 0, 0, rig.call);
            break;
        case 4:
            message = fake_file(VRD_REQUEST_SET_VRING_KICK, 0, 0, rig.kick);
            break;
        case 5:
            message = fake_file(VRD_REQUEST_SET_VRING_ERR, 0, 0, rig.call);
            break;
        case 6:
            message = fake_state(VRD_REQUEST_SET_VRING_ENABLE, 0, 0, 0);
            break;
        case 7:
            message = fake_u64(VRD_REQUEST_NET_SET_MTU, 0, 1500);
            break;
        case 8:
            message = fake_u64(VRD_REQUEST_SET_STATUS, 0, 0xf);
            break;
        case 9:
            message = fake_u64(VRD_REQUEST_SEND_RARP, 0, 1);
            break;
        default:
            message = fake_config(VRD_REQUEST_SET_CONFIG, 0, 0, 4, 'a');
            break;
        }
        g_test_message("%s", vrd_request_name(message.request));
        message.flags |= NEED_REPLY;
        lose_at(&rig, message.request);
        assert_acked(&rig, message);
        assert_goes_on(&rig);
    }
}

static void
test_loss_in_a_reset_is_no_error_of_the_vmm(void)
{
    Rig rig;

    rig_start(&rig);
    lose_at(&rig, VRD_REQUEST_RESET_DEVICE);
    assert_acked(&rig, fake_empty(VRD_REQUEST_RESET_DEVICE, NEED_REPLY));
    g_assert_cmpuint(vrd_device_n_started(rig.device), ==, 0);
    g_assert_nonnull(rig.device->memory);
    assert_goes_on(&rig);
}

static void
test_loss_in_a_log_request_is_answered_by_16_bytes(void)
{
    Rig rig;

    rig_start(&rig);
    lose_at(&rig, VRD_REQUEST_SET_LOG_BASE);
    g_assert_cmpuint(vmm_ask(&rig, fake_log(0, rig.guest)).size, ==, 16);
    assert_goes_on(&rig);
}

static void
test_loss_in_a_drain_is_answered_from_guest_memory(void)
{
    Rig rig;

    rig_start(&rig);
    fake_set_indices(rig.guest, 1, 9, 9);
    lose_at(&rig, VRD_REQUEST_GET_VRING_BASE);
    g_assert_cmpuint(vmm_ask_base(&rig, 1), ==, 9);
    assert_goes_on(&rig);
}

static void
test_loss_in_get_config_is_answered_by_what_was_known(void)
{
    VrdMessage reply;
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    rig.backend.protocol_features &= ~P(BACKEND_REQ); /* never tells a change */
    rig.backend.config_first = 'a';
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_connect(&rig);
    vmm_greet(&rig, ALL_PROTOCOL & ~P(BACKEND_REQ));
    reply = vmm_ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 4, 0));
    g_assert_cmpmem(reply.payload + 12, reply.size - 12, "abcd", 4);
    fake_backend_forget(&rig.backend);
    lose_at(&rig, VRD_REQUEST_GET_CONFIG);
    reply = vmm_ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 1, 3, 0));
    g_assert_true(fake_backend_heard(&rig.backend, "GET_CONFIG"));
    g_assert_cmpmem(reply.payload + 12, reply.size - 12, "bcd", 3);
    assert_goes_on(&rig);
}

static void
test_config_that_the_backend_fails_is_a_failure(void)
{
    Rig rig;

    rig_start(&rig);
    rig.backend.config_fails = TRUE;
    g_assert_cmpuint(vmm_ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 4, 0)).size,
                     ==, 0);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 0x4));
    rig_close(&rig);
}

static void
assert_region(VrdMessage *reply, uint64_t least)
{
    VrdPayloadInflight inflight;

    vrd_payload_get_inflight(reply, &inflight);
    g_assert_cmpuint(reply->n_fds, ==, 1);
    g_assert_cmpuint(inflight.mmap_size, >=, least);
    g_assert_cmpuint(inflight.n_queues, ==, 2);
    g_assert_cmpuint(inflight.queue_size, ==, RING_SIZE);
    fake_drop(reply);
}

static void
test_loss_in_get_inflight_is_answered_by_a_region_of_ours(void)
{
    uint64_t bytes = vrd_inflight_bytes(2, RING_SIZE, FALSE);
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    lose_at(&rig, VRD_REQUEST_GET_INFLIGHT_FD);
    reply = vmm_ask(&rig, fake_inflight(VRD_REQUEST_GET_INFLIGHT_FD, 0, 0, 2, -1));
    assert_region(&reply, bytes);
    assert_goes_on(&rig);
}

static void
test_inflight_region_of_the_backend_is_passed(void)
{
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    rig.backend.has_inflight = TRUE;
    reply = vmm_ask(&rig, fake_inflight(VRD_REQUEST_GET_INFLIGHT_FD, 0, 0, 2, -1));
    assert_region(&reply, 4096);
    g_assert_cmpint(rig.device->inflight.fd, >=, 0);
    rig_close(&rig);
}

static void
test_backend_without_a_region_leaves_the_vmm_without_one(void)
{
    VrdMessage reply;
    VrdPayloadInflight inflight;
    Rig rig;

    rig_start(&rig);
    reply = vmm_ask(&rig, fake_inflight(VRD_REQUEST_GET_INFLIGHT_FD, 0, 0, 2, -1));
    vrd_payload_get_inflight(&reply, &inflight);
    g_assert_cmpuint(inflight.mmap_size, ==, 0);
    g_assert_cmpuint(reply.n_fds, ==, 0);
    g_assert_cmpuint(rig.backend.n_connections, ==, 1);
    rig_close(&rig);
}

static void
stop_rings(Rig *rig)
{
    g_assert_cmpuint(vmm_ask_base(rig, 0), ==, BACKEND_BASE);
    g_assert_cmpuint(vmm_ask_base(rig, 1), ==, BACKEND_BASE);
    g_assert_cmpint(rig->device->vmm_state, ==, VRD_VMM_STOPPED);
}

static void
test_rings_stop_where_the_backend_says(void)
{
    Rig rig;

    rig_start(&rig);
    stop_rings(&rig);
    g_assert_cmpint(rig.device->backend_state, ==, VRD_BACKEND_LIVE);
    g_assert_cmpstr(rig.backend.heard->str, ==, " GET_VRING_BASE:0 GET_VRING_BASE:1");
    /* and once more without the backend: a ring that is stopped stands still */
    g_assert_cmpuint(vmm_ask_base(&rig, 0), ==, BACKEND_BASE);
    vmm_start_ring(&rig, 0);
    rig_close(&rig);
}

static void
test_device_state_passes_and_nothing_of_it_stays(void)
{
    char text[4];
    int pipes[2];
    Rig rig;

    rig_start(&rig);
    stop_rings(&rig);
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), ==, 0);
    g_assert_cmphex(vmm_ask_u64(&rig, fake_state_fd(0, 0, pipes[1])), ==,
                    VRD_PAYLOAD_NOFD);
    vrd_fd_close(&pipes[1]);
    g_assert_cmpint(write(rig.backend.state_fd, "abc", 3), ==, 3);
    vrd_fd_close(&rig.backend.state_fd);
    rig_settle(rig.event);
    g_assert_cmpint(read(pipes[0], text, sizeof text), ==, 3);
    /* the end is seen: nobody else holds the writing end */
    g_assert_cmpint(read(pipes[0], text, sizeof text), ==, 0);
    g_assert_cmpuint(vmm_ask_u64(&rig, fake_empty(VRD_REQUEST_CHECK_DEVICE_STATE, 0)), ==,
                     0);
    vrd_fd_close(&pipes[0]);
    rig_close(&rig);
}

static void
test_device_state_of_a_lost_backend_is_a_failure(void)
{
    uint64_t value;
    int pipes[2];
    Rig rig;

    rig_start(&rig);
    stop_rings(&rig);
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    lose_at(&rig, VRD_REQUEST_SET_DEVICE_STATE_FD);
    value = vmm_ask_u64(&rig, fake_state_fd(0, 0, pipes[1]));
    g_assert_cmphex(value & VRD_PAYLOAD_NOFD, ==, VRD_PAYLOAD_NOFD);
    g_assert_cmphex(value & 0xff, !=, 0);
    fake_backend_die(&rig.backend);
    rig_await_backend(&rig, VRD_BACKEND_DOWN);
    value = vmm_ask_u64(&rig, fake_empty(VRD_REQUEST_CHECK_DEVICE_STATE, 0));
    g_assert_cmphex(value & 0xff, !=, 0);
    close(pipes[0]);
    close(pipes[1]);
    rig_close(&rig);
}

static void
test_announcement_before_the_rings_is_kept(void)
{
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_connect(&rig);
    vmm_greet(&rig, ALL_PROTOCOL);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SEND_RARP, NEED_REPLY, 1));
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, VMM_FEATURES));
    assert_acked(&rig, fake_table(NEED_REPLY, rig.guest, 1));
    g_assert_false(fake_backend_heard(&rig.backend, "SEND_RARP"));
    vmm_start_ring(&rig, 0);
    g_assert_true(fake_backend_heard(&rig.backend, "SEND_RARP"));
    rig_close(&rig);
}

static void
test_refusal_of_the_backend_reaches_the_vmm(void)
{
    Rig rig;

    rig_start(&rig);
    rig.backend.ack = 1;
    assert_refused(&rig, fake_u64(VRD_REQUEST_NET_SET_MTU, NEED_REPLY, 9000));
    g_assert_false(rig.device->has_mtu);
    rig.backend.ack = 0;
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 1));
    g_assert_cmpuint(rig.backend.n_connections, ==, 1);
    rig_close(&rig);
}

/* (owned) the VMM's end of a backend channel that vringd and the backend have now */
static int
open_channel(Rig *rig)
{
    VrdMessage message = fake_empty(VRD_REQUEST_SET_BACKEND_REQ_FD, NEED_REPLY);
    int ends[2];

    rig_pair(ends);
    vrd_message_add_fd(&message, ends[1]);
    assert_acked(rig, message);
    close(ends[1]);
    rig_run_until(rig->event, rig->backend.channel >= 0);
    return ends[0];
}

static void
test_change_of_config_is_known_before_the_vmm_hears_of_it(void)
{
    VrdMessage change = fake_empty(VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG, NEED_REPLY);
    VrdMessage reply;
    int channel;
    Rig rig;

    rig_start(&rig);
    channel = open_channel(&rig);
    rig.backend.config_first = 'a';
    vmm_ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 4, 0));
    fake_backend_forget(&rig.backend);
    rig.backend.config_first = 'k';
    fake_send(rig.backend.channel, &change);
    g_assert_cmpint(fake_await(rig.event, rig.backend.channel, &reply), ==, FAKE_MESSAGE);
    g_assert_cmpuint(vrd_payload_get_u64(&reply), ==, 0);
    g_assert_cmpint(fake_await(rig.event, channel, &reply), ==, FAKE_MESSAGE);
    g_assert_cmpuint(reply.request, ==, VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG);
    g_assert_cmpstr(rig.backend.heard->str, ==, " GET_CONFIG");
    /* the VMM asks at once, and the backend is not asked again */
    reply = vmm_ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 4, 0));
    g_assert_cmpmem(reply.payload + 12, reply.size - 12, "klmn", 4);
    g_assert_cmpstr(rig.backend.heard->str, ==, " GET_CONFIG");
    close(channel);
    rig_close(&rig);
}

static void
test_channel_outlives_a_backend(void)
{
    VrdMessage change = fake_empty(VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG, 0);
    VrdMessage reply;
    int channel;
    Rig rig;

    rig_start(&rig);
    channel = open_channel(&rig);
    fake_backend_hang_up(&rig.backend);
    rig_run_until(rig.event, rig.backend.channel >= 0);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    fake_send(rig.backend.channel, &change);
    g_assert_cmpint(fake_await(rig.event, channel, &reply), ==, FAKE_MESSAGE);
    g_assert_cmpuint(reply.request, ==, VRD_BACKEND_REQUEST_CONFIG_CHANGE_MSG);
    close(channel);
    rig_close(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/bridge-effect/" #name_, test_##name_)
    ADD(loss_in_a_request_is_no_error_of_the_vmm);
    ADD(loss_in_a_reset_is_no_error_of_the_vmm);
    ADD(loss_in_a_log_request_is_answered_by_16_bytes);
    ADD(loss_in_a_drain_is_answered_from_guest_memory);
    ADD(loss_in_get_config_is_answered_by_what_was_known);
    ADD(config_that_the_backend_fails_is_a_failure);
    ADD(loss_in_get_inflight_is_answered_by_a_region_of_ours);
    ADD(inflight_region_of_the_backend_is_passed);
    ADD(backend_without_a_region_leaves_the_vmm_without_one);
    ADD(rings_stop_where_the_backend_says);
    ADD(device_state_passes_and_nothing_of_it_stays);
    ADD(device_state_of_a_lost_backend_is_a_failure);
    ADD(announcement_before_the_rings_is_kept);
    ADD(refusal_of_the_backend_reaches_the_vmm);
    ADD(change_of_config_is_known_before_the_vmm_hears_of_it);
    ADD(channel_outlives_a_backend);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What concerns the device as a whole, as a VMM asks for it. */
#include "vmm-rig.h"

static void
test_config_that_may_have_changed_is_asked_for(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    rig.device->backend_state = VRD_BACKEND_LIVE;
    vrd_configspace_store(&rig.device->config, 0, (const uint8_t *) "abcd", 4);
    rig.waits = TRUE;
    tell(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 4, 0));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_CONFIG_READ);
    rig_end(&rig);
}

static void
test_config_of_a_backend_that_tells_changes_is_known(void)
{
    VrdMessage reply;
    VrdPayloadConfig config;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    rig.device->backend_state = VRD_BACKEND_LIVE;
    rig.device->backend_protocol_features = P(BACKEND_REQ) | P(CONFIG);
    vrd_configspace_store(&rig.device->config, 0, (const uint8_t *) "abcd", 4);
    reply = ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 1, 3, 0));
    g_assert_cmpuint(rig.n_effects, ==, 0);
    vrd_payload_get_config(&reply, &config);
    g_assert_cmpuint(config.size, ==, 3);
    g_assert_cmpmem(config.bytes, 3, "bcd", 3);
    rig.waits = TRUE;
    tell(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 5, 0));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_CONFIG_READ);
    rig_end(&rig);
}

static void
test_config_is_known_while_the_backend_is_away(void)
{
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    vrd_configspace_store(&rig.device->config, 0, (const uint8_t *) "abcd", 4);
    reply = ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 4, 0));
    g_assert_cmpuint(reply.size, ==, 16);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    rig_end(&rig);
}

static void
test_config_write_passes_with_known_flags_only(void)
{
    VrdMessage wrong = fake_config(VRD_REQUEST_SET_CONFIG, NEED_REPLY, 0, 2, 'x');
    VrdPayloadConfig config;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    vrd_payload_get_config(&wrong, &config);
    config.flags = 2;
    vrd_payload_put_config(&wrong, &config);
    assert_refused(&rig, wrong);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    assert_acked(&rig, fake_config(VRD_REQUEST_SET_CONFIG, NEED_REPLY, 0, 2, 'x'));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_CONFIG_WRITE);
    rig_end(&rig);
}

static void
test_status_is_kept(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 0xf));
    g_assert_cmpuint(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_STATUS, 0)), ==, 0xf);
    assert_refused(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 0x100));
    g_assert_cmpuint(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_STATUS, 0)), ==, 0xf);
    rig_end(&rig);
}

static void
test_mtu_has_bounds(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_refused(&rig, fake_u64(VRD_REQUEST_NET_SET_MTU, NEED_REPLY, 67));
    assert_refused(&rig, fake_u64(VRD_REQUEST_NET_SET_MTU, NEED_REPLY, 65536));
    g_assert_false(rig.device->has_mtu);
    assert_acked(&rig, fake_u64(VRD_REQUEST_NET_SET_MTU, NEED_REPLY, 1500));
    g_assert_cmpuint(rig.device->mtu, ==, 1500);
    rig_end(&rig);
}

static void
test_both_resets_are_one(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_acked(&rig, fake_empty(VRD_REQUEST_RESET_DEVICE, NEED_REPLY));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_RESET);
    rig.kind = VRD_EFFECT_NONE;
    assert_acked(&rig, fake_empty(VRD_REQUEST_RESET_OWNER, NEED_REPLY));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_RESET);
    rig_end(&rig);
}

static void
test_inflight_region_is_taken(void)
{
    uint64_t bytes = vrd_inflight_bytes(2, RING_SIZE, FALSE);
    Rig rig;
    unsigned n;

    rig_start(&rig);
    greet(&rig, OFFERED);
    n = rig_count_fds();
    assert_acked(&rig, fake_inflight(VRD_REQUEST_SET_INFLIGHT_FD, NEED_REPLY, bytes, 2,
                                     rig.guest));
    g_assert_cmpint(rig.device->inflight.fd, >=, 0);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    g_assert_cmpuint(rig_count_fds(), ==, n + 1);
    /* too small, too many queues, no file of memory */
    assert_refused(&rig, fake_inflight(VRD_REQUEST_SET_INFLIGHT_FD, NEED_REPLY, bytes - 1,
                                       2, rig.guest));
    assert_refused(&rig, fake_inflight(VRD_REQUEST_SET_INFLIGHT_FD, NEED_REPLY, bytes * 9,
                                       5, rig.guest));
    assert_refused(
        &rig, fake_inflight(VRD_REQUEST_SET_INFLIGHT_FD, NEED_REPLY, bytes, 2, rig.bell));
    g_assert_cmpuint(rig_count_fds(), ==, n + 1);
    g_assert_cmpuint(rig.device->inflight.geometry.mmap_size, ==, bytes);
    rig_end(&rig);
}

static void
test_inflight_region_is_asked_for(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    rig.waits = TRUE;
    tell(&rig, fake_inflight(VRD_REQUEST_GET_INFLIGHT_FD, 0, 0, 2, -1));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_INFLIGHT);
    vrd_vmm_link_finish(rig.link, NULL); /* no answer: it cannot be served */
    fake_expect_end(rig.event, rig.socket);
    rig_end(&rig);

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_closes(&rig, fake_inflight(VRD_REQUEST_GET_INFLIGHT_FD, 0, 0, 200, -1),
                  "GET_INFLIGHT_FD");
    rig_end(&rig);
}

static void
test_state_descriptor_is_a_pipe_or_socket(void)
{
    VrdMessage reply;
    Rig rig;
    int pipes[2];

    g_assert_cmpint(pipe(pipes), ==, 0);
    rig_start(&rig);
    greet(&rig, OFFERED);
    rig.waits = TRUE;
    tell(&rig, fake_state_fd(0, 1, pipes[0]));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_STATE_FD);
    vrd_message_init(&reply, 0);
    vrd_payload_put_u64(&reply, VRD_PAYLOAD_NOFD);
    vrd_vmm_link_finish_reply(rig.link, &reply);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_DEVICE_STATE_FD, &reply);
    assert_closes(&rig, fake_state_fd(0, 1, rig.guest), "allowed is a pipe or socket");
    rig_end(&rig);

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_closes(&rig, fake_state_fd(0, 2, pipes[0]), "direction 2");
    rig_end(&rig);

    rig_start(&rig);
    start_device(&rig);
    assert_closes(&rig, fake_state_fd(0, 0, pipes[1]), "1 rings are started");
    rig_end(&rig);
    close(pipes[0]);
    close(pipes[1]);
}

static void
test_channel_descriptor_is_a_socket(void)
{
    VrdMessage message = fake_empty(VRD_REQUEST_SET_BACKEND_REQ_FD, NEED_REPLY);
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    vrd_message_add_fd(&message, rig.bell);
    assert_refused(&rig, message);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    message.fds[0] = rig.socket;
    assert_acked(&rig, message);
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_CHANNEL);
    rig_end(&rig);
}

static void
test_announcement_passes(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SEND_RARP, NEED_REPLY, 0x563412005452));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_RARP);
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/handle-device/" #name_, test_##name_)
    ADD(config_that_may_have_changed_is_asked_for);
    ADD(config_of_a_backend_that_tells_changes_is_known);
    ADD(config_is_known_while_the_backend_is_away);
    ADD(config_write_passes_with_known_flags_only);
    ADD(status_is_kept);
    ADD(mtu_has_bounds);
    ADD(both_resets_are_one);
    ADD(inflight_region_is_taken);
    ADD(inflight_region_is_asked_for);
    ADD(state_descriptor_is_a_pipe_or_socket);
    ADD(channel_descriptor_is_a_socket);
    ADD(announcement_passes);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VMM's side of a device: who is let in, when, and what is left when it goes. */
#include "flow/bridge.h"

#include "flow-rig.h"

static void
set_profile(VrdSettingsDevice *device, uint64_t features, uint64_t protocol_features)
{
    device->profile = (VrdSettingsProfile){.is_set = TRUE,
                                           .features = features,
                                           .protocol_features = protocol_features,
                                           .n_queues = 2,
                                           .config = g_memdup2("abcd", 4),
                                           .config_bytes = 4};
}

static void
test_vmm_waits_for_the_first_offer(void)
{
    VrdMessage request = fake_empty(VRD_REQUEST_GET_FEATURES, 0);
    VrdMessage reply;
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    rig_open(&rig);
    vmm_connect(&rig);
    vmm_tell(&rig, request);
    fake_expect_nothing(rig.event, rig.vmm);
    fake_backend_listen(&rig.backend);
    fake_expect(rig.event, rig.vmm, VRD_REQUEST_GET_FEATURES, &reply);
    g_assert_cmphex(vrd_payload_get_u64(&reply), ==, ALL_FEATURES);
    g_assert_cmpint(rig.device->vmm_state, ==, VRD_VMM_HANDSHAKE);
    rig_close(&rig);
}

static void
test_vmm_does_not_wait_for_ever(void)
{
    VrdSettingsDevice *settings;
    Rig rig;

    settings = rig_prepare(&rig, VRD_KIND_NET);
    settings->deadlines.offer_ms = 20;
    rig_open(&rig);
    vmm_connect(&rig);
    vmm_expect_end(&rig);
    /* and may try again */
    vmm_connect(&rig);
    fake_backend_listen(&rig.backend);
    g_assert_cmphex(vmm_ask_u64(&rig, fake_empty(VRD_REQUEST_GET_FEATURES, 0)), ==,
                    ALL_FEATURES);
    rig_close(&rig);
}

static void
test_profile_answers_before_the_backend_is_there(void)
{
    VrdSettingsDevice *settings;
    VrdMessage reply;
    Rig rig;

    settings = rig_prepare(&rig, VRD_KIND_NET);
    set_profile(settings, VMM_FEATURES | F(LOG_ALL), ALL_PROTOCOL);
    rig_open(&rig);
    vmm_start(&rig, VMM_FEATURES);
    reply = vmm_ask(&rig, fake_config(VRD_REQUEST_GET_CONFIG, 0, 1, 2, 0));
    g_assert_cmpmem(reply.payload + 12, reply.size - 12, "bc", 2);
    /* a backend that comes late is brought to all of it */
    fake_backend_listen(&rig.backend);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    g_assert_cmpstr(rig.backend.heard->str, ==,
                    " GET_FEATURES GET_PROTOCOL_FEATURES SET_PROTOCOL_FEATURES"
                    " GET_QUEUE_NUM SET_OWNER SET_FEATURES SET_MEM_TABLE"
                    " NUM:0 BASE:0=0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1"
                    " NUM:1 BASE:1=0 ADDR:1 CALL:1 KICK:1 ENABLE:1=1 GET_CONFIG");
    rig_close(&rig);
}

static void
test_second_vmm_is_refused(void)
{
    int second;
    Rig rig;

    rig_start(&rig);
    second = fake_connect(vrd_hub_vmm_path(rig.hub, rig.device));
    fake_expect_end(rig.event, second);
    close(second);
    assert_acked(&rig, fake_empty(VRD_REQUEST_RESET_DEVICE, NEED_REPLY));
    rig_close(&rig);
}

static void
test_second_vmm_is_refused_while_one_waits(void)
{
    int second;
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    rig_open(&rig);
    vmm_connect(&rig);
    second = fake_connect(vrd_hub_vmm_path(rig.hub, rig.device));
    fake_expect_end(rig.event, second);
    close(second);
    fake_expect_nothing(rig.event, rig.vmm);
    rig_close(&rig);
}

static void
test_vmm_that_goes_takes_all_it_gave(void)
{
    unsigned n;
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    n = rig_count_fds();
    vmm_start(&rig, VMM_FEATURES);
    vrd_fd_close(&rig.vmm);
    rig_run_until(rig.event, rig.device->vmm_state == VRD_VMM_IDLE);
    g_assert_null(rig.device->memory);
    g_assert_nonnull(rig.device->vmm_reason);
    /* the next one has a backend that knows nothing of the last */
    rig_run_until(rig.event, rig.backend.n_connections == 2);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    rig_settle(rig.event);
    g_assert_cmpuint(rig_count_fds(), ==, n);
    vmm_start(&rig, VMM_FEATURES);
    rig_close(&rig);
}

static void
test_vmm_that_never_used_the_backend_leaves_it_connected(void)
{
    Rig rig;

    rig_prepare(&rig, VRD_KIND_NET);
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_connect(&rig);
    vmm_ask_u64(&rig, fake_empty(VRD_REQUEST_GET_FEATURES, 0));
    vrd_fd_close(&rig.vmm);
    rig_run_until(rig.event, rig.device->vmm_state == VRD_VMM_IDLE);
    rig_settle(rig.event);
    g_assert_cmpint(rig.device->backend_state, ==, VRD_BACKEND_LIVE);
    g_assert_cmpuint(rig.backend.n_connections, ==, 1);
    vmm_start(&rig, VMM_FEATURES);
    rig_close(&rig);
}

static void
test_device_plugged_again_has_a_new_backend_connection(void)
{
    Rig rig;

    rig_start(&rig);
    vmm_ask_base(&rig, 0);
    vmm_ask_base(&rig, 1);
    fake_backend_forget(&rig.backend);
    assert_acked(&rig, fake_empty(VRD_REQUEST_SET_OWNER, NEED_REPLY));
    rig_run_until(rig.event, rig.backend.n_connections == 2);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    g_assert_null(rig.device->memory);
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, VMM_FEATURES));
    assert_acked(&rig, fake_table(NEED_REPLY, rig.guest, 1));
    vmm_start_ring(&rig, 0);
    g_assert_true(fake_backend_heard(&rig.backend, "SET_OWNER SET_FEATURES"));
    g_assert_true(fake_backend_heard(&rig.backend, "ENABLE:0=1"));
    rig_close(&rig);
}

static void
test_vmm_that_listens_is_dialled(void)
{
    VrdSettingsDevice *settings;
    FakeBackend vmm; /* only its socket is of use */
    Rig rig;

    settings = rig_prepare(&rig, VRD_KIND_NET);
    settings->vmm.role = VRD_ROLE_DIAL;
    settings->vmm.path = g_build_filename(rig.directory, "qemu.sock", NULL);
    fake_backend_init(&vmm, rig.event, settings->vmm.path, 0, 0);
    fake_backend_listen(&vmm);
    fake_backend_listen(&rig.backend);
    rig_open(&rig);
    rig_run_until(rig.event, vmm.n_connections == 1);
    rig_run_until(rig.event, rig.device->vmm_state == VRD_VMM_HANDSHAKE);
    /* it hangs up and is dialled again */
    fake_backend_hang_up(&vmm);
    rig_run_until(rig.event, vmm.n_connections == 2);
    fake_backend_clear(&vmm);
    rig_close(&rig);
}

static void
test_vmm_that_breaks_the_protocol_loses_its_socket_alone(void)
{
    Rig rig;

    rig_start(&rig);
    vmm_tell(&rig, fake_empty(99, 0));
    vmm_expect_end(&rig);
    g_assert_nonnull(strstr(rig.device->vmm_reason, "request 99"));
    rig_run_until(rig.event, rig.backend.n_connections == 2);
    rig_await_backend(&rig, VRD_BACKEND_LIVE);
    vmm_start(&rig, VMM_FEATURES);
    rig_close(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/bridge/" #name_, test_##name_)
    ADD(vmm_waits_for_the_first_offer);
    ADD(vmm_does_not_wait_for_ever);
    ADD(profile_answers_before_the_backend_is_there);
    ADD(second_vmm_is_refused);
    ADD(second_vmm_is_refused_while_one_waits);
    ADD(vmm_that_goes_takes_all_it_gave);
    ADD(vmm_that_never_used_the_backend_leaves_it_connected);
    ADD(device_plugged_again_has_a_new_backend_connection);
    ADD(vmm_that_listens_is_dialled);
    ADD(vmm_that_breaks_the_protocol_loses_its_socket_alone);
    return g_test_run();
}

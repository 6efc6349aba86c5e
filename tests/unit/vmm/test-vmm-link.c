/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The link itself: who hears a refusal, in what order, and when the socket goes. */
#include "vmm-rig.h"

static void
test_reply_comes_without_being_asked_for(void)
{
    Rig rig;

    rig_start(&rig);
    g_assert_cmphex(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_FEATURES, 0)), ==, FEATURES);
    /* one that is asked for all the same is no second one */
    g_assert_cmphex(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_FEATURES, NEED_REPLY)), ==,
                    FEATURES);
    fake_expect_nothing(rig.event, rig.socket);
    rig_end(&rig);
}

static void
test_ack_comes_only_when_it_is_negotiated(void)
{
    Rig rig;

    rig_start(&rig);
    tell(&rig, fake_empty(VRD_REQUEST_SET_OWNER, NEED_REPLY));
    fake_expect_nothing(rig.event, rig.socket);
    tell(&rig, fake_u64(VRD_REQUEST_SET_PROTOCOL_FEATURES, 0, P(REPLY_ACK)));
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, F(VERSION_1)));
    tell(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, 0, F(VERSION_1)));
    fake_expect_nothing(rig.event, rig.socket);
    rig_end(&rig);
}

static void
test_refusal_is_an_ack_that_is_not_zero(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_refused(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, UINT64_MAX));
    g_assert_false(rig.device->has_features);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    /* and the link goes on */
    assert_acked(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, FEATURES));
    rig_end(&rig);
}

static void
test_refusal_that_cannot_be_heard_closes(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_closes(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, 0, UINT64_MAX),
                  "SET_FEATURES");
    rig_end(&rig);

    rig_start(&rig);
    greet(&rig, OFFERED & ~P(REPLY_ACK));
    assert_closes(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, UINT64_MAX),
                  "SET_FEATURES");
    g_assert_false(rig.device->has_features);
    rig_end(&rig);
}

/* Eight bytes of a refusal would be read as the value that was asked for. */
static void
test_refused_request_for_a_value_closes(void)
{
    VrdMessage too_long = fake_u64(VRD_REQUEST_GET_FEATURES, NEED_REPLY, 0);
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_closes(&rig, too_long, "GET_FEATURES");
    rig_end(&rig);

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_closes(&rig, fake_state(VRD_REQUEST_GET_VRING_BASE, NEED_REPLY, 999, 0),
                  "GET_VRING_BASE");
    rig_end(&rig);
}

static void
test_unknown_and_masked_requests_are_refused(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_refused(&rig, fake_empty(77, NEED_REPLY));
    assert_refused(&rig, fake_empty(0, NEED_REPLY));
    assert_refused(&rig, fake_file(VRD_REQUEST_GPU_SET_SOCKET, NEED_REPLY, 0, rig.bell));
    assert_closes(&rig, fake_empty(77, 0), "77");
    rig_end(&rig);
}

static void
test_message_before_its_feature_is_refused(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, P(REPLY_ACK));
    assert_refused(&rig, fake_u64(VRD_REQUEST_SEND_RARP, NEED_REPLY, 1));
    assert_refused(&rig, fake_u64(VRD_REQUEST_NET_SET_MTU, NEED_REPLY, 1500));
    assert_refused(&rig, fake_slot(VRD_REQUEST_ADD_MEM_REG, NEED_REPLY, 0, rig.guest));
    assert_refused(&rig, fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 1));
    assert_refused(&rig, fake_log(NEED_REPLY, rig.guest));
    g_assert_null(rig.device->memory);
    g_assert_null(rig.device->log);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    assert_closes(&rig, fake_empty(VRD_REQUEST_GET_QUEUE_NUM, 0), "MQ");
    rig_end(&rig);
}

/* Not all front-ends say it on each connection. */
static void
test_owner_is_implied_by_what_only_an_owner_asks_for(void)
{
    Rig rig;

    rig_start(&rig);
    tell(&rig, fake_u64(VRD_REQUEST_SET_PROTOCOL_FEATURES, 0, OFFERED));
    ask_u64(&rig, fake_empty(VRD_REQUEST_GET_FEATURES, 0));
    g_assert_false(rig.device->is_owner_implied);
    assert_acked(&rig, fake_table(NEED_REPLY, rig.guest, 1));
    g_assert_true(rig.device->is_owner_implied);
    g_assert_false(rig.device->has_owner);
    /* and it may still come */
    tell(&rig, fake_empty(VRD_REQUEST_SET_OWNER, 0));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_SYNC);
    rig_end(&rig);
}

static void
test_one_request_is_in_work_at_a_time(void)
{
    VrdMessage first = fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, FEATURES);
    VrdMessage second = fake_u64(VRD_REQUEST_SET_STATUS, NEED_REPLY, 3);
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    rig.waits = TRUE;
    fake_send(rig.socket, &first);
    fake_send(rig.socket, &second);
    rig_settle(rig.event);
    g_assert_true(vrd_vmm_link_is_busy(rig.link));
    g_assert_cmpuint(rig.n_effects, ==, 1);
    g_assert_cmpuint(rig.device->status, ==, 0);
    fake_expect_nothing(rig.event, rig.socket);

    vrd_vmm_link_finish(rig.link, NULL);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_FEATURES, &reply);
    rig_run_until(rig.event, rig.n_effects == 2);
    g_assert_cmpuint(rig.device->status, ==, 3);
    vrd_vmm_link_finish(rig.link, NULL);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_STATUS, &reply);
    g_assert_false(vrd_vmm_link_is_busy(rig.link));
    rig_end(&rig);
}

static void
test_outcome_of_an_effect_is_the_ack(void)
{
    VrdMessage request = fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, FEATURES);
    g_autoptr(GError) error = g_error_new(VRD_ERROR, VRD_ERROR_REFUSED, "no");
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    rig.waits = TRUE;
    tell(&rig, request);
    g_assert_true(rig.effect_waits);
    vrd_vmm_link_finish(rig.link, error);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_FEATURES, &reply);
    g_assert_cmpuint(vrd_payload_get_u64(&reply), !=, 0);

    /* an effect that nobody waits for says nothing */
    tell(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, 0, FEATURES));
    g_assert_false(rig.effect_waits);
    vrd_vmm_link_finish(rig.link, error);
    fake_expect_nothing(rig.event, rig.socket);
    rig_end(&rig);
}

static void
test_effect_may_free_the_link(void)
{
    Rig rig;

    rig_start(&rig);
    rig.free_early = TRUE;
    tell(&rig, fake_empty(VRD_REQUEST_SET_OWNER, 0));
    g_assert_null(rig.link);
    fake_expect_end(rig.event, rig.socket);
    g_assert_cmpuint(rig.n_closed, ==, 0);
    rig_end(&rig);
}

static void
test_vmm_that_leaves_is_noticed_while_its_request_is_in_work(void)
{
    Rig rig;

    rig_start(&rig);
    rig.waits = TRUE;
    tell(&rig, fake_empty(VRD_REQUEST_SET_OWNER, 0));
    vrd_fd_close(&rig.socket);
    rig_run_until(rig.event, rig.n_closed == 1);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_LOST);
    rig_end(&rig);
}

static void
test_vmm_that_says_nothing_loses_its_socket(void)
{
    Rig rig;

    rig_start_timed(&rig, 1);
    fake_expect_end(rig.event, rig.socket);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_TIMEOUT);
    rig_end(&rig);
}

static void
test_first_message_ends_the_deadline(void)
{
    uint64_t end_us;
    Rig rig;

    rig_start_timed(&rig, 50);
    ask_u64(&rig, fake_empty(VRD_REQUEST_GET_FEATURES, 0));
    end_us = g_get_monotonic_time() + 100000;
    while ((uint64_t) g_get_monotonic_time() < end_us) {
        sd_event_run(rig.event, 20000);
    }
    g_assert_cmpuint(rig.n_closed, ==, 0);
    rig_end(&rig);
}

static void
test_descriptors_of_a_refused_message_are_closed(void)
{
    Rig rig;
    unsigned n;

    rig_start(&rig);
    greet(&rig, OFFERED);
    n = rig_count_fds();
    assert_refused(&rig, fake_table(NEED_REPLY, rig.bell, 8));
    assert_refused(&rig, fake_file(VRD_REQUEST_SET_LOG_FD + 60, NEED_REPLY, 0, rig.bell));
    g_assert_cmpuint(rig_count_fds(), ==, n);
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/vmm-link/" #name_, test_##name_)
    ADD(reply_comes_without_being_asked_for);
    ADD(ack_comes_only_when_it_is_negotiated);
    ADD(refusal_is_an_ack_that_is_not_zero);
    ADD(refusal_that_cannot_be_heard_closes);
    ADD(refused_request_for_a_value_closes);
    ADD(unknown_and_masked_requests_are_refused);
    ADD(message_before_its_feature_is_refused);
    ADD(owner_is_implied_by_what_only_an_owner_asks_for);
    ADD(one_request_is_in_work_at_a_time);
    ADD(outcome_of_an_effect_is_the_ack);
    ADD(effect_may_free_the_link);
    ADD(vmm_that_leaves_is_noticed_while_its_request_is_in_work);
    ADD(vmm_that_says_nothing_loses_its_socket);
    ADD(first_message_ends_the_deadline);
    ADD(descriptors_of_a_refused_message_are_closed);
    return g_test_run();
}

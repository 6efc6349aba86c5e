/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One connection with a backend: negotiation, drain, reset, loss. */
#include "backend-rig.h"

#include "base/clock.h"

static void
test_negotiation_asks_for_what_is_offered(void)
{
    Rig rig;

    rig_start(&rig);
    rig_negotiate(&rig, EVERYTHING);
    g_assert_true(vrd_session_is_negotiated(rig.session));
    g_assert_false(vrd_session_is_used(rig.session));
    g_assert_cmphex(rig.offer.features, ==, BACKEND_FEATURES);
    g_assert_cmphex(rig.offer.protocol_features, ==, EVERYTHING);
    g_assert_cmpuint(rig.offer.n_queues, ==, 2);
    g_assert_cmpuint(rig.offer.n_mem_slots, ==, 32);
    rig_end(&rig);

    rig_start(&rig);
    rig_negotiate(&rig, P(REPLY_ACK));
    g_assert_cmpuint(rig.offer.n_queues, ==, 0);
    g_assert_cmpuint(rig.offer.n_mem_slots, ==, 0);
    rig_end(&rig);
}

static void
test_backend_without_bit_30_is_asked_nothing_more(void)
{
    Rig rig;

    rig_start(&rig);
    answer_next(&rig, VRD_REQUEST_GET_FEATURES, F(VERSION_1));
    rig_run_until(rig.event, rig.n_negotiated == 1);
    g_assert_cmphex(rig.offer.protocol_features, ==, 0);
    assert_hears(&rig, "");
    rig_end(&rig);
}

static void
test_masked_bits_are_not_acked(void)
{
    VrdMessage message;
    Rig rig;

    rig_start(&rig);
    answer_next(&rig, VRD_REQUEST_GET_FEATURES, BACKEND_FEATURES);
    answer_next(&rig, VRD_REQUEST_GET_PROTOCOL_FEATURES, UINT64_MAX);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_PROTOCOL_FEATURES, &message);
    g_assert_cmphex(vrd_payload_get_u64(&message), ==,
                    vrd_feature_protocol_backend_mask());
    rig_end(&rig);
}

static void
test_senseless_offers_lose_the_backend(void)
{
    static const struct {
        uint64_t bits, queues, slots;
        const char *text;
    } rows[] = {
        {P(MQ), 0, 0, "GET_QUEUE_NUM answered 0"},
        {P(MQ), UINT64_MAX, 0, "GET_QUEUE_NUM answered 18446744073709551615"},
        {P(CONFIGURE_MEM_SLOTS), 0, 0, "GET_MAX_MEM_SLOTS answered 0"},
        {P(CONFIGURE_MEM_SLOTS), 0, UINT64_MAX, "GET_MAX_MEM_SLOTS answered 1844"},
        {P(MQ) | P(CONFIGURE_MEM_SLOTS), 0, 32, "GET_QUEUE_NUM answered 0"},
        {P(MQ) | P(CONFIGURE_MEM_SLOTS), 2, 0, "GET_MAX_MEM_SLOTS answered 0"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        VrdMessage message;
        Rig rig;

        rig_start(&rig);
        answer_next(&rig, VRD_REQUEST_GET_FEATURES, BACKEND_FEATURES);
        answer_next(&rig, VRD_REQUEST_GET_PROTOCOL_FEATURES, rows[i].bits);
        fake_expect(rig.event, rig.socket, VRD_REQUEST_SET_PROTOCOL_FEATURES, &message);
        if (rows[i].bits & P(MQ)) {
            answer_next(&rig, VRD_REQUEST_GET_QUEUE_NUM, rows[i].queues);
        }
        if (rows[i].bits & P(CONFIGURE_MEM_SLOTS) && rig.n_lost == 0) {
            answer_next(&rig, VRD_REQUEST_GET_MAX_MEM_SLOTS, rows[i].slots);
        }
        rig_run_until(rig.event, rig.n_lost == 1);
        g_assert_cmpuint(rig.n_negotiated, ==, 0);
        g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_PROTOCOL);
        g_assert_nonnull(strstr(rig.reason->message, rows[i].text));
        rig_end(&rig);
    }
}

static void
test_negotiation_has_a_deadline(void)
{
    VrdSessionDeadlines deadlines = {.memory_ms = 1};
    Rig rig;

    rig_start_timed(&rig, &deadlines);
    rig_run_until(rig.event, rig.n_lost == 1);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_TIMEOUT);
    g_assert_cmpuint(rig.n_negotiated, ==, 0);
    rig_end(&rig);
}

static void
test_loss_ends_all_that_is_open_once(void)
{
    VrdMessage message = fake_config(VRD_REQUEST_GET_CONFIG, 0, 0, 4, 0);
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_set_memory(&rig, 2);
    g_assert_true(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    vrd_session_reset(rig.session, on_done, &rig);
    vrd_session_request(rig.session, &message, 0, on_reply, &rig);
    g_assert_cmpuint(rig.n_done, ==, 0);
    vrd_fd_close(&rig.socket);
    rig_run_until(rig.event, rig.n_lost == 1);
    assert_outcome(&rig, 4, VRD_ERROR_LOST);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_LOST);
    rig_end(&rig);
}

static void
test_free_ends_all_that_is_open_once(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_set_memory(&rig, 2);
    g_assert_true(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    g_clear_pointer(&rig.session, vrd_session_free);
    assert_outcome(&rig, 2, VRD_ERROR_LOST);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

static void
test_outcome_may_free_the_session(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig_set_memory(&rig, 2);
    g_assert_true(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    rig.free_when_done = TRUE;
    answer_next(&rig, VRD_REQUEST_SET_MEM_TABLE, 0);
    rig_run_until(rig.event, rig.n_done == 2);
    g_assert_null(rig.session);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

static void
test_backend_that_is_silent_is_lost(void)
{
    VrdSessionDeadlines deadlines = {.ack_ms = 20};
    Rig rig;

    rig_start_timed(&rig, &deadlines);
    rig_go_live(&rig, CLASSIC);
    rig.device->status = 3;
    g_assert_true(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    assert_outcome(&rig, 1, VRD_ERROR_TIMEOUT);
    rig_run_until(rig.event, rig.n_lost == 1);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_TIMEOUT);
    rig_end(&rig);
}

static void
test_refusal_is_an_outcome_and_no_loss(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    rig.ack = 1;
    rig.device->status = 3;
    g_assert_true(vrd_session_sync(rig.session, TRUE, on_done, &rig));
    assert_hears(&rig, "SET_STATUS+");
    assert_outcome(&rig, 1, VRD_ERROR_REFUSED);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

static void
test_wrong_answer_is_a_loss(void)
{
    VrdMessage message;
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_GET_VRING_BASE, &message);
    fake_answer_u64(rig.socket, &message, 3); /* ring 3 instead of ring 0 */
    rig_run_until(rig.event, rig.n_lost == 1);
    assert_outcome(&rig, 1, VRD_ERROR_PROTOCOL);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(rig.reason->message, "ring 3"));
    rig_end(&rig);
}

static void
test_drain_has_no_deadline_but_the_backend_must_be_alive(void)
{
    VrdSessionDeadlines deadlines = {.ack_ms = 20};
    uint64_t end_us;
    Rig rig;

    rig_start_timed(&rig, &deadlines);
    rig_go_live(&rig, CLASSIC);
    /* heard of just now: nothing to prove, and it may take its time */
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    rig.silent_on = VRD_REQUEST_GET_VRING_BASE;
    assert_hears(&rig, "GET_VRING_BASE:0");
    end_us = vrd_clock_now_us() + 1100000;
    while (vrd_clock_now_us() < end_us) {
        sd_event_run(rig.event, 50000);
    }
    g_assert_cmpuint(rig.n_done, ==, 0);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    {
        VrdMessage request = fake_empty(VRD_REQUEST_GET_VRING_BASE, 0);

        fake_answer_u64(rig.socket, &request, (uint64_t) BASE << 32);
    }
    rig_run_until(rig.event, rig.n_done == 1);
    g_assert_no_error(rig.error);
    g_assert_cmpuint(rig.base, ==, BASE);
    rig_end(&rig);
}

/* Backs the clock of the last answer up by waiting. */
static void
wait_until_stale(Rig *rig)
{
    uint64_t end_us = vrd_clock_now_us() + 1100000;

    while (vrd_clock_now_us() < end_us) {
        sd_event_run(rig->event, 50000);
    }
}

static void
test_drain_of_a_backend_not_heard_of_begins_with_a_proof_of_life(void)
{
    VrdSessionDeadlines deadlines = {.ack_ms = 20};
    Rig rig;

    rig_start_timed(&rig, &deadlines);
    rig_go_live(&rig, CLASSIC);
    wait_until_stale(&rig);
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    assert_hears(&rig, "GET_FEATURES GET_VRING_BASE:0");
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_cmpuint(rig.base, ==, BASE);

    wait_until_stale(&rig);
    rig.silent_on = VRD_REQUEST_GET_FEATURES;
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    rig_run_until(rig.event, rig.n_lost == 1);
    assert_outcome(&rig, 2, VRD_ERROR_LOST);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_TIMEOUT);
    rig_end(&rig);
}

static void
test_drain_may_have_a_deadline(void)
{
    VrdSessionDeadlines deadlines = {.drain_ms = 20};
    Rig rig;

    rig_start_timed(&rig, &deadlines);
    rig_go_live(&rig, CLASSIC);
    rig.silent_on = VRD_REQUEST_GET_VRING_BASE;
    vrd_session_stop_ring(rig.session, 0, on_base, &rig);
    assert_outcome(&rig, 1, VRD_ERROR_TIMEOUT);
    rig_run_until(rig.event, rig.n_lost == 1);
    rig_end(&rig);
}

static void
test_reset_is_passed_on(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    vrd_session_reset(rig.session, on_done, &rig);
    assert_hears(&rig, "RESET_DEVICE GET_FEATURES");
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_no_error(rig.error);
    /* features and rings are told anew, memory is not */
    vrd_device_reset(rig.device);
    rig_start_ring(&rig, 0, TRUE);
    vrd_session_sync(rig.session, TRUE, on_done, &rig);
    assert_hears(&rig, "SET_FEATURES NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1+");
    rig_end(&rig);
}

static void
test_backend_without_reset_has_its_rings_stopped(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC & ~P(RESET_DEVICE));
    rig_start_ring(&rig, 2, TRUE);
    vrd_session_sync(rig.session, TRUE, on_done, &rig);
    assert_hears(&rig, "NUM:2 BASE:2 ADDR:2 CALL:2 KICK:2 ENABLE:2=1+");
    rig.n_done = 0;
    g_assert_true(vrd_session_reset(rig.session, on_done, &rig));
    g_assert_cmpuint(rig.n_done, ==, 0);
    assert_hears(&rig, "GET_VRING_BASE:0 GET_VRING_BASE:2 GET_FEATURES");
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_no_error(rig.error);
    rig_end(&rig);
}

static void
test_reset_of_what_is_not_started_asks_a_backend_without_reset_nothing(void)
{
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC & ~P(RESET_DEVICE));
    g_assert_true(vrd_session_reset(rig.session, on_done, &rig));
    assert_hears(&rig, "GET_VRING_BASE:0 GET_FEATURES");
    vrd_device_reset(rig.device);
    rig.n_done = 0;
    g_assert_false(vrd_session_reset(rig.session, on_done, &rig));
    rig_start_ring(&rig, 0, TRUE);
    vrd_session_sync(rig.session, TRUE, on_done, &rig);
    assert_hears(&rig, "SET_FEATURES NUM:0 BASE:0 ADDR:0 CALL:0 KICK:0 ENABLE:0=1+");
    g_assert_cmpuint(rig.n_done, ==, 1);
    rig_end(&rig);
}

static void
test_request_without_an_answer_is_acked_or_fenced(void)
{
    VrdMessage message = fake_config(VRD_REQUEST_SET_CONFIG, NEED_REPLY, 0, 4, 0);
    Rig rig;

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC);
    vrd_session_request(rig.session, &message, 0, on_reply, &rig);
    assert_hears(&rig, "SET_CONFIG+");
    g_assert_cmpuint(rig.n_done, ==, 1);
    rig_end(&rig);

    rig_start(&rig);
    rig_go_live(&rig, CLASSIC & ~P(REPLY_ACK));
    vrd_session_request(rig.session, &message, 0, on_reply, &rig);
    assert_hears(&rig, "SET_CONFIG GET_FEATURES");
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_no_error(rig.error);
    rig_end(&rig);
}

static void
test_what_is_awaited_is_known(void)
{
    uint64_t since_us = 0;
    Rig rig;

    rig_start(&rig);
    g_assert_cmpuint(vrd_session_waiting(rig.session, &since_us), ==,
                     VRD_REQUEST_GET_FEATURES);
    g_assert_cmpuint(since_us, >, 0);
    rig_go_live(&rig, CLASSIC);
    g_assert_cmpuint(vrd_session_waiting(rig.session, &since_us), ==, 0);
    rig_end(&rig);
}

static void
test_channel_that_is_replaced_or_never_told_is_closed(void)
{
    Rig rig;
    unsigned n;

    rig_start(&rig);
    rig_negotiate(&rig, CLASSIC);
    n = rig_count_fds();
    vrd_session_set_channel(rig.session, vrd_fd_dup(rig.bell, NULL));
    vrd_session_set_channel(rig.session, vrd_fd_dup(rig.bell, NULL));
    g_assert_cmpuint(rig_count_fds(), ==, n + 1);
    rig_end(&rig); /* counts the rest */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/session/" #name_, test_##name_)
    ADD(negotiation_asks_for_what_is_offered);
    ADD(backend_without_bit_30_is_asked_nothing_more);
    ADD(masked_bits_are_not_acked);
    ADD(senseless_offers_lose_the_backend);
    ADD(negotiation_has_a_deadline);
    ADD(loss_ends_all_that_is_open_once);
    ADD(free_ends_all_that_is_open_once);
    ADD(outcome_may_free_the_session);
    ADD(backend_that_is_silent_is_lost);
    ADD(refusal_is_an_outcome_and_no_loss);
    ADD(wrong_answer_is_a_loss);
    ADD(drain_has_no_deadline_but_the_backend_must_be_alive);
    ADD(drain_of_a_backend_not_heard_of_begins_with_a_proof_of_life);
    ADD(drain_may_have_a_deadline);
    ADD(reset_is_passed_on);
    ADD(backend_without_reset_has_its_rings_stopped);
    ADD(reset_of_what_is_not_started_asks_a_backend_without_reset_nothing);
    ADD(request_without_an_answer_is_acked_or_fenced);
    ADD(what_is_awaited_is_known);
    ADD(channel_that_is_replaced_or_never_told_is_closed);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a stream reads, pauses and ends. */
#include "link/stream.h"

#include "stream-rig.h"

static void
test_messages_before_the_end_are_delivered(void)
{
    for (unsigned with_send = 0; with_send < 2; with_send++) {
        uint8_t bytes[MESSAGE_BYTES];
        VrdMessage message;
        Rig rig;

        rig_start(&rig);
        for (unsigned i = 0; i < 100; i++) {
            rig_write(rig.peer, bytes, rig_lay(bytes, i, V1, 8), i % 2);
        }
        vrd_fd_close(&rig.peer);
        if (with_send) { /* finds the end before the reading side does */
            vrd_message_init(&message, 1);
            vrd_stream_send(rig.stream, &message);
            vrd_stream_send(rig.stream, &message);
            g_assert_cmpuint(rig.n_closed, ==, 0);
        }
        rig_run_until(rig.event, rig.n_closed > 0);
        g_assert_cmpuint(rig.n_messages, ==, 100);
        assert_closed(&rig, VRD_ERROR_LOST, "connection closed by peer");
        rig_end(&rig);
    }
}

/* Also when its bytes come one a second: the time counts from the first one. */
static void
test_a_message_that_is_not_complete_in_time_ends_it(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    Rig dribble;
    Rig silent;

    rig_start(&dribble);
    rig_start_second(&silent, &dribble);
    rig_lay(bytes, 5, V1, 8);
    rig_write(silent.peer, bytes, 13, 1);
    for (unsigned i = 0; i < MESSAGE_BYTES - 1 && !dribble.n_closed; i++) {
        rig_write(dribble.peer, bytes + i, 1, 0);
        sd_event_run(dribble.event, 500 * G_TIME_SPAN_MILLISECOND);
        g_usleep(500 * G_TIME_SPAN_MILLISECOND);
    }
    rig_run_until(dribble.event, dribble.n_closed > 0);
    rig_run_until(dribble.event, silent.n_closed > 0);
    assert_closed(&dribble, VRD_ERROR_TIMEOUT, "header incomplete after 5000 ms, ");
    assert_closed(&silent, VRD_ERROR_TIMEOUT, "payload incomplete after 5000 ms, 1 of 8");
    rig_end_second(&silent);
    rig_end(&dribble);
}

static void
test_nothing_is_delivered_while_paused(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    Rig rig;

    rig_start(&rig);
    vrd_stream_set_paused(rig.stream, TRUE);
    rig_lay(bytes, 5, V1, 8);
    rig_write(rig.peer, bytes, sizeof bytes, 0);
    rig_write(rig.peer, bytes, sizeof bytes, 0);
    shutdown(rig.peer, SHUT_WR);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_messages + rig.n_closed, ==, 0);
    vrd_stream_set_paused(rig.stream, FALSE);
    rig_run_until(rig.event, rig.n_closed > 0);
    g_assert_cmpuint(rig.n_messages, ==, 2);
    assert_closed(&rig, VRD_ERROR_LOST, "connection closed by peer");
    rig_end(&rig);
}

static void
test_a_dead_peer_is_noticed_while_paused(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    Rig rig;

    rig_start(&rig);
    vrd_stream_set_paused(rig.stream, TRUE);
    rig_write(rig.peer, bytes, rig_lay(bytes, 5, V1, 8), 2);
    vrd_fd_close(&rig.peer);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_messages, ==, 0);
    assert_closed(&rig, VRD_ERROR_LOST, "connection closed by peer");
    rig_end(&rig);
}

static void
test_a_handler_may_free_pause_or_fail_the_stream(void)
{
    static const Act acts[] = {ACT_FREE, ACT_PAUSE, ACT_FAIL};

    for (unsigned torn = 0; torn < 2; torn++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(acts); i++) {
            uint8_t bytes[3 * MESSAGE_BYTES];
            Rig rig;

            rig_start(&rig);
            rig.act = acts[i];
            for (unsigned k = 0; k < 3; k++) {
                rig_lay(bytes + k * MESSAGE_BYTES, 5, V1, 8);
            }
            rig_write(rig.peer, bytes, torn ? 15 : MESSAGE_BYTES, 2);
            if (torn) {
                rig_settle(rig.event);
                rig_write(rig.peer, bytes + 15, 5, 0);
            }
            rig_write(rig.peer, bytes + MESSAGE_BYTES, 2 * MESSAGE_BYTES, 2);
            rig_settle(rig.event);
            g_assert_cmpuint(rig.n_messages, ==, 1);
            g_assert_cmpuint(rig.n_closed, ==, acts[i] == ACT_FAIL);
            if (acts[i] == ACT_FAIL) {
                assert_closed(&rig, VRD_ERROR_STATE, "enough");
            }
            rig_end(&rig);
        }
    }
}

static void
test_closed_may_free_the_stream(void)
{
    Rig rig;

    rig_start(&rig);
    rig.act = ACT_FREE;
    vrd_fd_close(&rig.peer);
    rig_settle(rig.event);
    g_assert_null(rig.stream);
    g_assert_cmpuint(rig.n_closed, ==, 1);
    rig_end(&rig);
}

static void
test_fail_is_told_from_the_loop_and_once(void)
{
    g_autoptr(GError) reason = g_error_new(VRD_ERROR, VRD_ERROR_DENIED, "not you");
    Rig rig;

    rig_start(&rig);
    vrd_stream_fail(rig.stream, reason);
    vrd_stream_fail(rig.stream, reason);
    g_assert_cmpuint(rig.n_closed, ==, 0);
    rig_settle(rig.event);
    assert_closed(&rig, VRD_ERROR_DENIED, "not you");
    vrd_stream_fail(rig.stream, reason);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_closed, ==, 1);
    rig_end(&rig);
}

static void
test_one_busy_peer_does_not_hold_up_another(void)
{
    static uint8_t bytes[500 * MESSAGE_BYTES];
    Rig busy;
    Rig other;

    rig_start(&busy);
    rig_start_second(&other, &busy);
    for (unsigned i = 0; i < 500; i++) {
        rig_lay(bytes + i * MESSAGE_BYTES, 5, V1, 8);
    }
    rig_write(busy.peer, bytes, sizeof bytes, 0);
    rig_write(other.peer, bytes, MESSAGE_BYTES, 0);
    rig_run_until(busy.event, other.n_messages > 0);
    g_assert_cmpuint(busy.n_messages, <, 50);
    rig_settle(busy.event);
    g_assert_cmpuint(busy.n_messages, ==, 500);
    rig_end_second(&other);
    rig_end(&busy);
}

#define ADD(test_) g_test_add_func("/link/stream/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_messages_before_the_end_are_delivered);
    ADD(test_a_message_that_is_not_complete_in_time_ends_it);
    ADD(test_nothing_is_delivered_while_paused);
    ADD(test_a_dead_peer_is_noticed_while_paused);
    ADD(test_a_handler_may_free_pause_or_fail_the_stream);
    ADD(test_closed_may_free_the_stream);
    ADD(test_fail_is_told_from_the_loop_and_once);
    ADD(test_one_busy_peer_does_not_hold_up_another);
    return g_test_run();
}

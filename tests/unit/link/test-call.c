/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests to a backend that the test plays by hand at the other end of a socketpair. */
#include "link/call.h"

#include "base/fd.h"
#include "link-rig.h"
#include "wire/payload.h"
#include "wire/request.h"

#define REPLY (VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY)
#define LONG  60000u

typedef struct Rig Rig;

typedef struct {
    Rig *rig;
    unsigned n_done;
    unsigned order;
    uint64_t value;
    uint32_t size;
    GError *error;
} Outcome;

struct Rig {
    sd_event *event;
    VrdCall *call;
    int peer;
    unsigned base_fds;
    gboolean sending;
    gboolean free_when_done;
    gboolean send_when_done;
    unsigned n_done;
    unsigned n_lost;
    GError *reason;
    Outcome outcomes[8];
};

static void
on_lost(const GError *reason, gpointer user_data)
{
    Rig *rig = user_data;

    for (unsigned i = 0; i < G_N_ELEMENTS(rig->outcomes); i++) {
        g_assert_cmpuint(rig->outcomes[i].n_done, <=, 1);
    }
    rig->n_lost++;
    rig->reason = g_error_copy(reason);
    if (rig->free_when_done) {
        g_clear_pointer(&rig->call, vrd_call_free);
    }
}

static void ask(Rig *rig, unsigned i, uint32_t request, uint32_t flags,
                unsigned timeout_ms);

static void
on_done(VrdMessage *reply, const GError *error, gpointer user_data)
{
    Outcome *outcome = user_data;
    Rig *rig = outcome->rig;

    g_assert_false(rig->sending);
    g_assert_true((reply == NULL) == (error != NULL));
    outcome->n_done++;
    outcome->order = ++rig->n_done;
    if (reply) {
        outcome->size = reply->size;
        outcome->value = reply->size == 8 ? vrd_payload_get_u64(reply) : 0;
    } else {
        outcome->error = g_error_copy(error);
    }
    if (rig->free_when_done) {
        g_clear_pointer(&rig->call, vrd_call_free);
    }
    if (rig->send_when_done) {
        rig->send_when_done = FALSE;
        ask(rig, 7, VRD_REQUEST_GET_FEATURES, 0, LONG);
    }
}

static void
rig_start(Rig *rig)
{
    int ends[2];

    memset(rig, 0, sizeof *rig);
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig_pair(ends);
    rig->peer = ends[1];
    rig->call = vrd_call_new(rig->event, ends[0], VRD_CALL_FRONTEND, on_lost, rig, NULL);
    g_assert_nonnull(rig->call);
}

static void
rig_end(Rig *rig)
{
    vrd_call_free(rig->call);
    vrd_fd_close(&rig->peer);
    for (unsigned i = 0; i < G_N_ELEMENTS(rig->outcomes); i++) {
        g_clear_error(&rig->outcomes[i].error);
    }
    g_clear_error(&rig->reason);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

static void
ask(Rig *rig, unsigned i, uint32_t request, uint32_t flags, unsigned timeout_ms)
{
    static VrdMessage message;
    gboolean nested = rig->sending;

    vrd_message_init(&message, request);
    message.flags |= flags;
    rig->outcomes[i].rig = rig;
    rig->sending = TRUE;
    vrd_call_send(rig->call, &message, timeout_ms, on_done, &rig->outcomes[i]);
    rig->sending = nested;
}

static void
answer(Rig *rig, uint32_t request, uint32_t flags, uint32_t size, uint64_t value,
       unsigned n_fds)
{
    uint8_t bytes[VRD_MESSAGE_HEADER_BYTES + 64];

    rig_lay(bytes, request, flags, size);
    memcpy(bytes + VRD_MESSAGE_HEADER_BYTES, &value, MIN(size, 8));
    rig_write(rig->peer, bytes, VRD_MESSAGE_HEADER_BYTES + size, n_fds);
}

static void
assert_failed(const Rig *rig, unsigned i, VrdErrorCode code, const char *text)
{
    g_assert_cmpuint(rig->outcomes[i].n_done, ==, 1);
    g_assert_error(rig->outcomes[i].error, VRD_ERROR, (gint) code);
    g_assert_nonnull(strstr(rig->outcomes[i].error->message, text));
}

static void
test_answers_go_to_their_requests_in_order(void)
{
    uint64_t since_us = 0;
    Rig rig;

    rig_start(&rig);
    ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, LONG);
    ask(&rig, 1, VRD_REQUEST_SET_OWNER, VRD_MESSAGE_NEED_REPLY, VRD_CALL_NO_DEADLINE);
    ask(&rig, 2, VRD_REQUEST_GET_QUEUE_NUM, 0, LONG);
    g_assert_cmpuint(vrd_call_waiting(rig.call, &since_us), ==, VRD_REQUEST_GET_FEATURES);
    g_assert_cmpuint(since_us, >, 0);
    answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 0x1234, 0);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_cmpuint(vrd_call_waiting(rig.call, NULL), ==, VRD_REQUEST_SET_OWNER);
    answer(&rig, VRD_REQUEST_SET_OWNER, REPLY, 8, 0, 0);
    answer(&rig, VRD_REQUEST_GET_QUEUE_NUM, REPLY, 8, 2, 0);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.outcomes[0].value, ==, 0x1234);
    g_assert_cmpuint(rig.outcomes[2].value, ==, 2);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_no_error(rig.outcomes[i].error);
        g_assert_cmpuint(rig.outcomes[i].order, ==, i + 1);
    }
    g_assert_cmpuint(vrd_call_waiting(rig.call, NULL), ==, 0);
    g_assert_cmpuint(vrd_call_n_replies(rig.call), ==, 3);
    g_assert_cmpuint(vrd_call_last_reply_us(rig.call), >=, since_us);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

static void
test_a_refusal_keeps_the_connection(void)
{
    Rig rig;

    rig_start(&rig);
    ask(&rig, 0, VRD_REQUEST_SET_OWNER, VRD_MESSAGE_NEED_REPLY, LONG);
    ask(&rig, 1, VRD_REQUEST_SET_OWNER, VRD_MESSAGE_NEED_REPLY, LONG);
    answer(&rig, VRD_REQUEST_SET_OWNER, REPLY, 8, UINT64_C(1) << 40, 0);
    answer(&rig, VRD_REQUEST_SET_OWNER, REPLY, 8, 0, 0);
    rig_settle(rig.event);
    assert_failed(&rig, 0, VRD_ERROR_REFUSED,
                  "backend refused SET_OWNER with 1099511627776");
    g_assert_cmpuint(rig.outcomes[1].n_done, ==, 1);
    g_assert_no_error(rig.outcomes[1].error);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

static void
test_a_wrong_answer_ends_everything(void)
{
    static const struct {
        uint32_t request;
        uint32_t flags;
        uint32_t size;
        unsigned n_fds;
    } rows[] = {
        {VRD_REQUEST_GET_QUEUE_NUM, REPLY, 8, 0},
        {VRD_REQUEST_GET_FEATURES, VRD_MESSAGE_VERSION, 8, 0},
        {VRD_REQUEST_GET_FEATURES, REPLY | VRD_MESSAGE_NEED_REPLY, 8, 0},
        {VRD_REQUEST_GET_FEATURES, REPLY, 0, 0},
        {VRD_REQUEST_GET_FEATURES, REPLY, 16, 0},
        {VRD_REQUEST_GET_FEATURES, REPLY, 8, 1},
        {0, REPLY, 8, 0},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Rig rig;

        rig_start(&rig);
        ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, LONG);
        ask(&rig, 1, VRD_REQUEST_GET_FEATURES, 0, LONG);
        answer(&rig, rows[i].request, rows[i].flags, rows[i].size, 0, rows[i].n_fds);
        rig_settle(rig.event);
        assert_failed(&rig, 0, VRD_ERROR_PROTOCOL, "GET_FEATURES");
        assert_failed(&rig, 1, VRD_ERROR_PROTOCOL, "GET_FEATURES");
        g_assert_cmpuint(rig.n_lost, ==, 1);
        g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_PROTOCOL);
        rig_end(&rig);
    }
}

static void
test_an_answer_that_was_not_asked_ends_it(void)
{
    for (unsigned asked = 0; asked < 2; asked++) {
        Rig rig;

        rig_start(&rig);
        if (asked) {
            ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, LONG);
            answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 5, 0);
        }
        answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 5, 1);
        rig_settle(rig.event);
        g_assert_cmpuint(rig.n_done, ==, asked);
        g_assert_cmpuint(rig.n_lost, ==, 1);
        g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_PROTOCOL);
        g_assert_nonnull(strstr(rig.reason->message, "not asked"));
        rig_end(&rig);
    }
}

static void
test_a_late_answer_ends_everything(void)
{
    Rig rig;

    rig_start(&rig);
    ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, 20);
    ask(&rig, 1, VRD_REQUEST_GET_FEATURES, 0, 1);
    ask(&rig, 2, VRD_REQUEST_GET_FEATURES, 0, VRD_CALL_NO_DEADLINE);
    rig_run_until(rig.event, rig.n_lost > 0);
    assert_failed(&rig, 0, VRD_ERROR_TIMEOUT, "no answer to GET_FEATURES within 20 ms");
    assert_failed(&rig, 1, VRD_ERROR_LOST, "GET_FEATURES within 20 ms");
    assert_failed(&rig, 2, VRD_ERROR_LOST, "GET_FEATURES within 20 ms");
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_TIMEOUT);
    rig_end(&rig);
}

static void
test_a_deadline_counts_from_when_a_call_is_the_oldest(void)
{
    Rig rig;

    rig_start(&rig);
    ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, VRD_CALL_NO_DEADLINE);
    ask(&rig, 1, VRD_REQUEST_GET_QUEUE_NUM, 0, 1);
    sd_event_run(rig.event, 50 * G_TIME_SPAN_MILLISECOND);
    g_assert_cmpuint(rig.n_done, ==, 0);
    answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 0, 0);
    rig_run_until(rig.event, rig.n_lost > 0);
    g_assert_no_error(rig.outcomes[0].error);
    assert_failed(&rig, 1, VRD_ERROR_TIMEOUT, "no answer to GET_QUEUE_NUM within 1 ms");
    rig_end(&rig);
}

static void
test_at_most_one_wakeup_is_left_when_all_is_answered(void)
{
    unsigned n_wakeups = 0;
    Rig rig;

    rig_start(&rig);
    ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, 30);
    answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 0, 0);
    rig_run_until(rig.event, rig.n_done > 0);
    while (sd_event_run(rig.event, 100 * G_TIME_SPAN_MILLISECOND) > 0) {
        n_wakeups++;
    }
    g_assert_cmpuint(n_wakeups, <=, 1);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

static void
test_a_deadline_holds_when_a_call_before_it_was_answered(void)
{
    for (unsigned shorter = 0; shorter < 2; shorter++) {
        Rig rig;

        rig_start(&rig);
        ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, shorter ? 60000 : 10);
        answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 0, 0);
        rig_run_until(rig.event, rig.n_done > 0);
        ask(&rig, 1, VRD_REQUEST_GET_QUEUE_NUM, 0, 30);
        rig_run_until(rig.event, rig.n_lost > 0);
        assert_failed(&rig, 1, VRD_ERROR_TIMEOUT,
                      "no answer to GET_QUEUE_NUM within 30 ms");
        rig_end(&rig);
    }
}

static void
test_a_lost_backend_is_told_to_every_call_and_then_to_the_owner(void)
{
    Rig rig;

    rig_start(&rig);
    for (unsigned i = 0; i < 3; i++) {
        ask(&rig, i, VRD_REQUEST_GET_FEATURES, 0, LONG);
    }
    answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 7, 0);
    vrd_fd_close(&rig.peer);
    ask(&rig, 3, VRD_REQUEST_GET_FEATURES, 0, LONG);
    rig_run_until(rig.event, rig.n_lost > 0);
    g_assert_cmpuint(rig.outcomes[0].value, ==, 7);
    for (unsigned i = 1; i < 4; i++) {
        assert_failed(&rig, i, VRD_ERROR_LOST, "connection closed by peer");
    }
    ask(&rig, 4, VRD_REQUEST_GET_FEATURES, 0, LONG);
    g_assert_cmpuint(rig.outcomes[4].n_done, ==, 0);
    rig_settle(rig.event);
    assert_failed(&rig, 4, VRD_ERROR_LOST, "connection closed by peer");
    g_assert_cmpuint(rig.n_lost, ==, 1);
    rig_end(&rig);
}

static void
test_free_tells_the_open_calls_only(void)
{
    Rig rig;

    rig_start(&rig);
    ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, LONG);
    ask(&rig, 1, VRD_REQUEST_GET_FEATURES, 0, LONG);
    g_clear_pointer(&rig.call, vrd_call_free);
    rig_settle(rig.event);
    assert_failed(&rig, 0, VRD_ERROR_LOST, "");
    assert_failed(&rig, 1, VRD_ERROR_LOST, "");
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

typedef enum { END_ANSWER, END_REFUSED, END_TIMEOUT, END_LOST, END_WRONG, N_ENDS } End;

static void
bring_end(Rig *rig, End end)
{
    switch (end) {
    case END_ANSWER:
    case END_REFUSED:
        answer(rig, VRD_REQUEST_SET_OWNER, REPLY, 8, end == END_REFUSED, 0);
        break;
    case END_LOST:
        vrd_fd_close(&rig->peer);
        break;
    case END_WRONG:
        answer(rig, VRD_REQUEST_SET_OWNER, REPLY, 4, 0, 0);
        break;
    case END_TIMEOUT:
    case N_ENDS:
        break;
    }
}

static void
test_done_may_free_the_call_or_send(void)
{
    for (unsigned send = 0; send < 2; send++) {
        for (End end = END_ANSWER; end < N_ENDS; end++) {
            unsigned n = send ? 3 : 2;
            Rig rig;

            rig_start(&rig);
            ask(&rig, 0, VRD_REQUEST_SET_OWNER, VRD_MESSAGE_NEED_REPLY,
                end == END_TIMEOUT ? 1 : LONG);
            ask(&rig, 1, VRD_REQUEST_GET_FEATURES, 0, LONG);
            rig.free_when_done = !send;
            rig.send_when_done = send;
            bring_end(&rig, end);
            rig_run_until(rig.event, rig.n_done > 0);
            if (send && end <= END_REFUSED) {
                answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 0, 0);
                answer(&rig, VRD_REQUEST_GET_FEATURES, REPLY, 8, 0, 0);
            }
            rig_run_until(rig.event, rig.n_done == n);
            rig_settle(rig.event);
            g_assert_cmpuint(rig.n_done, ==, n);
            g_assert_cmpuint(rig.n_lost, ==, send && end > END_REFUSED);
            rig_end(&rig);
        }
    }
}

static void
test_fail_ends_it_from_the_loop(void)
{
    g_autoptr(GError) reason = g_error_new(VRD_ERROR, VRD_ERROR_STATE, "swapped");
    Rig rig;

    rig_start(&rig);
    ask(&rig, 0, VRD_REQUEST_GET_FEATURES, 0, LONG);
    vrd_call_fail(rig.call, reason);
    g_assert_cmpuint(rig.n_done + rig.n_lost, ==, 0);
    rig_settle(rig.event);
    assert_failed(&rig, 0, VRD_ERROR_LOST, "swapped");
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_STATE);
    vrd_call_fail(rig.call, reason);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_lost, ==, 1);
    rig_end(&rig);
}

/* What shipped backends answer to SET_LOG_BASE: 0, 8 (not an ack) or 16 bytes. */
static void
test_a_log_reply_is_taken_in_all_its_sizes(void)
{
    static const uint32_t sizes[] = {0, 8, 16};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        VrdMessage message;
        Rig rig;

        rig_start(&rig);
        vrd_call_set_log_reply(rig.call, TRUE);
        vrd_message_init(&message, VRD_REQUEST_SET_LOG_BASE);
        message.size = 16;
        memset(message.payload, 0, 16);
        rig.outcomes[0].rig = &rig;
        vrd_call_send(rig.call, &message, LONG, on_done, &rig.outcomes[0]);
        answer(&rig, VRD_REQUEST_SET_LOG_BASE, REPLY, sizes[i], 4096, 0);
        rig_settle(rig.event);
        g_assert_cmpuint(rig.outcomes[0].n_done, ==, 1);
        g_assert_no_error(rig.outcomes[0].error);
        g_assert_cmpuint(rig.outcomes[0].size, ==, sizes[i]);
        rig_end(&rig);
    }
}

/* Without LOG_SHMFD it is acked like any other message. */
static void
test_a_log_ack_is_a_u64(void)
{
    static const uint32_t sizes[] = {0, 8, 16};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Rig rig;

        rig_start(&rig);
        ask(&rig, 0, VRD_REQUEST_SET_LOG_BASE, VRD_MESSAGE_NEED_REPLY, LONG);
        answer(&rig, VRD_REQUEST_SET_LOG_BASE, REPLY, sizes[i], 3, 0);
        rig_settle(rig.event);
        if (sizes[i] == 8) {
            assert_failed(&rig, 0, VRD_ERROR_REFUSED,
                          "backend refused SET_LOG_BASE with 3");
        } else {
            assert_failed(&rig, 0, VRD_ERROR_PROTOCOL, "SET_LOG_BASE");
        }
        rig_end(&rig);
    }
}

static void
test_a_request_without_answer_leaves_nothing_open(void)
{
    VrdMessage message;
    uint8_t bytes[VRD_MESSAGE_HEADER_BYTES];
    Rig rig;

    rig_start(&rig);
    vrd_message_init(&message, VRD_REQUEST_SET_OWNER);
    vrd_call_send(rig.call, &message, LONG, NULL, NULL);
    g_assert_cmpuint(rig_read(rig.peer, bytes, sizeof bytes), ==, 0);
    g_assert_cmpuint(vrd_call_waiting(rig.call, NULL), ==, 0);
    answer(&rig, VRD_REQUEST_SET_OWNER, REPLY, 8, 0, 0);
    rig_settle(rig.event);
    g_assert_error(rig.reason, VRD_ERROR, VRD_ERROR_PROTOCOL);
    rig_end(&rig);
}

#define ADD(test_) g_test_add_func("/link/call/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_answers_go_to_their_requests_in_order);
    ADD(test_a_refusal_keeps_the_connection);
    ADD(test_a_wrong_answer_ends_everything);
    ADD(test_an_answer_that_was_not_asked_ends_it);
    ADD(test_a_late_answer_ends_everything);
    ADD(test_a_deadline_counts_from_when_a_call_is_the_oldest);
    ADD(test_at_most_one_wakeup_is_left_when_all_is_answered);
    ADD(test_a_deadline_holds_when_a_call_before_it_was_answered);
    ADD(test_a_lost_backend_is_told_to_every_call_and_then_to_the_owner);
    ADD(test_free_tells_the_open_calls_only);
    ADD(test_done_may_free_the_call_or_send);
    ADD(test_fail_ends_it_from_the_loop);
    ADD(test_a_log_reply_is_taken_in_all_its_sizes);
    ADD(test_a_log_ack_is_a_u64);
    ADD(test_a_request_without_answer_leaves_nothing_open);
    return g_test_run();
}

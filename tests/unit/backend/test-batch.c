/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages one behind the other, with one outcome at the end. */
#include "backend/batch.h"

#include "../fake.h"

typedef struct {
    sd_event *event;
    VrdCall *call;
    VrdBatch batch;
    int socket;
    unsigned base_fds;
    gboolean is_building;
    unsigned n_done;
    unsigned n_lost;
    GError *error;
} Rig;

static void
on_lost(const GError *reason, gpointer user_data)
{
    Rig *rig = user_data;

    rig->n_lost++;
}

static void
on_done(const GError *error, gpointer user_data)
{
    Rig *rig = user_data;

    g_assert_false(rig->is_building);
    rig->n_done++;
    rig->error = error != NULL ? g_error_copy(error) : NULL;
}

static void
rig_start(Rig *rig, gboolean can_ack, unsigned timeout_ms)
{
    int ends[2];

    memset(rig, 0, sizeof *rig);
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig_pair(ends);
    rig->socket = ends[1];
    rig->call = vrd_call_new(rig->event, ends[0], VRD_CALL_FRONTEND, on_lost, rig, NULL);
    vrd_call_set_log_reply(rig->call, TRUE);
    rig->is_building = TRUE;
    vrd_batch_begin(&rig->batch, rig->call, can_ack, timeout_ms, on_done, rig);
}

static void
add(Rig *rig, VrdMessage message)
{
    vrd_batch_add(&rig->batch, &message);
}

static gboolean
end(Rig *rig)
{
    gboolean waits = vrd_batch_end(&rig->batch);

    rig->is_building = FALSE;
    return waits;
}

static void
rig_end(Rig *rig)
{
    vrd_call_free(rig->call);
    vrd_fd_close(&rig->socket);
    g_clear_error(&rig->error);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

/* The next message on the wire, and whether it asks for an ack. */
static void
expect(Rig *rig, uint32_t request, gboolean ack, VrdMessage *message)
{
    fake_expect(rig->event, rig->socket, request, message);
    g_assert_cmpint(vrd_message_needs_reply(message), ==, ack);
}

static void
test_empty_batch_is_over_at_once(void)
{
    Rig rig;

    rig_start(&rig, TRUE, 0);
    vrd_batch_wait(&rig.batch, 0);
    g_assert_true(rig.batch.is_empty);
    g_assert_false(end(&rig));
    fake_expect_nothing(rig.event, rig.socket);
    rig_end(&rig);
}

static void
test_nothing_is_asked_for_when_nobody_waits(void)
{
    VrdMessage message;
    Rig rig;

    rig_start(&rig, TRUE, 0);
    add(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, 0, 1));
    add(&rig, fake_u64(VRD_REQUEST_SET_STATUS, 0, 2));
    g_assert_false(end(&rig));
    expect(&rig, VRD_REQUEST_SET_FEATURES, FALSE, &message);
    expect(&rig, VRD_REQUEST_SET_STATUS, FALSE, &message);
    g_assert_cmpuint(vrd_payload_get_u64(&message), ==, 2);
    rig_end(&rig);
}

static void
test_last_message_alone_is_acked(void)
{
    VrdMessage message;
    Rig rig;

    rig_start(&rig, TRUE, 0);
    add(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, 0, 1));
    vrd_batch_wait(&rig.batch, 0);
    add(&rig, fake_u64(VRD_REQUEST_SET_STATUS, 0, 2));
    g_assert_true(end(&rig));
    expect(&rig, VRD_REQUEST_SET_FEATURES, FALSE, &message);
    expect(&rig, VRD_REQUEST_SET_STATUS, TRUE, &message);
    g_assert_cmpuint(rig.n_done, ==, 0);
    fake_answer_u64(rig.socket, &message, 0);
    rig_run_until(rig.event, rig.n_done == 1);
    g_assert_no_error(rig.error);
    rig_end(&rig);
}

static void
test_fence_stands_for_the_ack(void)
{
    VrdMessage message;
    Rig rig;

    rig_start(&rig, FALSE, 0);
    vrd_batch_wait(&rig.batch, 0);
    add(&rig, fake_u64(VRD_REQUEST_SET_STATUS, 0, 2));
    g_assert_true(end(&rig));
    expect(&rig, VRD_REQUEST_SET_STATUS, FALSE, &message);
    expect(&rig, VRD_REQUEST_GET_FEATURES, FALSE, &message);
    fake_answer_u64(rig.socket, &message, 0x123);
    rig_run_until(rig.event, rig.n_done == 1);
    g_assert_no_error(rig.error);
    rig_end(&rig);
}

static void
test_all_answers_make_one_outcome(void)
{
    VrdMessage message;
    Rig rig;
    int log;

    rig_start(&rig, TRUE, 0);
    log = fake_memfd(LOG_BYTES);
    vrd_batch_wait(&rig.batch, 0);
    add(&rig, fake_log(0, log));
    add(&rig, fake_u64(VRD_REQUEST_SET_STATUS, 0, 2));
    g_assert_true(end(&rig));
    close(log);
    expect(&rig, VRD_REQUEST_SET_LOG_BASE, FALSE, &message);
    fake_drop(&message);
    fake_answer_u64(rig.socket, &message, 0);
    expect(&rig, VRD_REQUEST_SET_STATUS, TRUE, &message);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_done, ==, 0);
    fake_answer_u64(rig.socket, &message, 1);
    rig_run_until(rig.event, rig.n_done == 1);
    g_assert_error(rig.error, VRD_ERROR, VRD_ERROR_REFUSED);
    g_assert_cmpuint(rig.n_lost, ==, 0);
    rig_end(&rig);
}

static void
test_loss_is_an_outcome(void)
{
    VrdMessage message = fake_u64(VRD_REQUEST_SET_STATUS, 0, 2);
    Rig rig;

    rig_start(&rig, TRUE, 0);
    vrd_batch_wait(&rig.batch, 0);
    add(&rig, message);
    g_assert_true(end(&rig));
    vrd_fd_close(&rig.socket);
    rig_run_until(rig.event, rig.n_lost == 1);
    g_assert_cmpuint(rig.n_done, ==, 1);
    g_assert_error(rig.error, VRD_ERROR, VRD_ERROR_LOST);
    rig_end(&rig);
}

static void
test_longest_deadline_counts(void)
{
    Rig rig;

    rig_start(&rig, TRUE, 1);
    vrd_batch_wait(&rig.batch, 30000);
    g_assert_cmpuint(rig.batch.timeout_ms, ==, 30000);
    vrd_batch_wait(&rig.batch, 5);
    g_assert_cmpuint(rig.batch.timeout_ms, ==, 30000);
    vrd_batch_wait(&rig.batch, VRD_CALL_NO_DEADLINE);
    g_assert_cmpuint(rig.batch.timeout_ms, ==, VRD_CALL_NO_DEADLINE);
    vrd_batch_wait(&rig.batch, 5);
    g_assert_cmpuint(rig.batch.timeout_ms, ==, VRD_CALL_NO_DEADLINE);
    end(&rig);
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/batch/" #name_, test_##name_)
    ADD(empty_batch_is_over_at_once);
    ADD(nothing_is_asked_for_when_nobody_waits);
    ADD(last_message_alone_is_acked);
    ADD(fence_stands_for_the_ack);
    ADD(all_answers_make_one_outcome);
    ADD(loss_is_an_outcome);
    ADD(longest_deadline_counts);
    return g_test_run();
}

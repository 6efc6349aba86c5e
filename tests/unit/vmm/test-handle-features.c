/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Features, protocol features and the owner, as a VMM sets them. */
#include "vmm-rig.h"

static void
test_offer_is_answered(void)
{
    Rig rig;

    rig_start(&rig);
    g_assert_cmphex(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_FEATURES, 0)), ==, FEATURES);
    g_assert_cmphex(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_PROTOCOL_FEATURES, 0)), ==,
                    OFFERED);
    tell(&rig, fake_u64(VRD_REQUEST_SET_PROTOCOL_FEATURES, 0, OFFERED));
    g_assert_cmpuint(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_QUEUE_NUM, 0)), ==, 2);
    g_assert_cmpuint(ask_u64(&rig, fake_empty(VRD_REQUEST_GET_MAX_MEM_SLOTS, 0)), ==, 32);
    g_assert_cmpuint(rig.n_effects, ==, 1);
    rig_end(&rig);
}

static void
test_what_was_not_offered_is_refused(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, P(REPLY_ACK));
    assert_refused(&rig,
                   fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, UINT64_C(1) << 40));
    assert_refused(&rig, fake_u64(VRD_REQUEST_SET_PROTOCOL_FEATURES, NEED_REPLY,
                                  P(REPLY_ACK) | P(PAGEFAULT)));
    g_assert_cmphex(rig.device->protocol_features, ==, P(REPLY_ACK));
    g_assert_false(rig.device->has_features);
    rig_end(&rig);
}

static void
test_started_rings_freeze_all_but_the_log(void)
{
    Rig rig;

    rig_start(&rig);
    start_device(&rig);
    assert_refused(&rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, F(VERSION_1)));
    assert_acked(&rig,
                 fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, FEATURES & ~F(LOG_ALL)));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_SYNC);
    rig_end(&rig);
}

/* A migration that is tried again need not send it again. */
static void
test_log_outlives_the_end_of_logging(void)
{
    Rig rig;
    unsigned n;

    rig_start(&rig);
    start_device(&rig);
    n = rig_count_fds();
    ask(&rig, fake_log(0, rig.guest));
    set_features(&rig, FEATURES & ~F(LOG_ALL));
    g_assert_false(vrd_device_is_logging(rig.device));
    g_assert_nonnull(rig.device->log);
    ask(&rig, fake_log(0, rig.guest)); /* a new one takes its place */
    g_assert_cmpuint(rig_count_fds(), ==, n + 1);
    rig_end(&rig);
}

static void
test_second_owner_begins_anew(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_features(&rig, FEATURES);
    assert_acked(&rig, fake_empty(VRD_REQUEST_SET_OWNER, NEED_REPLY));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_RESTART);
    rig_end(&rig);
}

static void
test_second_owner_is_refused_while_rings_are_started(void)
{
    Rig rig;

    rig_start(&rig);
    start_device(&rig);
    assert_refused(&rig, fake_empty(VRD_REQUEST_SET_OWNER, NEED_REPLY));
    g_assert_cmpuint(rig.n_effects, ==, 0);
    g_assert_cmpuint(vrd_device_n_started(rig.device), ==, 1);
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/handle-features/" #name_, test_##name_)
    ADD(offer_is_answered);
    ADD(what_was_not_offered_is_refused);
    ADD(started_rings_freeze_all_but_the_log);
    ADD(log_outlives_the_end_of_logging);
    ADD(second_owner_begins_anew);
    ADD(second_owner_is_refused_while_rings_are_started);
    return g_test_run();
}

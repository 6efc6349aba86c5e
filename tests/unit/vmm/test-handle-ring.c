/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rings, as a VMM sets them up, starts and stops them. */
#include "vmm-rig.h"

static const VrdRing *
ring(const Rig *rig, uint32_t index)
{
    const VrdRing *found = vrd_device_find_ring(rig->device, index);

    g_assert_nonnull(found);
    return found;
}

static uint32_t
ask_base(Rig *rig, uint32_t index)
{
    VrdMessage reply = ask(rig, fake_state(VRD_REQUEST_GET_VRING_BASE, 0, index, 0));
    VrdPayloadState state;

    vrd_payload_get_state(&reply, &state);
    g_assert_cmpuint(state.index, ==, index);
    return state.num;
}

static void
test_nothing_has_to_follow_before_the_kick(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_features(&rig, FEATURES);
    set_memory(&rig);
    rig.n_effects = 0;
    set_up_ring(&rig, 1);
    tell(&rig, fake_file(VRD_REQUEST_SET_VRING_ERR, 0, 1, rig.bell));
    g_assert_cmpuint(rig.n_effects, ==, 0);
    tell(&rig, kick(&rig, 1, 0));
    g_assert_cmpuint(rig.n_effects, ==, 1);
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_SYNC);
    g_assert_true(ring(&rig, 1)->started);
    g_assert_cmpint(rig.device->vmm_state, ==, VRD_VMM_RUNNING);
    rig_end(&rig);
}

/* Holds that a kick is refused and that nothing of it is left. */
static void
assert_kick_refused(Rig *rig)
{
    unsigned n = rig_count_fds();

    assert_refused(rig, kick(rig, 0, NEED_REPLY));
    g_assert_cmpuint(vrd_device_n_started(rig->device), ==, 0);
    g_assert_cmpuint(rig_count_fds(), ==, n);
    if (vrd_device_find_ring(rig->device, 0) != NULL) {
        g_assert_cmpint(ring(rig, 0)->files[VRD_RING_KICK].state, ==,
                        VRD_RING_FILE_NEVER);
    }
}

static void
test_kick_waits_for_all_that_a_ring_needs(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_kick_refused(&rig);
    set_features(&rig, FEATURES);
    assert_kick_refused(&rig);
    set_memory(&rig);
    assert_kick_refused(&rig);
    tell(&rig, fake_state(VRD_REQUEST_SET_VRING_NUM, 0, 0, RING_SIZE));
    assert_kick_refused(&rig);
    rig.n_effects = 0;
    tell(&rig, fake_addr(0, 0, 0));
    assert_acked(&rig, kick(&rig, 0, NEED_REPLY));
    g_assert_cmpuint(vrd_device_n_started(rig.device), ==, 1);
    g_assert_cmpuint(rig.n_effects, ==, 1);
    rig_end(&rig);
}

static void
test_wrong_descriptor_changes_nothing(void)
{
    static const uint32_t requests[] = {VRD_REQUEST_SET_VRING_KICK,
                                        VRD_REQUEST_SET_VRING_CALL,
                                        VRD_REQUEST_SET_VRING_ERR};
    uint64_t serials[VRD_RING_N_FILES];
    Rig rig;
    unsigned n;

    rig_start(&rig);
    start_device(&rig);
    tell(&rig, fake_file(VRD_REQUEST_SET_VRING_ERR, 0, 0, rig.bell));
    n = rig_count_fds();
    rig.n_effects = 0;
    for (unsigned i = 0; i < VRD_RING_N_FILES; i++) {
        serials[i] = ring(&rig, 0)->files[i].serial;
        assert_refused(&rig, fake_file(requests[i], NEED_REPLY, 0, rig.guest));
        assert_refused(&rig, fake_file(requests[i], NEED_REPLY, 0, rig.socket));
    }
    for (unsigned i = 0; i < VRD_RING_N_FILES; i++) {
        g_assert_cmpuint(ring(&rig, 0)->files[i].serial, ==, serials[i]);
    }
    g_assert_true(ring(&rig, 0)->started);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    g_assert_cmpuint(rig_count_fds(), ==, n);
    rig_end(&rig);
}

static void
test_wrong_kick_descriptor_starts_nothing(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_features(&rig, FEATURES);
    set_memory(&rig);
    set_up_ring(&rig, 0);
    rig.n_effects = 0;
    assert_refused(&rig, fake_file(VRD_REQUEST_SET_VRING_KICK, NEED_REPLY, 0, rig.guest));
    g_assert_cmpuint(vrd_device_n_started(rig.device), ==, 0);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    rig_end(&rig);
}

static void
test_index_over_the_offer_is_refused(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_NUM, NEED_REPLY, 4, 16));
    assert_refused(&rig,
                   fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, UINT32_MAX, 1));
    assert_refused(&rig, fake_file(VRD_REQUEST_SET_VRING_CALL, NEED_REPLY, 255, -1));
    g_assert_cmpuint(rig.device->n_rings, ==, 0);
    assert_closes(&rig, fake_addr(0, 4, 0), "ring index 4");
    rig_end(&rig);
}

static void
test_values_out_of_range_are_refused(void)
{
    VrdPayloadAddr addr;
    VrdMessage far;
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_memory(&rig);
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_NUM, NEED_REPLY, 0, 0));
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_NUM, NEED_REPLY, 0, 65536));
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_BASE, NEED_REPLY, 0, 65536));
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 0, 2));
    tell(&rig, fake_state(VRD_REQUEST_SET_VRING_NUM, 0, 0, RING_SIZE));
    assert_refused(&rig, fake_addr(NEED_REPLY, 0, 2));
    /* behind the end of memory */
    tell(&rig, fake_state(VRD_REQUEST_SET_VRING_NUM, 0, 3, RING_SIZE));
    far = fake_addr(NEED_REPLY, 3, 0);
    vrd_payload_get_addr(&far, &addr);
    addr.used = GUEST_USER + GUEST_BYTES;
    vrd_payload_put_addr(&far, &addr);
    assert_refused(&rig, far);
    g_assert_false(ring(&rig, 3)->has_addr);
    rig_end(&rig);
}

static void
test_enable_before_features_is_kept(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    assert_acked(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 0, 1));
    assert_acked(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 1, 0));
    g_assert_cmpuint(rig.n_effects, ==, 0);
    set_features(&rig, FEATURES);
    g_assert_true(ring(&rig, 0)->enabled);
    g_assert_false(ring(&rig, 1)->enabled);
    rig_end(&rig);
}

static void
test_enable_passes_on_only_a_change_of_a_started_ring(void)
{
    Rig rig;

    rig_start(&rig);
    start_device(&rig);
    assert_acked(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 0, 0));
    g_assert_cmpuint(rig.n_effects, ==, 0);
    assert_acked(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 0, 1));
    g_assert_cmpuint(rig.n_effects, ==, 1);
    assert_acked(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 0, 1));
    g_assert_cmpuint(rig.n_effects, ==, 1);
    rig_end(&rig);
}

static void
test_enable_without_bit_30_is_refused(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    set_features(&rig, F(VERSION_1));
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, 0, 1));
    rig_end(&rig);
}

static void
test_changes_of_a_started_ring_have_to_follow(void)
{
    Rig rig;

    rig_start(&rig);
    start_device(&rig);
    assert_acked(&rig, fake_file(VRD_REQUEST_SET_VRING_CALL, NEED_REPLY, 0, -1));
    g_assert_cmpuint(rig.n_effects, ==, 1);
    assert_acked(&rig, fake_addr(NEED_REPLY, 0, 1));
    g_assert_cmpuint(rig.n_effects, ==, 2);
    assert_acked(&rig, kick(&rig, 0, NEED_REPLY));
    g_assert_cmpuint(rig.n_effects, ==, 3);
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_NUM, NEED_REPLY, 0, 8));
    assert_refused(&rig, fake_state(VRD_REQUEST_SET_VRING_BASE, NEED_REPLY, 0, 8));
    g_assert_cmpuint(ring(&rig, 0)->size, ==, RING_SIZE);
    rig_end(&rig);
}

static void
test_base_of_a_ring_never_started_is_the_one_set(void)
{
    Rig rig;

    rig_start(&rig);
    greet(&rig, OFFERED);
    g_assert_cmpuint(ask_base(&rig, 3), ==, 0);
    tell(&rig, fake_state(VRD_REQUEST_SET_VRING_BASE, 0, 3, 77));
    g_assert_cmpuint(ask_base(&rig, 3), ==, 77);
    g_assert_cmpuint(rig.n_effects, ==, 0);
    rig_end(&rig);
}

static void
test_base_of_a_started_ring_stops_it(void)
{
    VrdPayloadState state = {.num = 9};
    VrdMessage reply;
    Rig rig;

    rig_start(&rig);
    start_device(&rig);
    rig.waits = TRUE;
    tell(&rig, fake_state(VRD_REQUEST_GET_VRING_BASE, 0, 0, 0));
    g_assert_cmpint(rig.kind, ==, VRD_EFFECT_RING_STOP);
    g_assert_cmpuint(rig.ring, ==, 0);
    g_assert_true(rig.effect_waits);
    vrd_message_init(&reply, VRD_REQUEST_GET_VRING_BASE);
    vrd_payload_put_state(&reply, &state);
    vrd_vmm_link_finish_reply(rig.link, &reply);
    fake_expect(rig.event, rig.socket, VRD_REQUEST_GET_VRING_BASE, &reply);
    vrd_payload_get_state(&reply, &state);
    g_assert_cmpuint(state.num, ==, 9);
    rig_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/handle-ring/" #name_, test_##name_)
    ADD(nothing_has_to_follow_before_the_kick);
    ADD(kick_waits_for_all_that_a_ring_needs);
    ADD(wrong_descriptor_changes_nothing);
    ADD(wrong_kick_descriptor_starts_nothing);
    ADD(index_over_the_offer_is_refused);
    ADD(values_out_of_range_are_refused);
    ADD(enable_before_features_is_kept);
    ADD(enable_passes_on_only_a_change_of_a_started_ring);
    ADD(enable_without_bit_30_is_refused);
    ADD(changes_of_a_started_ring_have_to_follow);
    ADD(base_of_a_ring_never_started_is_the_one_set);
    ADD(base_of_a_started_ring_stops_it);
    return g_test_run();
}

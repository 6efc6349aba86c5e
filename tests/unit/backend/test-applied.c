/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a backend has been told. */
#include "backend/applied.h"

static void
test_rings_are_made_when_they_are_asked_for(void)
{
    VrdApplied applied = {0};

    vrd_applied_ring(&applied, 3)->started = TRUE;
    g_assert_cmpuint(applied.n_rings, ==, 4);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_false(vrd_applied_ring(&applied, i)->started);
    }
    g_assert_true(vrd_applied_ring(&applied, 3)->started);
    vrd_applied_ring(&applied, VRD_DEVICE_RINGS_MAX - 1)->enabled = TRUE;
    g_assert_true(vrd_applied_ring(&applied, 3)->started);
    vrd_applied_clear(&applied);
    g_assert_cmpuint(applied.n_rings, ==, 0);
}

static void
test_reset_keeps_owner_memory_and_protocol(void)
{
    VrdApplied applied = {.has_owner = TRUE,
                          .has_features = TRUE,
                          .protocol_features = 7,
                          .inflight_serial = 5,
                          .status = 15,
                          .memory = vrd_memtable_new()};

    vrd_applied_ring(&applied, 0)->started = TRUE;
    vrd_applied_reset(&applied);
    g_assert_true(applied.has_owner);
    g_assert_nonnull(applied.memory);
    g_assert_cmphex(applied.protocol_features, ==, 7);
    g_assert_false(applied.has_features);
    g_assert_cmpuint(applied.inflight_serial, ==, 0);
    g_assert_cmpuint(applied.status, ==, 0);
    g_assert_cmpuint(applied.n_rings, ==, 0);
    vrd_applied_clear(&applied);
    g_assert_null(applied.memory);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/applied/" #name_, test_##name_)
    ADD(rings_are_made_when_they_are_asked_for);
    ADD(reset_keeps_owner_memory_and_protocol);
    return g_test_run();
}

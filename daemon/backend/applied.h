/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "model/device.h"

/*
 * What a backend has been told on its present connection: the mirror that the model is
 * compared with.
 */
typedef struct {
    gboolean started;
    gboolean enabled;    /* value of the last SET_VRING_ENABLE */
    VrdPayloadAddr addr; /* of a started ring */
    uint64_t serials[VRD_RING_N_FILES];
} VrdAppliedRing;

typedef struct {
    gboolean has_owner;
    gboolean has_features;
    uint64_t features;
    uint64_t protocol_features;
    VrdMemtable *memory; /* (owned, nullable) */
    VrdDirtylog *log;    /* (owned, nullable) */
    uint64_t inflight_serial;
    gboolean has_mtu;
    uint64_t mtu;
    uint64_t status;
    VrdAppliedRing *rings; /* (owned) */
    unsigned n_rings;
} VrdApplied;

void vrd_applied_clear(VrdApplied *applied);
/* (borrowed, until the next call) made if it is not there */
VrdAppliedRing *vrd_applied_ring(VrdApplied *applied, uint32_t index);
gboolean vrd_applied_is_started(const VrdApplied *applied); /* a ring of it is */
/* After RESET_DEVICE: rings, features, in-flight region and status are forgotten. */
void vrd_applied_reset(VrdApplied *applied);

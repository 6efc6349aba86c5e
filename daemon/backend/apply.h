/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backend/applied.h"
#include "backend/batch.h"
#include "model/device.h"

/*
 * The difference between the model and what a backend has been told, as messages.
 */
typedef struct {
    VrdDevice *device;   /* what is wanted */
    VrdApplied *applied; /* what the backend has; brought up to date */
    VrdBatch *batch;     /* where the messages go */
    unsigned memory_ms;  /* deadline of a memory table */
    int channel_fd;      /* (borrowed) backend's end of the channel, -1: none */
    gboolean has_rarp;
    uint64_t rarp;
    GError *error; /* (out) something cannot be said to this backend */
} VrdApply;

/* What we ack to a backend when the VMM has acked what the model says. */
uint64_t vrd_apply_protocol_features(const VrdDevice *device);

/*
 * All differences in the order that back-ends need. Clears .channel_fd and .has_rarp
 * when they were told. Returns FALSE with apply->error set (VRD_ERROR_UNSUPPORTED).
 */
gboolean vrd_apply_all(VrdApply *apply);

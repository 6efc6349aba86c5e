/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "wire/payload.h"

/* The region that tracks requests in flight (spec "Inflight I/O tracking"). */
typedef struct {
    int fd; /* (owned) -1: there is none */
    VrdPayloadInflight geometry;
    uint64_t serial; /* another one at each vrd_inflight_set() */
} VrdInflight;

void vrd_inflight_init(VrdInflight *inflight);
void vrd_inflight_clear(VrdInflight *inflight);

/* Bytes that a region of this geometry needs at least. */
uint64_t vrd_inflight_bytes(uint16_t n_queues, uint16_t queue_size, gboolean packed);

/*
 * vrd_inflight_check - is @geometry sound, and does the file of @fd hold it?
 * @fd: (borrowed) or -1 to check the geometry only
 * Errors: VRD_ERROR_PROTOCOL with the numbers.
 */
gboolean vrd_inflight_check(int fd, const VrdPayloadInflight *geometry, gboolean packed,
                            unsigned n_rings, GError **error);
/* @fd: (owned) */
void vrd_inflight_set(VrdInflight *inflight, int fd, const VrdPayloadInflight *geometry);

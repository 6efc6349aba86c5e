/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "wire/feature.h"

/*
 * What one side offers the other: feature sets, queue number, memory slots. There is the
 * offer of the backend and, made from it, the one to the VMM: what the backend can, minus
 * what is masked, plus what vringd does itself.
 */
typedef struct {
    uint64_t features;
    uint64_t protocol_features;
    uint64_t
        n_queues; /* as GET_QUEUE_NUM says it (rings, or pairs for some); 0: unknown */
    uint64_t n_mem_slots; /* as GET_MAX_MEM_SLOTS says it; 0: unknown */
} VrdOffer;

/*
 * vrd_offer_to_vmm - what a VMM is offered in front of this backend
 * @hidden, @hidden_protocol: bits that the settings take away
 * @n_queues_max: rings at most
 * @n_slots_min: never less memory slots than this were answered before; 0: never answered
 */
VrdOffer vrd_offer_to_vmm(const VrdOffer *backend, VrdKind kind, uint64_t hidden,
                          uint64_t hidden_protocol, uint32_t n_queues_max,
                          uint64_t n_slots_min);

/*
 * vrd_offer_covers - can this backend stand in for what a VMM has been promised?
 * @features, @protocol_features: what the VMM acked
 *
 * Returns: TRUE, or FALSE with @error set (VRD_ERROR_UNSUPPORTED) naming the missing
 * bits.
 */
gboolean vrd_offer_covers(const VrdOffer *backend, VrdKind kind, uint64_t features,
                          uint64_t protocol_features, unsigned n_rings, GError **error);

/* Ring indices below this are legal for a device with this offer. */
unsigned vrd_offer_n_rings(const VrdOffer *offer, VrdKind kind, uint32_t n_queues_max);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Offers. What a VMM was offered once must stay true over every backend that comes later:
 * so nothing is offered that vringd could not do itself or ask of each of them.
 */
#include "model/offer.h"

#include <inttypes.h>

#include "base/error.h"

#define BIT(name_)        VRD_FEATURE_BIT(VRD_PROTOCOL_F_##name_)
#define LOG_ALL           VRD_FEATURE_BIT(VRD_VIRTIO_F_LOG_ALL)
#define PROTOCOL_FEATURES VRD_FEATURE_BIT(VRD_VIRTIO_F_PROTOCOL_FEATURES)
#define RINGS_MAX         256u
#define CLASSIC_SLOTS     8u   /* regions that SET_MEM_TABLE can carry */
#define SLOTS_MAX         509u /* what the common backend libraries can hold */

/* Done by vringd itself, whatever the backend can. */
#define EMULATED (BIT(REPLY_ACK) | BIT(CONFIGURE_MEM_SLOTS) | BIT(RESET_DEVICE))

/* A backend without bit 30 has no protocol features, whatever the numbers say. */
static uint64_t
protocol_features_of(const VrdOffer *offer)
{
    return (offer->features & PROTOCOL_FEATURES) != 0 ? offer->protocol_features : 0;
}

static gboolean
has(uint64_t features, uint64_t bits)
{
    return (features & bits) == bits;
}

static uint32_t
rings_limit(uint32_t n_queues_max)
{
    return n_queues_max == 0 ? RINGS_MAX : MIN(n_queues_max, RINGS_MAX);
}

static uint64_t
protocol_features_to_vmm(uint64_t backend, uint64_t hidden, gboolean can_log)
{
    uint64_t features = backend & vrd_feature_protocol_vmm_mask() & ~hidden;

    features &= ~BIT(LOG_SHMFD);
    if (can_log) {
        features |= BIT(LOG_SHMFD);
    }
    features |= (BIT(CONFIGURE_MEM_SLOTS) | BIT(RESET_DEVICE)) & ~hidden;
    /* Without it nobody could tell when a backend has let go of memory: not to be hidden.
     */
    features |= BIT(REPLY_ACK);
    if (!has(features, BIT(BACKEND_REQ))) {
        features &= ~(BIT(BACKEND_SEND_FD) | BIT(HOST_NOTIFIER));
    }
    if (!has(features, BIT(INFLIGHT_SHMFD))) {
        features &= ~BIT(GET_VRING_BASE_INFLIGHT);
    }
    return features;
}

static uint64_t
queues_to_vmm(uint64_t backend, VrdKind kind, uint32_t n_queues_max)
{
    uint64_t limit = rings_limit(n_queues_max);

    if (kind == VRD_KIND_NET) {
        limit = MAX(limit / 2, 1); /* counted in pairs */
    }
    /* Unknown: a profile may leave it open, the backend is held against it later. */
    return backend == 0 ? limit : MIN(backend, limit);
}

static uint64_t
slots_to_vmm(const VrdOffer *backend, uint64_t n_slots_min)
{
    uint64_t n_slots = CLASSIC_SLOTS;

    if (has(protocol_features_of(backend), BIT(CONFIGURE_MEM_SLOTS)) &&
        backend->n_mem_slots != 0) {
        n_slots = MIN(backend->n_mem_slots, SLOTS_MAX);
    }
    /* A VMM fails the device when the number shrinks. */
    return MAX(n_slots, n_slots_min);
}

VrdOffer
vrd_offer_to_vmm(const VrdOffer *backend, VrdKind kind, uint64_t hidden,
                 uint64_t hidden_protocol, uint32_t n_queues_max, uint64_t n_slots_min)
{
    uint64_t backend_protocol = protocol_features_of(backend);
    gboolean can_log = has(backend->features & ~hidden, LOG_ALL) &&
                       has(backend_protocol & ~hidden_protocol, BIT(LOG_SHMFD));
    VrdOffer offer = {0};

    offer.features = backend->features & vrd_feature_virtio_mask(kind) & ~hidden;
    offer.features &= ~LOG_ALL;
    if (can_log) {
        offer.features |= LOG_ALL;
    }
    offer.features |= PROTOCOL_FEATURES;
    offer.protocol_features = protocol_features_to_vmm(backend_protocol, hidden_protocol,
                                                       can_log);
    if (has(offer.protocol_features, BIT(MQ))) {
        offer.n_queues = queues_to_vmm(backend->n_queues, kind, n_queues_max);
    }
    offer.n_mem_slots = slots_to_vmm(backend, n_slots_min);
    return offer;
}

static void
set_missing(GError **error, const char *what, uint64_t missing, char **names)
{
    g_autofree char *joined = g_strjoinv(" ", names);

    g_set_error(error, VRD_ERROR, VRD_ERROR_UNSUPPORTED,
                "the backend lacks %s 0x%" PRIx64 " that the VMM uses: %s", what, missing,
                joined);
}

gboolean
vrd_offer_covers(const VrdOffer *backend, VrdKind kind, uint64_t features,
                 uint64_t protocol_features, unsigned n_rings, GError **error)
{
    uint64_t missing = features & ~backend->features & ~PROTOCOL_FEATURES;
    uint64_t missing_protocol = protocol_features & ~protocol_features_of(backend) &
                                ~EMULATED;
    unsigned n_rings_backend = vrd_offer_n_rings(backend, kind, RINGS_MAX);

    if (missing != 0) {
        g_auto(GStrv) names = vrd_feature_virtio_names(kind, missing);

        set_missing(error, "features", missing, names);
        return FALSE;
    }
    if (missing_protocol != 0) {
        g_auto(GStrv) names = vrd_feature_protocol_names(missing_protocol);

        set_missing(error, "protocol features", missing_protocol, names);
        return FALSE;
    }
    if (n_rings > n_rings_backend) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_UNSUPPORTED,
                    "the backend has %u rings, the VMM uses %u", n_rings_backend,
                    n_rings);
        return FALSE;
    }
    return TRUE;
}

unsigned
vrd_offer_n_rings(const VrdOffer *offer, VrdKind kind, uint32_t n_queues_max)
{
    unsigned limit = rings_limit(n_queues_max);

    if (!has(protocol_features_of(offer), BIT(MQ)) || offer->n_queues == 0) {
        return limit;
    }
    switch (kind) {
    case VRD_KIND_NET:
        return (unsigned) (MIN(offer->n_queues, RINGS_MAX / 2) * 2);
    case VRD_KIND_BLK:
    case VRD_KIND_FS:
        return (unsigned) MIN(offer->n_queues, RINGS_MAX);
    case VRD_KIND_SCSI:    /* some count the two fixed rings, some do not */
    case VRD_KIND_GENERIC: /* the unit is the device's */
    case VRD_N_KINDS:
        return limit;
    }
    return limit;
}

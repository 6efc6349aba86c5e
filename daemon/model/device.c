/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One device. All that a VMM set lives from vrd_device_begin_vmm() to
 * vrd_device_end_vmm(); names, settings, the backend's offer, the config space and the
 * counters outlive it.
 */
#include "model/device.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "model/vm.h"

#define LOG_ALL           VRD_FEATURE_BIT(VRD_VIRTIO_F_LOG_ALL)
#define PROTOCOL_FEATURES VRD_FEATURE_BIT(VRD_VIRTIO_F_PROTOCOL_FEATURES)
#define RING_PACKED       VRD_FEATURE_BIT(VRD_VIRTIO_F_RING_PACKED)

#define ALL_ASPECTS                                                                      \
    (VRD_DEVICE_LINKS | VRD_DEVICE_FEATURES | VRD_DEVICE_RINGS | VRD_DEVICE_MEMORY |     \
     VRD_DEVICE_LOG)

const char *
vrd_device_vmm_state_name(VrdVmmState state)
{
    switch (state) {
    case VRD_VMM_IDLE:
        return "idle";
    case VRD_VMM_HANDSHAKE:
        return "handshake";
    case VRD_VMM_RUNNING:
        return "running";
    case VRD_VMM_STOPPED:
        return "stopped";
    }
    return "unknown";
}

const char *
vrd_device_backend_state_name(VrdBackendState state)
{
    switch (state) {
    case VRD_BACKEND_DOWN:
        return "down";
    case VRD_BACKEND_CONNECTING:
        return "connecting";
    case VRD_BACKEND_NEGOTIATING:
        return "negotiating";
    case VRD_BACKEND_REPLAYING:
        return "replaying";
    case VRD_BACKEND_LIVE:
        return "live";
    case VRD_BACKEND_DRAINING:
        return "draining";
    case VRD_BACKEND_HELD:
        return "held";
    case VRD_BACKEND_QUARANTINED:
        return "quarantined";
    }
    return "unknown";
}

VrdDevice *
vrd_device_new(VrdVm *vm, const char *name, const char *id, VrdKind kind)
{
    VrdDevice *device = g_new0(VrdDevice, 1);

    device->name = g_strdup(name);
    device->id = g_strdup(id);
    device->kind = kind;
    device->vm = vrd_vm_ref(vm);
    device->n_queues_max = VRD_DEVICE_RINGS_MAX;
    device->vmm_since_us = vrd_clock_now_us();
    device->backend_since_us = device->vmm_since_us;
    vrd_inflight_init(&device->inflight);
    g_ptr_array_add(vm->devices, device);
    return device;
}

/* Back to a device that no VMM has spoken to; nothing of one may reach the next. */
static void
forget_vmm(VrdDevice *device)
{
    for (unsigned i = 0; i < device->n_rings; i++) {
        vrd_ring_clear(&device->rings[i]);
    }
    g_clear_pointer(&device->rings, g_free);
    device->n_rings = 0;
    g_clear_pointer(&device->memory, vrd_memtable_unref);
    device->memory_changed_us = 0;
    g_clear_pointer(&device->repeats, g_array_unref);
    g_clear_pointer(&device->log, vrd_dirtylog_unref);
    vrd_inflight_clear(&device->inflight);
    device->has_features = FALSE;
    device->features = 0;
    device->has_protocol_features = FALSE;
    device->protocol_features = 0;
    device->has_owner = FALSE;
    device->is_owner_implied = FALSE;
    device->status = 0;
    device->has_mtu = FALSE;
    device->mtu = 0;
    g_clear_pointer(&device->vmm_peer, g_free);
}

void
vrd_device_free(VrdDevice *device)
{
    if (device == NULL) {
        return;
    }
    forget_vmm(device);
    g_ptr_array_remove(device->vm->devices, device);
    vrd_vm_unref(device->vm);
    g_free(device->name);
    g_free(device->id);
    g_free(device->vmm_reason);
    g_free(device->backend_peer);
    g_free(device->backend_reason);
    g_free(device);
}

void
vrd_device_touch(VrdDevice *device, unsigned aspects)
{
    const VrdVm *vm = device->vm;

    if (vm->observer != NULL && vm->observer->changed != NULL) {
        vm->observer->changed(device, aspects, vm->observer_data);
    }
}

static void
set_vmm_state(VrdDevice *device, VrdVmmState state)
{
    if (device->vmm_state != state) {
        device->vmm_state = state;
        device->vmm_since_us = vrd_clock_now_us();
        vrd_device_touch(device, VRD_DEVICE_LINKS);
    }
}

void
vrd_device_begin_vmm(VrdDevice *device, const char *peer)
{
    g_return_if_fail(device->has_offer);

    forget_vmm(device);
    device->vmm_peer = g_strdup(peer);
    device->vmm_generation++;
    device->offer = vrd_offer_to_vmm(
        &device->backend_offer, device->kind, device->hidden_features,
        device->hidden_protocol_features, device->n_queues_max, device->n_slots_answered);
    device->n_slots_answered = MAX(device->n_slots_answered, device->offer.n_mem_slots);
    device->vmm_state = VRD_VMM_HANDSHAKE;
    device->vmm_since_us = vrd_clock_now_us();
    vrd_device_touch(device, ALL_ASPECTS);
}

void
vrd_device_end_vmm(VrdDevice *device, const char *reason)
{
    forget_vmm(device);
    g_free(device->vmm_reason);
    device->vmm_reason = g_strdup(reason);
    device->vmm_state = VRD_VMM_IDLE;
    device->vmm_since_us = vrd_clock_now_us();
    vrd_device_touch(device, ALL_ASPECTS);
}

void
vrd_device_restart_vmm(VrdDevice *device)
{
    gboolean has_protocol_features = device->has_protocol_features;
    uint64_t protocol_features = device->protocol_features;
    g_autofree char *peer = g_steal_pointer(&device->vmm_peer);

    forget_vmm(device);
    device->vmm_peer = g_steal_pointer(&peer);
    device->has_protocol_features = has_protocol_features;
    device->protocol_features = protocol_features;
    device->has_owner = TRUE;
    device->vmm_state = VRD_VMM_HANDSHAKE;
    device->vmm_since_us = vrd_clock_now_us();
    vrd_device_touch(device, ALL_ASPECTS);
}

void
vrd_device_reset(VrdDevice *device)
{
    for (unsigned i = 0; i < device->n_rings; i++) {
        VrdRing *ring = &device->rings[i];

        if (ring->started) {
            vrd_ring_stop(ring, ring->base);
        }
        vrd_ring_set_enabled(ring, FALSE);
    }
    vrd_inflight_clear(&device->inflight);
    device->status = 0;
    vrd_device_update_vmm_state(device);
    vrd_device_touch(device, VRD_DEVICE_RINGS | VRD_DEVICE_FEATURES);
}

/* Was there a backend that had begun to work for the device? */
static gboolean
is_a_loss(VrdBackendState from, VrdBackendState to)
{
    if (to != VRD_BACKEND_DOWN) {
        return FALSE;
    }
    switch (from) {
    case VRD_BACKEND_NEGOTIATING:
    case VRD_BACKEND_REPLAYING:
    case VRD_BACKEND_LIVE:
    case VRD_BACKEND_DRAINING:
        return TRUE;
    case VRD_BACKEND_DOWN:
    case VRD_BACKEND_CONNECTING:
    case VRD_BACKEND_HELD:
    case VRD_BACKEND_QUARANTINED:
        return FALSE;
    }
    return FALSE;
}

void
vrd_device_set_backend_state(VrdDevice *device, VrdBackendState state, const char *reason)
{
    gboolean changed = device->backend_state != state;

    if (changed) {
        device->backend_n_lost += is_a_loss(device->backend_state, state) ? 1 : 0;
        device->backend_state = state;
        device->backend_since_us = vrd_clock_now_us();
    }
    /* No reason leaves the last one: a live device still shows why the former was lost.
     */
    if (reason != NULL && g_strcmp0(device->backend_reason, reason) != 0) {
        char *copy = g_strdup(reason);

        g_free(device->backend_reason);
        device->backend_reason = copy;
        changed = TRUE;
    }
    if (changed) {
        vrd_device_touch(device, VRD_DEVICE_LINKS);
    }
}

void
vrd_device_update_vmm_state(VrdDevice *device)
{
    gboolean running = vrd_device_n_started(device) > 0;

    switch (device->vmm_state) {
    case VRD_VMM_IDLE:
        return;
    case VRD_VMM_HANDSHAKE:
        set_vmm_state(device, running ? VRD_VMM_RUNNING : VRD_VMM_HANDSHAKE);
        return;
    case VRD_VMM_RUNNING:
    case VRD_VMM_STOPPED:
        set_vmm_state(device, running ? VRD_VMM_RUNNING : VRD_VMM_STOPPED);
        return;
    }
}

/* @names: (owned) of the bits that were not offered */
static void
set_not_offered(GError **error, const char *message, uint64_t bits, char **names)
{
    g_autofree char *joined = g_strjoinv(" ", names);

    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                "%s: bits 0x%" PRIx64 " were not offered: %s", message, bits, joined);
    g_strfreev(names);
}

static void
set_changed_while_started(GError **error, const VrdDevice *device, const char *message,
                          uint64_t bits, char **names)
{
    g_autofree char *joined = g_strjoinv(" ", names);

    g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                "%s: bits 0x%" PRIx64 " change while %u rings are started: %s", message,
                bits, vrd_device_n_started(device), joined);
    g_strfreev(names);
}

gboolean
vrd_device_set_features(VrdDevice *device, uint64_t features, GError **error)
{
    uint64_t unknown = features & ~device->offer.features;
    uint64_t changed = (features ^ device->features) & ~LOG_ALL;

    if (unknown != 0) {
        set_not_offered(error, "SET_FEATURES", unknown,
                        vrd_feature_virtio_names(device->kind, unknown));
        return FALSE;
    }
    if (changed != 0 && vrd_device_n_started(device) > 0) {
        set_changed_while_started(error, device, "SET_FEATURES", changed,
                                  vrd_feature_virtio_names(device->kind, changed));
        return FALSE;
    }
    if (!device->has_features || device->features != features) {
        unsigned log = ((features ^ device->features) & LOG_ALL) != 0 ? VRD_DEVICE_LOG
                                                                      : 0;

        device->has_features = TRUE;
        device->features = features;
        vrd_device_touch(device, VRD_DEVICE_FEATURES | log);
    }
    return TRUE;
}

gboolean
vrd_device_set_protocol_features(VrdDevice *device, uint64_t features, GError **error)
{
    uint64_t unknown = features & ~device->offer.protocol_features;
    uint64_t changed = features ^ device->protocol_features;

    if (unknown != 0) {
        set_not_offered(error, "SET_PROTOCOL_FEATURES", unknown,
                        vrd_feature_protocol_names(unknown));
        return FALSE;
    }
    if (changed != 0 && vrd_device_n_started(device) > 0) {
        set_changed_while_started(error, device, "SET_PROTOCOL_FEATURES", changed,
                                  vrd_feature_protocol_names(changed));
        return FALSE;
    }
    if (!device->has_protocol_features || changed != 0) {
        device->has_protocol_features = TRUE;
        device->protocol_features = features;
        vrd_device_touch(device, VRD_DEVICE_FEATURES);
    }
    return TRUE;
}

void
vrd_device_set_memory(VrdDevice *device, VrdMemtable *table)
{
    VrdMemtable *old = device->memory;

    device->memory = table;
    device->memory_changed_us = vrd_clock_now_us();
    for (unsigned i = 0; i < device->n_rings; i++) {
        vrd_ring_remap(&device->rings[i], vrd_device_is_packed(device), table);
    }
    vrd_memtable_unref(old);
    vrd_device_touch(device, VRD_DEVICE_MEMORY | VRD_DEVICE_RINGS);
}

static gboolean
is_region(const VrdPayloadRegion *a, const VrdPayloadRegion *b)
{
    return a->guest_addr == b->guest_addr && a->user_addr == b->user_addr &&
           a->size == b->size;
}

gboolean
vrd_device_repeat_region(VrdDevice *device, const VrdPayloadRegion *region)
{
    const VrdMemtable *table = device->memory;

    for (unsigned i = 0; table != NULL && i < vrd_memtable_n_regions(table); i++) {
        const VrdMemregion *there = vrd_memtable_region(table, i);

        if (there->guest_addr == region->guest_addr && there->size == region->size &&
            there->user_addr == region->user_addr &&
            there->mmap_offset == region->mmap_offset) {
            if (device->repeats == NULL) {
                device->repeats = g_array_new(FALSE, FALSE, sizeof(VrdPayloadRegion));
            }
            /* As many as the pairs of the largest device could make of a full table. */
            if (device->repeats->len >=
                VRD_MEMTABLE_SLOTS_MAX * VRD_DEVICE_RINGS_MAX / 2) {
                return FALSE;
            }
            g_array_append_val(device->repeats, *region);
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
vrd_device_unrepeat_region(VrdDevice *device, const VrdPayloadRegion *region)
{
    for (unsigned i = 0; device->repeats != NULL && i < device->repeats->len; i++) {
        if (is_region(&g_array_index(device->repeats, VrdPayloadRegion, i), region)) {
            g_array_remove_index_fast(device->repeats, i);
            return TRUE;
        }
    }
    return FALSE;
}

void
vrd_device_set_log(VrdDevice *device, VrdDirtylog *log)
{
    VrdDirtylog *old = device->log;

    device->log = log;
    vrd_dirtylog_unref(old);
    vrd_device_touch(device, VRD_DEVICE_LOG);
}

VrdRing *
vrd_device_ring(VrdDevice *device, uint32_t index, GError **error)
{
    unsigned limit = vrd_offer_n_rings(&device->offer, device->kind,
                                       device->n_queues_max);

    if (index >= limit) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "ring index %" PRIu32 ", allowed is below %u", index, limit);
        return NULL;
    }
    if (index >= device->n_rings) {
        device->rings = g_renew(VrdRing, device->rings, index + 1);
        for (unsigned i = device->n_rings; i <= index; i++) {
            vrd_ring_init(&device->rings[i], i);
        }
        device->n_rings = index + 1;
    }
    return &device->rings[index];
}

VrdRing *
vrd_device_find_ring(const VrdDevice *device, uint32_t index)
{
    return index < device->n_rings ? &device->rings[index] : NULL;
}

gboolean
vrd_device_is_packed(const VrdDevice *device)
{
    return (device->features & RING_PACKED) != 0;
}

gboolean
vrd_device_is_logging(const VrdDevice *device)
{
    return (device->features & LOG_ALL) != 0;
}

static gboolean
has_bit(uint64_t features, VrdProtocolFeature feature)
{
    return feature == VRD_PROTOCOL_F_ANY || (features & VRD_FEATURE_BIT(feature)) != 0;
}

gboolean
vrd_device_has(const VrdDevice *device, VrdProtocolFeature feature)
{
    return has_bit(device->protocol_features, feature);
}

gboolean
vrd_device_backend_has(const VrdDevice *device, VrdProtocolFeature feature)
{
    return has_bit(device->backend_protocol_features, feature);
}

unsigned
vrd_device_n_started(const VrdDevice *device)
{
    unsigned n = 0;

    for (unsigned i = 0; i < device->n_rings; i++) {
        n += device->rings[i].started ? 1 : 0;
    }
    return n;
}

gboolean
vrd_device_ring_is_enabled(const VrdDevice *device, const VrdRing *ring)
{
    return ring->enabled ||
           (ring->started && (device->features & PROTOCOL_FEATURES) == 0);
}

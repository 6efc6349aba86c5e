/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the model to messages. The order: protocol features, owner, channel, features,
 * memory, log, MTU, then the rings (call before kick, so that no interrupt is lost;
 * ENABLE 0 before the kick and ENABLE 1 after it), status last.
 */
#include "backend/apply.h"

#include "backend/apply-ring.h"

#include "base/error.h"
#include "wire/payload.h"
#include "wire/request.h"

/* Bits that are ours to use whatever the VMM can. */
#define OWN_BITS                                                                         \
    (VRD_FEATURE_BIT(VRD_PROTOCOL_F_MQ) | VRD_FEATURE_BIT(VRD_PROTOCOL_F_LOG_SHMFD) |    \
     VRD_FEATURE_BIT(VRD_PROTOCOL_F_REPLY_ACK) |                                         \
     VRD_FEATURE_BIT(VRD_PROTOCOL_F_RESET_DEVICE))

uint64_t
vrd_apply_protocol_features(const VrdDevice *device)
{
    uint64_t offered = device->backend_offer.protocol_features &
                       vrd_feature_protocol_backend_mask();

    if (device->has_protocol_features) {
        return offered & (device->protocol_features | OWN_BITS);
    }
    /* A VMM that knows no protocol features sends no status either: DPDK would wait. */
    return device->has_features ? offered & OWN_BITS : offered;
}

static void
add_u64(VrdApply *apply, uint32_t request, uint64_t value)
{
    VrdMessage message;

    vrd_message_init(&message, request);
    vrd_payload_put_u64(&message, value);
    vrd_batch_add(apply->batch, &message);
}

static void
apply_protocol(VrdApply *apply)
{
    VrdDevice *device = apply->device;
    uint64_t wanted = vrd_apply_protocol_features(device);

    if (wanted == apply->applied->protocol_features) {
        return;
    }
    add_u64(apply, VRD_REQUEST_SET_PROTOCOL_FEATURES, wanted);
    apply->applied->protocol_features = wanted;
    device->backend_protocol_features = wanted;
    vrd_device_touch(device, VRD_DEVICE_FEATURES);
}

static void
apply_owner(VrdApply *apply)
{
    VrdMessage message;

    if (apply->applied->has_owner ||
        !(apply->device->has_owner || apply->device->is_owner_implied)) {
        return;
    }
    vrd_message_init(&message, VRD_REQUEST_SET_OWNER);
    vrd_batch_add(apply->batch, &message);
    apply->applied->has_owner = TRUE;
}

static void
apply_channel(VrdApply *apply)
{
    VrdMessage message;

    if (apply->channel_fd < 0 ||
        !vrd_device_backend_has(apply->device, VRD_PROTOCOL_F_BACKEND_REQ)) {
        return;
    }
    vrd_message_init(&message, VRD_REQUEST_SET_BACKEND_REQ_FD);
    vrd_message_add_fd(&message, apply->channel_fd);
    vrd_batch_add(apply->batch, &message);
    apply->channel_fd = -1;
}

static void
apply_features(VrdApply *apply)
{
    uint64_t wanted = apply->device->features & apply->device->backend_offer.features;

    if (!apply->device->has_features ||
        (apply->applied->has_features && apply->applied->features == wanted)) {
        return;
    }
    add_u64(apply, VRD_REQUEST_SET_FEATURES, wanted);
    apply->applied->features = wanted;
    apply->applied->has_features = TRUE;
}

static VrdPayloadRegion
payload_region(const VrdMemregion *region)
{
    return (VrdPayloadRegion){.guest_addr = region->guest_addr,
                              .size = region->size,
                              .user_addr = region->user_addr,
                              .mmap_offset = region->mmap_offset};
}

static gboolean
region_in(const VrdMemtable *table, const VrdMemregion *region)
{
    for (unsigned i = 0; table != NULL && i < vrd_memtable_n_regions(table); i++) {
        const VrdMemregion *other = vrd_memtable_region(table, i);

        if (other->guest_addr == region->guest_addr && other->size == region->size &&
            other->user_addr == region->user_addr &&
            other->mmap_offset == region->mmap_offset && other->file == region->file) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Regions of @from that are not in @other, each as one slot message. */
static void
add_slots(VrdApply *apply, uint32_t request, const VrdMemtable *from,
          const VrdMemtable *other)
{
    unsigned n = from != NULL ? vrd_memtable_n_regions(from) : 0;

    for (unsigned i = 0; i < n; i++) {
        gboolean is_add = request == VRD_REQUEST_ADD_MEM_REG;
        const VrdMemregion *region = vrd_memtable_region(from, is_add ? i : n - 1 - i);
        VrdPayloadSingleRegion single = {.region = payload_region(region)};
        VrdMessage message;

        if (region_in(other, region)) {
            continue;
        }
        vrd_message_init(&message, request);
        vrd_payload_put_single_region(&message, &single);
        if (is_add) {
            vrd_message_add_fd(&message, vrd_memfile_fd(region->file));
        }
        vrd_batch_add(apply->batch, &message);
    }
}

static gboolean
add_table(VrdApply *apply, const VrdMemtable *table)
{
    VrdPayloadMemory memory = {.n_regions = vrd_memtable_n_regions(table)};
    VrdMessage message;

    if (memory.n_regions == 0 || memory.n_regions > VRD_PAYLOAD_REGIONS_MAX) {
        g_set_error(
            &apply->error, VRD_ERROR, VRD_ERROR_UNSUPPORTED,
            "a memory table of %u regions cannot be sent to a backend without memory "
            "slots, allowed 1 to %u",
            memory.n_regions, VRD_PAYLOAD_REGIONS_MAX);
        return FALSE;
    }
    vrd_message_init(&message, VRD_REQUEST_SET_MEM_TABLE);
    for (unsigned i = 0; i < memory.n_regions; i++) {
        const VrdMemregion *region = vrd_memtable_region(table, i);

        memory.regions[i] = payload_region(region);
        vrd_message_add_fd(&message, vrd_memfile_fd(region->file));
    }
    vrd_payload_put_memory(&message, &memory);
    vrd_batch_add(apply->batch, &message);
    return TRUE;
}

/* A table that the backend has is not sent again: large ones stall some for seconds. */
static gboolean
apply_memory(VrdApply *apply)
{
    VrdMemtable *wanted = apply->device->memory;
    VrdMemtable *has = apply->applied->memory;

    if (wanted == has || wanted == NULL ||
        (has != NULL && vrd_memtable_equal(wanted, has))) {
        return TRUE;
    }
    if (vrd_device_backend_has(apply->device, VRD_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
        add_slots(apply, VRD_REQUEST_REM_MEM_REG, has, wanted);
        add_slots(apply, VRD_REQUEST_ADD_MEM_REG, wanted, has);
    } else if (has == NULL && vrd_memtable_n_regions(wanted) == 0) {
        return TRUE;
    } else if (!add_table(apply, wanted)) {
        return FALSE;
    }
    vrd_memtable_ref(wanted);
    g_clear_pointer(&apply->applied->memory, vrd_memtable_unref);
    apply->applied->memory = wanted;
    /* Some back-ends attach a log to the regions they had when it was set. */
    g_clear_pointer(&apply->applied->log, vrd_dirtylog_unref);
    vrd_batch_wait(apply->batch, apply->memory_ms);
    return TRUE;
}

static void
apply_log(VrdApply *apply)
{
    VrdDirtylog *log = apply->device->log;
    VrdPayloadLog base;
    VrdMessage message;

    if (log == NULL || log == apply->applied->log ||
        !vrd_device_backend_has(apply->device, VRD_PROTOCOL_F_LOG_SHMFD)) {
        return;
    }
    base.mmap_size = vrd_dirtylog_size(log);
    base.mmap_offset = vrd_dirtylog_offset(log);
    vrd_message_init(&message, VRD_REQUEST_SET_LOG_BASE);
    vrd_payload_put_log(&message, &base);
    vrd_message_add_fd(&message, vrd_dirtylog_fd(log));
    vrd_batch_add(apply->batch, &message);
    g_clear_pointer(&apply->applied->log, vrd_dirtylog_unref);
    apply->applied->log = vrd_dirtylog_ref(log);
}

static void
apply_mtu(VrdApply *apply)
{
    const VrdDevice *device = apply->device;

    if (!device->has_mtu || !vrd_device_backend_has(device, VRD_PROTOCOL_F_NET_MTU) ||
        (apply->applied->has_mtu && apply->applied->mtu == device->mtu)) {
        return;
    }
    add_u64(apply, VRD_REQUEST_NET_SET_MTU, device->mtu);
    apply->applied->has_mtu = TRUE;
    apply->applied->mtu = device->mtu;
}

static void
apply_status(VrdApply *apply)
{
    if (apply->device->status == apply->applied->status ||
        !vrd_device_backend_has(apply->device, VRD_PROTOCOL_F_STATUS)) {
        return;
    }
    add_u64(apply, VRD_REQUEST_SET_STATUS, apply->device->status);
    apply->applied->status = apply->device->status;
}

static void
apply_rarp(VrdApply *apply)
{
    if (!apply->has_rarp || vrd_device_n_started(apply->device) == 0 ||
        !vrd_device_backend_has(apply->device, VRD_PROTOCOL_F_RARP)) {
        return;
    }
    add_u64(apply, VRD_REQUEST_SEND_RARP, apply->rarp);
    apply->has_rarp = FALSE;
}

gboolean
vrd_apply_all(VrdApply *apply)
{
    apply_protocol(apply);
    apply_owner(apply);
    apply_channel(apply);
    apply_features(apply);
    if (!apply_memory(apply)) {
        return FALSE;
    }
    apply_log(apply);
    apply_mtu(apply);
    vrd_apply_ring_all(apply);
    apply_status(apply);
    apply_rarp(apply);
    return TRUE;
}

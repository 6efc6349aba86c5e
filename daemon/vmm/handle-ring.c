/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings (spec "Ring states", "Starting and stopping of a ring"). What a ring needs is
 * kept until it is started by SET_VRING_KICK; on a started ring each change goes through.
 */
#include "base/closer.h"
#include "base/error.h"
#include "vmm/handle.h"
#include "wire/payload.h"
#include "wire/request.h"

/* (borrowed) the ring that a state message is about; refusals name the message */
static VrdRing *
find(VrdVmmLink *link, const VrdMessage *message, uint32_t index, GError **error)
{
    VrdRing *ring = vrd_device_ring(vrd_vmm_link_device(link), index, error);

    if (ring == NULL) {
        g_prefix_error(error, "%s: ", vrd_request_name(message->request));
    }
    return ring;
}

static gboolean
named(const VrdMessage *message, gboolean ok, GError **error)
{
    if (!ok) {
        g_prefix_error(error, "%s: ", vrd_request_name(message->request));
    }
    return ok;
}

typedef gboolean (*SetState)(VrdRing *ring, uint32_t num, gboolean packed,
                             GError **error);

static gboolean
set_state(VrdVmmLink *link, const VrdMessage *message, SetState set, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    VrdPayloadState state;
    VrdRing *ring;

    vrd_payload_get_state(message, &state);
    ring = find(link, message, state.index, error);
    if (ring == NULL ||
        !named(message, set(ring, state.num, vrd_device_is_packed(device), error),
               error)) {
        return FALSE;
    }
    vrd_device_touch(device, VRD_DEVICE_RINGS);
    return TRUE;
}

static gboolean
set_num(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    return set_state(link, message, vrd_ring_set_size, error);
}

static gboolean
set_base(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    return set_state(link, message, vrd_ring_set_base, error);
}

static gboolean
set_addr(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    VrdPayloadAddr addr;
    VrdRing *ring;

    vrd_payload_get_addr(message, &addr);
    ring = find(link, message, addr.index, error);
    if (ring == NULL ||
        !named(message,
               vrd_ring_set_addr(ring, &addr, vrd_device_is_packed(device),
                                 device->memory, error),
               error)) {
        return FALSE;
    }
    if (ring->started) {
        effect->kind = VRD_EFFECT_SYNC;
    }
    vrd_device_touch(device, VRD_DEVICE_RINGS);
    return TRUE;
}

static gboolean
get_base(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdPayloadState state;
    VrdMessage reply;
    VrdRing *ring;

    vrd_payload_get_state(message, &state);
    ring = find(link, message, state.index, error);
    if (ring == NULL) {
        return FALSE;
    }
    if (ring->started) {
        effect->kind = VRD_EFFECT_RING_STOP;
        effect->ring = state.index;
        return TRUE;
    }
    state.num = ring->base;
    vrd_message_init_reply(&reply, message);
    vrd_payload_put_state(&reply, &state);
    vrd_vmm_link_answer(link, &reply);
    return TRUE;
}

static gboolean
set_file(VrdVmmLink *link, VrdMessage *message, VrdRingFileKind kind, VrdRing **ring,
         GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    uint64_t value = vrd_payload_get_u64(message);

    *ring = find(link, message, value & VRD_PAYLOAD_RING_MASK, error);
    if (*ring == NULL ||
        !named(message,
               vrd_ring_set_file(*ring, kind, vrd_message_take_fd(message, 0), error),
               error)) {
        return FALSE;
    }
    vrd_device_touch(device, VRD_DEVICE_RINGS);
    return TRUE;
}

static gboolean
set_kick(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    uint32_t index = vrd_payload_get_u64(message) & VRD_PAYLOAD_RING_MASK;
    gboolean packed = vrd_device_is_packed(device);
    VrdRing *ring;

    if (!device->has_features) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "SET_VRING_KICK: ring %u before SET_FEATURES", index);
        return FALSE;
    }
    ring = find(link, message, index, error);
    /* Asked before the descriptor is taken: a refused kick must leave nothing behind. */
    if (ring == NULL ||
        !named(message, vrd_ring_check_start(ring, packed, device->memory, error),
               error) ||
        !set_file(link, message, VRD_RING_KICK, &ring, error) ||
        !named(message, vrd_ring_start(ring, packed, device->memory, error), error)) {
        return FALSE;
    }
    vrd_device_update_vmm_state(device);
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static gboolean
set_call(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdRing *ring;

    if (!set_file(link, message, VRD_RING_CALL, &ring, error)) {
        return FALSE;
    }
    effect->kind = ring->started ? VRD_EFFECT_SYNC : VRD_EFFECT_NONE;
    return TRUE;
}

static gboolean
set_err(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdRing *ring;

    if (!set_file(link, message, VRD_RING_ERR, &ring, error)) {
        return FALSE;
    }
    effect->kind = ring->started ? VRD_EFFECT_SYNC : VRD_EFFECT_NONE;
    return TRUE;
}

/*
 * QEMU enables rings before SET_FEATURES, and again and again with the value in force:
 * kept until the ring is started, passed on only when it changes something.
 */
static gboolean
set_enable(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    VrdPayloadState state;
    VrdRing *ring;

    vrd_payload_get_state(message, &state);
    ring = find(link, message, state.index, error);
    if (ring == NULL) {
        return FALSE;
    }
    if (state.num > 1) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "SET_VRING_ENABLE: ring %u value %u, allowed 0 to 1", state.index,
                    state.num);
        return FALSE;
    }
    if (device->has_features &&
        !(device->features & VRD_FEATURE_BIT(VRD_VIRTIO_F_PROTOCOL_FEATURES))) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "SET_VRING_ENABLE: ring %u without the PROTOCOL_FEATURES feature",
                    state.index);
        return FALSE;
    }
    if (ring->enabled != (state.num == 1)) {
        vrd_ring_set_enabled(ring, state.num == 1);
        vrd_device_touch(device, VRD_DEVICE_RINGS);
        effect->kind = ring->started ? VRD_EFFECT_SYNC : VRD_EFFECT_NONE;
    }
    return TRUE;
}

const VrdHandlerRow vrd_handle_ring_rows[] = {
    {VRD_REQUEST_SET_VRING_NUM, set_num},
    {VRD_REQUEST_SET_VRING_BASE, set_base},
    {VRD_REQUEST_SET_VRING_ADDR, set_addr},
    {VRD_REQUEST_GET_VRING_BASE, get_base},
    {VRD_REQUEST_SET_VRING_KICK, set_kick},
    {VRD_REQUEST_SET_VRING_CALL, set_call},
    {VRD_REQUEST_SET_VRING_ERR, set_err},
    {VRD_REQUEST_SET_VRING_ENABLE, set_enable},
    {0, NULL},
};

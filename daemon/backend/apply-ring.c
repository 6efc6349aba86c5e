/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings towards a backend (spec "Ring states"). Everything of a ring is sent anew at each
 * start, since back-ends forget different parts of it at GET_VRING_BASE.
 */
#include "backend/apply-ring.h"

#include "base/clock.h"
#include "wire/payload.h"
#include "wire/request.h"

static gboolean
has_enable(const VrdApply *apply)
{
    return (apply->applied->features & VRD_FEATURE_BIT(VRD_VIRTIO_F_PROTOCOL_FEATURES)) !=
           0;
}

static void
add_state(VrdApply *apply, uint32_t request, uint32_t index, uint32_t num)
{
    VrdPayloadState state = {.index = index, .num = num};
    VrdMessage message;

    vrd_message_init(&message, request);
    vrd_payload_put_state(&message, &state);
    vrd_batch_add(apply->batch, &message);
}

static void
add_addr(VrdApply *apply, const VrdRing *ring, VrdAppliedRing *has)
{
    VrdPayloadAddr addr = ring->addr;
    VrdMessage message;

    addr.index = ring->index;
    vrd_message_init(&message, VRD_REQUEST_SET_VRING_ADDR);
    vrd_payload_put_addr(&message, &addr);
    vrd_batch_add(apply->batch, &message);
    has->addr = ring->addr;
}

static void
add_file(VrdApply *apply, uint32_t request, const VrdRing *ring, VrdRingFileKind kind,
         VrdAppliedRing *has)
{
    const VrdRingFile *file = &ring->files[kind];
    VrdMessage message;

    vrd_message_init(&message, request);
    if (file->state == VRD_RING_FILE_FD) {
        vrd_payload_put_u64(&message, ring->index);
        vrd_message_add_fd(&message, file->fd);
    } else {
        vrd_payload_put_u64(&message, ring->index | VRD_PAYLOAD_NOFD);
    }
    vrd_batch_add(apply->batch, &message);
    has->serials[kind] = file->serial;
}

static void
start(VrdApply *apply, VrdRing *ring, VrdAppliedRing *has)
{
    gboolean enabled = ring->enabled;

    add_state(apply, VRD_REQUEST_SET_VRING_NUM, ring->index, ring->size);
    add_state(apply, VRD_REQUEST_SET_VRING_BASE, ring->index, ring->base);
    add_addr(apply, ring, has);
    if (ring->files[VRD_RING_ERR].state != VRD_RING_FILE_NEVER) {
        add_file(apply, VRD_REQUEST_SET_VRING_ERR, ring, VRD_RING_ERR, has);
    }
    /* Told even when the VMM never did: some wait for it, some crash without. */
    add_file(apply, VRD_REQUEST_SET_VRING_CALL, ring, VRD_RING_CALL, has);
    if (has_enable(apply) && !enabled) {
        add_state(apply, VRD_REQUEST_SET_VRING_ENABLE, ring->index, 0);
    }
    add_file(apply, VRD_REQUEST_SET_VRING_KICK, ring, VRD_RING_KICK, has);
    if (has_enable(apply) && enabled) {
        add_state(apply, VRD_REQUEST_SET_VRING_ENABLE, ring->index, 1);
    }
    has->started = TRUE;
    has->enabled = enabled;
    ring->served = TRUE;
    ring->served_us = vrd_clock_now_us();
}

static void
update(VrdApply *apply, const VrdRing *ring, VrdAppliedRing *has)
{
    if (has->addr.flags != ring->addr.flags || has->addr.log != ring->addr.log) {
        add_addr(apply, ring, has);
    }
    if (has->serials[VRD_RING_ERR] != ring->files[VRD_RING_ERR].serial) {
        add_file(apply, VRD_REQUEST_SET_VRING_ERR, ring, VRD_RING_ERR, has);
    }
    if (has->serials[VRD_RING_CALL] != ring->files[VRD_RING_CALL].serial) {
        add_file(apply, VRD_REQUEST_SET_VRING_CALL, ring, VRD_RING_CALL, has);
    }
    if (has->serials[VRD_RING_KICK] != ring->files[VRD_RING_KICK].serial) {
        add_file(apply, VRD_REQUEST_SET_VRING_KICK, ring, VRD_RING_KICK, has);
    }
    if (has_enable(apply) && has->enabled != ring->enabled) {
        add_state(apply, VRD_REQUEST_SET_VRING_ENABLE, ring->index, ring->enabled);
        has->enabled = ring->enabled;
    }
}

/* Before the first ring starts; sizes first, since some make their queues by them. */
static void
apply_inflight(VrdApply *apply)
{
    const VrdDevice *device = apply->device;
    VrdMessage message;

    if (device->inflight.fd < 0 ||
        device->inflight.serial == apply->applied->inflight_serial ||
        !vrd_device_backend_has(device, VRD_PROTOCOL_F_INFLIGHT_SHMFD)) {
        return;
    }
    for (unsigned i = 0; i < device->n_rings; i++) {
        if (device->rings[i].size > 0) {
            add_state(apply, VRD_REQUEST_SET_VRING_NUM, i, device->rings[i].size);
        }
    }
    vrd_message_init(&message, VRD_REQUEST_SET_INFLIGHT_FD);
    vrd_payload_put_inflight(&message, &device->inflight.geometry);
    vrd_message_add_fd(&message, device->inflight.fd);
    vrd_batch_add(apply->batch, &message);
    apply->applied->inflight_serial = device->inflight.serial;
}

void
vrd_apply_ring_all(VrdApply *apply)
{
    const VrdDevice *device = apply->device;

    if (vrd_device_n_started(device) > 0) {
        apply_inflight(apply);
    }
    for (unsigned i = 0; i < device->n_rings; i++) {
        VrdRing *ring = &device->rings[i];
        VrdAppliedRing *has;

        if (!ring->started) {
            continue;
        }
        has = vrd_applied_ring(apply->applied, i);
        if (has->started) {
            update(apply, ring, has);
        } else {
            start(apply, ring, has);
        }
    }
}

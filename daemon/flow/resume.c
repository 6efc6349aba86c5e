/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "flow/resume.h"

#include <unistd.h>

#include "base/child.h"
#include "base/error.h"
#include "guest/usedindex.h"

/* 65536 completions in it would be 6.5 million a second on one ring. */
#define TOO_SHORT_US (10u * 1000u)

uint32_t
vrd_resume_base(const VrdDevice *device, uint32_t index)
{
    const VrdRing *ring = vrd_device_find_ring(device, index);
    uint16_t used, avail;

    if (ring == NULL) {
        return 0;
    }
    /* What no backend has had stands where the VMM said. */
    if (!ring->served || vrd_device_is_packed(device) || device->memory == NULL ||
        !vrd_usedindex_read(ring, device->memory, &used, &avail, NULL)) {
        return ring->base;
    }
    return used;
}

/*
 * A backend that has completed nothing left nothing out of order either. The index is the
 * same again after 65536 completions, so this is known only of one that had no time for
 * so many.
 */
static gboolean
is_untouched(const VrdDevice *device, const VrdRing *ring, uint16_t used)
{
    return used == (uint16_t) ring->base &&
           device->backend_lost_us < ring->served_us + TOO_SHORT_US;
}

static gboolean
check_ring(const VrdDevice *device, const VrdRing *ring, GError **error)
{
    gboolean is_in_order = device->kind == VRD_KIND_NET || device->inflight.fd >= 0;
    uint16_t used, avail;

    if (!ring->served) {
        return TRUE;
    }
    if (vrd_device_is_packed(device)) {
        if (device->inflight.fd >= 0) {
            return TRUE;
        }
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "packed ring %u cannot be resumed without an in-flight region",
                    ring->index);
        return FALSE;
    }
    if (!vrd_usedindex_read(ring, device->memory, &used, &avail, error)) {
        return FALSE;
    }
    if (!is_in_order && !vrd_usedindex_is_quiet(used, avail) &&
        !is_untouched(device, ring, used)) {
        g_set_error(
            error, VRD_ERROR, VRD_ERROR_STATE,
            "ring %u has requests in flight (used index %u, available index %u) and "
            "no in-flight region: they cannot be resumed exactly",
            ring->index, used, avail);
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_resume_prepare(VrdDevice *device, GError **error)
{
    for (unsigned i = 0; i < device->n_rings; i++) {
        if (device->rings[i].started && !check_ring(device, &device->rings[i], error)) {
            return FALSE;
        }
    }
    for (unsigned i = 0; i < device->n_rings; i++) {
        if (device->rings[i].started) {
            device->rings[i].base = vrd_resume_base(device, i);
        }
    }
    vrd_device_touch(device, VRD_DEVICE_RINGS);
    return TRUE;
}

static void
write_one(const void *data, gsize bytes)
{
    const int *fds = data;
    const uint64_t one = 1;

    for (gsize i = 0; i < bytes / sizeof *fds; i++) {
        if (write(fds[i], &one, sizeof one) < 0) {
            continue; /* not one that can be written to: nobody would hear it */
        }
    }
}

void
vrd_resume_wake(sd_event *event, const VrdDevice *device)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));

    for (unsigned i = 0; i < device->n_rings; i++) {
        const VrdRing *ring = &device->rings[i];

        for (unsigned kind = VRD_RING_KICK; ring->started && kind <= VRD_RING_CALL;
             kind++) {
            if (ring->files[kind].state == VRD_RING_FILE_FD) {
                g_array_append_val(fds, ring->files[kind].fd);
            }
        }
    }
    if (fds->len > 0) {
        vrd_child_run(event, write_one, fds->data, fds->len * sizeof(int));
    }
}

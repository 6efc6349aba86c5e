/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "model/device.h"

/*
 * What it takes that a new backend goes on where a lost one stopped, with rings that the
 * guest never saw stand still.
 */

/*
 * vrd_resume_prepare - set the bases of the started rings for a new backend
 *
 * Exact where requests complete in order (net), where an in-flight region tells the rest,
 * where nothing is in flight or nothing was ever completed: the base is the used index in
 * guest memory. Else no correct base exists, and nothing is changed. Returns: TRUE, or
 * FALSE with @error set (VRD_ERROR_STATE) saying ring and indices.
 */
gboolean vrd_resume_prepare(VrdDevice *device, GError **error);

/* Where ring @index stands when no backend can be asked: GET_VRING_BASE of a lost one. */
uint32_t vrd_resume_base(const VrdDevice *device, uint32_t index);

/*
 * vrd_resume_wake - make up for notifications that the dead time may have swallowed
 *
 * One kick and one call for each started ring. A peer can make a write to its eventfd
 * block for good, so this happens off the loop.
 */
void vrd_resume_wake(sd_event *event, const VrdDevice *device);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "model/memtable.h"
#include "model/ring.h"

/*
 * Where a split ring stands in guest memory (virtio "The Virtqueue Available Ring",
 * "The Virtqueue Used Ring"): how far the guest has given and the device has given back.
 */

/*
 * vrd_usedindex_read - read both running indices of a split ring
 *
 * The guest and the backend may change them at any time; nothing is allocated in guest
 * memory by looking.
 * Returns: TRUE, or FALSE with @error set: VRD_ERROR_STATE if the ring has no addresses
 * or lies outside @memory, VRD_ERROR_SYSTEM if the file of the memory cannot be read
 * there, because it was cut short for example.
 */
gboolean vrd_usedindex_read(const VrdRing *ring, const VrdMemtable *memory,
                            uint16_t *used, uint16_t *avail, GError **error);

/* Has the device given back all that the guest gave? */
gboolean vrd_usedindex_is_quiet(uint16_t used, uint16_t avail);

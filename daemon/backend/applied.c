/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backend/applied.h"

#include <string.h>

void
vrd_applied_clear(VrdApplied *applied)
{
    g_clear_pointer(&applied->memory, vrd_memtable_unref);
    g_clear_pointer(&applied->log, vrd_dirtylog_unref);
    g_free(applied->rings);
    memset(applied, 0, sizeof *applied);
}

VrdAppliedRing *
vrd_applied_ring(VrdApplied *applied, uint32_t index)
{
    g_return_val_if_fail(index < VRD_DEVICE_RINGS_MAX, NULL);
    if (index >= applied->n_rings) {
        applied->rings = g_renew(VrdAppliedRing, applied->rings, index + 1);
        memset(&applied->rings[applied->n_rings], 0,
               (index + 1 - applied->n_rings) * sizeof *applied->rings);
        applied->n_rings = index + 1;
    }
    return &applied->rings[index];
}

gboolean
vrd_applied_is_started(const VrdApplied *applied)
{
    for (unsigned i = 0; i < applied->n_rings; i++) {
        if (applied->rings[i].started) {
            return TRUE;
        }
    }
    return FALSE;
}

void
vrd_applied_reset(VrdApplied *applied)
{
    g_clear_pointer(&applied->rings, g_free);
    applied->n_rings = 0;
    applied->has_features = FALSE;
    applied->inflight_serial = 0;
    applied->status = 0;
}

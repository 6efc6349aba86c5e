/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "vmm/effect.h"
#include "vmm/vmm-link.h"

/*
 * The handlers by subject. A handler gets a message that its row has promised and whose
 * gate is open. It checks it against the model, changes the model, and sets
 * effect->kind when more is to be done (it is NONE before); when the message has a reply
 * of its own and no effect, it answers. Returns FALSE with @error set, and nothing
 * changed, to refuse.
 */
typedef gboolean (*VrdHandler)(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect,
                               GError **error);

typedef struct {
    uint32_t request; /* 0 ends a table */
    VrdHandler handler;
} VrdHandlerRow;

extern const VrdHandlerRow vrd_handle_features_rows[];
extern const VrdHandlerRow vrd_handle_memory_rows[];
extern const VrdHandlerRow vrd_handle_ring_rows[];
extern const VrdHandlerRow vrd_handle_device_rows[];

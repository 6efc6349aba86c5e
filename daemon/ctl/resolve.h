/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* What a name on the command line may mean. */
typedef enum {
    VRD_RESOLVE_VM_PATH,     /* an object path of a VM */
    VRD_RESOLVE_DEVICE_PATH, /* an object path of a device */
    VRD_RESOLVE_DEVICE,      /* VM/DEVICE, or a socket */
    VRD_RESOLVE_EITHER,      /* a VM's name or UUID, or a device's id */
} VrdResolveKind;

VrdResolveKind vrd_resolve_kind(const char *name);

/*
 * vrd_resolve_name - find the object that @name means
 * @is_device: (out) whether it is a device
 *
 * Returns: (owned) its object path, or NULL with @error.
 */
char *vrd_resolve_name(const VrdCtl *ctl, const char *name, gboolean *is_device,
                       GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "settings/device-file.h"

/*
 * What must hold between devices: no socket, no place in a VM and no VM's name or UUID
 * is claimed twice with different meanings.
 */
typedef struct VrdConflict VrdConflict;

VrdConflict *vrd_conflict_new(void);
void vrd_conflict_free(VrdConflict *conflict);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdConflict, vrd_conflict_free)

/*
 * vrd_conflict_admit - check one more device against those admitted before
 * @file: (borrowed) must outlive @conflict if it is admitted
 * @problems: (out) (element-type utf8) names both files
 *
 * Returns: TRUE if it was admitted.
 */
gboolean vrd_conflict_admit(VrdConflict *conflict, const VrdDeviceFile *file,
                            GPtrArray *problems);

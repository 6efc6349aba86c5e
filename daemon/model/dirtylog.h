/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/*
 * Dirty log: one bit for each 4096-byte page of guest memory, in memory shared by
 * descriptor with the backend and with whoever copies the guest (spec "Migration").
 */
typedef struct VrdDirtylog VrdDirtylog;

#define VRD_DIRTYLOG_PAGE 4096u /* bytes, whatever the host's page size */

/*
 * vrd_dirtylog_new - a log that a VMM passed with SET_LOG_BASE
 * @fd: (owned, also on failure)
 * @size: bytes of the log
 * @offset: bytes into the file, a multiple of 4096
 * @guest_end: highest guest address plus one that it must cover, in bytes; 0: unknown
 *
 * Errors: VRD_ERROR_PROTOCOL with the numbers.
 */
VrdDirtylog *vrd_dirtylog_new(int fd, uint64_t size, uint64_t offset, uint64_t guest_end,
                              GError **error);
VrdDirtylog *vrd_dirtylog_ref(VrdDirtylog *log);
void vrd_dirtylog_unref(VrdDirtylog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdDirtylog, vrd_dirtylog_unref)

int vrd_dirtylog_fd(const VrdDirtylog *log);          /* (borrowed) */
uint64_t vrd_dirtylog_size(const VrdDirtylog *log);   /* bytes */
uint64_t vrd_dirtylog_offset(const VrdDirtylog *log); /* bytes */
uint64_t
vrd_dirtylog_generation(const VrdDirtylog *log); /* counts logs of this process */
/* Device and inode are the same, and size and offset. */
gboolean vrd_dirtylog_equal(const VrdDirtylog *a, const VrdDirtylog *b);

/*
 * vrd_dirtylog_snapshot - a copy that nobody can write or resize any more
 *
 * Nothing is cleared in the log itself. Holes stay holes.
 * Returns: (owned) a memfd with all seals and mode 0400, or -1 with VRD_ERROR_SYSTEM.
 */
int vrd_dirtylog_snapshot(const VrdDirtylog *log, GError **error);

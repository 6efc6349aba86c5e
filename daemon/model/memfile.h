/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * One file of guest memory, shared by all regions and devices that map it: a descriptor
 * for each inode, never one for each region (spec "Memory region description").
 */
typedef struct VrdMemfile VrdMemfile;

/*
 * @fd: (owned, also on failure) must be a memfd, tmpfs or hugetlbfs file, open for
 *      reading and writing. Errors: VRD_ERROR_PROTOCOL naming the kind.
 */
VrdMemfile *vrd_memfile_new(int fd, GError **error);
VrdMemfile *vrd_memfile_ref(VrdMemfile *file);
void vrd_memfile_unref(VrdMemfile *file); /* the last one closes off the loop */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdMemfile, vrd_memfile_unref)

int vrd_memfile_fd(const VrdMemfile *file); /* (borrowed) */
dev_t vrd_memfile_device(const VrdMemfile *file);
ino_t vrd_memfile_inode(const VrdMemfile *file);
guint64
vrd_memfile_size(const VrdMemfile *file); /* bytes, now; 0 if it cannot be asked */

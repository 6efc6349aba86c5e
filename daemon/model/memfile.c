/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file of guest memory. It is never mapped here: the model needs to know only which
 * file it is, to hand the descriptor on and to tell when it is too short.
 */
#include "model/memfile.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/closer.h"
#include "base/error.h"
#include "model/fdcheck.h"

struct VrdMemfile {
    int fd;
    dev_t device;
    ino_t inode;
    int n_refs;
};

VrdMemfile *
vrd_memfile_new(int fd, GError **error)
{
    struct stat info;
    VrdMemfile *file;

    if (!vrd_fdcheck_memory(fd, "memory descriptor", error)) {
        vrd_closer_take(&fd);
        return NULL;
    }
    if (fstat(fd, &info) < 0) {
        vrd_error_set_errno(error, errno, "looking at a memory descriptor");
        vrd_closer_take(&fd);
        return NULL;
    }
    file = g_new0(VrdMemfile, 1);
    file->fd = fd;
    file->device = info.st_dev;
    file->inode = info.st_ino;
    file->n_refs = 1;
    return file;
}

VrdMemfile *
vrd_memfile_ref(VrdMemfile *file)
{
    file->n_refs++;
    return file;
}

void
vrd_memfile_unref(VrdMemfile *file)
{
    if (file == NULL || --file->n_refs > 0) {
        return;
    }
    vrd_closer_take(&file->fd);
    g_free(file);
}

int
vrd_memfile_fd(const VrdMemfile *file)
{
    return file->fd;
}

dev_t
vrd_memfile_device(const VrdMemfile *file)
{
    return file->device;
}

ino_t
vrd_memfile_inode(const VrdMemfile *file)
{
    return file->inode;
}

guint64
vrd_memfile_size(const VrdMemfile *file)
{
    struct stat info;

    if (fstat(file->fd, &info) < 0 || info.st_size < 0) {
        return 0;
    }
    return (guint64) info.st_size;
}

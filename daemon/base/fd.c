/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors, also those of peers. A file on a FUSE mount whose server is silent blocks
 * fstat(), fstatfs(), lseek() and read() for good, so what a foreign descriptor is may be
 * asked here only by fcntl() and by the link in our own /proc/self/fd.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"

#define FIRST_FREE_FD 3 /* never hand out the standard streams */

VrdFdKind
vrd_fd_kind(int fd)
{
    char path[sizeof("/proc/self/fd/") + 12];
    char target[64]; /* only its beginning matters */
    ssize_t length;

    if (fd < 0) {
        return VRD_FD_UNKNOWN;
    }
    /* Seals exist for files in memory only; a disk file, FUSE too, says EINVAL. */
    if (fcntl(fd, F_GET_SEALS) >= 0) {
        return VRD_FD_SHM;
    }
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    length = readlink(path, target, sizeof target - 1);
    if (length <= 0) {
        return VRD_FD_UNKNOWN;
    }
    target[length] = '\0';
    if (g_str_equal(target, "anon_inode:[eventfd]")) {
        return VRD_FD_EVENTFD;
    }
    if (g_str_has_prefix(target, "socket:[")) {
        return VRD_FD_SOCKET;
    }
    if (g_str_has_prefix(target, "pipe:[")) {
        return VRD_FD_PIPE;
    }
    /* Every real path begins with a slash, so that no file can pose as the kinds above.
     */
    return target[0] == '/' ? VRD_FD_FILE : VRD_FD_ANON;
}

const char *
vrd_fd_kind_name(VrdFdKind kind)
{
    switch (kind) {
    case VRD_FD_UNKNOWN:
        return "unknown";
    case VRD_FD_SHM:
        return "shared memory";
    case VRD_FD_EVENTFD:
        return "eventfd";
    case VRD_FD_SOCKET:
        return "socket";
    case VRD_FD_PIPE:
        return "pipe";
    case VRD_FD_FILE:
        return "file";
    case VRD_FD_ANON:
        return "anonymous inode";
    }
    return "unknown";
}

gboolean
vrd_fd_is_read_write(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_ACCMODE) == O_RDWR && (flags & O_PATH) == 0;
}

void
vrd_fd_close(int *fd)
{
    int saved_errno = errno;

    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
    errno = saved_errno;
}

int
vrd_fd_steal(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

int
vrd_fd_dup(int fd, GError **error)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);

    if (copy < 0) {
        int saved_errno = errno;

        vrd_error_set_errno(error, saved_errno, "duplicating descriptor %d", fd);
        errno = saved_errno;
    }
    return copy;
}

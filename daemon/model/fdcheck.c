/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks of foreign descriptors. The kind comes first: only a file in memory may be asked
 * for its size, fstat() on any other kind can block for good.
 */
#include "model/fdcheck.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"

static void
set_kind_error(GError **error, const char *what, VrdFdKind kind, const char *allowed)
{
    const char *name = vrd_fd_kind_name(kind);
    const char *article = strchr("aeiou", name[0]) != NULL ? "an " : "a ";

    if (kind == VRD_FD_UNKNOWN) {
        article = "of a kind that is ";
    }
    if (kind == VRD_FD_SHM) {
        article = "";
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL, "%s is %s%s, allowed is %s", what,
                article, name, allowed);
}

gboolean
vrd_fdcheck_memory(int fd, const char *what, GError **error)
{
    VrdFdKind kind = vrd_fd_kind(fd);

    if (kind != VRD_FD_SHM) {
        set_kind_error(error, what, kind, "a memfd, tmpfs or hugetlbfs file");
        return FALSE;
    }
    if (!vrd_fd_is_read_write(fd)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "%s is open one way only, allowed is reading and writing", what);
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_fdcheck_eventfd(int fd, const char *what, GError **error)
{
    VrdFdKind kind = vrd_fd_kind(fd);

    if (kind != VRD_FD_EVENTFD) {
        set_kind_error(error, what, kind, "an eventfd");
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_fdcheck_holds(int fd, const char *what, uint64_t offset, uint64_t size,
                  GError **error)
{
    struct stat info;
    uint64_t needed;

    if (__builtin_add_overflow(offset, size, &needed)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "%s: offset 0x%" PRIx64 " plus size 0x%" PRIx64
                    " is over the 64-bit limit",
                    what, offset, size);
        return FALSE;
    }
    if (fstat(fd, &info) < 0) {
        vrd_error_set_errno(error, errno, "asking for the size of the file of %s", what);
        return FALSE;
    }
    if (info.st_size < 0 || (uint64_t) info.st_size < needed) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "file of %s has %" PRIu64 " bytes, needed %" PRIu64, what,
                    (uint64_t) info.st_size, needed);
        return FALSE;
    }
    return TRUE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the model share: files in memory, and a look at what is left. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "model/memtable.h"

static inline unsigned
count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir) != NULL) {
        n++;
    }
    return n;
}

static inline gboolean
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* (owned) a memfd, all of it a hole */
static inline int
give_memfd(uint64_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t) size), ==, 0);
    return fd;
}

/* (owned) a second descriptor of the same file */
static inline int
give_dup(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    g_assert_cmpint(copy, >=, 0);
    return copy;
}

static inline VrdMemfile *
give_memfile(uint64_t size)
{
    g_autoptr(GError) error = NULL;
    VrdMemfile *file = vrd_memfile_new(give_memfd(size), &error);

    g_assert_no_error(error);
    return file;
}

/* Add a region that must be taken. */
static inline void
add_region(VrdMemtable *table, uint64_t guest_addr, uint64_t size, uint64_t user_addr,
           uint64_t mmap_offset, VrdMemfile *file)
{
    VrdMemregion region = {guest_addr, size, user_addr, mmap_offset, file};
    g_autoptr(GError) error = NULL;

    vrd_memtable_add(table, &region, &error);
    g_assert_no_error(error);
}

/* A table of one region of a file of its own. */
static inline VrdMemtable *
give_table(uint64_t guest_addr, uint64_t size, uint64_t user_addr)
{
    g_autoptr(VrdMemfile) file = give_memfile(size);
    VrdMemtable *table = vrd_memtable_new();

    add_region(table, guest_addr, size, user_addr, 0, file);
    return table;
}

/* Holds that @error is @code and says exactly @text; then clears it. */
static inline void
assert_refused(gboolean ok, GError **error, VrdErrorCode code, const char *text)
{
    g_assert_false(ok);
    g_assert_nonnull(*error);
    g_assert_cmpstr((*error)->message, ==, text);
    g_assert_error(*error, VRD_ERROR, (int) code);
    g_clear_error(error);
}

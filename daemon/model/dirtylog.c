/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A dirty log that a VMM passed. Backend and VMM change its bits at any time, so nothing
 * here writes to it. It is read by pread: a VMM's file need not be sealed, and one that
 * was cut short must cost an error, not a SIGBUS.
 */
#include "model/dirtylog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"
#include "model/fdcheck.h"

#define GUEST_BYTES_MAX (UINT64_C(64) << 40)
#define SIZE_MAX_BYTES  (GUEST_BYTES_MAX / VRD_DIRTYLOG_PAGE / 8)
#define CHUNK           (64u * 1024u)
#define SNAPSHOT_MODE   0400
#define SNAPSHOT_SEALS  (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct VrdDirtylog {
    int fd;
    uint64_t size;
    uint64_t offset;
    uint64_t generation;
    dev_t device;
    ino_t inode;
    int n_refs;
};

static uint64_t
bytes_for(uint64_t guest_end)
{
    uint64_t n_pages = guest_end / VRD_DIRTYLOG_PAGE +
                       (guest_end % VRD_DIRTYLOG_PAGE != 0);

    return n_pages / 8 + (n_pages % 8 != 0);
}

static gboolean
check_geometry(uint64_t size, uint64_t offset, uint64_t guest_end, GError **error)
{
    if (size == 0 || size > SIZE_MAX_BYTES) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "dirty log: size %" PRIu64 ", allowed is 1 to %" PRIu64, size,
                    SIZE_MAX_BYTES);
        return FALSE;
    }
    if (offset % VRD_DIRTYLOG_PAGE != 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "dirty log: offset %" PRIu64 ", allowed are multiples of %u", offset,
                    VRD_DIRTYLOG_PAGE);
        return FALSE;
    }
    if (size < bytes_for(guest_end)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "dirty log: size %" PRIu64 ", needed are %" PRIu64
                    " for guest memory that ends at 0x%" PRIx64,
                    size, bytes_for(guest_end), guest_end);
        return FALSE;
    }
    return TRUE;
}

VrdDirtylog *
vrd_dirtylog_new(int fd, uint64_t size, uint64_t offset, uint64_t guest_end,
                 GError **error)
{
    static uint64_t n_logs;
    struct stat info;
    VrdDirtylog *log;

    if (!check_geometry(size, offset, guest_end, error) ||
        !vrd_fdcheck_memory(fd, "dirty log descriptor", error) ||
        !vrd_fdcheck_holds(fd, "the dirty log", offset, size, error)) {
        vrd_closer_take(&fd);
        return NULL;
    }
    if (fstat(fd, &info) < 0) {
        vrd_error_set_errno(error, errno, "looking at a dirty log");
        vrd_closer_take(&fd);
        return NULL;
    }
    log = g_new0(VrdDirtylog, 1);
    log->fd = fd;
    log->size = size;
    log->offset = offset;
    log->generation = ++n_logs;
    log->device = info.st_dev;
    log->inode = info.st_ino;
    log->n_refs = 1;
    return log;
}

VrdDirtylog *
vrd_dirtylog_ref(VrdDirtylog *log)
{
    log->n_refs++;
    return log;
}

void
vrd_dirtylog_unref(VrdDirtylog *log)
{
    if (log == NULL || --log->n_refs > 0) {
        return;
    }
    vrd_closer_take(&log->fd);
    g_free(log);
}

int
vrd_dirtylog_fd(const VrdDirtylog *log)
{
    return log->fd;
}

uint64_t
vrd_dirtylog_size(const VrdDirtylog *log)
{
    return log->size;
}

uint64_t
vrd_dirtylog_offset(const VrdDirtylog *log)
{
    return log->offset;
}

uint64_t
vrd_dirtylog_generation(const VrdDirtylog *log)
{
    return log->generation;
}

gboolean
vrd_dirtylog_equal(const VrdDirtylog *a, const VrdDirtylog *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->offset == b->offset;
}

static int
reopen_read_only(int fd)
{
    char path[sizeof("/proc/self/fd/") + 12];

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static gboolean
write_all(int fd, const uint8_t *bytes, size_t size, uint64_t offset, GError **error)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, (off_t) offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            vrd_error_set_errno(error, n < 0 ? errno : ENOSPC,
                                "writing a dirty log snapshot");
            return FALSE;
        }
        bytes += n;
        size -= (size_t) n;
        offset += (uint64_t) n;
    }
    return TRUE;
}

/* Copy what is in [begin, end) of the log's file. */
static gboolean
copy_extent(const VrdDirtylog *log, int source, int target, uint64_t begin, uint64_t end,
            GError **error)
{
    g_autofree uint8_t *buffer = g_malloc(CHUNK);

    while (begin < end) {
        ssize_t n = pread(source, buffer, MIN(CHUNK, end - begin), (off_t) begin);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            vrd_error_set_errno(error, errno, "reading the dirty log");
            return FALSE;
        }
        if (n == 0) {
            g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM,
                        "file of the dirty log ends at %" PRIu64
                        " bytes, needed %" PRIu64,
                        begin, end);
            return FALSE;
        }
        if (!write_all(target, buffer, (size_t) n, begin - log->offset, error)) {
            return FALSE;
        }
        begin += (uint64_t) n;
    }
    return TRUE;
}

static gboolean
copy_data(const VrdDirtylog *log, int source, int target, GError **error)
{
    uint64_t end = log->offset + log->size;
    uint64_t at = log->offset;

    while (at < end) {
        off_t data = lseek(source, (off_t) at, SEEK_DATA);
        off_t hole;

        if (data < 0 && errno == ENXIO) {
            return TRUE; /* nothing but a hole up to the end of the file */
        }
        hole = data < 0 ? -1 : lseek(source, data, SEEK_HOLE);
        if (data < 0 || hole < 0) {
            vrd_error_set_errno(error, errno, "looking for data in the dirty log");
            return FALSE;
        }
        if (!copy_extent(log, source, target, MIN((uint64_t) data, end),
                         MIN((uint64_t) hole, end), error)) {
            return FALSE;
        }
        at = (uint64_t) hole;
    }
    return TRUE;
}

static gboolean
fill(const VrdDirtylog *log, int target, GError **error)
{
    /* lseek() moves the position of the VMM's open file; one of our own leaves it alone.
     * A file that we may not open again is read by its descriptor all the same. */
    vrd_autofd own = reopen_read_only(log->fd);
    int source = own >= 0 ? own : log->fd;

    if (ftruncate(target, (off_t) log->size) < 0) {
        vrd_error_set_errno(
            error, errno, "making a dirty log snapshot of %" PRIu64 " bytes", log->size);
        return FALSE;
    }
    return copy_data(log, source, target, error);
}

/* Asked after the copy: a file cut short reads as a hole, and a hole as clean pages. */
static gboolean
check_whole(const VrdDirtylog *log, GError **error)
{
    g_autoptr(GError) cause = NULL;

    if (vrd_fdcheck_holds(log->fd, "the dirty log", log->offset, log->size, &cause)) {
        return TRUE;
    }
    g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM, "dirty log snapshot: %s",
                cause->message);
    return FALSE;
}

int
vrd_dirtylog_snapshot(const VrdDirtylog *log, GError **error)
{
    vrd_autofd copy = -1;
    vrd_autofd reader = -1;

    copy = memfd_create("vringd-dirtylog-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0) {
        vrd_error_set_errno(error, errno, "creating a dirty log snapshot");
        return -1;
    }
    if (!fill(log, copy, error) || !check_whole(log, error)) {
        return -1;
    }
    reader = reopen_read_only(copy);
    if (fchmod(copy, SNAPSHOT_MODE) < 0 || fcntl(copy, F_ADD_SEALS, SNAPSHOT_SEALS) < 0) {
        vrd_error_set_errno(error, errno, "sealing a dirty log snapshot");
        return -1;
    }
    return reader >= 0 ? vrd_fd_steal(&reader) : vrd_fd_steal(&copy);
}

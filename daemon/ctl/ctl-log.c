/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "ctl/resolve.h"
#include "ctl/text.h"
#include "vringd-proxy.h"

#define BUFFER_BYTES 65536u

typedef struct {
    int fd; /* (owned) */
    guint64 size, page_size, generation;
} Log;

static gboolean
open_log(const VrdCtl *ctl, const char *path, Log *log, GError **error)
{
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant) handle = NULL;
    g_autoptr(VringdVM) vm = vringd_vm_proxy_new_sync(
        ctl->connection,
        G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES | G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
        VRD_CTL_NAME, path, NULL, error);

    if (vm == NULL ||
        !vringd_vm_call_open_log_sync(vm, NULL, &handle, &log->size, &log->page_size,
                                      &log->generation, &fds, NULL, error)) {
        return FALSE;
    }
    log->fd = g_unix_fd_list_get(fds, g_variant_get_handle(handle), error);
    return log->fd >= 0;
}

static gboolean
write_all(int fd, const uint8_t *bytes, size_t n, const char *path, GError **error)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);

        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            vrd_error_set_errno(error, errno, "writing %s", path);
            return FALSE;
        }
        bytes += written;
        n -= (size_t) written;
    }
    return TRUE;
}

/* Count its bits and, if @output is not -1, copy it there. */
static gboolean
read_log(const Log *log, int output, const char *path, uint64_t *n_dirty, GError **error)
{
    g_autofree uint8_t *buffer = g_malloc(BUFFER_BYTES);
    uint64_t at = 0;

    *n_dirty = 0;
    while (at < log->size) {
        size_t wanted = (size_t) MIN(BUFFER_BYTES, log->size - at);
        ssize_t n = pread(log->fd, buffer, wanted, (off_t) at);

        if (n <= 0) {
            vrd_error_set_errno(error, n < 0 ? errno : EIO,
                                "reading the log at byte %" PRIu64 " of %" PRIu64, at,
                                log->size);
            return FALSE;
        }
        for (ssize_t i = 0; i < n; i++) {
            *n_dirty += (unsigned) __builtin_popcount(buffer[i]);
        }
        if (output >= 0 && !write_all(output, buffer, (size_t) n, path, error)) {
            return FALSE;
        }
        at += (uint64_t) n;
    }
    return TRUE;
}

static void
print_log(const VrdCtl *ctl, const char *name, const Log *log, uint64_t n_dirty)
{
    g_autofree char *size = vrd_text_bytes(log->size);
    g_autofree char *dirty = vrd_text_bytes(n_dirty * log->page_size);

    if (ctl->json) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_parsed(
            "{'vm': <%s>, 'size': <%t>, 'page_size': <%t>, 'generation': <%t>,"
            " 'dirty_pages': <%t>}",
            name, log->size, log->page_size, log->generation, n_dirty));

        vrd_ctl_print_json(value, TRUE);
        return;
    }
    g_print("Generation   %" PRIu64 "\n", log->generation);
    g_print("Size         %" PRIu64 " (%s)\n", log->size, size);
    g_print("Page size    %" PRIu64 "\n", log->page_size);
    g_print("Dirty pages  %" PRIu64 " (%s)\n", n_dirty, dirty);
}

int
vrd_ctl_log_run(VrdCtl *ctl, const char *name)
{
    g_autoptr(GError) error = NULL;
    gboolean is_device = FALSE;
    g_autofree char *path = vrd_resolve_name(ctl, name, &is_device, &error);
    Log log = {.fd = -1};
    vrd_autofd fd = -1;
    vrd_autofd output = -1;
    uint64_t n_dirty = 0;

    if (path != NULL && is_device) {
        g_printerr("vringctl: %s is a device; a log belongs to a VM\n", name);
        return VRD_CTL_USAGE;
    }
    if (path == NULL || !open_log(ctl, path, &log, &error)) {
        return vrd_ctl_fail(ctl, error);
    }
    fd = log.fd;
    if (ctl->output != NULL) {
        output = open(ctl->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (output < 0) {
            vrd_error_set_errno(&error, errno, "opening %s", ctl->output);
            return vrd_ctl_fail(ctl, error);
        }
    }
    if (!read_log(&log, output, ctl->output, &n_dirty, &error)) {
        return vrd_ctl_fail(ctl, error);
    }
    print_log(ctl, name, &log, n_dirty);
    return VRD_CTL_OK;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/error.h"
#include "base/fd.h"

typedef struct {
    char *name;
    int fd;
} Entry;

struct VrdActivation {
    GPtrArray *entries;
};

static void
free_entry(gpointer data)
{
    Entry *entry = data;

    vrd_fd_close(&entry->fd);
    g_free(entry->name);
    g_free(entry);
}

static void
add_entry(VrdActivation *activation, const char *name, int fd)
{
    Entry *entry = g_new0(Entry, 1);

    entry->name = g_strdup(name);
    entry->fd = fd;
    g_ptr_array_add(activation->entries, entry);
}

VrdActivation *
vrd_activation_new(GError **error)
{
    VrdActivation *activation;
    char **names = NULL;
    int n_fds = sd_listen_fds_with_names(1, &names);

    if (n_fds < 0) {
        vrd_error_set_errno(error, -n_fds, "taking over activated sockets");
        return NULL;
    }
    activation = g_new0(VrdActivation, 1);
    activation->entries = g_ptr_array_new_with_free_func(free_entry);
    for (int i = 0; i < n_fds; i++) {
        add_entry(activation, names[i], SD_LISTEN_FDS_START + i);
        free(names[i]);
    }
    free(names);
    return activation;
}

void
vrd_activation_free(VrdActivation *activation)
{
    if (activation != NULL) {
        g_ptr_array_unref(activation->entries);
        g_free(activation);
    }
}

static gboolean
check_listener(const Entry *entry, GError **error)
{
    int result = sd_is_socket_unix(entry->fd, SOCK_STREAM, 1, NULL, 0);

    if (result < 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SETTING,
                    "activated socket %s cannot be asked what it is: %s", entry->name,
                    g_strerror(-result));
        return FALSE;
    }
    if (result == 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SETTING,
                    "activated socket %s: allowed is a listening unix stream socket "
                    "(ListenStream=/PATH, Accept=no)",
                    entry->name);
        return FALSE;
    }
    return TRUE;
}

static gboolean
set_non_blocking(const Entry *entry, GError **error)
{
    int flags = fcntl(entry->fd, F_GETFL);

    if (flags < 0 || fcntl(entry->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        vrd_error_set_errno(error, errno, "making activated socket %s non-blocking",
                            entry->name);
        return FALSE;
    }
    return TRUE;
}

int
vrd_activation_take_fd(VrdActivation *activation, const char *name, GError **error)
{
    for (guint i = 0; i < activation->entries->len; i++) {
        Entry *entry = activation->entries->pdata[i];
        int fd;

        if (!g_str_equal(entry->name, name)) {
            continue;
        }
        if (!check_listener(entry, error) || !set_non_blocking(entry, error)) {
            return -1;
        }
        fd = vrd_fd_steal(&entry->fd);
        g_ptr_array_remove_index(activation->entries, i);
        return fd;
    }
    return -1;
}

void
vrd_activation_give_fd(VrdActivation *activation, const char *name, int *fd)
{
    if (*fd >= 0) {
        add_entry(activation, name, vrd_fd_steal(fd));
    }
}

char **
vrd_activation_leftovers(const VrdActivation *activation)
{
    char **names = g_new0(char *, activation->entries->len + 1);

    for (guint i = 0; i < activation->entries->len; i++) {
        const Entry *entry = activation->entries->pdata[i];

        names[i] = g_strdup(entry->name);
    }
    return names;
}

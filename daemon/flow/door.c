/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "flow/door.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "link/dialer.h"
#include "link/listener.h"
#include "link/peer.h"

struct VrdDoor {
    char *path;
    char *activation_name;
    const VrdSettingsSide *side;
    VrdActivation *activation;
    gboolean is_activated;
    VrdListener *listener;
    VrdDialer *dialer;
    VrdDoorConnected connected;
    gpointer user_data;
    VrdLogLimit limit;
};

static void
on_accepted(int fd, gpointer user_data)
{
    VrdDoor *door = user_data;
    uid_t allowed = door->side->peer_uid;
    VrdPeer peer;

    if (allowed != (uid_t) -1) {
        vrd_peer_read(fd, &peer);
        if (peer.uid != allowed) {
            vrd_log_limited(&door->limit, LOG_WARNING, NULL,
                            "%s: refused pid %d with uid %u, allowed is uid %u",
                            door->path, (int) peer.pid, (unsigned) peer.uid,
                            (unsigned) allowed);
            vrd_closer_take(&fd);
            return;
        }
    }
    door->connected(fd, door->user_data);
}

static void
on_dialled(int fd, gpointer user_data)
{
    VrdDoor *door = user_data;

    door->connected(fd, door->user_data);
}

static int
make_socket(VrdDoor *door, GError **error)
{
    VrdListenerAccess access = {.owner = door->side->access.owner,
                                .group = door->side->access.group,
                                .mode = door->side->access.mode};
    g_autofree char *folder = g_path_get_dirname(door->path);

    if (door->side->path == NULL && g_mkdir_with_parents(folder, 0755) < 0) {
        vrd_error_set_errno(error, errno, "making %s", folder);
        return -1;
    }
    return vrd_listener_bind(door->path, &access, error);
}

/* An activated socket is where its unit says, whatever we would have called it. */
static void
use_real_path(VrdDoor *door, int fd)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address;

    if (getsockname(fd, (struct sockaddr *) &address, &size) == 0 &&
        address.sun_path[0] == '/') {
        g_free(door->path);
        door->path = g_strndup(address.sun_path, sizeof address.sun_path);
    }
}

static gboolean
listen_here(VrdDoor *door, sd_event *event, GError **error)
{
    g_autoptr(GError) inner = NULL;
    int fd = vrd_activation_take_fd(door->activation, door->activation_name, &inner);

    if (inner != NULL) {
        g_propagate_error(error, g_steal_pointer(&inner));
        return FALSE;
    }
    door->is_activated = fd >= 0;
    if (fd >= 0) {
        use_real_path(door, fd);
    } else {
        fd = make_socket(door, error);
    }
    if (fd < 0) {
        return FALSE;
    }
    door->listener = vrd_listener_new(event, fd, door->is_activated ? NULL : door->path,
                                      on_accepted, door, error);
    return door->listener != NULL;
}

VrdDoor *
vrd_door_new(sd_event *event, const char *kind, const char *name,
             const VrdSettingsSide *side, VrdActivation *activation,
             const char *runtime_directory, VrdDoorConnected connected,
             gpointer user_data, GError **error)
{
    g_autoptr(VrdDoor) door = g_new0(VrdDoor, 1);
    VrdDialerRules rules = {.peer_uid = side->peer_uid};

    door->side = side;
    door->activation = activation;
    door->connected = connected;
    door->user_data = user_data;
    door->activation_name = g_strdup_printf("%s.%s", kind, name);
    door->path = side->path != NULL
                     ? g_strdup(side->path)
                     : g_strdup_printf("%s/%s/%s.sock", runtime_directory, kind, name);
    if (side->role == VRD_ROLE_LISTEN) {
        return listen_here(door, event, error) ? g_steal_pointer(&door) : NULL;
    }
    door->dialer = vrd_dialer_new(event, door->path, &rules, on_dialled, door, error);
    return door->dialer != NULL ? g_steal_pointer(&door) : NULL;
}

void
vrd_door_free(VrdDoor *door)
{
    if (door == NULL) {
        return;
    }
    if (door->is_activated && door->listener != NULL) {
        vrd_autofd fd = vrd_listener_dup_fd(door->listener, NULL);

        vrd_activation_give_fd(door->activation, door->activation_name, &fd);
    }
    vrd_listener_free(door->listener);
    vrd_dialer_free(door->dialer);
    g_free(door->path);
    g_free(door->activation_name);
    g_free(door);
}

void
vrd_door_dial(VrdDoor *door, unsigned delay_ms)
{
    if (door->dialer != NULL) {
        vrd_dialer_start(door->dialer, delay_ms);
    }
}

void
vrd_door_stop(VrdDoor *door)
{
    if (door->dialer != NULL) {
        vrd_dialer_stop(door->dialer);
    }
}

gboolean
vrd_door_is_listening(const VrdDoor *door)
{
    return door->listener != NULL;
}

const char *
vrd_door_path(const VrdDoor *door)
{
    return door->path;
}

void
vrd_door_set_waiting(VrdDoor *door, VrdDoorWaiting waiting, gpointer user_data)
{
    if (door->dialer != NULL) {
        vrd_dialer_set_waiting(door->dialer, waiting, user_data);
    }
}

const char *
vrd_door_reason(const VrdDoor *door)
{
    return door->dialer != NULL ? vrd_dialer_reason(door->dialer)
                                : "waits for it to connect";
}

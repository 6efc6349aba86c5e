/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accepting connections. Without a free descriptor accept() fails and the socket stays
 * readable: the loop would spin (1.3 million times a second). So one descriptor is kept
 * spare for all listeners: it is given up for long enough to accept and close what waits,
 * and then nobody listens for a while.
 */
#include "link/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

#define BACKLOG     64
#define BATCH       16u /* connections of one listener in one loop turn */
#define REST_US     (100u * G_TIME_SPAN_MILLISECOND)
#define ACCURACY_US G_TIME_SPAN_MILLISECOND

struct VrdListener {
    unsigned n_refs;
    gboolean freed;
    int fd;
    sd_event *event;
    sd_event_source *io;
    sd_event_source *rest; /* armed while we do not listen */
    VrdListenerAccepted accepted;
    gpointer user_data;
    gboolean paused;
    gboolean resting;
    char *path; /* NULL: not ours to remove */
    dev_t device;
    ino_t inode;
};

static int spare_fd = -1;
static unsigned n_listeners;

static void
keep_spare(void)
{
    if (spare_fd < 0) {
        spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static gboolean
check_path(const char *path, GError **error)
{
    size_t length = strlen(path);

    if (length == 0 || length > VRD_LISTENER_PATH_MAX) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SETTING,
                    "socket path is %zu bytes, allowed 1 to %u: %s", length,
                    VRD_LISTENER_PATH_MAX, path);
        return FALSE;
    }
    return TRUE;
}

static int
unix_socket(const char *path, struct sockaddr_un *address, GError **error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        vrd_error_set_errno(error, errno, "making a socket for %s", path);
        return -1;
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    g_strlcpy(address->sun_path, path, sizeof address->sun_path);
    return fd;
}

/* Remove the node of a socket that nobody listens on. */
static gboolean
remove_stale(const char *path, GError **error)
{
    struct sockaddr_un address;
    struct stat before;
    struct stat after;
    vrd_autofd probe = unix_socket(path, &address, error);

    if (probe < 0) {
        return FALSE;
    }
    if (lstat(path, &before) < 0) {
        if (errno == ENOENT) {
            return TRUE;
        }
        vrd_error_set_errno(error, errno, "looking at %s", path);
        return FALSE;
    }
    if (!S_ISSOCK(before.st_mode)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM,
                    "%s exists and is not a socket: not replaced", path);
        return FALSE;
    }
    if (connect(probe, (struct sockaddr *) &address, sizeof address) == 0 ||
        errno == EAGAIN || errno == EPROTOTYPE) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE, "somebody listens at %s", path);
        return FALSE;
    }
    if (errno != ECONNREFUSED && errno != ENOENT) {
        vrd_error_set_errno(error, errno, "trying whether somebody listens at %s", path);
        return FALSE;
    }
    if (lstat(path, &after) == 0 &&
        (after.st_dev != before.st_dev || after.st_ino != before.st_ino)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "%s was replaced by somebody while it was looked at", path);
        return FALSE;
    }
    if (unlink(path) < 0 && errno != ENOENT) {
        vrd_error_set_errno(error, errno, "removing the stale socket %s", path);
        return FALSE;
    }
    return TRUE;
}

/* bind() to a node that nobody else may use yet. */
static int
bind_private(int fd, const struct sockaddr_un *address)
{
    mode_t old = umask(0177);
    int r = bind(fd, (const struct sockaddr *) address, sizeof *address);
    int errnum = errno;

    umask(old);
    return r < 0 ? -errnum : 0;
}

/* Through a descriptor of the node: whoever can write to the directory may swap it. */
static gboolean
give_access(const char *path, const VrdListenerAccess *access, GError **error)
{
    char link[sizeof("/proc/self/fd/") + 12];
    vrd_autofd node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;

    if (node < 0 || fstat(node, &status) < 0) {
        vrd_error_set_errno(error, errno, "opening the socket node %s", path);
        return FALSE;
    }
    if (!S_ISSOCK(status.st_mode)) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE, "%s was replaced by somebody",
                    path);
        return FALSE;
    }
    if ((access->owner != (uid_t) -1 || access->group != (gid_t) -1) &&
        fchownat(node, "", access->owner, access->group, AT_EMPTY_PATH) < 0) {
        vrd_error_set_errno(error, errno, "giving %s to uid %d gid %d", path,
                            (int) access->owner, (int) access->group);
        return FALSE;
    }
    g_snprintf(link, sizeof link, "/proc/self/fd/%d", node);
    if (chmod(link, access->mode) < 0 &&
        (errno != ENOENT || chmod(path, access->mode) < 0)) {
        vrd_error_set_errno(error, errno, "giving %s mode 0%o", path, access->mode);
        return FALSE;
    }
    return TRUE;
}

int
vrd_listener_bind(const char *path, const VrdListenerAccess *access, GError **error)
{
    struct sockaddr_un address;
    vrd_autofd fd = -1;
    int r;

    if (!check_path(path, error)) {
        return -1;
    }
    fd = unix_socket(path, &address, error);
    if (fd < 0) {
        return -1;
    }
    r = bind_private(fd, &address);
    if (r == -EADDRINUSE) {
        if (!remove_stale(path, error)) {
            return -1;
        }
        r = bind_private(fd, &address);
    }
    if (r < 0) {
        vrd_error_set_errno(error, -r, "binding a socket to %s", path);
        return -1;
    }
    if (!give_access(path, access, error)) {
        unlink(path);
        return -1;
    }
    if (listen(fd, BACKLOG) < 0) {
        vrd_error_set_errno(error, errno, "listening at %s", path);
        unlink(path);
        return -1;
    }
    return vrd_fd_steal(&fd);
}

static void
update_enabled(VrdListener *listener)
{
    if (listener->io) {
        sd_event_source_set_enabled(listener->io, listener->paused || listener->resting
                                                      ? SD_EVENT_OFF
                                                      : SD_EVENT_ON);
    }
}

static int
on_rest_over(sd_event_source *source, uint64_t now_us, void *data)
{
    VrdListener *listener = data;

    keep_spare();
    listener->resting = FALSE;
    update_enabled(listener);
    return 0;
}

static void
rest(VrdListener *listener)
{
    listener->resting = TRUE;
    update_enabled(listener);
    sd_event_source_set_time_relative(listener->rest, REST_US);
    sd_event_source_set_enabled(listener->rest, SD_EVENT_ONESHOT);
}

/*
 * Close what waits: its peer hears now that it will not be served. What it has sent
 * already may hold descriptors, so this is the closer's, and where that takes a while one
 * connection is all that the spare descriptor is good for.
 */
static unsigned
refuse_waiting(VrdListener *listener)
{
    unsigned n = 0;

    for (unsigned i = 0; i < BATCH; i++) {
        int fd;

        vrd_fd_close(&spare_fd);
        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            vrd_closer_take(&fd);
            n++;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            break;
        }
    }
    keep_spare();
    return n;
}

/* accept() failed for want of something that all of the process or host share. */
static void
go_without(VrdListener *listener, int errnum)
{
    static VrdLogLimit limit;
    unsigned n = 0;

    if (errnum == EMFILE || errnum == ENFILE) {
        n = refuse_waiting(listener);
    }
    vrd_log_limited(&limit, LOG_ERR, NULL,
                    "accepting at %s: %s; %u connections refused, next try in %u ms",
                    listener->path ? listener->path : "an activated socket",
                    g_strerror(errnum), n, (unsigned) (REST_US / 1000));
    rest(listener);
}

static int
on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
    VrdListener *listener = data;

    listener->n_refs++;
    for (unsigned n = 0; n < BATCH && !listener->freed && !listener->paused; n++) {
        int peer = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer >= 0) {
            listener->accepted(peer, listener->user_data);
            continue;
        }
        if (errno == EAGAIN) {
            break;
        }
        if (errno != ECONNABORTED && errno != EINTR) {
            go_without(listener, errno);
            break;
        }
    }
    if (--listener->n_refs == 0) {
        g_free(listener);
    }
    return 0;
}

static gboolean
check_listening(int fd, GError **error)
{
    int domain = 0;
    int type = 0;
    int listening = 0;
    socklen_t size = sizeof(int);
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0) {
        vrd_error_set_errno(error, errno, "looking at a listening socket");
        return FALSE;
    }
    if (domain != AF_UNIX || type != SOCK_STREAM || !listening) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SETTING,
                    "socket of domain %d and type %d, %s: allowed is a listening Unix "
                    "stream socket",
                    domain, type, listening ? "listening" : "not listening");
        return FALSE;
    }
    return TRUE;
}

VrdListener *
vrd_listener_new(sd_event *event, int fd, const char *path, VrdListenerAccepted accepted,
                 gpointer user_data, GError **error)
{
    VrdListener *listener = g_new0(VrdListener, 1);
    struct stat status;
    int r;

    listener->n_refs = 1;
    listener->fd = fd;
    listener->event = sd_event_ref(event);
    listener->accepted = accepted;
    listener->user_data = user_data;
    n_listeners++;
    keep_spare();
    if (!check_listening(fd, error)) {
        vrd_listener_free(listener);
        return NULL;
    }
    r = sd_event_add_io(event, &listener->io, fd, EPOLLIN, on_io, listener);
    if (r >= 0) {
        /* Made now: the loop's first timer takes a descriptor, and none is left then. */
        r = sd_event_add_time_relative(event, &listener->rest, CLOCK_MONOTONIC, REST_US,
                                       ACCURACY_US, on_rest_over, listener);
    }
    if (r < 0) {
        vrd_error_set_errno(error, -r, "watching a listening socket");
        vrd_listener_free(listener);
        return NULL;
    }
    sd_event_source_set_enabled(listener->rest, SD_EVENT_OFF);
    sd_event_source_set_description(listener->rest, "listener-rest");
    sd_event_source_set_description(listener->io, "listener");
    if (path && lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
        listener->path = g_strdup(path);
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    return listener;
}

static void
remove_own_node(const VrdListener *listener)
{
    struct stat status;

    if (listener->path && lstat(listener->path, &status) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode) {
        unlink(listener->path);
    }
}

void
vrd_listener_free(VrdListener *listener)
{
    if (!listener || listener->freed) {
        return;
    }
    listener->freed = TRUE;
    listener->io = sd_event_source_disable_unref(listener->io);
    listener->rest = sd_event_source_disable_unref(listener->rest);
    listener->event = sd_event_unref(listener->event);
    remove_own_node(listener);
    g_clear_pointer(&listener->path, g_free);
    /* Connections that nobody accepted may hold descriptors of peers. */
    vrd_closer_take(&listener->fd);
    if (--n_listeners == 0) {
        vrd_fd_close(&spare_fd);
    }
    if (--listener->n_refs == 0) {
        g_free(listener);
    }
}

void
vrd_listener_set_paused(VrdListener *listener, gboolean paused)
{
    listener->paused = paused;
    update_enabled(listener);
}

int
vrd_listener_dup_fd(const VrdListener *listener, GError **error)
{
    return vrd_fd_dup(listener->fd, error);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connecting to a node that may not be there, may not be listened on yet, or may be
 * somebody else's. While there is no node only inotify can wake us. A node says nothing
 * when its listener comes, so while there is one a timer retries, ever slower: bind()
 * makes the node and listen() follows within microseconds, while a dead process's node
 * stays for days.
 */
#include "link/dialer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "link/pathwatch.h"
#include "link/peer.h"

#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)

#define FRESH_US      (20u * G_TIME_SPAN_MILLISECOND)
#define FRESH_STEP_US 100u
#define SLOW_US       G_USEC_PER_SEC

/* Waits between attempts once a node is not fresh any more; SLOW_US follows. */
static const unsigned steps_ms[] = {
    1,   1,   1,   1,   1,   10,  10,  10,  10,  10,  100, 100,
    100, 100, 100, 100, 100, 100, 100, 100, 200, 400, 800,
};

struct VrdDialer {
    sd_event *event;
    char *path;
    VrdDialerRules rules;
    VrdDialerConnected connected;
    gpointer user_data;
    VrdPathwatch *watch;    /* NULL: stopped, delayed, or the path cannot be watched */
    sd_event_source *timer; /* on demand: the next attempt */
    gboolean running;
    uint64_t fresh_until_us;
    unsigned step;
    char *reason;
    VrdDialerWaiting waiting; /* nullable */
    gpointer waiting_data;
};

typedef enum {
    ATTEMPT_CONNECTED,
    ATTEMPT_NO_NODE, /* inotify tells when to try again */
    ATTEMPT_SOON,    /* there is a node, its listener may come at any time */
    ATTEMPT_SLOW,    /* there is a node, but it is not as it must be */
} Attempt;

static void set_reason(VrdDialer *dialer, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
set_reason(VrdDialer *dialer, const char *format, ...)
{
    g_autofree char *before = g_steal_pointer(&dialer->reason);
    va_list arguments;

    va_start(arguments, format);
    dialer->reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (dialer->waiting && g_strcmp0(before, dialer->reason) != 0) {
        dialer->waiting(dialer->reason, dialer->waiting_data);
    }
}

/* What to make of a system call that failed. */
static Attempt
judge(VrdDialer *dialer, int errnum, const char *doing)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        set_reason(dialer, "no such path");
        return ATTEMPT_NO_NODE;
    case ECONNREFUSED:
        set_reason(dialer, "connection refused");
        return ATTEMPT_SOON;
    case EAGAIN:
        set_reason(dialer, "the listener's backlog is full");
        return ATTEMPT_SOON;
    default:
        set_reason(dialer, "%s: %s", doing, g_strerror(errnum));
        return ATTEMPT_SLOW;
    }
}

/* (owned) the node, held so that it cannot be swapped between the check and connect(). */
static int
open_node(VrdDialer *dialer, Attempt *attempt)
{
    vrd_autofd node = open(dialer->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;

    if (node < 0 || fstat(node, &status) < 0) {
        *attempt = judge(dialer, errno, "opening the node");
        return -1;
    }
    *attempt = ATTEMPT_SLOW;
    if (S_ISLNK(status.st_mode)) {
        set_reason(dialer, "path is a symbolic link, allowed is a socket");
        return -1;
    }
    if (!S_ISSOCK(status.st_mode)) {
        set_reason(dialer, "path is not a socket");
        return -1;
    }
    return vrd_fd_steal(&node);
}

static int
connect_path(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    return connect(fd, (struct sockaddr *) &address, sizeof address) < 0 ? -errno : 0;
}

static Attempt
try_connect(VrdDialer *dialer, int *connected_fd)
{
    char link[sizeof("/proc/self/fd/") + 12];
    Attempt attempt;
    VrdPeer peer;
    vrd_autofd node = open_node(dialer, &attempt);
    vrd_autofd fd = -1;
    int r;

    if (node < 0) {
        return attempt;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return judge(dialer, errno, "making a socket");
    }
    g_snprintf(link, sizeof link, "/proc/self/fd/%d", node);
    r = connect_path(fd, link);
    if (r == -ENOENT) {
        r = connect_path(fd, dialer->path); /* there is no /proc here */
    }
    if (r < 0) {
        return judge(dialer, -r, "connecting");
    }
    if (dialer->rules.peer_uid != (uid_t) -1) {
        vrd_peer_read(fd, &peer);
        if (peer.uid != dialer->rules.peer_uid) {
            set_reason(dialer, "listener has uid %u, allowed %u", peer.uid,
                       dialer->rules.peer_uid);
            return ATTEMPT_SLOW;
        }
    }
    *connected_fd = vrd_fd_steal(&fd);
    return ATTEMPT_CONNECTED;
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *data);

static void
try_in(VrdDialer *dialer, uint64_t delay_us)
{
    /* Slow retries of many dialers may share a wake-up. */
    uint64_t accuracy_us = MAX(delay_us / 16, 1);

    if (dialer->timer) {
        sd_event_source_set_time_relative(dialer->timer, delay_us);
        sd_event_source_set_time_accuracy(dialer->timer, accuracy_us);
        sd_event_source_set_enabled(dialer->timer, SD_EVENT_ONESHOT);
        return;
    }
    if (sd_event_add_time_relative(dialer->event, &dialer->timer, CLOCK_MONOTONIC,
                                   delay_us, accuracy_us, on_timer, dialer) >= 0) {
        sd_event_source_set_description(dialer->timer, "dialer");
    }
}

static uint64_t
next_delay_us(VrdDialer *dialer)
{
    if (vrd_clock_now_us() < dialer->fresh_until_us) {
        return FRESH_STEP_US;
    }
    if (dialer->step < G_N_ELEMENTS(steps_ms)) {
        return steps_ms[dialer->step++] * (uint64_t) G_TIME_SPAN_MILLISECOND;
    }
    return SLOW_US;
}

/* One attempt, and what follows from it. @dialer may be freed after it. */
static void
attempt_now(VrdDialer *dialer)
{
    int fd = -1;

    switch (try_connect(dialer, &fd)) {
    case ATTEMPT_CONNECTED:
        vrd_dialer_stop(dialer);
        dialer->connected(fd, dialer->user_data);
        return;
    case ATTEMPT_NO_NODE:
        dialer->step = 0;
        if (!dialer->watch) {
            try_in(dialer, SLOW_US);
        } else if (dialer->timer) {
            sd_event_source_set_enabled(dialer->timer, SD_EVENT_OFF);
        }
        return;
    case ATTEMPT_SOON:
        try_in(dialer, next_delay_us(dialer));
        return;
    case ATTEMPT_SLOW:
        try_in(dialer, SLOW_US);
        return;
    }
}

static void
on_path(VrdPathwatchEvent what, gpointer user_data)
{
    VrdDialer *dialer = user_data;

    if (what == VRD_PATHWATCH_APPEARED) {
        dialer->fresh_until_us = vrd_clock_now_us() + FRESH_US;
        dialer->step = 0;
    }
    if (what == VRD_PATHWATCH_LOST) {
        g_clear_pointer(&dialer->watch, vrd_pathwatch_free);
    }
    attempt_now(dialer);
}

static int
on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
    VrdDialer *dialer = data;

    if (!dialer->watch) {
        /* Where the path cannot be watched (no read permission) only the timer is left.
         */
        dialer->watch = vrd_pathwatch_new(dialer->event, dialer->path, on_path, dialer,
                                          NULL);
    }
    attempt_now(dialer);
    return 0;
}

VrdDialer *
vrd_dialer_new(sd_event *event, const char *path, const VrdDialerRules *rules,
               VrdDialerConnected connected, gpointer user_data, GError **error)
{
    size_t length = strlen(path);
    VrdDialer *dialer;

    if (length == 0 || length > PATH_MAX_BYTES) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SETTING,
                    "socket path is %zu bytes, allowed 1 to %zu: %s", length,
                    PATH_MAX_BYTES, path);
        return NULL;
    }
    dialer = g_new0(VrdDialer, 1);
    dialer->event = sd_event_ref(event);
    dialer->path = g_strdup(path);
    dialer->rules = *rules;
    dialer->connected = connected;
    dialer->user_data = user_data;
    return dialer;
}

void
vrd_dialer_free(VrdDialer *dialer)
{
    if (!dialer) {
        return;
    }
    vrd_dialer_stop(dialer);
    sd_event_unref(dialer->event);
    g_free(dialer->path);
    g_free(dialer);
}

void
vrd_dialer_start(VrdDialer *dialer, unsigned delay_ms)
{
    if (dialer->running) {
        return;
    }
    dialer->running = TRUE;
    dialer->step = 0;
    dialer->fresh_until_us = 0;
    g_free(dialer->reason);
    dialer->reason = g_strdup("not tried yet");
    try_in(dialer, delay_ms * (uint64_t) G_TIME_SPAN_MILLISECOND);
}

void
vrd_dialer_stop(VrdDialer *dialer)
{
    dialer->running = FALSE;
    g_clear_pointer(&dialer->watch, vrd_pathwatch_free);
    dialer->timer = sd_event_source_disable_unref(dialer->timer);
    g_clear_pointer(&dialer->reason, g_free);
}

void
vrd_dialer_set_waiting(VrdDialer *dialer, VrdDialerWaiting waiting, gpointer user_data)
{
    dialer->waiting = waiting;
    dialer->waiting_data = user_data;
}

const char *
vrd_dialer_reason(const VrdDialer *dialer)
{
    return dialer->reason ? dialer->reason : "";
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The closer: see closer.h for why there is one. Nothing here may close a descriptor in
 * the loop's own process unless its kind cannot block.
 *
 * A batch has one child. A close that never returns must not keep back the rest of its
 * batch (another VM's memory), so the child leaves each risky descriptor to a child of
 * its own. Children get no stack and no memory of ours, only the descriptor table; they
 * make system calls and nothing else, since locks may be held in what they copied.
 */
#include "base/closer.h"

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"

#define RETRY_US          (100u * 1000u)
#define RETRY_ACCURACY_US (10u * 1000u)

typedef struct {
    int fd;
    VrdFdKind kind;
} Item;

static struct {
    sd_event *event; /* NULL: not started */
    sd_event_source *turn;
    sd_event_source *retry;
    GArray *batch; /* of Item */
} closer;

/* Another such child, from inside one: nobody waits for it but init. */
static pid_t
clone_again(void)
{
    return (pid_t) syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, NULL);
}

/* Memory is slow to drop but does go; for all other kinds the peer decides. */
static gboolean
may_hang(VrdFdKind kind)
{
    return kind != VRD_FD_SHM && kind != VRD_FD_EVENTFD && kind != VRD_FD_PIPE;
}

static gboolean
is_instant(VrdFdKind kind)
{
    return kind == VRD_FD_EVENTFD || kind == VRD_FD_PIPE;
}

static void
close_in_child(const void *data, gsize bytes)
{
    const Item *items = data;
    unsigned n = bytes / sizeof *items;

    prctl(PR_SET_NAME, "vringd-close");
    /* First all that is sure to end, each that may hang in a process of its own. */
    for (unsigned i = 0; i < n; i++) {
        if (!may_hang(items[i].kind)) {
            syscall(SYS_close, items[i].fd);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (may_hang(items[i].kind)) {
            pid_t pid = clone_again();

            if (pid <= 0) {
                syscall(SYS_close, items[i].fd);
            }
            if (pid == 0) {
                _exit(0);
            }
        }
    }
}

/* No child to be had: close what is instant here, keep the rest for later. */
static void
close_instant_only(void)
{
    for (unsigned i = 0; i < closer.batch->len;) {
        Item *item = &g_array_index(closer.batch, Item, i);

        if (is_instant(item->kind)) {
            vrd_fd_close(&item->fd);
            g_array_remove_index_fast(closer.batch, i);
        } else {
            i++;
        }
    }
}

static gboolean
flush(void)
{
    if (closer.batch->len == 0) {
        return TRUE;
    }
    if (!vrd_child_run(closer.event, close_in_child, closer.batch->data,
                       closer.batch->len * sizeof(Item))) {
        close_instant_only();
        return closer.batch->len == 0;
    }
    g_array_set_size(closer.batch, 0);
    return TRUE;
}

static void
flush_or_retry(void)
{
    if (!flush()) {
        sd_event_source_set_time_relative(closer.retry, RETRY_US);
        sd_event_source_set_enabled(closer.retry, SD_EVENT_ONESHOT);
    }
}

static int
on_turn(sd_event_source *source, void *user_data)
{
    flush_or_retry();
    return 0;
}

static int
on_retry(sd_event_source *source, uint64_t usec, void *user_data)
{
    flush_or_retry();
    return 0;
}

int
vrd_closer_start(sd_event *event)
{
    int r;

    g_return_val_if_fail(closer.event == NULL, -EBUSY);

    r = sd_event_add_defer(event, &closer.turn, on_turn, NULL);
    if (r >= 0) {
        r = sd_event_source_set_enabled(closer.turn, SD_EVENT_OFF);
    }
    if (r >= 0) {
        r = sd_event_add_time_relative(event, &closer.retry, CLOCK_MONOTONIC, RETRY_US,
                                       RETRY_ACCURACY_US, on_retry, NULL);
    }
    if (r >= 0) {
        r = sd_event_source_set_enabled(closer.retry, SD_EVENT_OFF);
    }
    if (r < 0) {
        closer.turn = sd_event_source_disable_unref(closer.turn);
        closer.retry = sd_event_source_disable_unref(closer.retry);
        return r;
    }
    closer.batch = g_array_new(FALSE, FALSE, sizeof(Item));
    closer.event = sd_event_ref(event);
    return 0;
}

void
vrd_closer_stop(void)
{
    if (closer.event == NULL) {
        return;
    }
    flush();
    closer.turn = sd_event_source_disable_unref(closer.turn);
    closer.retry = sd_event_source_disable_unref(closer.retry);
    closer.event = sd_event_unref(closer.event);
    g_clear_pointer(&closer.batch, g_array_unref);
}

void
vrd_closer_take(int *fd)
{
    Item item;

    if (*fd < 0) {
        return;
    }
    if (closer.event == NULL) {
        vrd_fd_close(fd);
        return;
    }
    item.kind = vrd_fd_kind(*fd);
    if (item.kind == VRD_FD_EVENTFD) {
        /* By far the most frequent, and cheaper to close than to hand over. */
        vrd_fd_close(fd);
        return;
    }
    item.fd = vrd_fd_steal(fd);
    g_array_append_val(closer.batch, item);
    sd_event_source_set_enabled(closer.turn, SD_EVENT_ONESHOT);
}

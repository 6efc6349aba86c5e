/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/child.h"

#include <sched.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

static int
on_child_exit(sd_event_source *source, int fd, uint32_t revents, void *user_data)
{
    waitpid((pid_t) GPOINTER_TO_INT(user_data), NULL, WNOHANG | __WALL);
    /* The loop's reference is the only one, and taking it back gives it up. */
    sd_event_source_ref(source);
    sd_event_source_set_floating(source, 0);
    sd_event_source_disable_unref(source);
    return 0;
}

static void
watch(sd_event *event, pid_t pid, int pidfd)
{
    sd_event_source *source = NULL;

    if (sd_event_add_io(event, &source, pidfd, EPOLLIN, on_child_exit,
                        GINT_TO_POINTER(pid)) < 0) {
        vrd_fd_close(&pidfd);
        return;
    }
    sd_event_source_set_description(source, "child");
    sd_event_source_set_io_fd_own(source, 1);
    /* The loop keeps it: the child may end long after the caller. */
    sd_event_source_set_floating(source, 1);
    sd_event_source_unref(source);
}

gboolean
vrd_child_run(sd_event *event, VrdChildBody body, const void *data, gsize bytes)
{
    int pidfd = -1;
    pid_t pid = (pid_t) syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD, NULL, &pidfd, NULL,
                                NULL);

    if (pid == 0) {
        body(data, bytes);
        _exit(0);
    }
    if (pid < 0) {
        return FALSE;
    }
    watch(event, pid, pidfd);
    return TRUE;
}

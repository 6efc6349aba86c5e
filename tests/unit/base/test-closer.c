/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A socket that lingers stands for all that blocks in close(): ten minutes, so that a
 * closer that waits for it runs into the test's deadline.
 */
#include "base/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

#define LINGER_S 600

static unsigned
count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir) != NULL) {
        n++;
    }
    return n;
}

static gboolean
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void
run_until_closed(sd_event *event, int fd)
{
    while (is_open(fd)) {
        g_assert_cmpint(sd_event_run(event, 1000), >=, 0);
    }
}

static void
run_until_n_fds(sd_event *event, unsigned n)
{
    while (count_fds() > n) {
        g_assert_cmpint(sd_event_run(event, 1000), >=, 0);
    }
}

/* @sender's close() waits until @receiver has read what was sent. */
static void
make_lingering(int *sender, int *receiver)
{
    vrd_autofd listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
    socklen_t length = sizeof address;
    static const char filler[65536];

    g_assert_no_errno(bind(listener, (struct sockaddr *) &address, sizeof address));
    g_assert_no_errno(listen(listener, 1));
    g_assert_no_errno(getsockname(listener, (struct sockaddr *) &address, &length));
    *sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_no_errno(connect(*sender, (struct sockaddr *) &address, sizeof address));
    *receiver = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_no_errno(setsockopt(*sender, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    while (send(*sender, filler, sizeof filler, MSG_DONTWAIT) > 0) {
        continue;
    }
}

static void
drain(int receiver)
{
    static char sink[65536];

    while (read(receiver, sink, sizeof sink) > 0) {
        continue;
    }
    vrd_fd_close(&receiver);
}

static void
test_without_a_start_descriptors_close_in_line(void)
{
    int fd = memfd_create("inline", MFD_CLOEXEC);
    int number = fd;

    vrd_closer_take(&fd);
    g_assert_cmpint(fd, ==, -1);
    g_assert_false(is_open(number));
    vrd_closer_take(&fd);
    vrd_closer_stop();
}

static void
test_a_close_that_blocks_holds_up_neither_loop_nor_batch(void)
{
    sd_event *event = NULL;
    unsigned n_before = count_fds();
    int sender;
    int receiver;
    int memory = memfd_create("memory", MFD_CLOEXEC);
    int numbers[2];

    g_assert_cmpint(sd_event_new(&event), >=, 0);
    g_assert_cmpint(vrd_closer_start(event), >=, 0);
    make_lingering(&sender, &receiver);
    numbers[0] = sender;
    numbers[1] = memory;
    vrd_closer_take(&sender);
    vrd_closer_take(&memory);
    g_assert_cmpint(sender, ==, -1);
    g_assert_cmpint(memory, ==, -1);
    run_until_closed(event, numbers[0]);
    run_until_closed(event, numbers[1]);

    drain(receiver);
    vrd_closer_stop();
    sd_event_unref(event);
    while (count_fds() > n_before) { /* a child's descriptor goes with the loop */
        g_usleep(1000);
    }
}

static void
test_children_are_reaped(void)
{
    sd_event *event = NULL;
    unsigned n_before;

    while (waitpid(-1, NULL, __WALL) > 0) { /* those that outlived another test's loop */
        continue;
    }
    g_assert_cmpint(sd_event_new(&event), >=, 0);
    g_assert_cmpint(vrd_closer_start(event), >=, 0);
    g_assert_cmpint(sd_event_run(event, 0), >=, 0);
    n_before = count_fds();
    for (unsigned i = 0; i < 100; i++) {
        int fd = memfd_create("memory", MFD_CLOEXEC);

        vrd_closer_take(&fd);
        g_assert_cmpint(sd_event_run(event, 0), >=, 0);
    }
    run_until_n_fds(event, n_before);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG | __WALL), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    vrd_closer_stop();
    sd_event_unref(event);
}

static void
test_an_eventfd_needs_no_child(void)
{
    sd_event *event = NULL;
    int fd = eventfd(0, EFD_CLOEXEC);
    int number = fd;

    g_assert_cmpint(sd_event_new(&event), >=, 0);
    g_assert_cmpint(vrd_closer_start(event), >=, 0);
    vrd_closer_take(&fd);
    g_assert_false(is_open(number));
    vrd_closer_stop();
    sd_event_unref(event);
}

static void
test_stop_empties_the_batch(void)
{
    sd_event *event = NULL;
    int fd = memfd_create("memory", MFD_CLOEXEC);
    int number = fd;

    g_assert_cmpint(sd_event_new(&event), >=, 0);
    g_assert_cmpint(vrd_closer_start(event), >=, 0);
    vrd_closer_take(&fd);
    g_assert_true(is_open(number));
    vrd_closer_stop();
    while (is_open(number)) {
        g_usleep(1000);
    }
    sd_event_unref(event);
}

static void
test_a_close_that_blocks_does_not_keep_the_process(void)
{
    int sender;
    int receiver;
    int turn[2];
    int status = -1;
    pid_t pid;

    make_lingering(&sender, &receiver);
    g_assert_no_errno(pipe2(turn, O_CLOEXEC));
    pid = fork();
    if (pid == 0) {
        sd_event *event = NULL;
        int number = sender;
        char byte;

        /* Only the last reference to the socket blocks: wait until it is ours. */
        if (read(turn[0], &byte, 1) != 1 || sd_event_new(&event) < 0 ||
            vrd_closer_start(event) < 0) {
            _exit(1);
        }
        vrd_closer_take(&sender);
        run_until_closed(event, number);
        vrd_closer_stop();
        sd_event_unref(event);
        _exit(0);
    }
    vrd_fd_close(&sender);
    g_assert_cmpint(write(turn[1], "x", 1), ==, 1);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    drain(receiver);
    vrd_fd_close(&turn[0]);
    vrd_fd_close(&turn[1]);
}

/* In a process of its own: the limit on processes is taken away from it. */
static int
run_without_processes(void)
{
    struct rlimit limit;
    struct rlimit none;
    sd_event *event = NULL;
    int memory = memfd_create("memory", MFD_CLOEXEC);
    int memory_number = memory;
    int pipes[2];
    int pipe_number;

    if (getuid() == 0 && setuid(65534) < 0) {
        return 2;
    }
    if (getrlimit(RLIMIT_NPROC, &limit) < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
        return 3;
    }
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NPROC, &none) < 0 || sd_event_new(&event) < 0 ||
        vrd_closer_start(event) < 0) {
        return 4;
    }
    pipe_number = pipes[0];
    vrd_closer_take(&pipes[0]);
    vrd_closer_take(&memory);
    sd_event_run(event, 0);
    if (is_open(pipe_number) || !is_open(memory_number)) {
        return 5;
    }
    if (setrlimit(RLIMIT_NPROC, &limit) < 0) {
        return 6;
    }
    run_until_closed(event, memory_number);
    vrd_closer_stop();
    sd_event_unref(event);
    return 0;
}

static void
test_without_a_child_what_may_block_is_kept_and_tried_again(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(run_without_processes());
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/closer/without-a-start-descriptors-close-in-line",
                    test_without_a_start_descriptors_close_in_line);
    g_test_add_func("/closer/a-close-that-blocks-holds-up-neither-loop-nor-batch",
                    test_a_close_that_blocks_holds_up_neither_loop_nor_batch);
    g_test_add_func("/closer/children-are-reaped", test_children_are_reaped);
    g_test_add_func("/closer/an-eventfd-needs-no-child", test_an_eventfd_needs_no_child);
    g_test_add_func("/closer/stop-empties-the-batch", test_stop_empties_the_batch);
    g_test_add_func("/closer/a-close-that-blocks-does-not-keep-the-process",
                    test_a_close_that_blocks_does_not_keep_the_process);
    g_test_add_func("/closer/without-a-child-what-may-block-is-kept-and-tried-again",
                    test_without_a_child_what_may_block_is_kept_and_tried_again);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/dialer.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "link-rig.h"

typedef struct {
    sd_event *event;
    VrdDialer *dialer;
    char *directory;
    char *path; /* in a directory of .directory */
    char *parent;
    unsigned base_fds;
    int connected; /* -1: not yet */
    int listeners[4];
    unsigned n_listeners;
} Rig;

static void
on_connected(int fd, gpointer user_data)
{
    Rig *rig = user_data;

    g_assert_cmpint(rig->connected, ==, -1);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    rig->connected = fd;
    g_clear_pointer(&rig->dialer, vrd_dialer_free);
}

static void
rig_start(Rig *rig, uid_t peer_uid)
{
    VrdDialerRules rules = {.peer_uid = peer_uid};

    memset(rig, 0, sizeof *rig);
    rig->directory = g_dir_make_tmp("vringd-dialer-XXXXXX", NULL);
    rig->parent = g_build_filename(rig->directory, "run", NULL);
    rig->path = g_build_filename(rig->parent, "sock", NULL);
    rig->connected = -1;
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->dialer = vrd_dialer_new(rig->event, rig->path, &rules, on_connected, rig, NULL);
    g_assert_nonnull(rig->dialer);
    g_assert_cmpstr(vrd_dialer_reason(rig->dialer), ==, "");
}

/* bind() and listen() apart, as they are in a backend. */
static int
rig_bind(Rig *rig, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
    rig->listeners[rig->n_listeners++] = fd;
    return fd;
}

static void
rig_end(Rig *rig)
{
    vrd_dialer_free(rig->dialer);
    vrd_fd_close(&rig->connected);
    for (unsigned i = 0; i < rig->n_listeners; i++) {
        vrd_fd_close(&rig->listeners[i]);
    }
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
    unlink(rig->path);
    rmdir(rig->parent);
    g_assert_cmpint(rmdir(rig->directory), ==, 0);
    g_free(rig->path);
    g_free(rig->parent);
    g_free(rig->directory);
}

static void
test_a_listener_that_is_there_is_connected_from_the_loop(void)
{
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    listen(rig_bind(&rig, rig.path), 1);
    vrd_dialer_start(rig.dialer, 0);
    g_assert_cmpint(rig.connected, ==, -1);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

static void
test_it_sleeps_until_the_node_appears(void)
{
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    vrd_dialer_start(rig.dialer, 0);
    rig_settle(rig.event);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, "no such path");
    g_assert_cmpint(sd_event_run(rig.event, 300 * G_TIME_SPAN_MILLISECOND), ==, 0);
    listen(rig_bind(&rig, rig.path), 1);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

static void
test_a_directory_may_come_late_and_go_again(void)
{
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    vrd_dialer_start(rig.dialer, 0);
    rig_settle(rig.event);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, "no such path");
    for (unsigned i = 0; i < 3; i++) {
        mkdir(rig.parent, 0700);
        rig_settle(rig.event);
        rmdir(rig.parent);
        rig_settle(rig.event);
    }
    g_assert_cmpint(sd_event_run(rig.event, 300 * G_TIME_SPAN_MILLISECOND), ==, 0);
    mkdir(rig.parent, 0700);
    listen(rig_bind(&rig, rig.path), 1);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

static void
test_a_node_moved_into_place_is_seen(void)
{
    g_autofree char *other = NULL;
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    vrd_dialer_start(rig.dialer, 0);
    rig_settle(rig.event);
    other = g_strconcat(rig.path, ".new", NULL);
    listen(rig_bind(&rig, other), 1);
    rig_settle(rig.event);
    g_assert_cmpint(rig.connected, ==, -1);
    g_assert_cmpint(rename(other, rig.path), ==, 0);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

static void
test_a_node_before_its_listener_is_retried(void)
{
    for (unsigned late = 0; late < 2; late++) {
        int fd;
        Rig rig;

        rig_start(&rig, (uid_t) -1);
        mkdir(rig.parent, 0700);
        vrd_dialer_start(rig.dialer, 0);
        rig_settle(rig.event);
        fd = rig_bind(&rig, rig.path);
        for (unsigned i = 0; i < (late ? 40 : 1); i++) {
            g_assert_cmpint(sd_event_run(rig.event, RIG_PATIENCE_US), >, 0);
        }
        g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, "connection refused");
        listen(fd, 1);
        rig_run_until(rig.event, rig.connected >= 0);
        rig_end(&rig);
    }
}

static void
test_a_stale_node_does_not_hide_the_next_one(void)
{
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    rig_bind(&rig, rig.path);
    vrd_fd_close(&rig.listeners[0]);
    vrd_dialer_start(rig.dialer, 0);
    sd_event_run(rig.event, RIG_PATIENCE_US);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, "connection refused");
    unlink(rig.path);
    rig_settle(rig.event);
    rig_run_until(rig.event, g_str_equal(vrd_dialer_reason(rig.dialer), "no such path"));
    g_assert_cmpint(sd_event_run(rig.event, 300 * G_TIME_SPAN_MILLISECOND), ==, 0);
    listen(rig_bind(&rig, rig.path), 1);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

static void
test_a_full_backlog_is_retried(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;
    int first;
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    fd = rig_bind(&rig, rig.path);
    listen(fd, 0);
    first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, rig.path, sizeof address.sun_path);
    g_assert_cmpint(connect(first, (struct sockaddr *) &address, sizeof address), ==, 0);
    vrd_dialer_start(rig.dialer, 0);
    sd_event_run(rig.event, RIG_PATIENCE_US);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, "the listener's backlog is full");
    close(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
    rig_run_until(rig.event, rig.connected >= 0);
    close(first);
    rig_end(&rig);
}

static void
test_what_is_not_a_socket_is_refused(void)
{
    g_autofree char *other = NULL;
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    other = g_build_filename(rig.directory, "other", NULL);
    listen(rig_bind(&rig, other), 1);
    g_assert_cmpint(symlink(other, rig.path), ==, 0);
    vrd_dialer_start(rig.dialer, 0);
    rig_settle(rig.event);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==,
                    "path is a symbolic link, allowed is a socket");
    unlink(rig.path);
    g_assert_true(g_file_set_contents(rig.path, "", 0, NULL));
    rig_settle(rig.event);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, "path is not a socket");
    g_assert_cmpint(rig.connected, ==, -1);
    g_assert_cmpint(rename(other, rig.path), ==, 0);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

static void
test_a_listener_of_another_user_is_refused(void)
{
    g_autofree char *text = g_strdup_printf("listener has uid %u, allowed %u", geteuid(),
                                            geteuid() + 1);
    Rig rig;

    rig_start(&rig, geteuid() + 1);
    mkdir(rig.parent, 0700);
    listen(rig_bind(&rig, rig.path), 8);
    vrd_dialer_start(rig.dialer, 0);
    rig_settle(rig.event);
    g_assert_cmpint(rig.connected, ==, -1);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, text);
    rig_end(&rig);

    rig_start(&rig, geteuid());
    mkdir(rig.parent, 0700);
    listen(rig_bind(&rig, rig.path), 8);
    vrd_dialer_start(rig.dialer, 0);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

static void
test_a_path_over_107_bytes_is_refused_with_its_length(void)
{
    VrdDialerRules rules = {.peer_uid = (uid_t) -1};
    g_autofree char *path = g_strnfill(120, 'x');
    g_autoptr(GError) error = NULL;
    sd_event *event = rig_event_new();
    VrdDialer *dialer;

    g_assert_null(vrd_dialer_new(event, path, &rules, on_connected, NULL, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
    g_assert_nonnull(
        strstr(error->message, "socket path is 120 bytes, allowed 1 to 107"));
    path[107] = '\0';
    dialer = vrd_dialer_new(event, path, &rules, on_connected, NULL, NULL);
    g_assert_nonnull(dialer);
    vrd_dialer_free(dialer);
    sd_event_unref(event);
}

static void
test_a_stopped_dialer_does_nothing_until_it_is_started(void)
{
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    vrd_dialer_start(rig.dialer, 0);
    rig_settle(rig.event);
    vrd_dialer_stop(rig.dialer);
    g_assert_cmpstr(vrd_dialer_reason(rig.dialer), ==, "");
    listen(rig_bind(&rig, rig.path), 1);
    rig_settle(rig.event);
    g_assert_cmpint(rig.connected, ==, -1);
    vrd_dialer_start(rig.dialer, 10000);
    rig_settle(rig.event);
    g_assert_cmpint(rig.connected, ==, -1);
    vrd_dialer_stop(rig.dialer);
    vrd_dialer_start(rig.dialer, 1);
    rig_run_until(rig.event, rig.connected >= 0);
    rig_end(&rig);
}

/* One inotify descriptor serves them all, and a node wakes only its own dialer. */
static void
test_a_thousand_dialers_cost_no_descriptors_and_no_wakeups(void)
{
    VrdDialerRules rules = {.peer_uid = (uid_t) -1};
    VrdDialer *dialers[1000];
    unsigned before;
    Rig rig;

    rig_start(&rig, (uid_t) -1);
    mkdir(rig.parent, 0700);
    vrd_dialer_start(rig.dialer, 0);
    rig_settle(rig.event);
    before = rig_count_fds();
    for (unsigned i = 0; i < G_N_ELEMENTS(dialers); i++) {
        g_autofree char *path = g_strdup_printf("%s%u", rig.path, i);

        dialers[i] = vrd_dialer_new(rig.event, path, &rules, on_connected, NULL, NULL);
        vrd_dialer_start(dialers[i], 0);
    }
    rig_settle(rig.event);
    g_assert_cmpuint(rig_count_fds(), ==, before);
    g_assert_cmpint(sd_event_run(rig.event, 300 * G_TIME_SPAN_MILLISECOND), ==, 0);
    listen(rig_bind(&rig, rig.path), 1);
    rig_run_until(rig.event, rig.connected >= 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(dialers); i++) {
        g_assert_cmpstr(vrd_dialer_reason(dialers[i]), ==, "no such path");
        vrd_dialer_free(dialers[i]);
    }
    rig_end(&rig);
}

#define ADD(test_) g_test_add_func("/link/dialer/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_a_listener_that_is_there_is_connected_from_the_loop);
    ADD(test_it_sleeps_until_the_node_appears);
    ADD(test_a_directory_may_come_late_and_go_again);
    ADD(test_a_node_moved_into_place_is_seen);
    ADD(test_a_node_before_its_listener_is_retried);
    ADD(test_a_stale_node_does_not_hide_the_next_one);
    ADD(test_a_full_backlog_is_retried);
    ADD(test_what_is_not_a_socket_is_refused);
    ADD(test_a_listener_of_another_user_is_refused);
    ADD(test_a_path_over_107_bytes_is_refused_with_its_length);
    ADD(test_a_stopped_dialer_does_nothing_until_it_is_started);
    ADD(test_a_thousand_dialers_cost_no_descriptors_and_no_wakeups);
    return g_test_run();
}

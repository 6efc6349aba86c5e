/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/listener.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "link-rig.h"

static const VrdListenerAccess plain = {
    .owner = (uid_t) -1, .group = (gid_t) -1, .mode = 0660};

typedef struct {
    sd_event *event;
    VrdListener *listener;
    char *directory;
    char *path;
    unsigned base_fds;
    unsigned n_accepted;
    int fds[64];
    gboolean free_when_accepted;
} Rig;

static void
on_accepted(int fd, gpointer user_data)
{
    Rig *rig = user_data;

    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    g_assert_cmpuint(rig->n_accepted, <, G_N_ELEMENTS(rig->fds));
    rig->fds[rig->n_accepted++] = fd;
    if (rig->free_when_accepted) {
        g_clear_pointer(&rig->listener, vrd_listener_free);
    }
}

static void
rig_start(Rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->directory = g_dir_make_tmp("vringd-listener-XXXXXX", NULL);
    rig->path = g_build_filename(rig->directory, "sock", NULL);
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
}

static void
rig_listen(Rig *rig)
{
    g_autoptr(GError) error = NULL;
    int fd = vrd_listener_bind(rig->path, &plain, &error);

    g_assert_no_error(error);
    rig->listener = vrd_listener_new(rig->event, fd, rig->path, on_accepted, rig, &error);
    g_assert_no_error(error);
}

static void
rig_end(Rig *rig)
{
    vrd_listener_free(rig->listener);
    for (unsigned i = 0; i < rig->n_accepted; i++) {
        close(rig->fds[i]);
    }
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
    unlink(rig->path);
    g_assert_cmpint(rmdir(rig->directory), ==, 0);
    g_free(rig->path);
    g_free(rig->directory);
}

static int
dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void
assert_refused(const char *path, VrdErrorCode code, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vrd_listener_bind(path, &plain, &error), ==, -1);
    g_assert_error(error, VRD_ERROR, (gint) code);
    g_assert_nonnull(strstr(error->message, text));
}

static void
test_connections_are_handed_over(void)
{
    int peers[40];
    Rig rig;

    rig_start(&rig);
    rig_listen(&rig);
    for (unsigned i = 0; i < 40; i++) {
        peers[i] = dial(rig.path);
        g_assert_cmpint(peers[i], >=, 0);
    }
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_accepted, ==, 40);
    for (unsigned i = 0; i < 40; i++) {
        close(peers[i]);
    }
    rig_end(&rig);
}

static void
test_a_path_of_the_wrong_length_is_refused(void)
{
    g_autofree char *good = g_strnfill(107, 'x');
    g_autofree char *bad = g_strnfill(120, 'x');

    good[0] = '/';
    bad[0] = '/';
    assert_refused(bad, VRD_ERROR_SETTING,
                   "socket path is 120 bytes, allowed 1 to 107: /x");
    bad[108] = '\0';
    assert_refused(bad, VRD_ERROR_SETTING, "socket path is 108 bytes");
    assert_refused("", VRD_ERROR_SETTING, "socket path is 0 bytes");
    memcpy(good, "/no/such/", 9);
    assert_refused(good, VRD_ERROR_SYSTEM, "No such file");
}

static void
test_the_node_has_the_access_that_was_asked(void)
{
    VrdListenerAccess access = plain;
    struct stat status;
    Rig rig;
    int fd;

    rig_start(&rig);
    access.mode = 0606;
    access.group = getegid();
    fd = vrd_listener_bind(rig.path, &access, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(lstat(rig.path, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 07777, ==, 0606);
    close(fd);
    rig_end(&rig);
}

static void
test_a_stale_socket_is_replaced(void)
{
    int peer;
    Rig rig;

    rig_start(&rig);
    close(vrd_listener_bind(rig.path, &plain, NULL));
    g_assert_cmpint(dial(rig.path), ==, -1);
    rig_listen(&rig);
    peer = dial(rig.path);
    g_assert_cmpint(peer, >=, 0);
    close(peer);
    rig_end(&rig);
}

static void
test_what_is_not_a_stale_socket_is_kept(void)
{
    struct stat before;
    struct stat after;
    Rig rig;

    rig_start(&rig);
    rig_listen(&rig);
    lstat(rig.path, &before);
    assert_refused(rig.path, VRD_ERROR_STATE, "somebody listens at ");
    lstat(rig.path, &after);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    rig_settle(rig.event);
    g_clear_pointer(&rig.listener, vrd_listener_free);

    g_assert_true(g_file_set_contents(rig.path, "precious", -1, NULL));
    assert_refused(rig.path, VRD_ERROR_SYSTEM, "exists and is not a socket");
    g_assert_true(g_file_test(rig.path, G_FILE_TEST_IS_REGULAR));
    unlink(rig.path);

    g_assert_cmpint(symlink("elsewhere", rig.path), ==, 0);
    assert_refused(rig.path, VRD_ERROR_SYSTEM, "exists and is not a socket");
    rig_end(&rig);
}

static void
test_only_its_own_node_is_removed(void)
{
    g_autofree char *other = NULL;
    Rig rig;

    rig_start(&rig);
    rig_listen(&rig);
    g_clear_pointer(&rig.listener, vrd_listener_free);
    g_assert_false(g_file_test(rig.path, G_FILE_TEST_EXISTS));

    rig_listen(&rig);
    other = g_strconcat(rig.path, "2", NULL);
    close(vrd_listener_bind(other, &plain, NULL));
    g_assert_cmpint(rename(other, rig.path), ==, 0);
    g_clear_pointer(&rig.listener, vrd_listener_free);
    g_assert_true(g_file_test(rig.path, G_FILE_TEST_EXISTS));
    rig_end(&rig);
}

static void
test_while_paused_connections_wait(void)
{
    int peer;
    Rig rig;

    rig_start(&rig);
    rig_listen(&rig);
    vrd_listener_set_paused(rig.listener, TRUE);
    peer = dial(rig.path);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_accepted, ==, 0);
    vrd_listener_set_paused(rig.listener, FALSE);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_accepted, ==, 1);
    close(peer);
    rig_end(&rig);
}

static void
test_accepted_may_free_the_listener(void)
{
    int peers[2];
    Rig rig;

    rig_start(&rig);
    rig_listen(&rig);
    rig.free_when_accepted = TRUE;
    peers[0] = dial(rig.path);
    peers[1] = dial(rig.path);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_accepted, ==, 1);
    close(peers[0]);
    close(peers[1]);
    rig_end(&rig);
}

static void
test_the_descriptor_can_go_on_elsewhere(void)
{
    int fd;
    int peer;
    Rig rig;

    rig_start(&rig);
    close(vrd_listener_bind(rig.path, &plain, NULL));
    rig_listen(&rig);
    fd = vrd_listener_dup_fd(rig.listener, NULL);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    peer = dial(rig.path);
    g_clear_pointer(&rig.listener, vrd_listener_free);
    rig.listener = vrd_listener_new(rig.event, fd, NULL, on_accepted, &rig, NULL);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_accepted, ==, 1);
    close(peer);
    rig_end(&rig);
}

static void
test_what_does_not_listen_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    int ends[2];
    Rig rig;

    rig_start(&rig);
    rig_pair(ends);
    g_assert_null(vrd_listener_new(rig.event, ends[0], NULL, on_accepted, &rig, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
    g_clear_error(&error);
    g_assert_null(
        vrd_listener_new(rig.event, rig_file(), NULL, on_accepted, &rig, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SYSTEM);
    close(ends[1]);
    rig_end(&rig);
}

/* Where nothing is left, who connects hears so at once and the loop does not spin. */
static void
exhaust_in_child(Rig *rig)
{
    struct rlimit low;
    int peers[3];
    char byte;

    for (unsigned i = 0; i < 3; i++) {
        peers[i] = dial(rig->path);
    }
    getrlimit(RLIMIT_NOFILE, &low);
    low.rlim_cur = (rlim_t) rig_file() + 1; /* that was the last one */
    setrlimit(RLIMIT_NOFILE, &low);
    for (unsigned turns = 0; sd_event_run(rig->event, 0) > 0; turns++) {
        g_assert_cmpuint(turns, <, 5);
    }
    g_assert_cmpuint(rig->n_accepted, ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(read(peers[i], &byte, 1), ==, 0);
        close(peers[i]);
    }
    peers[0] = dial(rig->path);
    g_assert_cmpint(peers[0], >=, 0);
    rig_run_until(rig->event, rig->n_accepted > 0);
    _exit(0);
}

static void
test_without_free_descriptors_it_refuses_and_rests(void)
{
    int status = -1;
    pid_t child;
    Rig rig;

    rig_start(&rig);
    child = fork();
    if (child == 0) {
        rig.event = rig_event_new(); /* a loop does not survive fork() */
        rig_listen(&rig);
        rig_settle(rig.event);
        exhaust_in_child(&rig);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    unlink(rig.path);
    rig_end(&rig);
}

#define ADD(test_) g_test_add_func("/link/listener/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_connections_are_handed_over);
    ADD(test_a_path_of_the_wrong_length_is_refused);
    ADD(test_the_node_has_the_access_that_was_asked);
    ADD(test_a_stale_socket_is_replaced);
    ADD(test_what_is_not_a_stale_socket_is_kept);
    ADD(test_only_its_own_node_is_removed);
    ADD(test_while_paused_connections_wait);
    ADD(test_accepted_may_free_the_listener);
    ADD(test_the_descriptor_can_go_on_elsewhere);
    ADD(test_what_does_not_listen_is_refused);
    ADD(test_without_free_descriptors_it_refuses_and_rests);
    return g_test_run();
}

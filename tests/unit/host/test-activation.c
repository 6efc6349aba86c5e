/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Activated sockets have fixed numbers, from 3: each test runs as a process of its own,
 * whose descriptors it lays out before anything else opens one.
 */
#include "host/activation.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

enum { FIRST_FD = 3 };

typedef enum {
    LISTENER,
    NOT_LISTENING,
    DATAGRAM,
    INET,
    A_FILE,
} Kind;

static int
make_fd(Kind kind)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    switch (kind) {
    case LISTENER:
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        /* no name: the kernel picks an abstract one */
        g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof(sa_family_t)), ==,
                        0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
        return fd;
    case NOT_LISTENING:
        return socket(AF_UNIX, SOCK_STREAM, 0);
    case DATAGRAM:
        return socket(AF_UNIX, SOCK_DGRAM, 0);
    case INET:
        fd = socket(AF_INET, SOCK_STREAM, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
        return fd;
    case A_FILE:
        return open("/dev/null", O_RDONLY);
    }
    return -1;
}

/* Put descriptors where systemd puts them, and say so in the environment. */
static void
lay_out(const Kind *kinds, int n, const char *names)
{
    g_autofree char *pid = g_strdup_printf("%d", (int) getpid());
    g_autofree char *number = g_strdup_printf("%d", n);
    int made[8];

    for (int i = 0; i < n; i++) {
        int fd = make_fd(kinds[i]);

        g_assert_cmpint(fd, >=, 0);
        made[i] = fcntl(fd, F_DUPFD, FIRST_FD + 50);
        close(fd);
    }
    for (int i = 0; i < n; i++) {
        g_assert_cmpint(dup2(made[i], FIRST_FD + i), ==, FIRST_FD + i);
        close(made[i]);
    }
    g_setenv("LISTEN_PID", pid, TRUE);
    g_setenv("LISTEN_FDS", number, TRUE);
    g_setenv("LISTEN_FDNAMES", names, TRUE);
}

static gboolean
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Run @body in a child: its exit status tells. */
static void
run_apart(void (*body)(void))
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
        g_test_trap_assert_passed();
        return;
    }
    body();
}

static void
take_by_name(void)
{
    static const Kind kinds[] = {LISTENER, LISTENER, LISTENER};
    g_autoptr(VrdActivation) activation = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) leftovers = NULL;

    lay_out(kinds, 3, "backend.x:vmm.x:vmm.y");
    activation = vrd_activation_new(&error);
    g_assert_no_error(error);
    g_assert_null(g_getenv("LISTEN_FDS"));
    g_assert_null(g_getenv("LISTEN_FDNAMES"));
    g_assert_null(g_getenv("LISTEN_PID"));
    g_assert_cmpint(vrd_activation_take_fd(activation, "vmm.x", &error), ==,
                    FIRST_FD + 1);
    g_assert_cmpint(vrd_activation_take_fd(activation, "backend.x", &error), ==,
                    FIRST_FD);
    g_assert_true(fcntl(FIRST_FD, F_GETFD) & FD_CLOEXEC);
    g_assert_true(fcntl(FIRST_FD, F_GETFL) & O_NONBLOCK);
    g_assert_cmpint(vrd_activation_take_fd(activation, "vmm.x", &error), ==, -1);
    g_assert_cmpint(vrd_activation_take_fd(activation, "vmm", &error), ==, -1);
    g_assert_no_error(error);
    leftovers = vrd_activation_leftovers(activation);
    g_assert_cmpuint(g_strv_length(leftovers), ==, 1);
    g_assert_cmpstr(leftovers[0], ==, "vmm.y");
}

static void
test_sockets_are_taken_by_name_and_once(void)
{
    run_apart(take_by_name);
}

static void
free_with_leftovers(void)
{
    static const Kind kinds[] = {LISTENER, LISTENER};
    VrdActivation *activation;

    lay_out(kinds, 2, "vmm.x:vmm.y");
    activation = vrd_activation_new(NULL);
    g_assert_cmpint(vrd_activation_take_fd(activation, "vmm.x", NULL), ==, FIRST_FD);
    vrd_activation_free(activation);
    g_assert_true(is_open(FIRST_FD));
    g_assert_false(is_open(FIRST_FD + 1));
}

static void
test_what_nobody_took_is_closed_in_the_end(void)
{
    run_apart(free_with_leftovers);
}

static void
take_others(void)
{
    static const Kind kinds[] = {NOT_LISTENING, DATAGRAM, INET, A_FILE};
    static const char *const names[] = {"vmm.a", "vmm.b", "vmm.c", "vmm.d"};
    g_autoptr(VrdActivation) activation = NULL;
    g_auto(GStrv) leftovers = NULL;

    lay_out(kinds, 4, "vmm.a:vmm.b:vmm.c:vmm.d");
    activation = vrd_activation_new(NULL);
    for (unsigned i = 0; i < 4; i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(vrd_activation_take_fd(activation, names[i], &error), ==, -1);
        g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
        g_assert_nonnull(strstr(error->message, names[i]));
    }
    leftovers = vrd_activation_leftovers(activation);
    g_assert_cmpuint(g_strv_length(leftovers), ==, 4);
}

static void
test_only_listening_unix_streams_are_handed_out(void)
{
    run_apart(take_others);
}

static void
give_back(void)
{
    static const Kind kinds[] = {LISTENER};
    g_autoptr(VrdActivation) activation = NULL;
    int fd;

    lay_out(kinds, 1, "vmm.x");
    activation = vrd_activation_new(NULL);
    fd = vrd_activation_take_fd(activation, "vmm.x", NULL);
    vrd_activation_give_fd(activation, "vmm.x", &fd);
    g_assert_cmpint(fd, ==, -1);
    vrd_activation_give_fd(activation, "vmm.x", &fd);
    g_assert_cmpint(vrd_activation_take_fd(activation, "vmm.x", NULL), ==, FIRST_FD);
    g_assert_cmpint(vrd_activation_take_fd(activation, "vmm.x", NULL), ==, -1);
}

static void
test_socket_given_back_can_be_taken_again(void)
{
    run_apart(give_back);
}

static void
test_no_promise_is_no_error(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VrdActivation) activation = vrd_activation_new(&error);
    g_auto(GStrv) leftovers = NULL;

    g_assert_no_error(error);
    g_assert_cmpint(vrd_activation_take_fd(activation, "vmm.x", &error), ==, -1);
    g_assert_no_error(error);
    leftovers = vrd_activation_leftovers(activation);
    g_assert_cmpuint(g_strv_length(leftovers), ==, 0);
}

static void
test_broken_promise_is_an_error(void)
{
    g_autofree char *pid = g_strdup_printf("%d", (int) getpid());
    g_autoptr(GError) error = NULL;

    g_setenv("LISTEN_PID", pid, TRUE);
    g_setenv("LISTEN_FDS", "many", TRUE);
    g_assert_null(vrd_activation_new(&error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SYSTEM);
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/activation/sockets-are-taken-by-name-and-once",
                    test_sockets_are_taken_by_name_and_once);
    g_test_add_func("/activation/what-nobody-took-is-closed-in-the-end",
                    test_what_nobody_took_is_closed_in_the_end);
    g_test_add_func("/activation/only-listening-unix-streams-are-handed-out",
                    test_only_listening_unix_streams_are_handed_out);
    g_test_add_func("/activation/socket-given-back-can-be-taken-again",
                    test_socket_given_back_can_be_taken_again);
    g_test_add_func("/activation/no-promise-is-no-error", test_no_promise_is_no_error);
    g_test_add_func("/activation/broken-promise-is-an-error",
                    test_broken_promise_is_an_error);
    return g_test_run();
}

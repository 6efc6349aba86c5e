/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

/* A service manager's end: the abstract socket that NOTIFY_SOCKET names. */
static int
listen_as_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autofree char *name = g_strdup_printf("@vringd-test-notify-%d", (int) getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    g_assert_cmpint(
        bind(fd, (struct sockaddr *) &address,
             (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(name))),
        ==, 0);
    g_assert_true(g_setenv("NOTIFY_SOCKET", name, TRUE));
    return fd;
}

/* (owned) the next message, "" if there is none */
static char *
hear(int fd)
{
    char buffer[512];
    ssize_t n_bytes = recv(fd, buffer, sizeof(buffer), 0);

    return g_strndup(buffer, n_bytes > 0 ? (size_t) n_bytes : 0);
}

static void
assert_heard(int fd, const char *pattern)
{
    g_autofree char *message = hear(fd);

    g_test_message("%s", message);
    g_assert_true(g_pattern_match_simple(pattern, message));
}

static void
test_manager_hears_each_step(void)
{
    vrd_autofd manager = listen_as_manager();

    vrd_notify_status("%d devices\n2nd line", 3);
    assert_heard(manager, "STATUS=3 devices 2nd line");
    vrd_notify_ready();
    assert_heard(manager, "READY=1");
    vrd_notify_reloading();
    assert_heard(manager, "RELOADING=1\nMONOTONIC_USEC=?*");
    vrd_notify_ready();
    assert_heard(manager, "READY=1");
    vrd_notify_stopping();
    assert_heard(manager, "STOPPING=1");
    assert_heard(manager, "");
}

static void
test_reload_says_when_it_began(void)
{
    vrd_autofd manager = listen_as_manager();
    uint64_t before = (uint64_t) g_get_monotonic_time();
    g_autofree char *message = NULL;
    const char *text;
    uint64_t said;

    vrd_notify_reloading();
    message = hear(manager);
    text = strstr(message, "MONOTONIC_USEC=");
    g_assert_nonnull(text);
    said = g_ascii_strtoull(text + strlen("MONOTONIC_USEC="), NULL, 10);
    g_assert_cmpuint(said, >=, before);
    g_assert_cmpuint(said, <=, (uint64_t) g_get_monotonic_time());
}

static void
test_without_a_manager_nothing_happens(void)
{
    g_unsetenv("NOTIFY_SOCKET");
    vrd_notify_status("x");
    vrd_notify_ready();
    vrd_notify_reloading();
    vrd_notify_stopping();
}

static void
test_manager_that_is_gone_does_no_harm(void)
{
    g_assert_true(g_setenv("NOTIFY_SOCKET", "/nonexistent/notify", TRUE));
    vrd_notify_status("x");
    vrd_notify_ready();
}

static void
test_loop_feeds_the_watchdog(void)
{
    vrd_autofd manager = listen_as_manager();
    g_autofree char *pid = g_strdup_printf("%d", (int) getpid());
    g_autoptr(GError) error = NULL;
    sd_event *event = NULL;

    g_assert_true(g_setenv("WATCHDOG_USEC", "30000000", TRUE));
    g_assert_true(g_setenv("WATCHDOG_PID", pid, TRUE));
    g_assert_cmpint(sd_event_new(&event), >=, 0);
    g_assert_true(vrd_notify_watchdog(event, &error));
    g_assert_no_error(error);
    g_assert_true(sd_event_get_watchdog(event));
    assert_heard(manager, "WATCHDOG=1");
    sd_event_unref(event);
    g_unsetenv("WATCHDOG_USEC");
    g_unsetenv("WATCHDOG_PID");
}

static void
test_no_watchdog_is_no_error(void)
{
    g_autoptr(GError) error = NULL;
    sd_event *event = NULL;

    g_assert_cmpint(sd_event_new(&event), >=, 0);
    g_assert_true(vrd_notify_watchdog(event, &error));
    g_assert_no_error(error);
    sd_event_unref(event);
}

static void
test_watchdog_that_makes_no_sense_is_an_error(void)
{
    g_autoptr(GError) error = NULL;
    sd_event *event = NULL;

    g_assert_true(g_setenv("WATCHDOG_USEC", "soon", TRUE));
    g_assert_cmpint(sd_event_new(&event), >=, 0);
    g_assert_false(vrd_notify_watchdog(event, &error));
    g_assert_nonnull(error);
    sd_event_unref(event);
    g_unsetenv("WATCHDOG_USEC");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/notify/manager-hears-each-step", test_manager_hears_each_step);
    g_test_add_func("/notify/reload-says-when-it-began", test_reload_says_when_it_began);
    g_test_add_func("/notify/without-a-manager-nothing-happens",
                    test_without_a_manager_nothing_happens);
    g_test_add_func("/notify/manager-that-is-gone-does-no-harm",
                    test_manager_that_is_gone_does_no_harm);
    g_test_add_func("/notify/loop-feeds-the-watchdog", test_loop_feeds_the_watchdog);
    g_test_add_func("/notify/no-watchdog-is-no-error", test_no_watchdog_is_no_error);
    g_test_add_func("/notify/watchdog-that-makes-no-sense-is-an-error",
                    test_watchdog_that_makes_no_sense_is_an_error);
    return g_test_run();
}

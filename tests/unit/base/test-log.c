/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

typedef struct {
    int saved;
    int file;
} Capture;

static Capture
capture_stderr(void)
{
    Capture capture = {.saved = dup(STDERR_FILENO),
                       .file = memfd_create("stderr", MFD_CLOEXEC)};

    dup2(capture.file, STDERR_FILENO);
    return capture;
}

static char *
captured(Capture *capture)
{
    char text[8192];
    ssize_t n;

    dup2(capture->saved, STDERR_FILENO);
    n = pread(capture->file, text, sizeof text - 1, 0);
    text[MAX(n, 0)] = '\0';
    vrd_fd_close(&capture->saved);
    vrd_fd_close(&capture->file);
    return g_strdup(text);
}

static void
assert_line(const VrdLogSubject *subject, const char *message, const char *line)
{
    Capture capture = capture_stderr();
    g_autofree char *text = NULL;

    vrd_log_write(LOG_WARNING, subject, "%s", message);
    text = captured(&capture);
    g_assert_cmpstr(text, ==, line);
}

static void
test_a_line_says_whom_it_is_about(void)
{
    VrdLogSubject all = {.vm = "vm1", .device = "net0", .queue = 1, .peer = "vmm pid 12"};
    VrdLogSubject vm = {.vm = "vm1", .queue = -1};
    VrdLogSubject device = {.device = "net0", .queue = 0};
    VrdLogSubject peer = {.queue = -1, .peer = "bus :1.7"};

    assert_line(&all, "lost", "<4>vm1/net0: lost (queue 1) [vmm pid 12]\n");
    assert_line(&vm, "gone", "<4>vm1: gone\n");
    assert_line(&device, "x", "<4>net0: x (queue 0)\n");
    assert_line(&peer, "denied", "<4>denied [bus :1.7]\n");
    assert_line(NULL, "ready", "<4>ready\n");
}

static void
test_text_from_outside_cannot_make_a_line_of_its_own(void)
{
    VrdLogSubject subject = {.vm = "a\n<0>b", .queue = -1, .peer = "\033[31m"};

    assert_line(&subject, "x\ty\r\xff\xc3\xa9",
                "<4>a\\x0a<0>b: x\\x09y\\x0d\\xff\xc3\xa9 [\\x1b[31m]\n");
}

static void
test_lines_below_the_level_are_not_written(void)
{
    Capture capture = capture_stderr();
    g_autofree char *text = NULL;

    vrd_log_set_level(LOG_NOTICE);
    g_assert_true(vrd_log_wants(LOG_NOTICE));
    g_assert_false(vrd_log_wants(LOG_INFO));
    vrd_log_info(NULL, "too much");
    vrd_log_debug(NULL, "far too much");
    vrd_log_notice(NULL, "right");
    vrd_log_set_level(LOG_DEBUG);
    vrd_log_debug(NULL, "wanted");
    vrd_log_set_level(LOG_INFO);
    text = captured(&capture);
    g_assert_cmpstr(text, ==, "<5>right\n<7>wanted\n");
}

static void
test_what_is_over_the_budget_is_counted_and_said(void)
{
    Capture capture = capture_stderr();
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    VrdLogLimit limit = {0};

    for (unsigned i = 0; i < VRD_LOG_LIMIT_LINES + 5; i++) {
        vrd_log_limited(&limit, LOG_WARNING, NULL, "bad %u", i);
    }
    g_assert_cmpuint(limit.suppressed, ==, 5);
    limit.begin_us -= VRD_LOG_LIMIT_INTERVAL_US; /* as if it was over */
    vrd_log_limited(&limit, LOG_WARNING, NULL, "bad again");
    vrd_log_limited(&limit, LOG_WARNING, NULL, "and again");
    text = captured(&capture);
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, VRD_LOG_LIMIT_LINES + 3);
    g_assert_cmpstr(lines[VRD_LOG_LIMIT_LINES - 1], ==, "<4>bad 9");
    g_assert_cmpstr(lines[VRD_LOG_LIMIT_LINES], ==,
                    "<4>bad again (5 lines like this were left out)");
    g_assert_cmpstr(lines[VRD_LOG_LIMIT_LINES + 1], ==, "<4>and again");
}

int
main(int argc, char **argv)
{
    g_setenv("VRINGD_LOG", "stderr", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/a-line-says-whom-it-is-about",
                    test_a_line_says_whom_it_is_about);
    g_test_add_func("/log/text-from-outside-cannot-make-a-line-of-its-own",
                    test_text_from_outside_cannot_make_a_line_of_its_own);
    g_test_add_func("/log/lines-below-the-level-are-not-written",
                    test_lines_below_the_level_are_not_written);
    g_test_add_func("/log/what-is-over-the-budget-is-counted-and-said",
                    test_what_is_over_the_budget_is_counted_and_said);
    return g_test_run();
}

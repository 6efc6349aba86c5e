/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

static gboolean used_stderr;

typedef struct {
    int saved;
    int file;
} Capture;

static Capture
capture_stderr(void)
{
    Capture capture = {.saved = dup(STDERR_FILENO),
                       .file = memfd_create("stderr", MFD_CLOEXEC)};

    used_stderr = TRUE;
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

/* A /run of our own with a socket where the journal's is; -1: not allowed to. */
static int
make_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX,
                                  .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0) {
        vrd_fd_close(&fd);
        return -1;
    }
    g_assert_no_errno(g_mkdir_with_parents("/run/systemd/journal", 0755));
    g_assert_no_errno(bind(fd, (struct sockaddr *) &address, sizeof address));
    return fd;
}

static void
log_to_journal(void)
{
    static const char *const fields[] = {
        "MESSAGE=vm\\x0a1/net0: lost (queue 2) [vmm pid 12]\n",
        "PRIORITY=5\n",
        "VRINGD_VM=vm\\x0a1\n",
        "VRINGD_DEVICE=net0\n",
        "VRINGD_QUEUE=2\n",
        "VRINGD_PEER=vmm pid 12\n",
    };
    VrdLogSubject all = {
        .vm = "vm\n1", .device = "net0", .queue = 2, .peer = "vmm pid 12"};
    char datagram[4096];
    vrd_autofd journal = make_journal();
    ssize_t n;

    if (journal < 0) {
        _exit(77);
    }
    g_unsetenv("VRINGD_LOG");
    vrd_log_notice(&all, "lost");
    n = recv(journal, datagram, sizeof datagram - 1, MSG_DONTWAIT);
    g_assert_cmpint(n, >, 0);
    datagram[n] = '\0';
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_assert_nonnull(strstr(datagram, fields[i]));
    }
    g_assert_null(strstr(datagram, "CODE_FILE"));
}

static void
test_the_journal_gets_a_field_for_each_part_of_the_subject(void)
{
    int status = -1;
    pid_t pid;

    g_assert_false(used_stderr); /* where lines go is asked once in a process */
    pid = fork();
    if (pid == 0) {
        log_to_journal();
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        g_test_skip("no mount namespace to be had");
        return;
    }
    g_assert_cmpint(status, ==, 0);
}

int
main(int argc, char **argv)
{
    g_setenv("VRINGD_LOG", "stderr", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/the-journal-gets-a-field-for-each-part-of-the-subject",
                    test_the_journal_gets_a_field_for_each_part_of_the_subject);
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

static void
assert_kind(int fd, VrdFdKind kind)
{
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpstr(vrd_fd_kind_name(vrd_fd_kind(fd)), ==, vrd_fd_kind_name(kind));
    vrd_fd_close(&fd);
}

static void
test_each_kind_is_told_by_its_descriptor(void)
{
    int pair[2];
    int pipes[2];

    assert_kind(memfd_create("anon_inode:[eventfd]", MFD_CLOEXEC), VRD_FD_SHM);
    assert_kind(eventfd(0, EFD_CLOEXEC), VRD_FD_EVENTFD);
    assert_kind(epoll_create1(EPOLL_CLOEXEC), VRD_FD_ANON);
    assert_kind(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), VRD_FD_FILE);
    assert_kind(open("/proc/self/status", O_RDONLY | O_CLOEXEC), VRD_FD_FILE);
    assert_kind(open("/dev/zero", O_RDWR | O_CLOEXEC), VRD_FD_FILE);
    assert_kind(open("/dev/zero", O_PATH | O_CLOEXEC), VRD_FD_FILE);
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    assert_kind(pair[0], VRD_FD_SOCKET);
    assert_kind(pair[1], VRD_FD_SOCKET);
    g_assert_no_errno(pipe2(pipes, O_CLOEXEC));
    assert_kind(pipes[0], VRD_FD_PIPE);
    assert_kind(pipes[1], VRD_FD_PIPE);
    g_assert_cmpint(vrd_fd_kind(-1), ==, VRD_FD_UNKNOWN);
    g_assert_cmpint(vrd_fd_kind(1 << 20), ==, VRD_FD_UNKNOWN);
}

static void
test_a_tmpfs_file_is_shared_memory(void)
{
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) {
        g_test_skip("/dev/shm is no tmpfs here");
        return;
    }
    assert_kind(fd, VRD_FD_SHM);
}

static void
test_a_file_named_like_an_eventfd_is_a_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("vringd-fd-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "anon_inode:[eventfd]", NULL);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    VrdFdKind kind = vrd_fd_kind(fd);

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(kind == VRD_FD_FILE || kind == VRD_FD_SHM);
    vrd_fd_close(&fd);
    unlink(path);
    rmdir(dir);
}

static void
test_a_memfd_that_cannot_be_written_is_not_read_write(void)
{
    vrd_autofd both = memfd_create("both", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", both);
    vrd_autofd reader = open(path, O_RDONLY | O_CLOEXEC);
    vrd_autofd writer = open(path, O_WRONLY | O_CLOEXEC);
    vrd_autofd name = open(path, O_PATH | O_CLOEXEC);

    g_assert_true(vrd_fd_is_read_write(both));
    g_assert_false(vrd_fd_is_read_write(reader));
    g_assert_false(vrd_fd_is_read_write(writer));
    g_assert_false(vrd_fd_is_read_write(name));
    g_assert_cmpint(vrd_fd_kind(name), ==, VRD_FD_FILE);
    g_assert_false(vrd_fd_is_read_write(-1));
}

static void
test_close_forgets_the_number_and_keeps_errno(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    int number = fd;

    errno = ENOTTY;
    vrd_fd_close(&fd);
    g_assert_cmpint(errno, ==, ENOTTY);
    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpint(fcntl(number, F_GETFD), ==, -1);
    vrd_fd_close(&fd);
    g_assert_cmpint(fd, ==, -1);
}

static void
test_steal_leaves_nothing_to_close(void)
{
    int owned;

    {
        vrd_autofd fd = eventfd(0, EFD_CLOEXEC);

        owned = vrd_fd_steal(&fd);
        g_assert_cmpint(fd, ==, -1);
    }
    g_assert_cmpint(fcntl(owned, F_GETFD), ==, FD_CLOEXEC);
    vrd_fd_close(&owned);
}

static void
test_a_duplicate_is_close_on_exec_and_above_the_standard_streams(void)
{
    vrd_autofd fd = eventfd(0, 0);
    vrd_autofd copy = vrd_fd_dup(fd, NULL);

    g_assert_cmpint(copy, >, 2);
    g_assert_cmpint(fcntl(copy, F_GETFD), ==, FD_CLOEXEC);
}

static void
test_duplicating_nothing_is_a_system_error(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vrd_fd_dup(-1, &error), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SYSTEM);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fd/each-kind-is-told-by-its-descriptor",
                    test_each_kind_is_told_by_its_descriptor);
    g_test_add_func("/fd/a-tmpfs-file-is-shared-memory",
                    test_a_tmpfs_file_is_shared_memory);
    g_test_add_func("/fd/a-file-named-like-an-eventfd-is-a-file",
                    test_a_file_named_like_an_eventfd_is_a_file);
    g_test_add_func("/fd/a-memfd-that-cannot-be-written-is-not-read-write",
                    test_a_memfd_that_cannot_be_written_is_not_read_write);
    g_test_add_func("/fd/close-forgets-the-number-and-keeps-errno",
                    test_close_forgets_the_number_and_keeps_errno);
    g_test_add_func("/fd/steal-leaves-nothing-to-close",
                    test_steal_leaves_nothing_to_close);
    g_test_add_func("/fd/a-duplicate-is-close-on-exec-and-above-the-standard-streams",
                    test_a_duplicate_is_close_on_exec_and_above_the_standard_streams);
    g_test_add_func("/fd/duplicating-nothing-is-a-system-error",
                    test_duplicating_nothing_is_a_system_error);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/memfile.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "give.h"

static void
test_the_last_reference_closes(void)
{
    unsigned n_fds = count_fds();
    VrdMemfile *file = give_memfile(4096);
    int fd = vrd_memfile_fd(file);

    g_assert_true(vrd_memfile_ref(file) == file);
    vrd_memfile_unref(file);
    g_assert_true(is_open(fd));
    vrd_memfile_unref(file);
    g_assert_false(is_open(fd));
    vrd_memfile_unref(NULL);
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_it_knows_its_inode(void)
{
    g_autoptr(VrdMemfile) file = give_memfile(4096);
    struct stat info;

    g_assert_cmpint(fstat(vrd_memfile_fd(file), &info), ==, 0);
    g_assert_cmpuint(vrd_memfile_device(file), ==, info.st_dev);
    g_assert_cmpuint(vrd_memfile_inode(file), ==, info.st_ino);
}

static void
test_its_size_is_that_of_now(void)
{
    g_autoptr(VrdMemfile) file = give_memfile(8192);

    g_assert_cmpuint(vrd_memfile_size(file), ==, 8192);
    g_assert_cmpint(ftruncate(vrd_memfile_fd(file), 0), ==, 0);
    g_assert_cmpuint(vrd_memfile_size(file), ==, 0);
}

static void
test_a_refused_descriptor_is_closed(void)
{
    unsigned n_fds = count_fds();
    GError *error = NULL;
    VrdMemfile *file;

    file = vrd_memfile_new(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &error);
    assert_refused(file != NULL, &error, VRD_ERROR_PROTOCOL,
                   "memory descriptor is a socket, allowed is a memfd, tmpfs or "
                   "hugetlbfs file");
    file = vrd_memfile_new(-1, &error);
    assert_refused(file != NULL, &error, VRD_ERROR_PROTOCOL,
                   "memory descriptor is of a kind that is unknown, allowed is a memfd, "
                   "tmpfs or hugetlbfs file");
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memfile/the-last-reference-closes", test_the_last_reference_closes);
    g_test_add_func("/memfile/it-knows-its-inode", test_it_knows_its_inode);
    g_test_add_func("/memfile/its-size-is-that-of-now", test_its_size_is_that_of_now);
    g_test_add_func("/memfile/a-refused-descriptor-is-closed",
                    test_a_refused_descriptor_is_closed);
    return g_test_run();
}

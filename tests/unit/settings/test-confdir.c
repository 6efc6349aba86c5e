/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/confdir.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *root;

/* Every test begins with an empty root. */
static void
clean(void)
{
    const char *argv[] = {"rm", "-rf", root, NULL};

    g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, NULL, NULL, NULL, NULL));
}

static char *
make_path(const char *name)
{
    char *path = g_build_filename(root, name, NULL);
    g_autofree char *directory = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
    return path;
}

static void
make_file(const char *name, const char *text)
{
    g_autofree char *path = make_path(name);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
make_mask(const char *name)
{
    g_autofree char *path = make_path(name);

    g_assert_cmpint(symlink("/dev/null", path), ==, 0);
}

/* The paths below root, joined by blanks. */
static char *
list(const char *name, GPtrArray *problems)
{
    g_autoptr(GPtrArray) paths = vrd_confdir_list(root, name, problems);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[i];

        g_assert_true(g_str_has_prefix(path, root));
        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", path + strlen(root) + 1);
    }
    return g_string_free(text, FALSE);
}

static void
test_stronger_directory_hides_and_masks(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *paths = NULL;

    clean();
    make_file("usr/lib/vringd/d/10.conf", "");
    make_file("usr/lib/vringd/d/20.conf", "");
    make_file("usr/lib/vringd/d/30.conf", "");
    make_file("usr/lib/vringd/d/40.conf", "");
    make_file("run/vringd/d/20.conf", "");
    make_file("run/vringd/d/30.conf", "");
    make_mask("run/vringd/d/40.conf");
    make_file("etc/vringd/d/30.conf", "");
    make_file("etc/vringd/d/05.conf", "");
    make_file("etc/vringd/d/.hidden.conf", "");
    make_file("etc/vringd/d/README", "");
    make_file("etc/vringd/d/10.conf.dpkg-old", "");
    paths = list("d", problems);
    g_assert_cmpstr(paths, ==,
                    "etc/vringd/d/05.conf usr/lib/vringd/d/10.conf run/vringd/d/20.conf "
                    "etc/vringd/d/30.conf");
    g_assert_cmpuint(problems->len, ==, 0);
}

static void
test_missing_directories_are_no_problem(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *paths = NULL;

    clean();
    paths = list("d", problems);
    g_assert_cmpstr(paths, ==, "");
    g_assert_cmpuint(problems->len, ==, 0);
}

static void
test_directory_that_is_none_is_a_problem(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *paths = NULL;

    clean();
    make_file("etc/vringd/d", "");
    make_file("run/vringd/d/x.conf", "");
    paths = list("d", problems);
    g_assert_cmpstr(paths, ==, "run/vringd/d/x.conf");
    g_assert_cmpuint(problems->len, ==, 1);
}

static void
test_strongest_file_is_found(void)
{
    g_autofree char *none = NULL;
    g_autofree char *weak = NULL;
    g_autofree char *strong = NULL;
    g_autofree char *masked = NULL;

    clean();
    none = vrd_confdir_find(root, "f");
    g_assert_null(none);
    make_file("usr/lib/vringd/f", "");
    weak = vrd_confdir_find(root, "f");
    g_assert_true(g_str_has_suffix(weak, "/usr/lib/vringd/f"));
    make_file("run/vringd/f", "");
    strong = vrd_confdir_find(root, "f");
    g_assert_true(g_str_has_suffix(strong, "/run/vringd/f"));
    make_mask("etc/vringd/f");
    masked = vrd_confdir_find(root, "f");
    g_assert_null(masked);
}

static void
test_file_up_to_the_limit_is_read(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = g_strnfill(VRD_CONFDIR_FILE_MAX + 1, 'x');
    g_autofree char *path = NULL;
    g_autofree char *bytes = NULL;
    size_t n_bytes = 0;

    clean();
    path = make_path("f");
    make_file("f", text + 1);
    bytes = vrd_confdir_read(path, &n_bytes, problems);
    g_assert_cmpuint(problems->len, ==, 0);
    g_assert_cmpmem(bytes, n_bytes, text + 1, VRD_CONFDIR_FILE_MAX);
    make_file("f", text);
    g_assert_null(vrd_confdir_read(path, &n_bytes, problems));
    g_assert_cmpuint(problems->len, ==, 1);
    g_assert_true(
        g_str_has_suffix(problems->pdata[0], "more than the allowed 1048576 bytes"));
}

static void
test_what_is_no_file_is_a_problem_and_does_not_block(void)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *fifo = NULL;
    size_t n_bytes = 0;

    clean();
    fifo = make_path("fifo");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_null(vrd_confdir_read(fifo, &n_bytes, problems));
    g_assert_null(vrd_confdir_read(root, &n_bytes, problems));
    g_assert_null(vrd_confdir_read("/nonexistent/f", &n_bytes, problems));
    g_assert_cmpuint(problems->len, ==, 3);
}

int
main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    root = g_dir_make_tmp("vringd-confdir-XXXXXX", NULL);
    g_test_add_func("/confdir/stronger-directory-hides-and-masks",
                    test_stronger_directory_hides_and_masks);
    g_test_add_func("/confdir/missing-directories-are-no-problem",
                    test_missing_directories_are_no_problem);
    g_test_add_func("/confdir/directory-that-is-none-is-a-problem",
                    test_directory_that_is_none_is_a_problem);
    g_test_add_func("/confdir/strongest-file-is-found", test_strongest_file_is_found);
    g_test_add_func("/confdir/file-up-to-the-limit-is-read",
                    test_file_up_to_the_limit_is_read);
    g_test_add_func("/confdir/what-is-no-file-is-a-problem-and-does-not-block",
                    test_what_is_no_file_is_a_problem_and_does_not_block);
    status = g_test_run();
    clean();
    g_free(root);
    return status;
}

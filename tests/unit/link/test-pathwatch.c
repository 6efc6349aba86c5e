/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/pathwatch.h"

#include <stdio.h>
#include <sys/stat.h>

#include "link-rig.h"

typedef struct {
    sd_event *event;
    VrdPathwatch *watch;
    char *root;
    char *names[4]; /* root/a, root/a/b, root/a/b/c, root/a/b/c/node */
    unsigned base_fds;
    unsigned n_appeared;
    unsigned n_changed;
    gboolean free_when_told;
} Rig;

static void
on_path(VrdPathwatchEvent what, gpointer user_data)
{
    Rig *rig = user_data;

    g_assert_cmpint(what, !=, VRD_PATHWATCH_LOST);
    if (what == VRD_PATHWATCH_APPEARED) {
        rig->n_appeared++;
    } else {
        rig->n_changed++;
    }
    if (rig->free_when_told) {
        g_clear_pointer(&rig->watch, vrd_pathwatch_free);
    }
}

static void
rig_start(Rig *rig, unsigned n_directories)
{
    g_autoptr(GError) error = NULL;

    memset(rig, 0, sizeof *rig);
    rig->root = g_dir_make_tmp("vringd-watch-XXXXXX", NULL);
    rig->names[0] = g_build_filename(rig->root, "a", NULL);
    rig->names[1] = g_build_filename(rig->names[0], "b", NULL);
    rig->names[2] = g_build_filename(rig->names[1], "c", NULL);
    rig->names[3] = g_build_filename(rig->names[2], "node", NULL);
    for (unsigned i = 0; i < n_directories; i++) {
        mkdir(rig->names[i], 0700);
    }
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->watch = vrd_pathwatch_new(rig->event, rig->names[3], on_path, rig, &error);
    g_assert_no_error(error);
    rig_settle(rig->event);
}

static void
rig_end(Rig *rig)
{
    vrd_pathwatch_free(rig->watch);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
    for (unsigned i = 4; i > 0; i--) {
        remove(rig->names[i - 1]);
        g_free(rig->names[i - 1]);
    }
    g_assert_cmpint(rmdir(rig->root), ==, 0);
    g_free(rig->root);
}

static void
make_node(const Rig *rig, const char *path)
{
    g_assert_cmpint(mknod(path ? path : rig->names[3], S_IFSOCK | 0600, 0), ==, 0);
}

static void
test_a_node_in_each_depth_of_missing_directories_is_told(void)
{
    for (unsigned depth = 0; depth <= 3; depth++) {
        Rig rig;

        rig_start(&rig, depth);
        for (unsigned i = depth; i < 3; i++) {
            mkdir(rig.names[i], 0700);
            rig_settle(rig.event);
        }
        g_assert_cmpuint(rig.n_appeared, ==, 0);
        make_node(&rig, NULL);
        rig_settle(rig.event);
        g_assert_cmpuint(rig.n_appeared, ==, 1);
        rig_end(&rig);
    }
}

/* Directories and node at once: the last look must come after the last watch. */
static void
test_what_appears_while_walking_is_told(void)
{
    Rig rig;

    rig_start(&rig, 0);
    for (unsigned i = 0; i < 3; i++) {
        mkdir(rig.names[i], 0700);
    }
    make_node(&rig, NULL);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_appeared + rig.n_changed, >, 0);
    rig_end(&rig);
}

static void
test_other_names_are_not_told(void)
{
    Rig rig;
    g_autofree char *other = NULL;

    rig_start(&rig, 3);
    other = g_strconcat(rig.names[3], "2", NULL);
    make_node(&rig, other);
    chmod(other, 0666);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_appeared + rig.n_changed, ==, 0);
    unlink(other);
    rig_end(&rig);
}

static void
test_a_directory_that_was_replaced_is_watched_again(void)
{
    g_autofree char *aside = NULL;
    Rig rig;

    rig_start(&rig, 3);
    aside = g_build_filename(rig.root, "aside", NULL);
    g_assert_cmpint(rename(rig.names[2], aside), ==, 0);
    mkdir(rig.names[2], 0700);
    rig_settle(rig.event);
    make_node(&rig, NULL);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_appeared, ==, 1);
    rmdir(aside);
    rig_end(&rig);
}

static void
test_a_change_of_access_is_told(void)
{
    Rig rig;

    rig_start(&rig, 3);
    make_node(&rig, NULL);
    rig_settle(rig.event);
    chmod(rig.names[3], 0666);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_changed, ==, 1);
    rig_end(&rig);
}

static void
test_the_handler_may_free_the_watch(void)
{
    for (unsigned depth = 2; depth <= 3; depth++) {
        Rig rig;

        rig_start(&rig, depth);
        rig.free_when_told = TRUE;
        mkdir(rig.names[2], 0700);
        make_node(&rig, NULL);
        rig_settle(rig.event);
        g_assert_null(rig.watch);
        g_assert_cmpuint(rig.n_appeared + rig.n_changed, ==, 1);
        rig_end(&rig);
    }
}

#define ADD(test_) g_test_add_func("/link/pathwatch/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_a_node_in_each_depth_of_missing_directories_is_told);
    ADD(test_what_appears_while_walking_is_told);
    ADD(test_other_names_are_not_told);
    ADD(test_a_directory_that_was_replaced_is_watched_again);
    ADD(test_a_change_of_access_is_told);
    ADD(test_the_handler_may_free_the_watch);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/settings.h"

#include <dirent.h>
#include <glib/gstdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define UUID "5e4f1b0c-3f0e-4c51-9d0a-6a4c0e6d2b11"

static char *root;
static GPtrArray *problems;

static void
begin(void)
{
    const char *argv[] = {"rm", "-rf", root, NULL};

    g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, NULL, NULL, NULL, NULL));
    g_ptr_array_set_size(problems, 0);
}

static void
make_file(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(root, name, NULL);
    g_autofree char *directory = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* A device of VM @vm at ROOT/etc. */
static void
make_device(const char *name, const char *vm)
{
    g_autofree char *path = g_strdup_printf("etc/vringd/devices.d/%s.conf", name);
    g_autofree char *text = g_strdup_printf("[Device]\nVM=%s\n[Backend]\nPath=/b/%s\n",
                                            vm, name);

    make_file(path, text);
}

static void
assert_no_problem(void)
{
    for (guint i = 0; i < problems->len; i++) {
        g_test_message("%s", (char *) problems->pdata[i]);
    }
    g_assert_cmpuint(problems->len, ==, 0);
}

/* The only problem matches @pattern, which follows ROOT. */
static void
assert_problem(const char *pattern)
{
    g_assert_cmpuint(problems->len, ==, 1);
    g_test_message("%s", (char *) problems->pdata[0]);
    g_assert_true(g_str_has_prefix(problems->pdata[0], root));
    g_assert_true(
        g_pattern_match_simple(pattern, (char *) problems->pdata[0] + strlen(root)));
}

static void
assert_is_default(const VrdSettings *settings)
{
    const VrdSettingsDeadlines *ms = &settings->deadlines;

    g_assert_cmpint(settings->log_level, ==, LOG_INFO);
    g_assert_cmpstr(settings->bus, ==, "system");
    g_assert_cmpuint(settings->n_devices_max, ==, 1024);
    g_assert_cmpuint(settings->access.owner, ==, (uid_t) -1);
    g_assert_cmpuint(settings->access.group, ==, (gid_t) -1);
    g_assert_cmpuint(settings->access.mode, ==, 0660);
    g_assert_true(ms->ack_ms == 900 && ms->memory_ms == 30000 && ms->drain_ms == 0);
    g_assert_true(ms->state_ms == 0 && ms->offer_ms == 900);
    g_assert_cmpuint(ms->first_message_ms, ==, 10000);
}

static void
test_nothing_there_means_defaults(void)
{
    g_autoptr(VrdSettings) settings = NULL;

    begin();
    settings = vrd_settings_load(root, problems);
    assert_no_problem();
    assert_is_default(settings);
    g_assert_cmpuint(settings->devices->len, ==, 0);
}

/* The shipped file shows what is so without it, key by key. */
static void
test_shipped_file_names_every_default(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "conf", "vringd.conf",
                                                  NULL);
    g_autofree char *text = NULL;
    g_autoptr(VrdSettings) shipped = NULL;
    g_autoptr(VrdSettings) opened = NULL;
    GString *uncommented = NULL;
    unsigned n_keys = 0;

    begin();
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    make_file("etc/vringd/vringd.conf", text);
    shipped = vrd_settings_load(root, problems);
    assert_no_problem();
    assert_is_default(shipped);

    uncommented = g_string_new(NULL);
    for (const char *at = text; *at != '\0';) {
        const char *end = strchrnul(at, '\n');
        gboolean is_key = at[0] == '#' && g_ascii_isupper(at[1]);

        n_keys += is_key ? 1 : 0;
        g_string_append_len(uncommented, at + (is_key ? 1 : 0),
                            end - at - (is_key ? 1 : 0));
        g_string_append_c(uncommented, '\n');
        at = *end != '\0' ? end + 1 : end;
    }
    g_assert_cmpuint(n_keys, ==, 12);
    make_file("etc/vringd/vringd.conf", uncommented->str);
    opened = vrd_settings_load(root, problems);
    assert_no_problem();
    assert_is_default(opened);
    g_string_free(uncommented, TRUE);
}

static void
test_examples_load_together(void)
{
    g_autofree char *examples = g_test_build_filename(G_TEST_DIST, "conf", "examples",
                                                      NULL);
    g_autoptr(GDir) directory = g_dir_open(examples, 0, NULL);
    g_autoptr(VrdSettings) settings = NULL;
    const char *name;
    unsigned n_files = 0;

    begin();
    g_assert_nonnull(directory);
    while ((name = g_dir_read_name(directory)) != NULL) {
        g_autofree char *from = g_build_filename(examples, name, NULL);
        g_autofree char *to = g_build_filename("etc/vringd/devices.d", name, NULL);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
        make_file(to, text);
        n_files++;
    }
    settings = vrd_settings_load(root, problems);
    assert_no_problem();
    g_assert_cmpuint(n_files, ==, 5);
    g_assert_cmpuint(settings->devices->len, ==, n_files);
}

static void
test_drop_in_overrides_what_it_names(void)
{
    g_autoptr(VrdSettings) settings = NULL;

    begin();
    make_file(
        "etc/vringd/vringd.conf",
        "[vringd]\nLogLevel=err\nMaxDevices=5\nSocketGroup=7\n[Deadlines]\nAckMs=1\n");
    make_file("usr/lib/vringd/vringd.conf.d/50.conf", "[vringd]\nMaxDevices=6\n");
    make_file("run/vringd/vringd.conf.d/40.conf",
              "[vringd]\nMaxDevices=7\nSocketGroup=\n");
    make_file("etc/vringd/vringd.conf.d/60.conf", "[Deadlines]\nAckMs=2\n");
    settings = vrd_settings_load(root, problems);
    assert_no_problem();
    g_assert_cmpint(settings->log_level, ==, LOG_ERR);
    g_assert_cmpuint(settings->n_devices_max, ==, 6);
    g_assert_cmpuint(settings->access.group, ==, (gid_t) -1);
    g_assert_cmpuint(settings->deadlines.ack_ms, ==, 2);
}

static void
test_wrong_vringd_conf_cannot_be_used_and_devices_are_checked(void)
{
    begin();
    make_file("etc/vringd/vringd.conf", "[vringd]\nLogLevel=loud\n");
    make_file("etc/vringd/devices.d/x.conf", "[Device]\nVM=\n[Backend]\nPath=/b\n");
    g_assert_null(vrd_settings_load(root, problems));
    g_assert_cmpuint(problems->len, ==, 2);
    g_assert_true(g_str_has_suffix(
        problems->pdata[0], "/etc/vringd/vringd.conf:2: LogLevel=loud: allowed are "
                            "debug, info, notice, warning and err"));
}

static void
test_wrong_device_is_left_out_alone(void)
{
    g_autoptr(VrdSettings) settings = NULL;

    begin();
    make_device("c", "v");
    make_device("a", "v");
    make_file("etc/vringd/devices.d/b.conf",
              "[Device]\nVM=v\n[Backend]\nPath=/b/b\n[VMM]\nMode=0999\n");
    settings = vrd_settings_load(root, problems);
    assert_problem(
        "/etc/vringd/devices.d/b.conf:6: Mode=0999: allowed is an octal number "
        "up to 0777");
    g_assert_cmpuint(settings->devices->len, ==, 2);
    g_assert_cmpstr(((VrdSettingsDevice *) settings->devices->pdata[0])->name, ==, "a");
    g_assert_cmpstr(((VrdSettingsDevice *) settings->devices->pdata[1])->name, ==, "c");
}

static void
test_devices_are_sorted_by_name(void)
{
    static const char *const names[] = {"a", "a-b", "a.b", "b"};
    g_autoptr(VrdSettings) settings = NULL;

    begin();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        make_device(names[i], "v");
    }
    settings = vrd_settings_load(root, problems);
    assert_no_problem();
    g_assert_cmpuint(settings->devices->len, ==, G_N_ELEMENTS(names));
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const VrdSettingsDevice *device = settings->devices->pdata[i];

        g_assert_cmpstr(device->name, ==, names[i]);
    }
}

static void
test_later_of_two_that_conflict_is_left_out(void)
{
    g_autoptr(VrdSettings) settings = NULL;

    begin();
    make_device("a", "v");
    make_file("etc/vringd/devices.d/b.conf", "[Device]\nVM=w\n[Backend]\nPath=/b/a\n");
    settings = vrd_settings_load(root, problems);
    assert_problem("/etc/vringd/devices.d/b.conf:4: Path=/b/a: belongs to "
                   "*/etc/vringd/devices.d/a.conf already*");
    g_assert_cmpuint(settings->devices->len, ==, 1);
}

static void
test_devices_over_the_limit_are_left_out(void)
{
    g_autoptr(VrdSettings) settings = NULL;

    begin();
    make_file("etc/vringd/vringd.conf", "[vringd]\nMaxDevices=2\n");
    make_device("a", "v");
    make_device("b", "v");
    make_device("c", "v");
    settings = vrd_settings_load(root, problems);
    assert_problem("/etc/vringd/devices.d/c.conf: is one device more than MaxDevices=2");
    g_assert_cmpuint(settings->devices->len, ==, 2);
}

static void
test_uuid_given_once_is_the_vms(void)
{
    g_autoptr(VrdSettings) settings = NULL;

    begin();
    make_device("a", "v");
    make_file("etc/vringd/devices.d/b.conf",
              "[Device]\nVM=v\nUUID=" UUID "\n[Backend]\nPath=/b/b\n");
    make_device("c", "v");
    make_device("d", "w");
    settings = vrd_settings_load(root, problems);
    assert_no_problem();
    g_assert_cmpuint(settings->devices->len, ==, 4);
    for (unsigned i = 0; i < 4; i++) {
        const VrdSettingsDevice *device = settings->devices->pdata[i];

        g_assert_cmpstr(device->vm_uuid, ==, i < 3 ? UUID : NULL);
    }
}

/* One row for each key: a device that has it differs from one that has not. */
static void
test_every_setting_matters_to_equal(void)
{
    static const char *const rows[] = {
        "[Device]\nKind=net\n",
        "[Device]\nUUID=" UUID "\n",
        "[Device]\nName=n\n",
        "[Device]\nQueues=3\n",
        "[Device]\nHideFeatures=0x1\n",
        "[Device]\nHideProtocolFeatures=0x1\n",
        "[VMM]\nRole=dial\nPath=/v\n",
        "[VMM]\nPath=/v\n",
        "[VMM]\nOwner=1\n",
        "[VMM]\nGroup=1\n",
        "[VMM]\nMode=1\n",
        "[VMM]\nPeerUser=1\n",
        "[Backend]\nRole=listen\n",
        "[Backend]\nMode=1\n",
        "[Backend]\nPeerUser=1\n",
        "[Deadlines]\nAckMs=1\n",
        "[Deadlines]\nMemoryMs=1\n",
        "[Deadlines]\nDrainMs=1\n",
        "[Deadlines]\nStateMs=1\n",
        "[Deadlines]\nOfferMs=1\n",
        "[Deadlines]\nFirstMessageMs=1\n",
        "[Profile]\nFeatures=0x0\n",
        "[Profile]\nFeatures=0x1\n",
        "[Profile]\nFeatures=0x0\nProtocolFeatures=0x1\n",
        "[Profile]\nFeatures=0x0\nQueues=1\n",
        "[Profile]\nFeatures=0x0\nMemSlots=1\n",
        "[Profile]\nFeatures=0x0\nConfig=00\n",
    };
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(
        (GDestroyNotify) vrd_settings_device_free);

    for (unsigned i = 0; i <= G_N_ELEMENTS(rows); i++) {
        g_autoptr(VrdSettings) settings = NULL;
        g_autofree char *text = g_strdup_printf("[Device]\nVM=v\n[Backend]\nPath=/b\n%s",
                                                i < G_N_ELEMENTS(rows) ? rows[i] : "");

        begin();
        make_file("etc/vringd/devices.d/x.conf", text);
        settings = vrd_settings_load(root, problems);
        assert_no_problem();
        g_ptr_array_add(devices, vrd_settings_device_copy(settings->devices->pdata[0]));
        g_assert_true(
            vrd_settings_device_equal(devices->pdata[i], settings->devices->pdata[0]));
    }
    for (guint i = 0; i < devices->len; i++) {
        for (guint j = 0; j < devices->len; j++) {
            g_test_message("rows %u and %u", i, j);
            g_assert_cmpint(
                vrd_settings_device_equal(devices->pdata[i], devices->pdata[j]), ==,
                i == j);
        }
    }
}

static void
test_where_a_device_was_read_from_does_not_matter(void)
{
    g_autoptr(VrdSettings) settings = NULL;
    g_autoptr(VrdSettingsDevice) moved = NULL;

    begin();
    make_device("a", "v");
    settings = vrd_settings_load(root, problems);
    moved = vrd_settings_device_copy(settings->devices->pdata[0]);
    g_free(moved->file);
    moved->file = g_strdup("/elsewhere/a.conf");
    g_assert_true(vrd_settings_device_equal(moved, settings->devices->pdata[0]));
}

static unsigned
count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(directory) != NULL) {
        n++;
    }
    closedir(directory);
    return n;
}

static void
test_loading_leaves_no_descriptor(void)
{
    unsigned before;

    begin();
    make_file("etc/vringd/vringd.conf", "[vringd]\n");
    make_device("a", "v");
    make_device("b", "v w");
    make_file("etc/vringd/vringd.conf.d", "");
    before = count_fds();
    for (unsigned i = 0; i < 3; i++) {
        g_assert_null(vrd_settings_load(root, problems));
    }
    g_assert_cmpuint(count_fds(), ==, before);
}

int
main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    root = g_dir_make_tmp("vringd-settings-XXXXXX", NULL);
    problems = g_ptr_array_new_with_free_func(g_free);
    g_test_add_func("/settings/nothing-there-means-defaults",
                    test_nothing_there_means_defaults);
    g_test_add_func("/settings/shipped-file-names-every-default",
                    test_shipped_file_names_every_default);
    g_test_add_func("/settings/examples-load-together", test_examples_load_together);
    g_test_add_func("/settings/drop-in-overrides-what-it-names",
                    test_drop_in_overrides_what_it_names);
    g_test_add_func("/settings/wrong-vringd-conf-cannot-be-used-and-devices-are-checked",
                    test_wrong_vringd_conf_cannot_be_used_and_devices_are_checked);
    g_test_add_func("/settings/wrong-device-is-left-out-alone",
                    test_wrong_device_is_left_out_alone);
    g_test_add_func("/settings/devices-are-sorted-by-name",
                    test_devices_are_sorted_by_name);
    g_test_add_func("/settings/later-of-two-that-conflict-is-left-out",
                    test_later_of_two_that_conflict_is_left_out);
    g_test_add_func("/settings/devices-over-the-limit-are-left-out",
                    test_devices_over_the_limit_are_left_out);
    g_test_add_func("/settings/uuid-given-once-is-the-vms",
                    test_uuid_given_once_is_the_vms);
    g_test_add_func("/settings/every-setting-matters-to-equal",
                    test_every_setting_matters_to_equal);
    g_test_add_func("/settings/where-a-device-was-read-from-does-not-matter",
                    test_where_a_device_was_read_from_does_not_matter);
    g_test_add_func("/settings/loading-leaves-no-descriptor",
                    test_loading_leaves_no_descriptor);
    status = g_test_run();
    begin();
    g_ptr_array_unref(problems);
    g_free(root);
    return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How connections of one side come about. */
#include "flow/door.h"

#include <sys/stat.h>

#include "flow-rig.h"

typedef struct {
    sd_event *event;
    char *directory;
    VrdActivation *activation;
    VrdSettingsSide side;
    VrdDoor *door;
    unsigned base_fds;
    unsigned n_connected;
    int fd; /* of the last connection */
    unsigned n_waiting;
} DoorRig;

static void
on_connected(int fd, gpointer user_data)
{
    DoorRig *rig = user_data;

    rig->n_connected++;
    vrd_fd_close(&rig->fd);
    rig->fd = fd;
}

static void
on_waiting(const char *reason, gpointer user_data)
{
    DoorRig *rig = user_data;

    g_assert_cmpstr(reason, !=, "");
    rig->n_waiting++;
}

static void
door_start(DoorRig *rig, VrdSettingsRole role)
{
    memset(rig, 0, sizeof *rig);
    rig->fd = -1;
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->directory = g_dir_make_tmp("vringd-door-XXXXXX", NULL);
    rig->activation = vrd_activation_new(NULL);
    rig->side = (VrdSettingsSide){
        .role = role, .access = {(uid_t) -1, (gid_t) -1, 0600}, .peer_uid = (uid_t) -1};
}

static gboolean
open_door(DoorRig *rig, GError **error)
{
    rig->door = vrd_door_new(rig->event, "vmm", "net0", &rig->side, rig->activation,
                             rig->directory, on_connected, rig, error);
    return rig->door != NULL;
}

static void
door_end(DoorRig *rig)
{
    vrd_door_free(rig->door);
    vrd_fd_close(&rig->fd);
    vrd_activation_free(rig->activation);
    g_free(rig->side.path);
    sd_event_unref(rig->event);
    rig_remove_directory(rig->directory);
    g_rmdir(rig->directory);
    g_free(rig->directory);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

static void
test_listening_door_makes_its_socket_in_the_runtime_directory(void)
{
    g_autofree char *path = NULL;
    struct stat status;
    DoorRig rig;
    int fd;

    door_start(&rig, VRD_ROLE_LISTEN);
    path = g_build_filename(rig.directory, "vmm", "net0.sock", NULL);
    g_assert_true(open_door(&rig, NULL));
    g_assert_true(vrd_door_is_listening(rig.door));
    g_assert_cmpstr(vrd_door_path(rig.door), ==, path);
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    fd = fake_connect(path);
    rig_run_until(rig.event, rig.n_connected == 1);
    close(fd);
    g_clear_pointer(&rig.door, vrd_door_free);
    g_assert_cmpint(stat(path, &status), <, 0);
    door_end(&rig);
}

static void
test_peer_of_another_uid_is_refused(void)
{
    DoorRig rig;
    int fd;

    door_start(&rig, VRD_ROLE_LISTEN);
    rig.side.peer_uid = getuid() + 1;
    g_assert_true(open_door(&rig, NULL));
    fd = fake_connect(vrd_door_path(rig.door));
    fake_expect_end(rig.event, fd);
    close(fd);
    g_assert_cmpuint(rig.n_connected, ==, 0);
    door_end(&rig);

    door_start(&rig, VRD_ROLE_LISTEN);
    rig.side.peer_uid = getuid();
    g_assert_true(open_door(&rig, NULL));
    fd = fake_connect(vrd_door_path(rig.door));
    rig_run_until(rig.event, rig.n_connected == 1);
    close(fd);
    door_end(&rig);
}

static void
test_activated_socket_is_used_and_goes_back(void)
{
    g_autofree char *path = NULL;
    struct sockaddr_un address;
    struct stat status;
    DoorRig rig;
    int fd;

    door_start(&rig, VRD_ROLE_LISTEN);
    path = g_build_filename(rig.directory, "given.sock", NULL);
    fake_path(&address, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    vrd_activation_give_fd(rig.activation, "vmm.net0", &fd);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(open_door(&rig, NULL));
        fd = fake_connect(path);
        rig_run_until(rig.event, rig.n_connected == i + 1);
        close(fd);
        g_clear_pointer(&rig.door, vrd_door_free);
        /* whoever made it removes it */
        g_assert_cmpint(stat(path, &status), ==, 0);
    }
    door_end(&rig);
}

static void
test_dialling_door_waits_to_be_told(void)
{
    FakeBackend listener; /* only its socket is of use */
    DoorRig rig;

    door_start(&rig, VRD_ROLE_DIAL);
    rig.side.path = g_build_filename(rig.directory, "peer.sock", NULL);
    g_assert_true(open_door(&rig, NULL));
    g_assert_false(vrd_door_is_listening(rig.door));
    vrd_door_set_waiting(rig.door, on_waiting, &rig);
    fake_backend_init(&listener, rig.event, rig.side.path, 0, 0);
    vrd_door_dial(rig.door, 0);
    rig_run_until(rig.event, rig.n_waiting >= 1);
    g_assert_cmpstr(vrd_door_reason(rig.door), !=, "");
    fake_backend_listen(&listener);
    rig_run_until(rig.event, rig.n_connected == 1);
    /* once, until it is told again */
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_connected, ==, 1);
    vrd_door_dial(rig.door, 0);
    rig_run_until(rig.event, rig.n_connected == 2);
    vrd_door_dial(rig.door, 60000);
    vrd_door_stop(rig.door);
    fake_backend_clear(&listener);
    door_end(&rig);
}

static void
test_path_that_cannot_be_used_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    DoorRig rig;

    door_start(&rig, VRD_ROLE_LISTEN);
    rig.side.path = g_strdup_printf("%s/none/x.sock", rig.directory);
    g_assert_false(open_door(&rig, &error));
    g_assert_nonnull(error);
    door_end(&rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name_) g_test_add_func("/door/" #name_, test_##name_)
    ADD(listening_door_makes_its_socket_in_the_runtime_directory);
    ADD(peer_of_another_uid_is_refused);
    ADD(activated_socket_is_used_and_goes_back);
    ADD(dialling_door_waits_to_be_told);
    ADD(path_that_cannot_be_used_is_refused);
    return g_test_run();
}

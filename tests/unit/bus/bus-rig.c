/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-rig.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

#define WAIT_US (60u * G_USEC_PER_SEC)

static const char config[] =
    "<busconfig><type>session</type><listen>unix:path=%s/bus</listen>"
    "<auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/>"
    "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>"
    "</policy></busconfig>";

/* The hub of the tests: what flow/hub.h promises the bus, and nothing else. */
struct VrdHub {
    GPtrArray *vms;     /* (element-type VrdVm) */
    GPtrArray *devices; /* (element-type VrdDevice) */
    VrdSettingsDevice settings;
    const VrdHubWatcher *watcher;
    gpointer watcher_data;
};

static void
on_changed(VrdDevice *device, unsigned aspects, gpointer user_data)
{
    VrdHub *hub = user_data;

    if (hub->watcher != NULL) {
        hub->watcher->changed(device, aspects, hub->watcher_data);
    }
}

static const VrdVmObserver observer = {.changed = on_changed};

void
vrd_hub_set_watcher(VrdHub *hub, const VrdHubWatcher *watcher, gpointer user_data)
{
    hub->watcher = watcher;
    hub->watcher_data = user_data;
    for (unsigned i = 0; watcher != NULL && i < hub->vms->len; i++) {
        watcher->vm_added(g_ptr_array_index(hub->vms, i), user_data);
    }
    for (unsigned i = 0; watcher != NULL && i < hub->devices->len; i++) {
        watcher->device_added(g_ptr_array_index(hub->devices, i), user_data);
    }
}

GPtrArray *
vrd_hub_vms(const VrdHub *hub)
{
    return hub->vms;
}

unsigned
vrd_hub_n_devices(const VrdHub *hub)
{
    return hub->devices->len;
}

const VrdSettingsDevice *
vrd_hub_device_settings(const VrdHub *hub, const VrdDevice *device)
{
    return &hub->settings;
}

const char *
vrd_hub_vmm_path(const VrdHub *hub, const VrdDevice *device)
{
    return "/run/vringd/vmm/x.sock";
}

const char *
vrd_hub_backend_path(const VrdHub *hub, const VrdDevice *device)
{
    return "/run/backend/\xff.sock"; /* a file name need not be UTF-8 */
}

/* A test that fails leaves no bus behind. */
static void
die_with_test(gpointer user_data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static gboolean
can_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    vrd_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    return connect(fd, (const struct sockaddr *) &address, sizeof(address)) == 0;
}

void
rig_start_daemon(Rig *rig)
{
    g_autofree char *file = g_build_filename(rig->directory, "bus.conf", NULL);
    g_autofree char *option = g_strconcat("--config-file=", file, NULL);
    g_autofree char *socket = g_build_filename(rig->directory, "bus", NULL);
    const char *argv[] = {"dbus-daemon", option, "--nofork", "--nopidfile", NULL};
    g_autoptr(GError) error = NULL;

    g_unlink(socket);
    g_spawn_async(NULL, (char **) argv, NULL,
                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                      G_SPAWN_STDERR_TO_DEV_NULL,
                  die_with_test, NULL, &rig->daemon, &error);
    g_assert_no_error(error);
    while (!can_connect(socket)) {
        g_usleep(2000);
    }
}

void
rig_stop_daemon(Rig *rig)
{
    if (rig->daemon > 0) {
        kill(rig->daemon, SIGKILL);
        waitpid(rig->daemon, NULL, 0);
        rig->daemon = 0;
    }
}

Rig *
rig_new(void)
{
    Rig *rig = g_new0(Rig, 1);
    g_autofree char *file = NULL;
    g_autofree char *text = NULL;

    rig->directory = g_dir_make_tmp("vringd-bus-XXXXXX", NULL);
    g_assert_nonnull(rig->directory);
    g_assert_cmpint(chmod(rig->directory, 0755), ==, 0);
    file = g_build_filename(rig->directory, "bus.conf", NULL);
    text = g_strdup_printf(config, rig->directory);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
    rig->address = g_strdup_printf("unix:path=%s/bus", rig->directory);
    rig->is_reload_usable = TRUE;
    rig->hub = g_new0(VrdHub, 1);
    rig->hub->vms = g_ptr_array_new();
    rig->hub->devices = g_ptr_array_new();
    rig->hub->settings.backend.role = VRD_ROLE_DIAL;
    g_assert_cmpint(sd_event_new(&rig->event), >=, 0);
    return rig;
}

void
rig_free(Rig *rig)
{
    g_autofree char *file = g_build_filename(rig->directory, "bus.conf", NULL);
    g_autofree char *socket = g_build_filename(rig->directory, "bus", NULL);

    while (rig->hub->devices->len > 0) {
        rig_remove_device(rig, g_ptr_array_index(rig->hub->devices, 0));
    }
    while (rig->hub->vms->len > 0) {
        rig_remove_vm(rig, g_ptr_array_index(rig->hub->vms, 0));
    }
    if (rig->client != NULL) {
        sd_bus_detach_event(rig->client);
        sd_bus_close_unref(rig->client);
    }
    vrd_bus_free(rig->bus);
    sd_event_unref(rig->event);
    rig_stop_daemon(rig);
    g_ptr_array_unref(rig->hub->vms);
    g_ptr_array_unref(rig->hub->devices);
    g_free(rig->hub);
    g_unlink(file);
    g_unlink(socket);
    g_rmdir(rig->directory);
    g_free(rig->directory);
    g_free(rig->address);
    g_free(rig);
}

static gboolean
on_reload(GPtrArray *problems, gpointer user_data)
{
    Rig *rig = user_data;

    rig->n_reloads++;
    g_ptr_array_add(problems, g_strdup("a.conf:3: Kind=car: must be net"));
    return rig->is_reload_usable;
}

VrdBus *
rig_new_bus(Rig *rig, GError **error)
{
    return vrd_bus_new(rig->event, rig->hub, rig->address, on_reload, rig, error);
}

sd_bus *
rig_connect(Rig *rig)
{
    sd_bus *client = NULL;

    g_assert_cmpint(sd_bus_new(&client), >=, 0);
    g_assert_cmpint(sd_bus_set_address(client, rig->address), >=, 0);
    g_assert_cmpint(sd_bus_set_bus_client(client, 1), >=, 0);
    g_assert_cmpint(sd_bus_negotiate_fds(client, 1), >=, 0);
    g_assert_cmpint(sd_bus_start(client), >=, 0);
    return client;
}

void
rig_start(Rig *rig)
{
    g_autoptr(GError) error = NULL;

    rig_start_daemon(rig);
    rig->bus = rig_new_bus(rig, &error);
    g_assert_no_error(error);
    rig->client = rig_connect(rig);
    g_assert_cmpint(sd_bus_attach_event(rig->client, rig->event, 0), >=, 0);
}

VrdVm *
rig_add_vm(Rig *rig, const char *name, const char *uuid)
{
    VrdVm *vm = vrd_vm_new(name, uuid);

    vm->observer = &observer;
    vm->observer_data = rig->hub;
    g_ptr_array_add(rig->hub->vms, vm);
    if (rig->hub->watcher != NULL) {
        rig->hub->watcher->vm_added(vm, rig->hub->watcher_data);
    }
    return vm;
}

void
rig_remove_vm(Rig *rig, VrdVm *vm)
{
    if (rig->hub->watcher != NULL) {
        rig->hub->watcher->vm_removed(vm, rig->hub->watcher_data);
    }
    g_ptr_array_remove(rig->hub->vms, vm);
    vrd_vm_unref(vm);
}

VrdDevice *
rig_add_device(Rig *rig, VrdVm *vm, const char *name, VrdKind kind)
{
    g_autofree char *id = g_strconcat(vm->name, "-", name, NULL);
    VrdDevice *device = vrd_device_new(vm, name, id, kind);

    g_ptr_array_add(rig->hub->devices, device);
    if (rig->hub->watcher != NULL) {
        rig->hub->watcher->device_added(device, rig->hub->watcher_data);
    }
    return device;
}

void
rig_remove_device(Rig *rig, VrdDevice *device)
{
    if (rig->hub->watcher != NULL) {
        rig->hub->watcher->device_removed(device, rig->hub->watcher_data);
    }
    g_ptr_array_remove(rig->hub->devices, device);
    vrd_device_free(device);
}

VrdMemtable *
rig_new_memory(void)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);
    g_autoptr(GError) error = NULL;
    VrdMemtable *table = vrd_memtable_new();
    g_autoptr(VrdMemfile) file = NULL;
    VrdMemregion low = {0, 0x100000, 0x7f0000000000, 0, NULL};
    VrdMemregion high = {0x100000000, 0x200000, 0x7f0100000000, 0x100000, NULL};

    g_assert_cmpint(ftruncate(fd, 0x300000), ==, 0);
    file = vrd_memfile_new(fd, &error);
    g_assert_no_error(error);
    low.file = high.file = file;
    g_assert_true(vrd_memtable_add(table, &low, &error));
    g_assert_true(vrd_memtable_add(table, &high, &error));
    return table;
}

VrdDirtylog *
rig_new_log(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    g_autoptr(GError) error = NULL;
    VrdDirtylog *log;

    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    g_assert_cmpint(pwrite(fd, "\x05", 1, 7), ==, 1);
    log = vrd_dirtylog_new(fd, 4096, 0, 0, &error);
    g_assert_no_error(error);
    return log;
}

void
rig_wait(Rig *rig, const gboolean *done)
{
    gint64 end = g_get_monotonic_time() + WAIT_US;

    while (!*done) {
        g_assert_cmpint(sd_event_run(rig->event, G_USEC_PER_SEC), >=, 0);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

typedef struct {
    gboolean done;
    sd_bus_message *answer;
} Answer;

static int
on_answer(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    Answer *answer = user_data;

    answer->answer = sd_bus_message_ref(message);
    answer->done = TRUE;
    return 1;
}

static sd_bus_message *
call(Rig *rig, const char *path, const char *interface, const char *method,
     const char *types, const char *first, const char *second)
{
    Answer answer = {FALSE, NULL};

    g_assert_cmpint(sd_bus_call_method_async(rig->client, NULL, VRD_BUS_NAME, path,
                                             interface, method, on_answer, &answer, types,
                                             first, second),
                    >=, 0);
    rig_wait(rig, &answer.done);
    return answer.answer;
}

sd_bus_message *
rig_call(Rig *rig, const char *path, const char *interface, const char *method,
         const char *argument)
{
    return call(rig, path, interface, method, argument != NULL ? "s" : "", argument,
                NULL);
}

void
rig_settle(Rig *rig)
{
    /* All that is ready now, then a round trip: the bus keeps the order of messages. */
    while (sd_event_run(rig->event, 0) > 0) {
    }
    sd_bus_message_unref(
        rig_call(rig, VRD_BUS_ROOT, "org.freedesktop.DBus.Peer", "Ping", NULL));
}

sd_bus_message *
rig_get(Rig *rig, const char *path, const char *interface, const char *property,
        const char *type)
{
    sd_bus_message *answer = call(rig, path, "org.freedesktop.DBus.Properties", "Get",
                                  "ss", interface, property);

    g_test_message("%s %s.%s", path, interface, property);
    g_assert_false(sd_bus_message_is_method_error(answer, NULL));
    g_assert_cmpint(sd_bus_message_enter_container(answer, 'v', type), >, 0);
    return answer;
}

char *
rig_get_text(Rig *rig, const char *path, const char *interface, const char *property)
{
    sd_bus_message *answer = rig_get(rig, path, interface, property, "s");
    const char *text = NULL;
    char *copy;

    g_assert_cmpint(sd_bus_message_read(answer, "s", &text), >, 0);
    copy = g_strdup(text);
    sd_bus_message_unref(answer);
    return copy;
}

uint64_t
rig_get_u64(Rig *rig, const char *path, const char *interface, const char *property)
{
    sd_bus_message *answer = rig_get(rig, path, interface, property, "t");
    uint64_t value = 0;

    g_assert_cmpint(sd_bus_message_read(answer, "t", &value), >, 0);
    sd_bus_message_unref(answer);
    return value;
}

gboolean
rig_get_bool(Rig *rig, const char *path, const char *interface, const char *property)
{
    sd_bus_message *answer = rig_get(rig, path, interface, property, "b");
    int value = 0;

    g_assert_cmpint(sd_bus_message_read(answer, "b", &value), >, 0);
    sd_bus_message_unref(answer);
    return value;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A whole hub with one device over real sockets in a directory of its own; the VMM is
 * the test, the backend is in the loop.
 */
#include "fake-backend.h"
#include "flow/hub.h"

#define LONG_MS 20000u /* a deadline that no test reaches */
#define ALL_FEATURES                                                                     \
    (F(VERSION_1) | F(PROTOCOL_FEATURES) | F(LOG_ALL) | UINT64_C(1) << 21)
#define VMM_FEATURES (F(VERSION_1) | F(PROTOCOL_FEATURES))
#define ALL_PROTOCOL                                                                     \
    (P(MQ) | P(LOG_SHMFD) | P(RARP) | P(REPLY_ACK) | P(NET_MTU) | P(BACKEND_REQ) |       \
     P(CONFIG) | P(INFLIGHT_SHMFD) | P(RESET_DEVICE) | P(STATUS) | P(DEVICE_STATE))

typedef struct {
    sd_event *event;
    char *directory;
    VrdActivation *activation;
    VrdHub *hub;
    VrdSettings *settings;
    VrdDevice *device; /* the first one */
    FakeBackend backend;
    int vmm; /* the VMM's socket, -1: none */
    int guest;
    int kick;
    int call;
    unsigned base_fds;
} Rig;

static inline VrdSettingsDevice *
rig_device_settings(const Rig *rig, const char *name, VrdKind kind)
{
    VrdSettingsDevice *device = g_new0(VrdSettingsDevice, 1);

    device->name = g_strdup(name);
    device->file = g_strdup_printf("%s.conf", name);
    device->vm_name = g_strdup("web1");
    device->device = g_strdup(name);
    device->kind = kind;
    device->n_queues_max = 256;
    device->vmm.role = VRD_ROLE_LISTEN;
    device->vmm.access = (VrdSettingsAccess){(uid_t) -1, (gid_t) -1, 0660};
    device->vmm.peer_uid = (uid_t) -1;
    device->backend = device->vmm;
    device->backend.role = VRD_ROLE_DIAL;
    device->backend.path = g_strdup_printf("%s/%s-backend.sock", rig->directory, name);
    device->deadlines = (VrdSettingsDeadlines){LONG_MS, LONG_MS, LONG_MS,
                                               LONG_MS, LONG_MS, LONG_MS};
    return device;
}

static inline VrdSettings *
rig_settings_new(void)
{
    VrdSettings *settings = g_new0(VrdSettings, 1);

    settings->n_devices_max = 1024;
    settings->devices = g_ptr_array_new_with_free_func(
        (GDestroyNotify) vrd_settings_device_free);
    return settings;
}

/* Everything but the device: its settings may still be changed. */
static inline VrdSettingsDevice *
rig_prepare(Rig *rig, VrdKind kind)
{
    VrdSettingsDevice *device;

    memset(rig, 0, sizeof *rig);
    rig->vmm = -1;
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->directory = g_dir_make_tmp("vringd-flow-XXXXXX", NULL);
    rig->activation = vrd_activation_new(NULL);
    rig->hub = vrd_hub_new(rig->event, rig->activation, rig->directory);
    rig->settings = rig_settings_new();
    device = rig_device_settings(rig, "net0", kind);
    g_ptr_array_add(rig->settings->devices, device);
    fake_backend_init(&rig->backend, rig->event, device->backend.path, ALL_FEATURES,
                      ALL_PROTOCOL);
    rig->guest = fake_memfd(4 * GUEST_BYTES);
    rig->kick = fake_eventfd();
    rig->call = fake_eventfd();
    return device;
}

static inline void
rig_apply(Rig *rig, unsigned n_problems)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

    vrd_hub_apply(rig->hub, rig->settings, problems);
    g_assert_cmpuint(problems->len, ==, n_problems);
}

static inline void
rig_open(Rig *rig)
{
    VrdVm *vm;

    rig_apply(rig, 0);
    vm = vrd_hub_vms(rig->hub)->pdata[0];
    rig->device = vm->devices->pdata[0];
}

static inline void
rig_remove_directory(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        rig_remove_directory(child);
        g_remove(child);
    }
}

static inline void
rig_close(Rig *rig)
{
    vrd_fd_close(&rig->vmm);
    vrd_hub_free(rig->hub);
    fake_backend_clear(&rig->backend);
    vrd_settings_free(rig->settings);
    vrd_activation_free(rig->activation);
    vrd_fd_close(&rig->guest);
    vrd_fd_close(&rig->kick);
    vrd_fd_close(&rig->call);
    rig_settle(rig->event);
    sd_event_unref(rig->event);
    rig_remove_directory(rig->directory);
    g_rmdir(rig->directory);
    g_free(rig->directory);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

static inline void
rig_await_backend(Rig *rig, VrdBackendState state)
{
    rig_run_until(rig->event, rig->device->backend_state == state);
}

static inline void
vmm_connect(Rig *rig)
{
    rig->vmm = fake_connect(vrd_hub_vmm_path(rig->hub, rig->device));
}

static inline void
vmm_tell(Rig *rig, VrdMessage message)
{
    g_assert_true(fake_send(rig->vmm, &message));
}

/* Ask and take the answer, whose descriptors are the caller's. */
static inline VrdMessage
vmm_ask(Rig *rig, VrdMessage message)
{
    VrdMessage reply;

    vmm_tell(rig, message);
    fake_expect(rig->event, rig->vmm, message.request, &reply);
    g_assert_cmphex(reply.flags, ==, VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY);
    return reply;
}

static inline uint64_t
vmm_ask_u64(Rig *rig, VrdMessage message)
{
    VrdMessage reply = vmm_ask(rig, message);

    g_assert_cmpuint(reply.size, ==, 8);
    g_assert_cmpuint(reply.n_fds, ==, 0);
    return vrd_payload_get_u64(&reply);
}

#define assert_acked(rig_, ...)   g_assert_cmpuint(vmm_ask_u64(rig_, __VA_ARGS__), ==, 0)
#define assert_refused(rig_, ...) g_assert_cmpuint(vmm_ask_u64(rig_, __VA_ARGS__), !=, 0)

static inline void
vmm_greet(Rig *rig, uint64_t protocol_features)
{
    vmm_ask_u64(rig, fake_empty(VRD_REQUEST_GET_FEATURES, 0));
    vmm_ask_u64(rig, fake_empty(VRD_REQUEST_GET_PROTOCOL_FEATURES, 0));
    vmm_tell(rig, fake_u64(VRD_REQUEST_SET_PROTOCOL_FEATURES, 0, protocol_features));
    assert_acked(rig, fake_empty(VRD_REQUEST_SET_OWNER, NEED_REPLY));
}

static inline void
vmm_start_ring(Rig *rig, uint32_t index)
{
    assert_acked(rig,
                 fake_state(VRD_REQUEST_SET_VRING_NUM, NEED_REPLY, index, RING_SIZE));
    assert_acked(rig, fake_state(VRD_REQUEST_SET_VRING_BASE, NEED_REPLY, index, 0));
    assert_acked(rig, fake_addr(NEED_REPLY, index, 0));
    assert_acked(rig,
                 fake_file(VRD_REQUEST_SET_VRING_KICK, NEED_REPLY, index, rig->kick));
    assert_acked(rig,
                 fake_file(VRD_REQUEST_SET_VRING_CALL, NEED_REPLY, index, rig->call));
    assert_acked(rig, fake_state(VRD_REQUEST_SET_VRING_ENABLE, NEED_REPLY, index, 1));
}

/* A legal start with two rings. */
static inline void
vmm_start(Rig *rig, uint64_t features)
{
    vmm_connect(rig);
    vmm_greet(rig, ALL_PROTOCOL);
    assert_acked(rig, fake_u64(VRD_REQUEST_SET_FEATURES, NEED_REPLY, features));
    assert_acked(rig, fake_table(NEED_REPLY, rig->guest, 1));
    vmm_start_ring(rig, 0);
    vmm_start_ring(rig, 1);
    g_assert_cmpint(rig->device->vmm_state, ==, VRD_VMM_RUNNING);
}

/* Hub, backend and VMM at work. */
static inline void
rig_start_kind(Rig *rig, VrdKind kind)
{
    rig_prepare(rig, kind);
    fake_backend_listen(&rig->backend);
    rig_open(rig);
    rig_await_backend(rig, VRD_BACKEND_LIVE);
    vmm_start(rig, VMM_FEATURES);
    fake_backend_forget(&rig->backend);
}

static inline void
rig_start(Rig *rig)
{
    rig_start_kind(rig, VRD_KIND_NET);
}

static inline uint32_t
vmm_ask_base(Rig *rig, uint32_t index)
{
    uint64_t value = vmm_ask_u64(rig,
                                 fake_state(VRD_REQUEST_GET_VRING_BASE, 0, index, 0));

    g_assert_cmpuint(value & UINT32_MAX, ==, index);
    return (uint32_t) (value >> 32);
}

/* The VMM loses its socket. */
static inline void
vmm_expect_end(Rig *rig)
{
    fake_expect_end(rig->event, rig->vmm);
    vrd_fd_close(&rig->vmm);
}

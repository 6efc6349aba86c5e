/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A VMM link at one end of a socketpair, the test at the other as the VMM. The owner
 * keeps what it was asked for; it ends each effect at once unless it is told to wait.
 */
#include "../fake.h"
#include "model/vm.h"
#include "vmm/vmm-link.h"

#define OFFERED                                                                          \
    (P(MQ) | P(LOG_SHMFD) | P(RARP) | P(REPLY_ACK) | P(NET_MTU) | P(BACKEND_REQ) |       \
     P(CONFIG) | P(INFLIGHT_SHMFD) | P(RESET_DEVICE) | P(CONFIGURE_MEM_SLOTS) |          \
     P(STATUS) | P(DEVICE_STATE))
#define FEATURES (F(VERSION_1) | F(PROTOCOL_FEATURES) | F(LOG_ALL))

typedef struct {
    sd_event *event;
    VrdVm *vm;
    VrdDevice *device;
    VrdVmmLink *link;
    int socket; /* the VMM's end */
    int guest;  /* its memory */
    int bell;   /* an eventfd */
    unsigned base_fds;
    gboolean waits;      /* effects are left open */
    gboolean free_early; /* the next effect frees the link */
    unsigned n_effects;
    VrdEffectKind kind; /* of the last effect */
    uint32_t ring;
    gboolean effect_waits;
    unsigned n_closed;
    GError *reason;
} Rig;

static void
rig_on_effect(const VrdEffect *effect, gpointer user_data)
{
    Rig *rig = user_data;

    g_assert_cmpuint(rig->n_closed, ==, 0);
    rig->n_effects++;
    rig->kind = effect->kind;
    rig->ring = effect->ring;
    rig->effect_waits = effect->waits;
    if (rig->free_early) {
        g_clear_pointer(&rig->link, vrd_vmm_link_free);
    } else if (!rig->waits) {
        vrd_vmm_link_finish(rig->link, NULL);
    }
}

static void
rig_on_closed(const GError *reason, gpointer user_data)
{
    Rig *rig = user_data;

    rig->n_closed++;
    rig->reason = g_error_copy(reason);
    g_clear_pointer(&rig->link, vrd_vmm_link_free);
}

static const VrdVmmLinkOwner rig_owner = {rig_on_effect, rig_on_closed};

static inline void
rig_start_timed(Rig *rig, unsigned first_message_ms)
{
    int ends[2];

    memset(rig, 0, sizeof *rig);
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->vm = vrd_vm_new("web1", NULL);
    rig->device = vrd_device_new(rig->vm, "net0", "web1-net0", VRD_KIND_NET);
    rig->device->backend_offer = (VrdOffer){.features = FEATURES,
                                            .protocol_features = OFFERED,
                                            .n_queues = 2,
                                            .n_mem_slots = 32};
    rig->device->has_offer = TRUE;
    vrd_device_begin_vmm(rig->device, "pid 1 uid 0");
    rig_pair(ends);
    rig->socket = ends[1];
    rig->link = vrd_vmm_link_new(rig->event, ends[0], rig->device, first_message_ms,
                                 &rig_owner, rig, NULL);
    g_assert_nonnull(rig->link);
    rig->guest = fake_memfd(4 * GUEST_BYTES);
    rig->bell = fake_eventfd();
}

static inline void
rig_start(Rig *rig)
{
    rig_start_timed(rig, 0);
}

static inline void
rig_end(Rig *rig)
{
    vrd_vmm_link_free(rig->link);
    vrd_device_free(rig->device);
    vrd_vm_unref(rig->vm);
    vrd_fd_close(&rig->socket);
    vrd_fd_close(&rig->guest);
    vrd_fd_close(&rig->bell);
    g_clear_error(&rig->reason);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

static inline void
tell(Rig *rig, VrdMessage message)
{
    g_assert_true(fake_send(rig->socket, &message));
    rig_settle(rig->event);
}

/* Ask and take the answer, whose descriptors are the caller's. */
static inline VrdMessage
ask(Rig *rig, VrdMessage message)
{
    VrdMessage reply;

    g_assert_true(fake_send(rig->socket, &message));
    fake_expect(rig->event, rig->socket, message.request, &reply);
    g_assert_cmphex(reply.flags, ==, VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY);
    return reply;
}

static inline uint64_t
ask_u64(Rig *rig, VrdMessage message)
{
    VrdMessage reply = ask(rig, message);

    g_assert_cmpuint(reply.size, ==, 8);
    g_assert_cmpuint(reply.n_fds, ==, 0);
    return vrd_payload_get_u64(&reply);
}

#define assert_acked(rig_, ...)   g_assert_cmpuint(ask_u64(rig_, __VA_ARGS__), ==, 0)
#define assert_refused(rig_, ...) g_assert_cmpuint(ask_u64(rig_, __VA_ARGS__), !=, 0)

/* The message costs the VMM its socket, for a reason that says @text. */
static inline void
assert_closes(Rig *rig, VrdMessage message, const char *text)
{
    g_assert_true(fake_send(rig->socket, &message));
    fake_expect_end(rig->event, rig->socket);
    g_assert_cmpuint(rig->n_closed, ==, 1);
    g_test_message("%s", rig->reason->message);
    g_assert_nonnull(strstr(rig->reason->message, text));
}

/* Protocol features and owner, as every front-end begins. */
static inline void
greet(Rig *rig, uint64_t protocol_features)
{
    tell(rig, fake_u64(VRD_REQUEST_SET_PROTOCOL_FEATURES, 0, protocol_features));
    tell(rig, fake_empty(VRD_REQUEST_SET_OWNER, 0));
    g_assert_true(rig->device->has_owner);
    rig->n_effects = 0;
}

static inline void
set_features(Rig *rig, uint64_t features)
{
    tell(rig, fake_u64(VRD_REQUEST_SET_FEATURES, 0, features));
}

static inline void
set_memory(Rig *rig)
{
    tell(rig, fake_table(0, rig->guest, 1));
    g_assert_nonnull(rig->device->memory);
}

/* All that a ring needs but for its kick. */
static inline void
set_up_ring(Rig *rig, uint32_t index)
{
    tell(rig, fake_state(VRD_REQUEST_SET_VRING_NUM, 0, index, RING_SIZE));
    tell(rig, fake_state(VRD_REQUEST_SET_VRING_BASE, 0, index, 0));
    tell(rig, fake_addr(0, index, 0));
    tell(rig, fake_file(VRD_REQUEST_SET_VRING_CALL, 0, index, rig->bell));
}

static inline VrdMessage
kick(Rig *rig, uint32_t index, uint32_t flags)
{
    return fake_file(VRD_REQUEST_SET_VRING_KICK, flags, index, rig->bell);
}

/* A VMM with ring 0 started. */
static inline void
start_device(Rig *rig)
{
    greet(rig, OFFERED);
    set_features(rig, FEATURES);
    set_memory(rig);
    set_up_ring(rig, 0);
    tell(rig, kick(rig, 0, 0));
    g_assert_cmpuint(vrd_device_n_started(rig->device), ==, 1);
    rig->n_effects = 0;
}

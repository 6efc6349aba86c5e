/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A session at one end of a socketpair, the test at the other as the backend; the model
 * is edited by hand, as a VMM would. What the backend hears becomes a line of words.
 */
#include "../fake.h"
#include "backend/session.h"
#include "model/vm.h"

#define BACKEND_FEATURES (F(VERSION_1) | F(PROTOCOL_FEATURES) | F(LOG_ALL))
#define EVERYTHING                                                                       \
    (P(MQ) | P(LOG_SHMFD) | P(RARP) | P(REPLY_ACK) | P(NET_MTU) | P(BACKEND_REQ) |       \
     P(CONFIG) | P(INFLIGHT_SHMFD) | P(RESET_DEVICE) | P(CONFIGURE_MEM_SLOTS) |          \
     P(STATUS) | P(DEVICE_STATE))
#define CLASSIC (EVERYTHING & ~P(CONFIGURE_MEM_SLOTS))
#define BASE    77u /* what the backend answers to GET_VRING_BASE */

typedef struct {
    sd_event *event;
    VrdVm *vm;
    VrdDevice *device;
    VrdSession *session;
    int socket; /* the backend's end */
    int guest;
    int bell;
    unsigned base_fds;
    uint32_t silent_on; /* a request that is not answered */
    uint64_t ack;       /* what NEED_REPLY is answered with */
    unsigned log_bytes; /* of the answer to SET_LOG_BASE */
    gboolean free_when_done;
    unsigned n_negotiated;
    VrdOffer offer;
    unsigned n_lost;
    unsigned n_done;
    GError *error; /* of the last outcome */
    uint32_t base;
    uint32_t reply_size;
    GError *reason;
} Rig;

static void
rig_on_negotiated(const VrdOffer *offer, gpointer user_data)
{
    Rig *rig = user_data;

    rig->n_negotiated++;
    rig->offer = *offer;
    rig->device->backend_offer = *offer;
    rig->device->backend_protocol_features = offer->protocol_features &
                                             vrd_feature_protocol_backend_mask();
}

static void
rig_on_lost(const GError *reason, gpointer user_data)
{
    Rig *rig = user_data;

    rig->n_lost++;
    rig->reason = g_error_copy(reason);
    g_clear_pointer(&rig->session, vrd_session_free);
}

static inline void
rig_note(Rig *rig, const GError *error)
{
    g_assert_cmpuint(rig->n_lost, ==, 0);
    rig->n_done++;
    g_clear_error(&rig->error);
    rig->error = error != NULL ? g_error_copy(error) : NULL;
    if (rig->free_when_done && rig->session != NULL) {
        vrd_session_free(g_steal_pointer(&rig->session));
    }
}

static inline void
on_done(const GError *error, gpointer user_data)
{
    rig_note(user_data, error);
}

static inline void
on_base(uint32_t base, const GError *error, gpointer user_data)
{
    Rig *rig = user_data;

    rig->base = base;
    rig_note(rig, error);
}

static inline void
on_reply(VrdMessage *reply, const GError *error, gpointer user_data)
{
    Rig *rig = user_data;

    rig->reply_size = reply != NULL ? reply->size : 0;
    rig_note(rig, error);
}

static const VrdSessionOwner rig_owner = {rig_on_negotiated, rig_on_lost};

static inline void
rig_connect(Rig *rig, const VrdSessionDeadlines *deadlines)
{
    int ends[2];

    rig_pair(ends);
    rig->socket = ends[1];
    rig->session = vrd_session_new(rig->event, ends[0], rig->device, deadlines,
                                   &rig_owner, rig, NULL);
    g_assert_nonnull(rig->session);
}

static inline void
rig_start_timed(Rig *rig, const VrdSessionDeadlines *deadlines)
{
    memset(rig, 0, sizeof *rig);
    rig->log_bytes = 16;
    rig->base_fds = rig_count_fds();
    rig->event = rig_event_new();
    rig->vm = vrd_vm_new("web1", NULL);
    rig->device = vrd_device_new(rig->vm, "net0", "web1-net0", VRD_KIND_NET);
    rig->guest = fake_memfd(4 * GUEST_BYTES);
    rig->bell = fake_eventfd();
    rig_connect(rig, deadlines);
}

static inline void
rig_start(Rig *rig)
{
    static const VrdSessionDeadlines none;

    rig_start_timed(rig, &none);
}

static inline void
rig_end(Rig *rig)
{
    vrd_session_free(rig->session);
    vrd_device_free(rig->device);
    vrd_vm_unref(rig->vm);
    vrd_fd_close(&rig->socket);
    vrd_fd_close(&rig->guest);
    vrd_fd_close(&rig->bell);
    g_clear_error(&rig->error);
    g_clear_error(&rig->reason);
    sd_event_unref(rig->event);
    g_assert_cmpuint(rig_count_fds(), ==, rig->base_fds);
}

/* "KICK:0", "ENABLE:0=1", "SET_FEATURES+" with an ack asked for */
static inline void
rig_write_down(GString *line, const VrdMessage *message)
{
    const char *name = vrd_request_name(message->request);
    VrdPayloadState state;

    if (line->len > 0) {
        g_string_append_c(line, ' ');
    }
    g_string_append(line, g_str_has_prefix(name, "SET_VRING_") ? name + 10 : name);
    vrd_payload_get_state(message, &state);
    switch (message->request) {
    case VRD_REQUEST_SET_VRING_KICK:
    case VRD_REQUEST_SET_VRING_CALL:
    case VRD_REQUEST_SET_VRING_ERR:
        g_string_append_printf(line, ":%u", state.index & VRD_PAYLOAD_RING_MASK);
        break;
    case VRD_REQUEST_SET_VRING_ENABLE:
        g_string_append_printf(line, ":%u=%u", state.index, state.num);
        break;
    case VRD_REQUEST_SET_VRING_NUM:
    case VRD_REQUEST_SET_VRING_BASE:
    case VRD_REQUEST_SET_VRING_ADDR:
    case VRD_REQUEST_GET_VRING_BASE:
        g_string_append_printf(line, ":%u", state.index);
        break;
    default:
        break;
    }
    g_string_append(line, vrd_message_needs_reply(message) ? "+" : "");
}

static inline void
rig_answer(const Rig *rig, const VrdMessage *message)
{
    VrdMessage reply;
    VrdPayloadState state;

    switch (message->request) {
    case VRD_REQUEST_GET_FEATURES:
        fake_answer_u64(rig->socket, message, rig->offer.features);
        return;
    case VRD_REQUEST_SET_LOG_BASE:
        reply = *message;
        reply.n_fds = 0;
        reply.size = rig->log_bytes;
        fake_answer(rig->socket, message, &reply);
        return;
    case VRD_REQUEST_GET_VRING_BASE:
        vrd_message_init(&reply, 0);
        vrd_payload_get_state(message, &state);
        state.num = BASE;
        vrd_payload_put_state(&reply, &state);
        fake_answer(rig->socket, message, &reply);
        return;
    default:
        if (vrd_message_needs_reply(message)) {
            fake_answer_u64(rig->socket, message, rig->ack);
        }
    }
}

/* (owned) all that the backend hears until there is nothing more; it answers */
static inline char *
rig_hear(Rig *rig)
{
    GString *line = g_string_new(NULL);
    VrdMessage message;

    rig_settle(rig->event);
    while (fake_receive(rig->socket, &message) == FAKE_MESSAGE) {
        rig_write_down(line, &message);
        if (message.request != rig->silent_on) {
            rig_answer(rig, &message);
        }
        fake_drop(&message);
        rig_settle(rig->event);
    }
    return g_string_free(line, FALSE);
}

#define assert_hears(rig_, line_)                                                        \
    do {                                                                                 \
        g_autofree char *heard_ = rig_hear(rig_);                                        \
                                                                                         \
        g_assert_cmpstr(heard_, ==, line_);                                              \
    } while (0)

static inline void
answer_next(Rig *rig, uint32_t request, uint64_t value)
{
    VrdMessage message;

    fake_expect(rig->event, rig->socket, request, &message);
    fake_drop(&message);
    fake_answer_u64(rig->socket, &message, value);
}

/* Negotiation with a backend that offers @protocol_features. */
static inline void
rig_negotiate(Rig *rig, uint64_t protocol_features)
{
    VrdMessage message;

    answer_next(rig, VRD_REQUEST_GET_FEATURES, BACKEND_FEATURES);
    answer_next(rig, VRD_REQUEST_GET_PROTOCOL_FEATURES, protocol_features);
    fake_expect(rig->event, rig->socket, VRD_REQUEST_SET_PROTOCOL_FEATURES, &message);
    if (protocol_features & P(MQ)) {
        answer_next(rig, VRD_REQUEST_GET_QUEUE_NUM, 2);
    }
    if (protocol_features & P(CONFIGURE_MEM_SLOTS)) {
        answer_next(rig, VRD_REQUEST_GET_MAX_MEM_SLOTS, 32);
    }
    rig_run_until(rig->event, rig->n_negotiated == 1);
    rig->device->has_offer = TRUE;
}

static inline void
rig_set_memory(Rig *rig, unsigned n_regions)
{
    VrdMemtable *table = vrd_memtable_new();

    for (unsigned i = 0; i < n_regions; i++) {
        VrdPayloadRegion region = fake_region(i);
        g_autoptr(VrdMemfile)
            file = vrd_vm_memfile(rig->vm, vrd_fd_dup(rig->guest, NULL), NULL);
        VrdMemregion wanted = {region.guest_addr, region.size, region.user_addr,
                               region.mmap_offset, file};

        g_assert_true(vrd_memtable_add(table, &wanted, NULL));
    }
    vrd_device_set_memory(rig->device, vrd_vm_share_table(rig->vm, table));
}

/* What a VMM with @protocol_features says before its rings. */
static inline void
rig_set_up(Rig *rig, uint64_t protocol_features)
{
    VrdDevice *device = rig->device;

    vrd_device_begin_vmm(device, "pid 1 uid 0");
    device->has_owner = TRUE;
    g_assert_true(vrd_device_set_protocol_features(device, protocol_features, NULL));
    g_assert_true(
        vrd_device_set_features(device, F(VERSION_1) | F(PROTOCOL_FEATURES), NULL));
    rig_set_memory(rig, 1);
}

static inline void
rig_set_file(Rig *rig, VrdRing *ring, VrdRingFileKind kind)
{
    g_assert_true(vrd_ring_set_file(ring, kind, vrd_fd_dup(rig->bell, NULL), NULL));
}

static inline VrdRing *
rig_start_ring(Rig *rig, uint32_t index, gboolean enabled)
{
    VrdRing *ring = vrd_device_ring(rig->device, index, NULL);
    VrdPayloadAddr addr = fake_ring_addr(index, 0);

    g_assert_true(vrd_ring_set_size(ring, RING_SIZE, FALSE, NULL));
    g_assert_true(vrd_ring_set_addr(ring, &addr, FALSE, rig->device->memory, NULL));
    rig_set_file(rig, ring, VRD_RING_CALL);
    rig_set_file(rig, ring, VRD_RING_KICK);
    vrd_ring_set_enabled(ring, enabled);
    g_assert_true(vrd_ring_start(ring, FALSE, rig->device->memory, NULL));
    return ring;
}

static inline void
rig_set_log(Rig *rig)
{
    VrdDirtylog *log = vrd_dirtylog_new(vrd_fd_dup(rig->guest, NULL), LOG_BYTES, 0, 0,
                                        NULL);

    g_assert_nonnull(log);
    vrd_device_set_log(rig->device, log);
}

/* A backend in front of a VMM that acked the same, with ring 0 started and all told. */
static inline void
rig_go_live(Rig *rig, uint64_t protocol_features)
{
    g_autofree char *heard = NULL;

    rig_negotiate(rig, protocol_features);
    rig_set_up(rig, protocol_features);
    rig_start_ring(rig, 0, TRUE);
    g_assert_true(vrd_session_sync(rig->session, TRUE, on_done, rig));
    heard = rig_hear(rig);
    g_assert_cmpuint(rig->n_done, ==, 1);
    g_assert_no_error(rig->error);
    rig->n_done = 0;
}

static inline void
assert_outcome(Rig *rig, unsigned n_done, VrdErrorCode code)
{
    rig_run_until(rig->event, rig->n_done >= n_done);
    g_assert_cmpuint(rig->n_done, ==, n_done);
    g_assert_error(rig->error, VRD_ERROR, (int) code);
}

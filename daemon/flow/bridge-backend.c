/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's side of a bridge: connection, negotiation, replay, loss. A backend that
 * comes back is brought from nothing to what the model wants by the same call that
 * follows each request of the VMM.
 */
#include "backend/apply.h"
#include "base/clock.h"
#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"
#include "flow/bridge-state.h"
#include "flow/resume.h"
#include "link/peer.h"
#include "model/vm.h"

/* A backend that lived this long has not failed in a row. */
#define STABLE_US      (1u * G_USEC_PER_SEC)
#define VIOLATIONS_MAX 3u
#define QUARANTINE_MS  10000u
#define UNFIT_MS       1000u

static unsigned
redial_delay_ms(const VrdBridge *bridge)
{
    static const unsigned delays_ms[] = {0, 1, 10, 100, 1000};

    if (bridge->n_violations >= VIOLATIONS_MAX) {
        return QUARANTINE_MS;
    }
    return delays_ms[MIN(bridge->n_failures, G_N_ELEMENTS(delays_ms) - 1)];
}

/* A live backend still shows why the one before was lost. */
static const char *
last_loss(const VrdBridge *bridge)
{
    return bridge->loss != NULL ? bridge->loss : "";
}

static void
free_session(VrdBridge *bridge)
{
    bridge->is_attached = FALSE;
    bridge->is_resuming = FALSE;
    g_clear_pointer(&bridge->session, vrd_session_free);
    if (bridge->channel != NULL) {
        vrd_channel_close_backend(bridge->channel);
    }
    bridge->device->backend_protocol_features = 0;
    g_clear_pointer(&bridge->device->backend_peer, g_free);
    vrd_bridge_backend_note_waiting(bridge);
}

static void begin_session(VrdBridge *bridge, int fd);

static void
look_for_next(VrdBridge *bridge, unsigned delay_ms)
{
    int fd = vrd_fd_steal(&bridge->waiting_backend_fd);

    if (fd >= 0) {
        begin_session(bridge, fd);
        return;
    }
    vrd_door_dial(bridge->backend_door, delay_ms);
}

static void
count_loss(VrdBridge *bridge, const GError *reason)
{
    const VrdDevice *device = bridge->device;
    gboolean was_stable = device->backend_state == VRD_BACKEND_LIVE &&
                          device->backend_since_us + STABLE_US < vrd_clock_now_us();

    bridge->n_failures = was_stable ? 0 : bridge->n_failures + 1;
    if (g_error_matches(reason, VRD_ERROR, VRD_ERROR_PROTOCOL)) {
        bridge->n_violations++;
    } else if (was_stable) {
        bridge->n_violations = 0;
    }
}

static void
on_lost(const GError *reason, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    VrdLogSubject subject = vrd_bridge_subject(bridge, bridge->device->backend_peer);
    VrdBackendState state = bridge->device->backend_state;

    count_loss(bridge, reason);
    bridge->device->backend_lost_us = vrd_clock_now_us();
    g_free(bridge->loss);
    bridge->loss = g_strdup(reason->message);
    vrd_log_limited(&bridge->backend_limit, LOG_WARNING, &subject,
                    "backend lost while %s: %s", vrd_device_backend_state_name(state),
                    reason->message);
    free_session(bridge);
    vrd_device_set_backend_state(bridge->device,
                                 bridge->n_violations >= VIOLATIONS_MAX
                                     ? VRD_BACKEND_QUARANTINED
                                     : VRD_BACKEND_DOWN,
                                 reason->message);
    look_for_next(bridge, redial_delay_ms(bridge));
}

/* This backend cannot stand in for what the VMM was promised: the next attempt waits. */
static void
reject(VrdBridge *bridge, const GError *reason)
{
    VrdLogSubject subject = vrd_bridge_subject(bridge, bridge->device->backend_peer);

    vrd_log_limited(&bridge->backend_limit, LOG_WARNING, &subject, "backend refused: %s",
                    reason->message);
    free_session(bridge);
    vrd_device_set_backend_state(bridge->device, VRD_BACKEND_DOWN, reason->message);
    look_for_next(bridge, UNFIT_MS);
}

static gboolean
covers(const VrdBridge *bridge, const VrdOffer *offer, GError **error)
{
    const VrdDevice *device = bridge->device;
    uint64_t features = device->has_features ? device->features : device->offer.features;
    uint64_t protocol_features = device->has_protocol_features
                                     ? device->protocol_features
                                     : device->offer.protocol_features;

    return bridge->vmm == NULL ||
           vrd_offer_covers(offer, device->kind, features, protocol_features,
                            device->n_rings, error);
}

static void
on_negotiated(const VrdOffer *offer, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    VrdDevice *device = bridge->device;
    g_autoptr(GError) error = NULL;

    if (!covers(bridge, offer, &error)) {
        reject(bridge, error);
        return;
    }
    device->backend_offer = *offer;
    device->is_backend_met = TRUE;
    device->has_offer = TRUE;
    device->backend_protocol_features = offer->protocol_features &
                                        vrd_feature_protocol_backend_mask();
    vrd_device_touch(device, VRD_DEVICE_FEATURES);
    if (bridge->vmm == NULL) {
        vrd_device_set_backend_state(device, VRD_BACKEND_LIVE, last_loss(bridge));
        vrd_bridge_admit(bridge);
        return;
    }
    vrd_bridge_backend_attach(bridge);
}

static void
on_replayed(const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    VrdLogSubject subject;

    vrd_bridge_backend_note_waiting(bridge);
    if (error != NULL) {
        if (g_error_matches(error, VRD_ERROR, VRD_ERROR_REFUSED)) {
            vrd_session_fail(bridge->session, error);
        }
        return;
    }
    if (bridge->is_resuming) {
        bridge->is_resuming = FALSE;
        vrd_resume_wake(bridge->event, bridge->device);
    }
    vrd_device_set_backend_state(bridge->device, VRD_BACKEND_LIVE, last_loss(bridge));
    subject = vrd_bridge_subject(bridge, bridge->device->backend_peer);
    vrd_log_limited(&bridge->link_limit, LOG_NOTICE, &subject,
                    "backend is live, %u rings started",
                    vrd_device_n_started(bridge->device));
}

/*
 * No exact way on. A network card whose VMM listens for us can begin anew: it loses
 * frames, as the wire may, and it takes the next connection. All others keep what they
 * have until the VMM stops the rings.
 */
static void
hold(VrdBridge *bridge, const GError *reason)
{
    VrdDevice *device = bridge->device;
    VrdLogSubject subject = vrd_bridge_subject(bridge, device->backend_peer);

    if (device->kind == VRD_KIND_NET && !vrd_door_is_listening(bridge->vmm_door)) {
        g_autoptr(GError) ended = g_error_new(
            VRD_ERROR, VRD_ERROR_STATE, "it has to begin anew: %s", reason->message);

        vrd_vmm_link_fail(bridge->vmm, ended);
        return;
    }
    vrd_log_limited(&bridge->backend_limit, LOG_WARNING, &subject, "backend is held: %s",
                    reason->message);
    vrd_device_set_backend_state(device, VRD_BACKEND_HELD, reason->message);
}

void
vrd_bridge_backend_attach(VrdBridge *bridge)
{
    VrdDevice *device = bridge->device;
    g_autoptr(GError) error = NULL;

    if (bridge->is_attached || bridge->vmm == NULL || bridge->session == NULL ||
        !vrd_session_is_negotiated(bridge->session)) {
        return;
    }
    if (vrd_device_n_started(device) > 0) {
        if (!vrd_resume_prepare(device, &error)) {
            hold(bridge, error);
            return;
        }
        bridge->is_resuming = TRUE;
    }
    bridge->is_attached = TRUE;
    if (bridge->has_rarp) {
        vrd_session_set_rarp(bridge->session, bridge->rarp);
    }
    vrd_bridge_effect_open_channel(bridge);
    vrd_device_set_backend_state(device, VRD_BACKEND_REPLAYING, NULL);
    if (!vrd_session_sync(bridge->session, bridge->is_resuming, on_replayed, bridge)) {
        on_replayed(NULL, bridge);
    }
    /* What the VMM has read may be of another backend, or of a profile. */
    vrd_bridge_effect_refresh_config(bridge);
    vrd_bridge_backend_note_waiting(bridge);
}

static void
begin_session(VrdBridge *bridge, int fd)
{
    static const VrdSessionOwner owner = {on_negotiated, on_lost};
    const VrdSettingsDeadlines *wanted = &bridge->settings->deadlines;
    VrdSessionDeadlines deadlines = {.ack_ms = wanted->ack_ms,
                                     .memory_ms = wanted->memory_ms,
                                     .drain_ms = wanted->drain_ms,
                                     .state_ms = wanted->state_ms};
    VrdDevice *device = bridge->device;
    g_autoptr(GError) error = NULL;
    VrdPeer peer;

    vrd_peer_read(fd, &peer);
    g_free(device->backend_peer);
    device->backend_peer = vrd_peer_text(&peer);
    device->backend_generation++;
    bridge->session = vrd_session_new(bridge->event, fd, device, &deadlines, &owner,
                                      bridge, &error);
    if (bridge->session == NULL) {
        vrd_device_set_backend_state(device, VRD_BACKEND_DOWN, error->message);
        bridge->n_failures++;
        vrd_door_dial(bridge->backend_door, redial_delay_ms(bridge));
        return;
    }
    vrd_device_set_backend_state(device, VRD_BACKEND_NEGOTIATING, NULL);
}

/* Shows what it waits for beside why the last one was lost. */
void
vrd_bridge_backend_waiting(const char *reason, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    g_autofree char *text = bridge->loss != NULL
                                ? g_strdup_printf("%s (now: %s)", bridge->loss, reason)
                                : g_strdup(reason);

    vrd_device_set_backend_state(bridge->device, bridge->device->backend_state, text);
}

void
vrd_bridge_backend_connected(int fd, gpointer user_data)
{
    VrdBridge *bridge = user_data;

    if (bridge->session == NULL) {
        begin_session(bridge, fd);
        return;
    }
    /* A restarted backend may be here before the end of the last one has been seen. */
    if (bridge->waiting_backend_fd >= 0) {
        VrdLogSubject subject = vrd_bridge_subject(bridge, NULL);

        vrd_log_limited(&bridge->backend_limit, LOG_WARNING, &subject,
                        "backend refused: %s is connected and another one waits",
                        bridge->device->backend_peer);
        vrd_closer_take(&fd);
        return;
    }
    bridge->waiting_backend_fd = fd;
}

void
vrd_bridge_backend_renew(VrdBridge *bridge)
{
    if (bridge->session == NULL) {
        return;
    }
    if (!vrd_session_is_used(bridge->session)) {
        bridge->is_attached = FALSE;
        if (vrd_session_is_negotiated(bridge->session)) {
            vrd_device_set_backend_state(bridge->device, VRD_BACKEND_LIVE,
                                         last_loss(bridge));
        }
        return;
    }
    free_session(bridge);
    bridge->n_failures = 0;
    vrd_device_set_backend_state(bridge->device, VRD_BACKEND_CONNECTING,
                                 vrd_door_reason(bridge->backend_door));
    look_for_next(bridge, 0);
}

void
vrd_bridge_backend_end(VrdBridge *bridge)
{
    g_clear_pointer(&bridge->session, vrd_session_free);
    g_clear_pointer(&bridge->loss, g_free);
    vrd_closer_take(&bridge->waiting_backend_fd);
}

void
vrd_bridge_backend_note_waiting(VrdBridge *bridge)
{
    VrdDevice *device = bridge->device;
    uint64_t since_us = 0;
    uint32_t waiting = bridge->session != NULL
                           ? vrd_session_waiting(bridge->session, &since_us)
                           : 0;

    device->backend_waiting = waiting;
    device->backend_waiting_since_us = waiting != 0 ? since_us : 0;
}

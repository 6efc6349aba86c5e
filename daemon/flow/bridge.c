/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMM's side of a bridge: who is let in, when, and what is left when it goes. The
 * backend's side is in bridge-backend.c, requests in bridge-effect.c.
 */
#include "flow/bridge.h"

#include "base/closer.h"
#include "base/error.h"
#include "base/fd.h"
#include "flow/bridge-state.h"
#include "link/peer.h"
#include "model/vm.h"

#define REDIAL_VMM_MS 10u

VrdLogSubject
vrd_bridge_subject(const VrdBridge *bridge, const char *peer)
{
    return (VrdLogSubject){.vm = bridge->device->vm->name,
                           .device = bridge->device->name,
                           .queue = -1,
                           .peer = peer};
}

static void
end_waiting(VrdBridge *bridge)
{
    bridge->waiting_time = sd_event_source_disable_unref(bridge->waiting_time);
    vrd_closer_take(&bridge->waiting_vmm_fd);
}

static void
end_vmm(VrdBridge *bridge, const GError *reason)
{
    gboolean is_orderly = g_error_matches(reason, VRD_ERROR, VRD_ERROR_LOST);
    VrdLogSubject subject = vrd_bridge_subject(bridge, bridge->device->vmm_peer);

    if (is_orderly) {
        vrd_log_limited(&bridge->link_limit, LOG_NOTICE, &subject, "VMM left (%s)",
                        reason->message);
    } else {
        vrd_log_limited(&bridge->vmm_limit, LOG_WARNING, &subject,
                        "VMM loses its socket: %s", reason->message);
    }
    g_clear_pointer(&bridge->vmm, vrd_vmm_link_free);
    g_clear_pointer(&bridge->channel, vrd_channel_free);
    bridge->has_rarp = FALSE;
    vrd_device_end_vmm(bridge->device, reason->message);
    vrd_bridge_backend_renew(bridge);
    vrd_door_dial(bridge->vmm_door, REDIAL_VMM_MS);
}

static void
on_vmm_closed(const GError *reason, gpointer user_data)
{
    end_vmm(user_data, reason);
}

static void
begin_vmm(VrdBridge *bridge, int fd)
{
    static const VrdVmmLinkOwner owner = {vrd_bridge_effect_carry_out, on_vmm_closed};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    VrdLogSubject subject;
    VrdPeer peer;

    vrd_peer_read(fd, &peer);
    text = vrd_peer_text(&peer);
    vrd_device_begin_vmm(bridge->device, text);
    subject = vrd_bridge_subject(bridge, text);
    bridge->vmm = vrd_vmm_link_new(bridge->event, fd, bridge->device,
                                   bridge->settings->deadlines.first_message_ms, &owner,
                                   bridge, &error);
    if (bridge->vmm == NULL) {
        vrd_log_warning(&subject, "VMM cannot be served: %s", error->message);
        vrd_device_end_vmm(bridge->device, error->message);
        return;
    }
    bridge->channel = vrd_channel_new(bridge->event, bridge->device,
                                      &vrd_bridge_effect_channel_owner, bridge);
    vrd_log_limited(&bridge->link_limit, LOG_NOTICE, &subject,
                    "VMM connected, backend is %s",
                    vrd_device_backend_state_name(bridge->device->backend_state));
    if (bridge->session != NULL && vrd_session_is_negotiated(bridge->session)) {
        /* It may have changed while nobody was there to be told. */
        vrd_configspace_forget(&bridge->device->config);
    }
    vrd_bridge_backend_attach(bridge);
}

void
vrd_bridge_admit(VrdBridge *bridge)
{
    int fd = vrd_fd_steal(&bridge->waiting_vmm_fd);

    end_waiting(bridge);
    if (fd >= 0) {
        begin_vmm(bridge, fd);
    }
}

static int
on_waiting_time(sd_event_source *source, uint64_t now_us, void *user_data)
{
    VrdBridge *bridge = user_data;
    VrdLogSubject subject = vrd_bridge_subject(bridge, NULL);

    vrd_log_limited(
        &bridge->vmm_limit, LOG_WARNING, &subject,
        "VMM refused: the backend has never answered (%s, %s) and there is no "
        "[Profile] to answer from, waited %u ms",
        vrd_device_backend_state_name(bridge->device->backend_state),
        bridge->device->backend_reason != NULL ? bridge->device->backend_reason
                                               : "no reason known",
        bridge->settings->deadlines.offer_ms);
    end_waiting(bridge);
    vrd_door_dial(bridge->vmm_door, bridge->settings->deadlines.offer_ms);
    return 0;
}

/* Nothing can be said to a VMM before the backend's first offer: it waits, for a while.
 */
static void
let_wait(VrdBridge *bridge, int fd)
{
    int r = 0;

    bridge->waiting_vmm_fd = fd;
    if (bridge->settings->deadlines.offer_ms > 0) {
        r = sd_event_add_time_relative(
            bridge->event, &bridge->waiting_time, CLOCK_MONOTONIC,
            (uint64_t) bridge->settings->deadlines.offer_ms * 1000, 0, on_waiting_time,
            bridge);
    }
    if (r < 0) {
        end_waiting(bridge);
    }
}

/* A VMM that comes back at once may be here before the end of its last link was read. */
static void
end_gone_vmm(VrdBridge *bridge)
{
    if (bridge->vmm != NULL && vrd_vmm_link_is_gone(bridge->vmm)) {
        g_autoptr(GError)
            reason = g_error_new(VRD_ERROR, VRD_ERROR_LOST, "connection closed by peer");

        end_vmm(bridge, reason);
    }
    if (bridge->waiting_vmm_fd >= 0 && vrd_peer_is_gone(bridge->waiting_vmm_fd)) {
        end_waiting(bridge);
    }
}

static gboolean
refuse_second(VrdBridge *bridge, int fd)
{
    g_autofree char *text = NULL;
    VrdLogSubject subject;
    VrdPeer peer;

    if (bridge->vmm == NULL && bridge->waiting_vmm_fd < 0) {
        return FALSE;
    }
    vrd_peer_read(fd, &peer);
    text = vrd_peer_text(&peer);
    subject = vrd_bridge_subject(bridge, text);
    vrd_log_limited(&bridge->vmm_limit, LOG_WARNING, &subject,
                    "second VMM refused: the device is held by %s",
                    bridge->vmm != NULL ? bridge->device->vmm_peer
                                        : "a VMM that waits for the backend");
    vrd_closer_take(&fd);
    return TRUE;
}

static void
on_vmm_connected(int fd, gpointer user_data)
{
    VrdBridge *bridge = user_data;

    end_gone_vmm(bridge);
    if (refuse_second(bridge, fd)) {
        return;
    }
    if (bridge->device->has_offer) {
        begin_vmm(bridge, fd);
    } else {
        let_wait(bridge, fd);
    }
}

static void
use_profile(VrdDevice *device, const VrdSettingsProfile *profile)
{
    if (!profile->is_set) {
        return;
    }
    device->backend_offer = (VrdOffer){.features = profile->features,
                                       .protocol_features = profile->protocol_features,
                                       .n_queues = profile->n_queues,
                                       .n_mem_slots = profile->n_mem_slots};
    device->has_offer = TRUE;
    vrd_configspace_store(&device->config, 0, profile->config, profile->config_bytes);
}

VrdBridge *
vrd_bridge_new(sd_event *event, VrdVm *vm, const VrdSettingsDevice *settings,
               VrdActivation *activation, const char *runtime_directory, GError **error)
{
    g_autoptr(VrdBridge) bridge = g_new0(VrdBridge, 1);

    bridge->event = sd_event_ref(event);
    bridge->settings = vrd_settings_device_copy(settings);
    bridge->waiting_vmm_fd = -1;
    bridge->waiting_backend_fd = -1;
    bridge->device = vrd_device_new(vm, settings->device, settings->name, settings->kind);
    bridge->device->hidden_features = settings->hidden_features;
    bridge->device->hidden_protocol_features = settings->hidden_protocol_features;
    bridge->device->n_queues_max = settings->n_queues_max;
    use_profile(bridge->device, &settings->profile);
    bridge->vmm_door = vrd_door_new(event, "vmm", settings->name, &bridge->settings->vmm,
                                    activation, runtime_directory, on_vmm_connected,
                                    bridge, error);
    if (bridge->vmm_door == NULL) {
        return NULL;
    }
    bridge->backend_door = vrd_door_new(
        event, "backend", settings->name, &bridge->settings->backend, activation,
        runtime_directory, vrd_bridge_backend_connected, bridge, error);
    if (bridge->backend_door == NULL) {
        return NULL;
    }
    vrd_device_set_backend_state(bridge->device, VRD_BACKEND_CONNECTING,
                                 vrd_door_reason(bridge->backend_door));
    vrd_door_set_waiting(bridge->backend_door, vrd_bridge_backend_waiting, bridge);
    vrd_door_dial(bridge->backend_door, 0);
    vrd_door_dial(bridge->vmm_door, 0);
    return g_steal_pointer(&bridge);
}

void
vrd_bridge_free(VrdBridge *bridge)
{
    if (bridge == NULL) {
        return;
    }
    vrd_door_free(bridge->vmm_door);
    vrd_door_free(bridge->backend_door);
    end_waiting(bridge);
    g_clear_pointer(&bridge->vmm, vrd_vmm_link_free);
    vrd_bridge_backend_end(bridge);
    vrd_channel_free(bridge->channel);
    vrd_device_free(bridge->device);
    vrd_settings_device_free(bridge->settings);
    sd_event_unref(bridge->event);
    g_free(bridge);
}

VrdDevice *
vrd_bridge_device(const VrdBridge *bridge)
{
    return bridge->device;
}

const VrdSettingsDevice *
vrd_bridge_settings(const VrdBridge *bridge)
{
    return bridge->settings;
}

const char *
vrd_bridge_vmm_path(const VrdBridge *bridge)
{
    return vrd_door_path(bridge->vmm_door);
}

const char *
vrd_bridge_backend_path(const VrdBridge *bridge)
{
    return vrd_door_path(bridge->backend_door);
}

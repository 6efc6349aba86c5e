/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What requests of the VMM ask for beyond the model. Each effect ends in one
 * vrd_vmm_link_finish*(): at once where no backend can be asked, else when the backend
 * has answered, or is lost; then the model is the answer.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "flow/bridge-state.h"
#include "flow/resume.h"
#include "wire/payload.h"
#include "wire/request.h"

/* Device state replies: bits 0 to 7 an error, bit 8 no descriptor. */
#define STATE_FAILED 1u
#define STATE_NOFD   0x100u

/*
 * What the VMM is told: a refusal of the backend is passed on, a lost backend is not the
 * VMM's error.
 */
static const GError *
for_vmm(const GError *error)
{
    return g_error_matches(error, VRD_ERROR, VRD_ERROR_REFUSED) ? error : NULL;
}

static void
finish(VrdBridge *bridge, const GError *error)
{
    vrd_bridge_backend_note_waiting(bridge);
    if (bridge->vmm != NULL && vrd_vmm_link_is_busy(bridge->vmm)) {
        vrd_vmm_link_finish(bridge->vmm, for_vmm(error));
    }
}

/*
 * A refusal that the VMM does not hear of leaves a backend that is not what the model
 * says: only a new connection makes them agree again.
 */
static void
on_synced(const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    gboolean is_refused = g_error_matches(error, VRD_ERROR, VRD_ERROR_REFUSED);

    if (is_refused && bridge->synced_request == VRD_REQUEST_NET_SET_MTU) {
        bridge->device->has_mtu = FALSE;
    }
    finish(bridge, error);
    if (is_refused && !bridge->is_vmm_waiting && bridge->session != NULL) {
        vrd_session_fail(bridge->session, error);
    }
}

static void
follow(VrdBridge *bridge, const VrdEffect *effect)
{
    bridge->synced_request = effect->message->request;
    bridge->is_vmm_waiting = effect->waits;
    if (!bridge->is_attached ||
        !vrd_session_sync(bridge->session, effect->waits, on_synced, bridge)) {
        finish(bridge, NULL);
        return;
    }
    vrd_bridge_backend_note_waiting(bridge);
}

static void
restart(VrdBridge *bridge)
{
    vrd_device_restart_vmm(bridge->device);
    vrd_bridge_backend_renew(bridge);
    finish(bridge, NULL);
}

static void
finish_stop(VrdBridge *bridge, uint32_t base)
{
    VrdDevice *device = bridge->device;
    VrdRing *ring = vrd_device_find_ring(device, bridge->stopping_ring);
    VrdPayloadState state = {.index = bridge->stopping_ring, .num = base};
    VrdMessage reply;

    if (ring != NULL) {
        vrd_ring_stop(ring, base);
        vrd_device_update_vmm_state(device);
        vrd_device_touch(device, VRD_DEVICE_RINGS);
    }
    vrd_bridge_backend_note_waiting(bridge);
    vrd_message_init(&reply, VRD_REQUEST_GET_VRING_BASE);
    vrd_payload_put_state(&reply, &state);
    vrd_vmm_link_finish_reply(bridge->vmm, &reply);
    /* A held backend may be joined once nothing is in flight any more. */
    vrd_bridge_backend_attach(bridge);
}

static void
on_stopped(uint32_t base, const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;

    if (bridge->vmm == NULL || !vrd_vmm_link_is_busy(bridge->vmm)) {
        return;
    }
    if (bridge->device->backend_state == VRD_BACKEND_DRAINING) {
        vrd_device_set_backend_state(bridge->device, VRD_BACKEND_LIVE, NULL);
    }
    finish_stop(bridge, error == NULL
                            ? base
                            : vrd_resume_base(bridge->device, bridge->stopping_ring));
}

static void
stop_ring(VrdBridge *bridge, const VrdEffect *effect)
{
    bridge->stopping_ring = effect->ring;
    if (!bridge->is_attached) {
        finish_stop(bridge, vrd_resume_base(bridge->device, effect->ring));
        return;
    }
    vrd_session_stop_ring(bridge->session, effect->ring, on_stopped, bridge);
    vrd_device_set_backend_state(bridge->device, VRD_BACKEND_DRAINING, NULL);
    vrd_bridge_backend_note_waiting(bridge);
}

static void
on_reset(const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;

    vrd_device_reset(bridge->device);
    finish(bridge, error);
    vrd_bridge_backend_attach(bridge);
}

static void
reset(VrdBridge *bridge)
{
    if (!bridge->is_attached || !vrd_session_reset(bridge->session, on_reset, bridge)) {
        on_reset(NULL, bridge);
        return;
    }
    vrd_bridge_backend_note_waiting(bridge);
}

/* A failed GET_CONFIG is an answer without a payload. */
static void
finish_config(VrdBridge *bridge, const VrdPayloadConfig *config)
{
    VrdMessage reply;

    vrd_message_init(&reply, VRD_REQUEST_GET_CONFIG);
    if (config != NULL) {
        vrd_payload_put_config(&reply, config);
    }
    vrd_bridge_backend_note_waiting(bridge);
    vrd_vmm_link_finish_reply(bridge->vmm, &reply);
}

static void
on_config(VrdMessage *answer, const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    VrdPayloadConfig config = bridge->asked_config;

    if (bridge->vmm == NULL || !vrd_vmm_link_is_busy(bridge->vmm)) {
        return;
    }
    if (error != NULL) {
        /* It went away meanwhile: what it said before is the best that is known. */
        finish_config(bridge, vrd_configspace_read(&bridge->device->config, config.offset,
                                                   config.bytes, config.size)
                                  ? &config
                                  : NULL);
        return;
    }
    if (answer->size <= offsetof(VrdPayloadConfig, bytes)) {
        finish_config(bridge, NULL);
        return;
    }
    vrd_payload_get_config(answer, &config);
    vrd_configspace_store(&bridge->device->config, config.offset, config.bytes,
                          config.size);
    finish_config(bridge, &config);
}

static void
read_config(VrdBridge *bridge, const VrdEffect *effect)
{
    if (!bridge->is_attached) {
        finish_config(bridge, NULL);
        return;
    }
    vrd_payload_get_config(effect->message, &bridge->asked_config);
    vrd_session_request(bridge->session, effect->message,
                        bridge->settings->deadlines.ack_ms, on_config, bridge);
    vrd_bridge_backend_note_waiting(bridge);
}

static void
on_request_done(VrdMessage *answer, const GError *error, gpointer user_data)
{
    finish(user_data, error);
}

/* What was written is forgotten: the device decides what is read back. */
static void
write_config(VrdBridge *bridge, const VrdEffect *effect)
{
    VrdPayloadConfig config;

    vrd_payload_get_config(effect->message, &config);
    if (!bridge->is_attached) {
        vrd_configspace_store(&bridge->device->config, config.offset, config.bytes,
                              config.size);
        finish(bridge, NULL);
        return;
    }
    vrd_configspace_forget(&bridge->device->config);
    vrd_session_request(bridge->session, effect->message,
                        bridge->settings->deadlines.ack_ms, on_request_done, bridge);
    vrd_bridge_backend_note_waiting(bridge);
}

static void
finish_inflight(VrdBridge *bridge, const VrdPayloadInflight *geometry)
{
    VrdMessage reply;

    vrd_message_init(&reply, VRD_REQUEST_GET_INFLIGHT_FD);
    vrd_payload_put_inflight(&reply, geometry);
    vrd_message_add_fd(&reply, bridge->device->inflight.fd);
    vrd_bridge_backend_note_waiting(bridge);
    vrd_vmm_link_finish_reply(bridge->vmm, &reply);
}

/* The backend has no region to give: the VMM goes on without one. */
static void
finish_no_inflight(VrdBridge *bridge, const VrdPayloadInflight *geometry)
{
    VrdMessage reply;

    vrd_message_init(&reply, VRD_REQUEST_GET_INFLIGHT_FD);
    vrd_payload_put_inflight(&reply, geometry);
    vrd_bridge_backend_note_waiting(bridge);
    vrd_vmm_link_finish_reply(bridge->vmm, &reply);
}

/* No backend to ask: a fresh region is all zeros, of a size that both sides compute. */
static void
make_inflight(VrdBridge *bridge, VrdPayloadInflight geometry)
{
    VrdDevice *device = bridge->device;
    vrd_autofd fd = memfd_create("vringd-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_autoptr(GError) error = NULL;

    geometry.mmap_offset = 0;
    geometry.mmap_size = vrd_inflight_bytes(geometry.n_queues, geometry.queue_size,
                                            vrd_device_is_packed(device));
    if (fd < 0 || ftruncate(fd, (off_t) geometry.mmap_size) < 0) {
        vrd_error_set_errno(&error, errno,
                            "making an in-flight region of %" G_GUINT64_FORMAT " bytes",
                            geometry.mmap_size);
        vrd_vmm_link_finish(bridge->vmm, error);
        return;
    }
    vrd_inflight_set(&device->inflight, vrd_fd_steal(&fd), &geometry);
    finish_inflight(bridge, &geometry);
}

static void
on_inflight(VrdMessage *answer, const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    VrdDevice *device = bridge->device;
    g_autoptr(GError) wrong = NULL;
    VrdPayloadInflight geometry;

    if (bridge->vmm == NULL || !vrd_vmm_link_is_busy(bridge->vmm)) {
        return;
    }
    if (error != NULL) {
        make_inflight(bridge, bridge->asked_inflight);
        return;
    }
    vrd_payload_get_inflight(answer, &geometry);
    if (geometry.mmap_size == 0 && answer->n_fds == 0) {
        finish_no_inflight(bridge, &geometry);
        return;
    }
    if (answer->n_fds != 1 ||
        !vrd_inflight_check(answer->fds[0], &geometry, vrd_device_is_packed(device),
                            VRD_DEVICE_RINGS_MAX, &wrong)) {
        if (wrong == NULL) {
            wrong = g_error_new(VRD_ERROR, VRD_ERROR_PROTOCOL,
                                "%u descriptors, allowed is 1", answer->n_fds);
        }
        g_prefix_error(&wrong, "answer to GET_INFLIGHT_FD: ");
        vrd_session_fail(bridge->session, wrong);
        make_inflight(bridge, bridge->asked_inflight);
        return;
    }
    vrd_inflight_set(&device->inflight, vrd_message_take_fd(answer, 0), &geometry);
    finish_inflight(bridge, &geometry);
}

static void
get_inflight(VrdBridge *bridge, const VrdEffect *effect)
{
    vrd_payload_get_inflight(effect->message, &bridge->asked_inflight);
    if (!bridge->is_attached) {
        make_inflight(bridge, bridge->asked_inflight);
        return;
    }
    vrd_session_request(bridge->session, effect->message,
                        bridge->settings->deadlines.ack_ms, on_inflight, bridge);
    vrd_bridge_backend_note_waiting(bridge);
}

static void
finish_state(VrdBridge *bridge, uint64_t value, VrdMessage *answer)
{
    VrdMessage reply;

    vrd_message_init(&reply, VRD_REQUEST_SET_DEVICE_STATE_FD);
    vrd_payload_put_u64(&reply, value);
    if (answer != NULL && answer->n_fds > 0) {
        vrd_message_add_fd(&reply, answer->fds[0]);
    }
    vrd_bridge_backend_note_waiting(bridge);
    vrd_vmm_link_finish_reply(bridge->vmm, &reply);
}

static void
on_state(VrdMessage *answer, const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;

    if (bridge->vmm == NULL || !vrd_vmm_link_is_busy(bridge->vmm)) {
        return;
    }
    finish_state(bridge,
                 answer != NULL ? vrd_payload_get_u64(answer) : STATE_FAILED | STATE_NOFD,
                 answer);
}

static void
transfer_state(VrdBridge *bridge, const VrdEffect *effect)
{
    if (!bridge->is_attached) {
        finish_state(bridge, STATE_FAILED | STATE_NOFD, NULL);
        return;
    }
    vrd_session_request(bridge->session, effect->message,
                        bridge->settings->deadlines.state_ms, on_state, bridge);
    vrd_bridge_backend_note_waiting(bridge);
}

/* On a migration's destination the first one comes before memory and rings: it is kept.
 */
static void
announce(VrdBridge *bridge, const VrdEffect *effect)
{
    bridge->has_rarp = TRUE;
    bridge->rarp = vrd_payload_get_u64(effect->message);
    if (bridge->is_attached) {
        vrd_session_set_rarp(bridge->session, bridge->rarp);
        bridge->has_rarp = FALSE;
    }
    follow(bridge, effect);
}

void
vrd_bridge_effect_open_channel(VrdBridge *bridge)
{
    g_autoptr(GError) error = NULL;
    int fd;

    if (bridge->channel == NULL || !vrd_channel_has_vmm(bridge->channel) ||
        !(bridge->device->backend_offer.protocol_features &
          VRD_FEATURE_BIT(VRD_PROTOCOL_F_BACKEND_REQ))) {
        return;
    }
    fd = vrd_channel_open_backend(bridge->channel, &error);
    if (fd < 0) {
        VrdLogSubject subject = vrd_bridge_subject(bridge, NULL);

        vrd_log_limited(&bridge->backend_limit, LOG_WARNING, &subject,
                        "no backend channel: %s", error->message);
        return;
    }
    vrd_session_set_channel(bridge->session, fd);
}

static void
take_channel(VrdBridge *bridge, const VrdEffect *effect)
{
    g_autoptr(GError) error = NULL;

    if (!vrd_channel_set_vmm(bridge->channel, vrd_message_take_fd(effect->message, 0),
                             &error)) {
        vrd_vmm_link_finish(bridge->vmm, error);
        return;
    }
    if (bridge->is_attached) {
        vrd_bridge_effect_open_channel(bridge);
    }
    follow(bridge, effect);
}

static void
on_config_refreshed(VrdMessage *answer, const GError *error, gpointer user_data)
{
    VrdBridge *bridge = user_data;
    VrdConfigspace *space = &bridge->device->config;
    uint8_t before[VRD_PAYLOAD_CONFIG_MAX];
    VrdPayloadConfig config;
    gboolean is_known;

    vrd_bridge_backend_note_waiting(bridge);
    if (error != NULL || answer->size <= offsetof(VrdPayloadConfig, bytes)) {
        return;
    }
    vrd_payload_get_config(answer, &config);
    is_known = vrd_configspace_read(space, config.offset, before, config.size);
    vrd_configspace_store(space, config.offset, config.bytes, config.size);
    if (bridge->channel != NULL &&
        !(is_known && memcmp(before, config.bytes, config.size) == 0)) {
        vrd_channel_tell_config(bridge->channel);
    }
}

void
vrd_bridge_effect_refresh_config(VrdBridge *bridge)
{
    VrdPayloadConfig config = {.size = vrd_configspace_end(&bridge->device->config)};
    VrdMessage message;

    if (config.size == 0 ||
        !vrd_device_backend_has(bridge->device, VRD_PROTOCOL_F_CONFIG)) {
        return;
    }
    vrd_message_init(&message, VRD_REQUEST_GET_CONFIG);
    vrd_payload_put_config(&message, &config);
    vrd_session_request(bridge->session, &message, bridge->settings->deadlines.ack_ms,
                        on_config_refreshed, bridge);
}

/*
 * The VMM asks for the config space as soon as it hears, inside its own handler: it must
 * be there by then.
 */
static void
on_config_changed(gpointer user_data)
{
    VrdBridge *bridge = user_data;
    uint32_t bytes = vrd_configspace_end(&bridge->device->config);

    if (!bridge->is_attached || bytes == 0) {
        vrd_channel_tell_config(bridge->channel);
        return;
    }
    vrd_bridge_effect_refresh_config(bridge);
}

const VrdChannelOwner vrd_bridge_effect_channel_owner = {on_config_changed};

void
vrd_bridge_effect_carry_out(const VrdEffect *effect, gpointer user_data)
{
    VrdBridge *bridge = user_data;

    switch (effect->kind) {
    case VRD_EFFECT_NONE:
        finish(bridge, NULL);
        return;
    case VRD_EFFECT_SYNC:
        follow(bridge, effect);
        return;
    case VRD_EFFECT_RESTART:
        restart(bridge);
        return;
    case VRD_EFFECT_RING_STOP:
        stop_ring(bridge, effect);
        return;
    case VRD_EFFECT_RESET:
        reset(bridge);
        return;
    case VRD_EFFECT_CONFIG_READ:
        read_config(bridge, effect);
        return;
    case VRD_EFFECT_CONFIG_WRITE:
        write_config(bridge, effect);
        return;
    case VRD_EFFECT_INFLIGHT:
        get_inflight(bridge, effect);
        return;
    case VRD_EFFECT_STATE_FD:
    case VRD_EFFECT_STATE_CHECK:
        transfer_state(bridge, effect);
        return;
    case VRD_EFFECT_RARP:
        announce(bridge, effect);
        return;
    case VRD_EFFECT_CHANNEL:
        take_channel(bridge, effect);
        return;
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What concerns the device as a whole: config space, status, reset, in-flight region,
 * device state, backend channel, and the two net messages.
 */
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "vmm/handle.h"
#include "wire/payload.h"
#include "wire/request.h"

/*
 * Bytes that are known are answered at once while nothing can have changed them unheard:
 * either the backend tells of changes on its channel, or it is away.
 */
static gboolean
get_config(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    gboolean is_fresh = device->backend_state != VRD_BACKEND_LIVE ||
                        vrd_device_backend_has(device, VRD_PROTOCOL_F_BACKEND_REQ);
    VrdPayloadConfig config;
    VrdMessage reply;

    vrd_payload_get_config(message, &config);
    if (!is_fresh || !vrd_configspace_read(&device->config, config.offset, config.bytes,
                                           config.size)) {
        effect->kind = VRD_EFFECT_CONFIG_READ;
        return TRUE;
    }
    vrd_message_init_reply(&reply, message);
    vrd_payload_put_config(&reply, &config);
    vrd_vmm_link_answer(link, &reply);
    return TRUE;
}

static gboolean
set_config(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdPayloadConfig config;

    vrd_payload_get_config(message, &config);
    if (config.flags > 1) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "SET_CONFIG: flags %u, allowed 0 to 1", config.flags);
        return FALSE;
    }
    effect->kind = VRD_EFFECT_CONFIG_WRITE;
    return TRUE;
}

static gboolean
get_status(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    vrd_vmm_link_answer_u64(link, vrd_vmm_link_device(link)->status);
    return TRUE;
}

static gboolean
set_status(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    uint64_t status = vrd_payload_get_u64(message);

    if (status > 0xff) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "SET_STATUS: 0x%" G_GINT64_MODIFIER "x, allowed 0 to 0xff", status);
        return FALSE;
    }
    device->status = status;
    vrd_device_touch(device, VRD_DEVICE_FEATURES);
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static gboolean
reset(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    effect->kind = VRD_EFFECT_RESET;
    return TRUE;
}

static gboolean
get_inflight_fd(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    VrdPayloadInflight geometry;

    vrd_payload_get_inflight(message, &geometry);
    geometry.mmap_size = vrd_inflight_bytes(geometry.n_queues, geometry.queue_size,
                                            vrd_device_is_packed(device));
    geometry.mmap_offset = 0;
    if (!vrd_inflight_check(
            -1, &geometry, vrd_device_is_packed(device),
            vrd_offer_n_rings(&device->offer, device->kind, device->n_queues_max),
            error)) {
        g_prefix_error(error, "GET_INFLIGHT_FD: ");
        return FALSE;
    }
    effect->kind = VRD_EFFECT_INFLIGHT;
    return TRUE;
}

static gboolean
set_inflight_fd(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    VrdPayloadInflight geometry;

    vrd_payload_get_inflight(message, &geometry);
    if (!vrd_inflight_check(
            message->fds[0], &geometry, vrd_device_is_packed(device),
            vrd_offer_n_rings(&device->offer, device->kind, device->n_queues_max),
            error)) {
        g_prefix_error(error, "SET_INFLIGHT_FD: ");
        return FALSE;
    }
    vrd_inflight_set(&device->inflight, vrd_message_take_fd(message, 0), &geometry);
    return TRUE;
}

static gboolean
state_fd(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    VrdFdKind kind = vrd_fd_kind(message->fds[0]);
    VrdPayloadDeviceState state;

    vrd_payload_get_device_state(message, &state);
    if (state.direction > 1 || state.phase > 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "SET_DEVICE_STATE_FD: direction %u phase %u, allowed 0 to 1 and 0",
                    state.direction, state.phase);
        return FALSE;
    }
    if (kind != VRD_FD_PIPE && kind != VRD_FD_SOCKET) {
        g_set_error(
            error, VRD_ERROR, VRD_ERROR_PROTOCOL,
            "SET_DEVICE_STATE_FD: descriptor is a %s, allowed is a pipe or socket",
            vrd_fd_kind_name(kind));
        return FALSE;
    }
    if (vrd_device_n_started(device) > 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "SET_DEVICE_STATE_FD: %u rings are started, allowed 0",
                    vrd_device_n_started(device));
        return FALSE;
    }
    effect->kind = VRD_EFFECT_STATE_FD;
    return TRUE;
}

static gboolean
state_check(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    effect->kind = VRD_EFFECT_STATE_CHECK;
    return TRUE;
}

static gboolean
send_rarp(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    effect->kind = VRD_EFFECT_RARP;
    return TRUE;
}

static gboolean
net_set_mtu(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);
    uint64_t mtu = vrd_payload_get_u64(message);

    if (mtu < 68 || mtu > 65535) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "NET_SET_MTU: %" G_GUINT64_FORMAT " bytes, allowed 68 to 65535", mtu);
        return FALSE;
    }
    device->has_mtu = TRUE;
    device->mtu = mtu;
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static gboolean
set_backend_req_fd(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect,
                   GError **error)
{
    VrdFdKind kind = vrd_fd_kind(message->fds[0]);

    if (kind != VRD_FD_SOCKET) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL,
                    "SET_BACKEND_REQ_FD: descriptor is a %s, allowed is a socket",
                    vrd_fd_kind_name(kind));
        return FALSE;
    }
    effect->kind = VRD_EFFECT_CHANNEL;
    return TRUE;
}

const VrdHandlerRow vrd_handle_device_rows[] = {
    {VRD_REQUEST_GET_CONFIG, get_config},
    {VRD_REQUEST_SET_CONFIG, set_config},
    {VRD_REQUEST_GET_STATUS, get_status},
    {VRD_REQUEST_SET_STATUS, set_status},
    {VRD_REQUEST_RESET_DEVICE, reset},
    {VRD_REQUEST_RESET_OWNER, reset},
    {VRD_REQUEST_GET_INFLIGHT_FD, get_inflight_fd},
    {VRD_REQUEST_SET_INFLIGHT_FD, set_inflight_fd},
    {VRD_REQUEST_SET_DEVICE_STATE_FD, state_fd},
    {VRD_REQUEST_CHECK_DEVICE_STATE, state_check},
    {VRD_REQUEST_SEND_RARP, send_rarp},
    {VRD_REQUEST_NET_SET_MTU, net_set_mtu},
    {VRD_REQUEST_SET_BACKEND_REQ_FD, set_backend_req_fd},
    {0, NULL},
};

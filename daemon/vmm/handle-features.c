/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Features, protocol features, owner, and what is asked once at the start (spec
 * "Feature negotiation", "Protocol features"). Everything is answered from the offer that
 * was fixed when the VMM connected.
 */
#include "base/error.h"
#include "vmm/handle.h"
#include "wire/payload.h"
#include "wire/request.h"

static gboolean
get_features(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    vrd_vmm_link_answer_u64(link, vrd_vmm_link_device(link)->offer.features);
    return TRUE;
}

static gboolean
set_features(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);

    if (!vrd_device_set_features(device, vrd_payload_get_u64(message), error)) {
        return FALSE;
    }
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static gboolean
get_protocol_features(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect,
                      GError **error)
{
    vrd_vmm_link_answer_u64(link, vrd_vmm_link_device(link)->offer.protocol_features);
    return TRUE;
}

static gboolean
set_protocol_features(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect,
                      GError **error)
{
    if (!vrd_device_set_protocol_features(vrd_vmm_link_device(link),
                                          vrd_payload_get_u64(message), error)) {
        return FALSE;
    }
    effect->kind = VRD_EFFECT_SYNC;
    return TRUE;
}

static gboolean
get_queue_num(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    vrd_vmm_link_answer_u64(link, vrd_vmm_link_device(link)->offer.n_queues);
    return TRUE;
}

static gboolean
get_max_mem_slots(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect,
                  GError **error)
{
    vrd_vmm_link_answer_u64(link, vrd_vmm_link_device(link)->offer.n_mem_slots);
    return TRUE;
}

/*
 * A second SET_OWNER on a connection is how a VMM that plugs a device again on the same
 * character device begins: what the former one set up is gone.
 */
static gboolean
set_owner(VrdVmmLink *link, VrdMessage *message, VrdEffect *effect, GError **error)
{
    VrdDevice *device = vrd_vmm_link_device(link);

    if (!device->has_owner) {
        device->has_owner = TRUE;
        effect->kind = VRD_EFFECT_SYNC;
        return TRUE;
    }
    if (vrd_device_n_started(device) > 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "SET_OWNER: the device is owned and %u of its rings are started",
                    vrd_device_n_started(device));
        return FALSE;
    }
    effect->kind = VRD_EFFECT_RESTART;
    return TRUE;
}

const VrdHandlerRow vrd_handle_features_rows[] = {
    {VRD_REQUEST_GET_FEATURES, get_features},
    {VRD_REQUEST_SET_FEATURES, set_features},
    {VRD_REQUEST_GET_PROTOCOL_FEATURES, get_protocol_features},
    {VRD_REQUEST_SET_PROTOCOL_FEATURES, set_protocol_features},
    {VRD_REQUEST_GET_QUEUE_NUM, get_queue_num},
    {VRD_REQUEST_GET_MAX_MEM_SLOTS, get_max_mem_slots},
    {VRD_REQUEST_SET_OWNER, set_owner},
    {0, NULL},
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/device-object.h"

#include "bus/getter.h"
#include "bus/health.h"
#include "bus/objects.h"
#include "wire/request.h"

#define OFFSET(member_) offsetof(VrdDevice, member_)
#define CONST           VRD_INTERFACE_CONST
#define SILENT          VRD_INTERFACE_SILENT
#define LINKS           VRD_DEVICE_LINKS
#define FEATURES        VRD_DEVICE_FEATURES
#define RINGS           VRD_DEVICE_RINGS
#define MEMORY          VRD_DEVICE_MEMORY
#define LOG             VRD_DEVICE_LOG
#define ANY             (LINKS | FEATURES | RINGS | MEMORY | LOG)

static VRD_GETTER(get_kind)
{
    return sd_bus_message_append(reply, "s", vrd_feature_kind_name(*(VrdKind *) member));
}

static VRD_GETTER(get_vm)
{
    return sd_bus_message_append(
        reply, "o", vrd_objects_path(vrd_interface_objects(bus), *(VrdVm **) member));
}

static VRD_GETTER(get_health)
{
    return sd_bus_message_append(reply, "s",
                                 vrd_health_name(vrd_health_ask(member, NULL)));
}

static VRD_GETTER(get_health_reasons)
{
    g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);
    int r = sd_bus_message_open_container(reply, 'a', "s");

    vrd_health_ask(member, reasons);
    for (unsigned i = 0; r >= 0 && i < reasons->len; i++) {
        r = vrd_getter_append_text(reply, g_ptr_array_index(reasons, i));
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const char *
role_name(const VrdSettingsSide *side)
{
    return side->role == VRD_ROLE_LISTEN ? "listen" : "dial";
}

static VRD_GETTER(get_vmm_state)
{
    return sd_bus_message_append(reply, "s",
                                 vrd_device_vmm_state_name(*(VrdVmmState *) member));
}

static VRD_GETTER(get_vmm_path)
{
    return vrd_getter_append_text(
        reply, vrd_hub_vmm_path(vrd_interface_objects(bus)->hub, member));
}

static VRD_GETTER(get_vmm_role)
{
    const VrdSettingsDevice *settings = vrd_hub_device_settings(
        vrd_interface_objects(bus)->hub, member);

    return sd_bus_message_append(reply, "s",
                                 settings != NULL ? role_name(&settings->vmm) : "");
}

static VRD_GETTER(get_backend_state)
{
    return sd_bus_message_append(
        reply, "s", vrd_device_backend_state_name(*(VrdBackendState *) member));
}

static VRD_GETTER(get_backend_path)
{
    return vrd_getter_append_text(
        reply, vrd_hub_backend_path(vrd_interface_objects(bus)->hub, member));
}

static VRD_GETTER(get_backend_role)
{
    const VrdSettingsDevice *settings = vrd_hub_device_settings(
        vrd_interface_objects(bus)->hub, member);

    return sd_bus_message_append(reply, "s",
                                 settings != NULL ? role_name(&settings->backend) : "");
}

static VRD_GETTER(get_backend_waiting)
{
    const VrdDevice *device = member;

    if (device->backend_waiting == 0) {
        return sd_bus_message_append(reply, "(st)", "", UINT64_C(0));
    }
    return sd_bus_message_append(reply, "(st)", vrd_request_name(device->backend_waiting),
                                 device->backend_waiting_since_us);
}

static int
append_names(sd_bus_message *reply, const VrdDevice *device, uint64_t features)
{
    g_auto(GStrv) names = vrd_feature_virtio_names(device->kind, features);

    return sd_bus_message_append_strv(reply, names);
}

static VRD_GETTER(get_offered_names)
{
    const VrdDevice *device = member;

    return append_names(reply, device, device->offer.features);
}

static VRD_GETTER(get_feature_names)
{
    const VrdDevice *device = member;

    return append_names(reply, device, device->features);
}

static VRD_GETTER(get_backend_offered_names)
{
    const VrdDevice *device = member;

    return append_names(reply, device, device->backend_offer.features);
}

static VRD_GETTER(get_logging)
{
    return sd_bus_message_append(reply, "b", (int) vrd_device_is_logging(member));
}

static VRD_GETTER(get_inflight_bytes)
{
    const VrdInflight *inflight = member;
    uint64_t bytes = inflight->fd >= 0 ? inflight->geometry.mmap_size : 0;

    return sd_bus_message_append(reply, "t", bytes);
}

static VRD_GETTER(get_config_bytes)
{
    return sd_bus_message_append(reply, "t", (uint64_t) vrd_configspace_end(member));
}

static VRD_GETTER(get_memory)
{
    return vrd_getter_append_memory(reply, *(VrdMemtable **) member);
}

static const char *
file_name(const VrdRing *ring, VrdRingFileKind kind)
{
    switch (ring->files[kind].state) {
    case VRD_RING_FILE_NEVER:
        return "never";
    case VRD_RING_FILE_NONE:
        return "none";
    case VRD_RING_FILE_FD:
        return "descriptor";
    }
    return "never";
}

static VRD_GETTER(get_rings)
{
    const VrdDevice *device = member;
    int r = sd_bus_message_open_container(reply, 'a', "(uuttttuusssbbbt)");

    for (unsigned i = 0; r >= 0 && i < device->n_rings; i++) {
        const VrdRing *ring = &device->rings[i];

        r = sd_bus_message_append(
            reply, "(uuttttuusssbbbt)", ring->index, ring->size, ring->addr.desc,
            ring->addr.avail, ring->addr.used, ring->addr.log, ring->addr.flags,
            ring->base, file_name(ring, VRD_RING_KICK), file_name(ring, VRD_RING_CALL),
            file_name(ring, VRD_RING_ERR), (int) vrd_device_ring_is_enabled(device, ring),
            (int) ring->started, (int) ring->mapped, ring->changed_us);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* clang-format off */
static const VrdInterfaceProperty properties[] = {
    /* property          type  getter           member                  changes with */
    {"Name",             "s",  vrd_getter_text, OFFSET(name),           CONST},
    {"Id",               "s",  vrd_getter_text, OFFSET(id),             CONST},
    {"Kind",             "s",  get_kind,        OFFSET(kind),           CONST},
    {"VM",               "o",  get_vm,          OFFSET(vm),             CONST},
    {"Health",           "s",  get_health,         0,                   ANY},
    {"HealthReasons",    "as", get_health_reasons, 0,                   ANY},

    {"VMMState",         "s",  get_vmm_state,   OFFSET(vmm_state),      LINKS},
    {"VMMSince",         "t",  NULL,            OFFSET(vmm_since_us),   LINKS},
    {"VMMPeer",          "s",  vrd_getter_text, OFFSET(vmm_peer),       LINKS},
    {"VMMReason",        "s",  vrd_getter_text, OFFSET(vmm_reason),     LINKS},
    {"VMMPath",          "s",  get_vmm_path,    0,                      LINKS},
    {"VMMRole",          "s",  get_vmm_role,    0,                      LINKS},
    {"VMMConnections",   "t",  NULL,            OFFSET(vmm_generation), LINKS},

    {"BackendState",       "s", get_backend_state,   OFFSET(backend_state),      LINKS},
    {"BackendSince",       "t", NULL,                OFFSET(backend_since_us),   LINKS},
    {"BackendPeer",        "s", vrd_getter_text,     OFFSET(backend_peer),       LINKS},
    {"BackendReason",      "s", vrd_getter_text,     OFFSET(backend_reason),     LINKS},
    {"BackendPath",        "s", get_backend_path,    0,                          LINKS},
    {"BackendRole",        "s", get_backend_role,    0,                          LINKS},
    {"BackendConnections", "t", NULL,                OFFSET(backend_generation), LINKS},
    {"BackendLost",        "t", NULL,                OFFSET(backend_n_lost),     LINKS},
    {"BackendWaiting",     "(st)", get_backend_waiting, 0,                       SILENT},

    {"Offered",              "t",  NULL, OFFSET(offer.features),       FEATURES},
    {"OfferedNames",         "as", get_offered_names, 0,               FEATURES},
    {"Features",             "t",  NULL, OFFSET(features),             FEATURES},
    {"FeatureNames",         "as", get_feature_names, 0,               FEATURES},
    {"ProtocolOffered",      "t",  NULL, OFFSET(offer.protocol_features), FEATURES},
    {"ProtocolOfferedNames", "as", vrd_getter_protocol_names,
     OFFSET(offer.protocol_features), FEATURES},
    {"ProtocolFeatures",     "t",  NULL, OFFSET(protocol_features),    FEATURES},
    {"ProtocolFeatureNames", "as", vrd_getter_protocol_names,
     OFFSET(protocol_features), FEATURES},
    {"BackendOffered",       "t",  NULL, OFFSET(backend_offer.features), FEATURES},
    {"BackendOfferedNames",  "as", get_backend_offered_names, 0,       FEATURES},
    {"BackendProtocolOffered", "t", NULL,
     OFFSET(backend_offer.protocol_features), FEATURES},
    {"BackendProtocolOfferedNames", "as", vrd_getter_protocol_names,
     OFFSET(backend_offer.protocol_features), FEATURES},
    {"BackendProtocolFeatures", "t", NULL, OFFSET(backend_protocol_features), FEATURES},
    {"BackendProtocolFeatureNames", "as", vrd_getter_protocol_names,
     OFFSET(backend_protocol_features), FEATURES},
    {"QueueNum",         "t", NULL, OFFSET(offer.n_queues),            FEATURES},
    {"MemSlots",         "t", NULL, OFFSET(offer.n_mem_slots),         FEATURES},

    {"Status",           "t", NULL, OFFSET(status),                    LINKS},
    {"Logging",          "b", get_logging, 0,                          FEATURES | LOG},
    {"InflightBytes",    "t", get_inflight_bytes, OFFSET(inflight),    RINGS},
    {"ConfigBytes",      "t", get_config_bytes, OFFSET(config),        FEATURES},
    {"Memory",           "a(tttttt)", get_memory, OFFSET(memory),      MEMORY},
    {"Rings",            "a(uuttttuusssbbbt)", get_rings, 0,           RINGS},
};
/* clang-format on */

const VrdInterface vrd_device_object_interface = {
    .name = "org.vringd1.Device",
    .properties = properties,
    .n_properties = G_N_ELEMENTS(properties),
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "model/configspace.h"
#include "model/dirtylog.h"
#include "model/inflight.h"
#include "model/memtable.h"
#include "model/offer.h"
#include "model/ring.h"
#include "wire/feature.h"

/*
 * The truth about one device: what its VMM wants, what was offered and acked on both
 * sides, what each ring does, how the two links are. No socket, no I/O. Others read the
 * members freely and change them only by the functions here and in model/ring.h, then say
 * so by vrd_device_touch().
 */
typedef struct VrdVm VrdVm;
typedef struct VrdDevice VrdDevice;

/* What changed: the parts of a device that a watcher may want to read anew. */
typedef enum {
    VRD_DEVICE_LINKS = 1 << 0,    /* link states, peers, reasons */
    VRD_DEVICE_FEATURES = 1 << 1, /* offers and acked sets */
    VRD_DEVICE_RINGS = 1 << 2,
    VRD_DEVICE_MEMORY = 1 << 3,
    VRD_DEVICE_LOG = 1 << 4,
} VrdDeviceAspect;

typedef struct {
    /* Called at each change, often many in a loop turn: only note it. */
    void (*changed)(VrdDevice *device, unsigned aspects, gpointer user_data);
} VrdVmObserver;

typedef enum {
    VRD_VMM_IDLE,      /* nobody is connected */
    VRD_VMM_HANDSHAKE, /* connected, no ring started */
    VRD_VMM_RUNNING,   /* a ring is started */
    VRD_VMM_STOPPED,   /* rings were started, none is now */
} VrdVmmState;

typedef enum {
    VRD_BACKEND_DOWN,
    VRD_BACKEND_CONNECTING,
    VRD_BACKEND_NEGOTIATING,
    VRD_BACKEND_REPLAYING,
    VRD_BACKEND_LIVE,
    VRD_BACKEND_DRAINING, /* a ring is being drained (GET_VRING_BASE) */
    VRD_BACKEND_HELD,     /* there, but not resumable exactly: why is in backend_reason */
    VRD_BACKEND_QUARANTINED, /* broke the protocol again and again */
} VrdBackendState;

const char *vrd_device_vmm_state_name(VrdVmmState state);         /* "running" */
const char *vrd_device_backend_state_name(VrdBackendState state); /* "live" */

#define VRD_DEVICE_RINGS_MAX 256u

struct VrdDevice {
    char *name; /* within the VM: "net0" */
    char *id;   /* on this host: the name of its file */
    VrdKind kind;
    VrdVm *vm; /* (owned reference) */

    /* from the settings */
    uint64_t hidden_features;
    uint64_t hidden_protocol_features;
    uint32_t n_queues_max;

    /* offers and acks */
    gboolean is_backend_met; /* backend_offer is of a backend, not of a profile */
    gboolean has_offer;      /* backend_offer is known at all */
    VrdOffer backend_offer;  /* the last backend's, or the profile */
    uint64_t backend_protocol_features; /* what we acked to the backend */
    VrdOffer offer;                     /* to the VMM, fixed while it is connected */
    uint64_t n_slots_answered;          /* most memory slots ever answered to a VMM */
    gboolean has_features;              /* SET_FEATURES came */
    uint64_t features;                  /* acked by the VMM */
    gboolean has_protocol_features;
    uint64_t protocol_features; /* acked by the VMM */
    gboolean has_owner;         /* SET_OWNER came */
    gboolean is_owner_implied;  /* what only an owner may ask for came without it */

    /* state that the VMM set */
    VrdMemtable *memory; /* (owned, nullable) shared with the VM's other devices */
    uint64_t memory_changed_us;
    GArray *repeats; /* (element-type VrdPayloadRegion) slots that were added again;
                        nullable */
    VrdRing *rings;  /* (owned) n_rings of them; grows with the highest index seen */
    unsigned n_rings;
    VrdDirtylog *log; /* (owned, nullable) while the VMM logs */
    VrdInflight inflight;
    VrdConfigspace config;
    uint64_t status; /* virtio device status */
    gboolean has_mtu;
    uint64_t mtu;

    /* links */
    VrdVmmState vmm_state;
    uint64_t vmm_since_us;
    char *vmm_peer;          /* "pid 812 uid 64055"; NULL: none */
    char *vmm_reason;        /* why the last VMM link ended; NULL: none did */
    uint64_t vmm_generation; /* counts its connections */
    VrdBackendState backend_state;
    uint64_t backend_since_us;
    char *backend_peer;
    char *backend_reason; /* why the last one was lost, or what it waits for */
    uint64_t backend_generation;
    uint64_t backend_n_lost;
    uint64_t backend_lost_us; /* when the last one was lost (monotonic) */
    uint32_t backend_waiting; /* request whose answer is awaited; 0: none */
    uint64_t backend_waiting_since_us;
};

VrdDevice *vrd_device_new(VrdVm *vm, const char *name, const char *id, VrdKind kind);
void vrd_device_free(VrdDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdDevice, vrd_device_free)

/* Tell the VM's observer; @aspects: of VrdDeviceAspect. */
void vrd_device_touch(VrdDevice *device, unsigned aspects);

/* A new VMM: all that the former one set is gone; its offer is fixed for the connection.
 */
void vrd_device_begin_vmm(VrdDevice *device, const char *peer);
/* The VMM is gone: memory, descriptors and log are released. @reason: (nullable) */
void vrd_device_end_vmm(VrdDevice *device, const char *reason);

/* The VMM begins anew on its connection: what it set is gone, but for what it negotiated.
 */
void vrd_device_restart_vmm(VrdDevice *device);
/* RESET_DEVICE: rings, in-flight region and status are forgotten, memory stays. */
void vrd_device_reset(VrdDevice *device);

void vrd_device_set_backend_state(VrdDevice *device, VrdBackendState state,
                                  const char *reason);
/* After a change of its rings: idle, handshake, running or stopped. */
void vrd_device_update_vmm_state(VrdDevice *device);

gboolean vrd_device_set_features(VrdDevice *device, uint64_t features, GError **error);
gboolean vrd_device_set_protocol_features(VrdDevice *device, uint64_t features,
                                          GError **error);
void vrd_device_set_memory(VrdDevice *device, VrdMemtable *table); /* (owned) */
/*
 * vrd_device_repeat_region - a slot is added that is there already
 *
 * QEMU before 11.1 adds and removes each slot once for each queue pair of a net device.
 * Returns: TRUE if @region is in the table; then one more vrd_device_unrepeat_region()
 * for it says TRUE, which is a removal that leaves the slot there.
 */
gboolean vrd_device_repeat_region(VrdDevice *device, const VrdPayloadRegion *region);
gboolean vrd_device_unrepeat_region(VrdDevice *device, const VrdPayloadRegion *region);
void vrd_device_set_log(VrdDevice *device, VrdDirtylog *log); /* (owned, nullable) */

/*
 * (borrowed, until the next call) ring number @index, made if the index is below what was
 * offered; else VRD_ERROR_PROTOCOL naming the full 32-bit index and the limit.
 */
VrdRing *vrd_device_ring(VrdDevice *device, uint32_t index, GError **error);
VrdRing *vrd_device_find_ring(const VrdDevice *device, uint32_t index);

gboolean vrd_device_is_packed(const VrdDevice *device);
gboolean vrd_device_is_logging(const VrdDevice *device); /* LOG_ALL is acked */
/* A protocol feature that the VMM acked. */
gboolean vrd_device_has(const VrdDevice *device, VrdProtocolFeature feature);
gboolean vrd_device_backend_has(const VrdDevice *device, VrdProtocolFeature feature);
unsigned vrd_device_n_started(const VrdDevice *device);
/* enabled, or started without protocol features (spec "Ring states") */
gboolean vrd_device_ring_is_enabled(const VrdDevice *device, const VrdRing *ring);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/feature.h"

/*
 * What the administrator wrote: vringd.conf with its drop-ins, and one file for each
 * device in devices.d. Read from <root>/usr/lib/vringd, <root>/run/vringd and
 * <root>/etc/vringd: files of the same name hide each other in that order (/etc last and
 * strongest), a link to /dev/null masks, what is left is taken in name order.
 */

/* Milliseconds; 0: no deadline. */
typedef struct {
    uint32_t ack_ms;           /* a request that only sets or gets something; 900 */
    uint32_t memory_ms;        /* memory tables, which the backend has to map; 30000 */
    uint32_t drain_ms;         /* GET_VRING_BASE on a ring at work; 0 */
    uint32_t state_ms;         /* device state transfer; 0 */
    uint32_t offer_ms;         /* how long a VMM may wait for a backend never met; 900 */
    uint32_t first_message_ms; /* from accept to the VMM's first message; 10000 */
} VrdSettingsDeadlines;

typedef struct {
    uid_t owner; /* (uid_t) -1: ours */
    gid_t group; /* (gid_t) -1: ours */
    mode_t mode; /* 0660 */
} VrdSettingsAccess;

typedef enum {
    VRD_ROLE_LISTEN,
    VRD_ROLE_DIAL,
} VrdSettingsRole;

/* One side of a device. */
typedef struct {
    VrdSettingsRole role; /* default: VMM listens, backend is dialled */
    char *path; /* absolute; NULL: RUNTIME/vmm/NAME.sock, RUNTIME/backend/NAME.sock */
    VrdSettingsAccess access; /* of a socket that vringd makes */
    uid_t peer_uid; /* (uid_t) -1: any; else the only uid allowed at the other end */
} VrdSettingsSide;

/* What a device offers while its backend has not been met: section [Profile]. */
typedef struct {
    gboolean is_set;
    uint64_t features;
    uint64_t protocol_features;
    uint64_t n_queues;
    uint64_t n_mem_slots;
    uint8_t *config; /* config space */
    unsigned config_bytes;
} VrdSettingsProfile;

typedef struct {
    char
        *name; /* of the file, without .conf: unique on this host; [A-Za-z0-9._-]{1,64} */
    char *file;    /* where it was read from, for messages */
    char *vm_name; /* VM=; same characters as name */
    char *vm_uuid; /* UUID=, lower case, or NULL; one file gives it for the whole VM */
    char *device;  /* Name= within the VM; default: name */
    VrdKind kind;  /* Kind=net|blk|scsi|fs|generic */
    uint32_t n_queues_max;             /* Queues=, rings at most, 1 to 256; default 256 */
    uint64_t hidden_features;          /* HideFeatures=, names or 0x number */
    uint64_t hidden_protocol_features; /* HideProtocolFeatures= */
    VrdSettingsSide vmm;               /* section [VMM] */
    VrdSettingsSide backend;           /* section [Backend] */
    VrdSettingsDeadlines deadlines; /* section [Deadlines], over those of vringd.conf */
    VrdSettingsProfile profile;     /* section [Profile] */
} VrdSettingsDevice;

typedef struct {
    int log_level;                  /* LogLevel=debug|info|notice|warning|err */
    char *bus;                      /* Bus=system|user|none|ADDRESS; default system */
    uint32_t n_devices_max;         /* MaxDevices=, 1024 */
    VrdSettingsAccess access;       /* SocketOwner=, SocketGroup=, SocketMode= */
    VrdSettingsDeadlines deadlines; /* section [Deadlines] */
    GPtrArray *devices;             /* of VrdSettingsDevice, sorted by name */
} VrdSettings;

/*
 * vrd_settings_load - read everything
 * @root: prefix of the three directories, "" for none
 * @problems: (out) (element-type utf8) every error, "FILE:LINE: Key=value: what is
 *            allowed"; empty if there is none
 *
 * All files are read even after an error. A device file with an error is left out of
 * devices, so that one mistake never takes another device along; the caller decides
 * (start goes on, --check-config fails).
 *
 * Returns: (owned) the settings, or NULL if vringd.conf itself cannot be used.
 */
VrdSettings *vrd_settings_load(const char *root, GPtrArray *problems);
void vrd_settings_free(VrdSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdSettings, vrd_settings_free)

VrdSettingsDevice *vrd_settings_device_copy(const VrdSettingsDevice *device);
void vrd_settings_device_free(VrdSettingsDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdSettingsDevice, vrd_settings_device_free)
/* TRUE if nothing differs that matters to a running device (file name aside). */
gboolean vrd_settings_device_equal(const VrdSettingsDevice *a,
                                   const VrdSettingsDevice *b);

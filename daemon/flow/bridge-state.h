/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backend/session.h"
#include "base/log.h"
#include "flow/bridge.h"
#include "flow/channel.h"
#include "flow/door.h"
#include "vmm/vmm-link.h"
#include "wire/payload.h"

/* Inside of a bridge, shared by the files bridge*.c and by no other. */
struct VrdBridge {
    sd_event *event;
    VrdDevice *device;
    VrdSettingsDevice *settings;
    VrdDoor *vmm_door;
    VrdDoor *backend_door;

    VrdVmmLink *vmm;
    int waiting_vmm_fd;            /* a VMM that waits for the backend's first offer */
    sd_event_source *waiting_time; /* how long it may */
    uint32_t stopping_ring;        /* of the GET_VRING_BASE in work */
    VrdPayloadConfig asked_config; /* of the GET_CONFIG in work */
    VrdPayloadInflight asked_inflight; /* of the GET_INFLIGHT_FD in work */
    uint32_t synced_request; /* of the request in work that the backend follows */
    gboolean is_vmm_waiting; /* for its outcome */
    VrdChannel *channel;     /* while a VMM is there */

    VrdSession *session;
    gboolean is_attached;   /* the session follows the model */
    gboolean is_resuming;   /* started rings of a lost backend are being replayed */
    int waiting_backend_fd; /* the next one came before the end of the last was seen */
    char *loss;             /* why the last session ended; NULL: none did */
    unsigned n_failures;    /* in a row */
    unsigned n_violations;  /* in a row */
    gboolean has_rarp;
    uint64_t rarp;
    VrdLogLimit vmm_limit;  /* of what VMMs do wrong */
    VrdLogLimit link_limit; /* of links that come and go */
    VrdLogLimit backend_limit;
};

/* bridge.c */
VrdLogSubject vrd_bridge_subject(const VrdBridge *bridge, const char *peer);
/* The backend's offer has become known: a VMM that waits for it is let in. */
void vrd_bridge_admit(VrdBridge *bridge);

/* bridge-backend.c: the backend link from connection to loss */
void vrd_bridge_backend_connected(int fd, gpointer user_data);
/* There is none yet, for this reason. */
void vrd_bridge_backend_waiting(const char *reason, gpointer user_data);
/* If there is a VMM and a negotiated backend that are not joined yet: join them. */
void vrd_bridge_backend_attach(VrdBridge *bridge);
/* A VMM has gone, or begun anew: what its backend session knew is worthless. */
void vrd_bridge_backend_renew(VrdBridge *bridge);
void vrd_bridge_backend_end(VrdBridge *bridge);
void vrd_bridge_backend_note_waiting(VrdBridge *bridge);

/* bridge-effect.c: what requests of the VMM ask for */
extern const VrdChannelOwner vrd_bridge_effect_channel_owner;
void vrd_bridge_effect_carry_out(const VrdEffect *effect, gpointer user_data);
/* Give a session that is about to be attached its end of the backend channel. */
void vrd_bridge_effect_open_channel(VrdBridge *bridge);
/* Read the config space anew, and tell the VMM if it is not what it has seen. */
void vrd_bridge_effect_refresh_config(VrdBridge *bridge);

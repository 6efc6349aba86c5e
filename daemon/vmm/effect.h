/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "wire/message.h"

/*
 * What a request of a VMM asks for beyond the model. Most requests only edit the model;
 * whoever joins the links then makes the backend agree. A few are no state and pass as
 * transactions.
 */
typedef enum {
    VRD_EFFECT_NONE,         /* the answer is known: nothing else has to happen */
    VRD_EFFECT_SYNC,         /* the model changed: the backend has to follow */
    VRD_EFFECT_RESTART,      /* a new front-end session on the same socket */
    VRD_EFFECT_RING_STOP,    /* GET_VRING_BASE on a started ring: drain it */
    VRD_EFFECT_RESET,        /* RESET_DEVICE or RESET_OWNER: stop all rings */
    VRD_EFFECT_CONFIG_READ,  /* GET_CONFIG of bytes that must be asked for */
    VRD_EFFECT_CONFIG_WRITE, /* SET_CONFIG */
    VRD_EFFECT_INFLIGHT,     /* GET_INFLIGHT_FD */
    VRD_EFFECT_STATE_FD,     /* SET_DEVICE_STATE_FD */
    VRD_EFFECT_STATE_CHECK,  /* CHECK_DEVICE_STATE */
    VRD_EFFECT_RARP,         /* SEND_RARP */
    VRD_EFFECT_CHANNEL,      /* SET_BACKEND_REQ_FD: fds[0] is the VMM's end */
} VrdEffectKind;

typedef struct {
    VrdEffectKind kind;
    uint32_t ring;  /* RING_STOP */
    gboolean waits; /* the VMM waits for the outcome */
    VrdMessage
        *message; /* (borrowed, during the call) the request with its descriptors */
} VrdEffect;

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "model/device.h"

/* How a device is, in one word and the reasons: derived from the model, never stored. */
typedef enum {
    VRD_HEALTH_OK,
    VRD_HEALTH_WAITING,  /* a side is not there yet, no guest suffers */
    VRD_HEALTH_DEGRADED, /* a guest waits, or something is not as it should be */
    VRD_HEALTH_FAILED,   /* will not get better by itself */
} VrdHealth;

/*
 * vrd_health_ask - how is @device?
 * @reasons: (nullable) (element-type utf8) why it is not ok, appended, worst first
 */
VrdHealth vrd_health_ask(const VrdDevice *device, GPtrArray *reasons);

const char *vrd_health_name(VrdHealth health); /* "degraded" */

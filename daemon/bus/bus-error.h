/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "base/error.h"

/* The D-Bus names of our errors. */
#define VRD_BUS_ERROR_PROTOCOL    "org.vringd1.Error.Protocol"
#define VRD_BUS_ERROR_NOT_FOUND   "org.vringd1.Error.NotFound"
#define VRD_BUS_ERROR_STATE       "org.vringd1.Error.State"
#define VRD_BUS_ERROR_DENIED      "org.vringd1.Error.Denied"
#define VRD_BUS_ERROR_LIMIT       "org.vringd1.Error.Limit"
#define VRD_BUS_ERROR_SYSTEM      "org.vringd1.Error.System"
#define VRD_BUS_ERROR_UNSUPPORTED "org.vringd1.Error.Unsupported"
#define VRD_BUS_ERROR_SETTINGS    "org.vringd1.Error.Settings"
#define VRD_BUS_ERROR_NOT_LOGGING "org.vringd1.Error.NotLogging"

/* Errors that only the bus knows, in a domain of their own. */
#define VRD_BUS_ERROR vrd_bus_error_quark()

typedef enum {
    VRD_BUS_ERROR_CODE_NOT_LOGGING,
} VrdBusErrorCode;

GQuark vrd_bus_error_quark(void);

/* (borrowed) the D-Bus name for @error; never a bare Failed. */
const char *vrd_bus_error_name(const GError *error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus-error.h"

G_DEFINE_QUARK(vringd - bus - error - quark, vrd_bus_error)

static const char *
name_of_code(VrdErrorCode code)
{
    switch (code) {
    case VRD_ERROR_PROTOCOL:
        return VRD_BUS_ERROR_PROTOCOL;
    case VRD_ERROR_UNSUPPORTED:
        return VRD_BUS_ERROR_UNSUPPORTED;
    case VRD_ERROR_STATE:
    case VRD_ERROR_TIMEOUT:
    case VRD_ERROR_LOST:
    case VRD_ERROR_REFUSED:
        return VRD_BUS_ERROR_STATE;
    case VRD_ERROR_NOT_FOUND:
        return VRD_BUS_ERROR_NOT_FOUND;
    case VRD_ERROR_DENIED:
        return VRD_BUS_ERROR_DENIED;
    case VRD_ERROR_SETTING:
        return VRD_BUS_ERROR_SETTINGS;
    case VRD_ERROR_LIMIT:
        return VRD_BUS_ERROR_LIMIT;
    case VRD_ERROR_SYSTEM:
        break;
    }
    return VRD_BUS_ERROR_SYSTEM;
}

const char *
vrd_bus_error_name(const GError *error)
{
    if (g_error_matches(error, VRD_BUS_ERROR, VRD_BUS_ERROR_CODE_NOT_LOGGING)) {
        return VRD_BUS_ERROR_NOT_LOGGING;
    }
    if (error->domain == VRD_ERROR) {
        return name_of_code((VrdErrorCode) error->code);
    }
    return VRD_BUS_ERROR_SYSTEM;
}

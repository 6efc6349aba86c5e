/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <stdarg.h>

G_DEFINE_QUARK(vringd - error - quark, vrd_error)

void
vrd_error_set_errno(GError **error, int errnum, const char *format, ...)
{
    g_autofree char *doing = NULL;
    va_list args;

    va_start(args, format);
    doing = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM, "%s: %s", doing, g_strerror(errnum));
}

const char *
vrd_error_code_name(VrdErrorCode code)
{
    switch (code) {
    case VRD_ERROR_SYSTEM:
        return "system";
    case VRD_ERROR_PROTOCOL:
        return "protocol";
    case VRD_ERROR_UNSUPPORTED:
        return "unsupported";
    case VRD_ERROR_STATE:
        return "state";
    case VRD_ERROR_NOT_FOUND:
        return "not-found";
    case VRD_ERROR_DENIED:
        return "denied";
    case VRD_ERROR_TIMEOUT:
        return "timeout";
    case VRD_ERROR_LOST:
        return "lost";
    case VRD_ERROR_REFUSED:
        return "refused";
    case VRD_ERROR_SETTING:
        return "setting";
    case VRD_ERROR_LIMIT:
        return "limit";
    }
    return "unknown"; /* a number from elsewhere, cast to the enum */
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/health-style.h"

#include <string.h>

VrdTableStyle
vrd_health_style_of(const char *health)
{
    if (strcmp(health, "ok") == 0) {
        return VRD_TABLE_GREEN;
    }
    return strcmp(health, "failed") == 0 ? VRD_TABLE_RED : VRD_TABLE_YELLOW;
}

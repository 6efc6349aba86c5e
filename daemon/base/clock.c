/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include <glib.h>

uint64_t
vrd_clock_now_us(void)
{
    return (uint64_t) g_get_monotonic_time();
}

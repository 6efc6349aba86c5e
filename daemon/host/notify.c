/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/error.h"

void
vrd_notify_ready(void)
{
    sd_notify(0, "READY=1");
}

void
vrd_notify_status(const char *format, ...)
{
    g_autofree char *status = NULL;
    va_list args;

    va_start(args, format);
    status = g_strdup_vprintf(format, args);
    va_end(args);
    /* a second line would be an assignment of its own */
    g_strdelimit(status, "\n", ' ');
    sd_notifyf(0, "STATUS=%s", status);
}

void
vrd_notify_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, vrd_clock_now_us());
}

void
vrd_notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

gboolean
vrd_notify_watchdog(sd_event *event, GError **error)
{
    int result = sd_event_set_watchdog(event, TRUE);

    if (result < 0) {
        vrd_error_set_errno(error, -result, "setting up the watchdog");
        return FALSE;
    }
    return TRUE;
}

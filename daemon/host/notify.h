/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

/*
 * What the service manager is told (sd_notify). Without one (NOTIFY_SOCKET unset) nothing
 * happens; a message that cannot be sent is no reason to stop, so nothing here fails.
 */

/* Start-up or a reload is complete. */
void vrd_notify_ready(void);

/* One line for `systemctl status`. */
void vrd_notify_status(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A reload begins; vrd_notify_ready() ends it. */
void vrd_notify_reloading(void);

/* The end begins. */
void vrd_notify_stopping(void);

/*
 * vrd_notify_watchdog - let @event tell the manager that the loop turns
 *
 * Returns: FALSE with @error set (VRD_ERROR_SYSTEM) if the manager expects it and it
 * cannot be set up; TRUE if it can, or if nobody expects it.
 */
gboolean vrd_notify_watchdog(sd_event *event, GError **error);

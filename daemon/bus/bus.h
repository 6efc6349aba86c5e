/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "flow/hub.h"

/*
 * vringd on D-Bus (org.vringd1.xml): the name, the connection, what happens when the bus
 * goes away. vringd lives on without a bus and comes back to it.
 */
typedef struct VrdBus VrdBus;

#define VRD_BUS_NAME "org.vringd1"
#define VRD_BUS_ROOT "/org/vringd1"

/*
 * Read the settings again and apply them.
 * @problems: (element-type utf8) what is wrong, appended
 * Returns: FALSE if nothing was applied because vringd.conf cannot be used.
 */
typedef gboolean (*VrdBusReload)(GPtrArray *problems, gpointer user_data);

/*
 * vrd_bus_new - go on the bus and watch the hub from then on
 * @hub: (borrowed) must outlive the result
 * @address: "system", "user", "none", or a D-Bus address
 * @reload: what Manager.Reload does
 *
 * Waits for the bus a few seconds at most. A bus that is not there is no error: it is
 * tried again until it is. Call it before sockets are made: a second vringd is found out
 * here.
 *
 * Returns: (owned) or NULL with @error: VRD_ERROR_STATE if another process has the name,
 * VRD_ERROR_SYSTEM if the address is none.
 */
VrdBus *vrd_bus_new(sd_event *event, VrdHub *hub, const char *address,
                    VrdBusReload reload, gpointer user_data, GError **error);
void vrd_bus_free(VrdBus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdBus, vrd_bus_free)

/* What Manager.MaxDevices shows. */
void vrd_bus_set_max_devices(VrdBus *bus, uint32_t n_devices);

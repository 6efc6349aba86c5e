/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "host/activation.h"
#include "settings/settings.h"

/*
 * How connections of one side of a device come about: a listening socket (activated, or
 * made here) or a dialler. It knows whom to let in, by uid.
 */
typedef struct VrdDoor VrdDoor;

/* @fd: (owned by the callee) */
typedef void (*VrdDoorConnected)(int fd, gpointer user_data);

/*
 * vrd_door_new - prepare one side
 * @kind: "vmm" or "backend": the prefix of the activated name and the folder of a socket
 * @name: of the device's file
 * @side: (borrowed) outlives the door
 *
 * A listening door is open at once; a dialling one waits for vrd_door_dial().
 */
VrdDoor *vrd_door_new(sd_event *event, const char *kind, const char *name,
                      const VrdSettingsSide *side, VrdActivation *activation,
                      const char *runtime_directory, VrdDoorConnected connected,
                      gpointer user_data, GError **error);
void vrd_door_free(VrdDoor *door);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdDoor, vrd_door_free)

/* Try to connect, after @delay_ms; a listening door does nothing. */
void vrd_door_dial(VrdDoor *door, unsigned delay_ms);
void vrd_door_stop(VrdDoor *door);

gboolean vrd_door_is_listening(const VrdDoor *door);
const char *vrd_door_path(const VrdDoor *door); /* (borrowed) */
/* Hear of each change of vrd_door_reason() while it dials, from the loop. */
typedef void (*VrdDoorWaiting)(const char *reason, gpointer user_data);
void vrd_door_set_waiting(VrdDoor *door, VrdDoorWaiting waiting, gpointer user_data);

/* Why there is no connection, for the device's reason: "no such path"... */
const char *vrd_door_reason(const VrdDoor *door);

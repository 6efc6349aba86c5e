/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "model/device.h"

/*
 * The backend channel of a device, in two halves joined here (spec "Back-end message
 * types"): the backend gets one end of a socketpair of ours, the VMM's own end stays with
 * us. So it outlives a backend, and each message is checked on its way. What breaks the
 * protocol on it costs the channel, never the device.
 */
typedef struct VrdChannel VrdChannel;

typedef struct {
    /* The backend says that its config space changed: read it, then
     * vrd_channel_tell_config(). */
    void (*config_changed)(gpointer user_data);
} VrdChannelOwner;

VrdChannel *vrd_channel_new(sd_event *event, VrdDevice *device,
                            const VrdChannelOwner *owner, gpointer user_data);
void vrd_channel_free(VrdChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdChannel, vrd_channel_free)

/* The VMM's end; replaces a former one. @fd: (owned, also on failure) */
gboolean vrd_channel_set_vmm(VrdChannel *channel, int fd, GError **error);
gboolean vrd_channel_has_vmm(const VrdChannel *channel);

/* (owned) an end for a new backend, or -1; a former backend's end is closed. */
int vrd_channel_open_backend(VrdChannel *channel, GError **error);
void vrd_channel_close_backend(VrdChannel *channel);

/* CONFIG_CHANGE_MSG to the VMM. */
void vrd_channel_tell_config(VrdChannel *channel);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "host/activation.h"
#include "model/vm.h"
#include "settings/settings.h"

/*
 * All VMs and devices of the daemon: made, changed and removed by settings.
 */
typedef struct VrdHub VrdHub;

typedef struct {
    void (*vm_added)(VrdVm *vm, gpointer user_data);
    void (*vm_removed)(VrdVm *vm, gpointer user_data); /* before it goes */
    void (*device_added)(VrdDevice *device, gpointer user_data);
    void (*device_removed)(VrdDevice *device, gpointer user_data); /* before it goes */
    void (*changed)(VrdDevice *device, unsigned aspects, gpointer user_data);
} VrdHubWatcher;

/* @activation: (borrowed) where the listening sockets may come from */
VrdHub *vrd_hub_new(sd_event *event, VrdActivation *activation,
                    const char *runtime_directory);
void vrd_hub_free(VrdHub *hub);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdHub, vrd_hub_free)

/* One watcher: the bus. (borrowed) It hears of what is there already at once. */
void vrd_hub_set_watcher(VrdHub *hub, const VrdHubWatcher *watcher, gpointer user_data);

/*
 * vrd_hub_apply - make the devices be those of @settings
 * @problems: (element-type utf8) what could not be done, appended; the rest is done
 *
 * Devices whose settings are equal are not touched.
 */
void vrd_hub_apply(VrdHub *hub, const VrdSettings *settings, GPtrArray *problems);

GPtrArray *vrd_hub_vms(const VrdHub *hub); /* (borrowed) (element-type VrdVm) */
unsigned vrd_hub_n_devices(const VrdHub *hub);
/* (borrowed, nullable) the settings that a device was made from */
const VrdSettingsDevice *vrd_hub_device_settings(const VrdHub *hub,
                                                 const VrdDevice *device);
/* (borrowed, nullable) where its VMM connects, and its backend's path */
const char *vrd_hub_vmm_path(const VrdHub *hub, const VrdDevice *device);
const char *vrd_hub_backend_path(const VrdHub *hub, const VrdDevice *device);

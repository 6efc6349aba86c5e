/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "host/activation.h"
#include "model/device.h"
#include "settings/settings.h"

/*
 * One device between its VMM and its backend: the two links, who dials and who listens,
 * and what happens on one side because of the other. The VMM never waits on a backend
 * without bound: when a deadline passes the backend counts as dead and the VMM is
 * answered from the model.
 */
typedef struct VrdBridge VrdBridge;

/*
 * vrd_bridge_new - make a device and open its doors
 * @vm: (borrowed) the device takes a reference
 * @activation: (borrowed) where "vmm.NAME" and "backend.NAME" may come from; on free they
 *              go back there
 *
 * Errors: VRD_ERROR_SETTING, VRD_ERROR_SYSTEM, VRD_ERROR_STATE.
 */
VrdBridge *vrd_bridge_new(sd_event *event, VrdVm *vm, const VrdSettingsDevice *settings,
                          VrdActivation *activation, const char *runtime_directory,
                          GError **error);
void vrd_bridge_free(VrdBridge *bridge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdBridge, vrd_bridge_free)

VrdDevice *vrd_bridge_device(const VrdBridge *bridge);                 /* (borrowed) */
const VrdSettingsDevice *vrd_bridge_settings(const VrdBridge *bridge); /* (borrowed) */
const char *vrd_bridge_vmm_path(const VrdBridge *bridge);              /* (borrowed) */
const char *vrd_bridge_backend_path(const VrdBridge *bridge);          /* (borrowed) */

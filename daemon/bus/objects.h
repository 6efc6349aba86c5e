/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus/bus.h"
#include "bus/interface.h"
#include "flow/hub.h"

/*
 * What is on the bus: an object for the manager, each VM and each device, whether there
 * is a connection or not. Objects keep no copy of the model, only what of it changed
 * since the last signal; signals go out once a loop turn.
 */
typedef struct {
    char *path;
    const VrdInterface *interface;
    gpointer target;  /* (borrowed) VrdObjects, VrdVm or VrdDevice */
    unsigned changed; /* aspects that the next signal tells of */
} VrdObject;

#define VRD_OBJECTS_N_INTERFACES 3u

struct VrdObjects {
    VrdHub *hub;            /* (borrowed) */
    sd_bus *bus;            /* (borrowed) NULL: not connected */
    GHashTable *by_path;    /* (borrowed keys, values are VrdObject, owned) */
    GHashTable *by_target;  /* (borrowed) */
    GPtrArray *changed;     /* (element-type VrdObject, borrowed) */
    sd_event_source *turn;  /* (owned) sends the signals of this loop turn */
    sd_event_source *later; /* (owned) the same, while the bus does not take them */
    sd_bus_vtable *vtables[VRD_OBJECTS_N_INTERFACES]; /* (owned) */
    GQueue pending; /* of interface.c: calls whose caller is being asked for */
    uint32_t n_devices_max;
    VrdBusReload reload;
    gpointer reload_data;
};

VrdObjects *vrd_objects_new(sd_event *event, VrdHub *hub, VrdBusReload reload,
                            gpointer user_data);
void vrd_objects_free(VrdObjects *objects);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdObjects, vrd_objects_free)

/* Show all objects on @bus (borrowed until vrd_objects_detach()). Negative errno. */
int vrd_objects_attach(VrdObjects *objects, sd_bus *bus);
void vrd_objects_detach(VrdObjects *objects);

/* (borrowed, nullable) */
VrdObject *vrd_objects_find(const VrdObjects *objects, const char *path);
/* (borrowed) path of a VM's or device's object; "/" if there is none */
const char *vrd_objects_path(const VrdObjects *objects, gconstpointer target);
/* Note that @aspects of @target changed. */
void vrd_objects_touch(VrdObjects *objects, gconstpointer target, unsigned aspects);

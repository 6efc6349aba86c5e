/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

#include "model/device.h"

/*
 * A D-Bus interface as two tables, methods and properties. The XML contract
 * (org.vringd1.xml) says the same to clients; a test holds both against each other.
 */
typedef struct VrdObjects VrdObjects;

/* Who may call a method. A column of the table, so that no handler can forget it. */
typedef enum {
    VRD_INTERFACE_ANYONE,
    VRD_INTERFACE_ROOT, /* uid 0 and our own */
} VrdInterfaceCaller;

/*
 * Carry out a method: read the arguments of @call, append the results to @reply.
 * @target: the VM, the device or (Manager) the VrdObjects that was called
 */
typedef gboolean (*VrdInterfaceRun)(VrdObjects *objects, gpointer target,
                                    sd_bus_message *call, sd_bus_message *reply,
                                    GError **error);

typedef struct {
    const char *name;
    const char *in;    /* signature of the arguments */
    const char *out;   /* signature of the results */
    const char *names; /* of arguments, then results, each ended by \0 */
    VrdInterfaceRun run;
    VrdInterfaceCaller who;
} VrdInterfaceMethod;

/* Beside those of VrdDeviceAspect: what a property changes with. */
#define VRD_INTERFACE_CONST   0u
#define VRD_INTERFACE_MEMBERS (1u << 16) /* objects came or went */
#define VRD_INTERFACE_SILENT  (1u << 17) /* changes, but is never signalled */

typedef struct {
    const char *name;
    const char *type;
    sd_bus_property_get_t get; /* NULL: the member at @offset, a basic type */
    size_t offset;             /* into the target; what the getter gets */
    unsigned aspects;          /* that it changes with */
} VrdInterfaceProperty;

typedef struct {
    const char *name;
    const VrdInterfaceMethod *methods;
    unsigned n_methods;
    const VrdInterfaceProperty *properties;
    unsigned n_properties;
} VrdInterface;

/* (owned, g_free) the vtable that sd-bus wants; must outlive its use. */
sd_bus_vtable *vrd_interface_vtable(const VrdInterface *interface);

/* (owned by g_free, its strings borrowed) names of the properties that @aspects change.
 */
char **vrd_interface_changed(const VrdInterface *interface, unsigned aspects);

/* In a getter or a handler: what is on the bus. */
VrdObjects *vrd_interface_objects(sd_bus *bus);

/* Forget the calls whose caller is being asked for: the bus goes away. */
void vrd_interface_cancel(VrdObjects *objects);

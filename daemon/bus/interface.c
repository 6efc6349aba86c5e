/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From tables to sd-bus: the vtable, and the one handler that every method call comes
 * to. Who may call is decided here, before a method runs.
 *
 * Whose call it is must be asked from the bus. That is done without waiting: a bus that
 * stands still would stop all devices otherwise.
 */
#include "bus/interface.h"

#include <unistd.h>

#include "bus/bus-error.h"
#include "bus/objects.h"

#define PENDING_MAX 32u /* calls whose caller is being asked for */

typedef struct {
    VrdObjects *objects;
    const VrdInterface *interface;
    const VrdInterfaceMethod *method;
    sd_bus_message *call; /* (owned) */
    sd_bus_slot *slot;    /* (owned) of the question to the bus */
} Pending;

VrdObjects *
vrd_interface_objects(sd_bus *bus)
{
    return sd_bus_slot_get_userdata(sd_bus_get_current_slot(bus));
}

static int
answer_error(sd_bus_message *call, const GError *error)
{
    return sd_bus_reply_method_errorf(call, vrd_bus_error_name(error), "%s",
                                      error->message);
}

static int
run(VrdObjects *objects, gpointer target, const VrdInterfaceMethod *method,
    sd_bus_message *call)
{
    sd_bus_message *reply = NULL;
    g_autoptr(GError) error = NULL;
    int r = sd_bus_message_new_method_return(call, &reply);

    if (r < 0) {
        return r;
    }
    if (method->run(objects, target, call, reply, &error)) {
        r = sd_bus_send(NULL, reply, NULL);
    } else {
        r = answer_error(call, error);
    }
    sd_bus_message_unref(reply);
    return r;
}

static void
free_pending(Pending *pending)
{
    g_queue_remove(&pending->objects->pending, pending);
    sd_bus_message_unref(pending->call);
    sd_bus_slot_unref(pending->slot);
    g_free(pending);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pending, free_pending)

void
vrd_interface_cancel(VrdObjects *objects)
{
    while (!g_queue_is_empty(&objects->pending)) {
        free_pending(g_queue_peek_head(&objects->pending));
    }
}

static gboolean
check_caller(sd_bus_message *answer, const Pending *pending, GError **error)
{
    uint32_t uid;

    if (sd_bus_message_is_method_error(answer, NULL) ||
        sd_bus_message_read(answer, "u", &uid) < 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_DENIED,
                    "%s.%s: the bus does not say who calls", pending->interface->name,
                    pending->method->name);
        return FALSE;
    }
    if (uid != 0 && uid != geteuid()) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_DENIED,
                    "%s.%s: called by uid %u, allowed to uid 0 and uid %u only",
                    pending->interface->name, pending->method->name, uid,
                    (unsigned) geteuid());
        return FALSE;
    }
    return TRUE;
}

static int
on_caller(sd_bus_message *answer, void *user_data, sd_bus_error *bus_error)
{
    g_autoptr(Pending) pending = user_data;
    g_autoptr(GError) error = NULL;
    VrdObject *object;

    if (!check_caller(answer, pending, &error)) {
        answer_error(pending->call, error);
        return 1;
    }
    /* It may have gone while the bus was asked. */
    object = vrd_objects_find(pending->objects, sd_bus_message_get_path(pending->call));
    if (object == NULL || object->interface != pending->interface) {
        g_set_error(&error, VRD_ERROR, VRD_ERROR_NOT_FOUND, "%s: the object is gone",
                    sd_bus_message_get_path(pending->call));
        answer_error(pending->call, error);
        return 1;
    }
    run(pending->objects, object->target, pending->method, pending->call);
    return 1;
}

/* Ask the bus for the caller's uid; the call is carried out or refused in on_caller(). */
static int
ask_caller(VrdObjects *objects, const VrdInterface *interface,
           const VrdInterfaceMethod *method, sd_bus_message *call)
{
    g_autoptr(Pending) pending = NULL;
    unsigned n_pending = g_queue_get_length(&objects->pending);
    int r;

    if (n_pending >= PENDING_MAX) {
        return sd_bus_reply_method_errorf(
            call, VRD_BUS_ERROR_LIMIT, "%s.%s: %u calls are in work, that is the limit",
            interface->name, method->name, n_pending);
    }
    pending = g_new0(Pending, 1);
    pending->objects = objects;
    pending->interface = interface;
    pending->method = method;
    pending->call = sd_bus_message_ref(call);
    g_queue_push_tail(&objects->pending, pending);
    r = sd_bus_call_method_async(
        sd_bus_message_get_bus(call), &pending->slot, "org.freedesktop.DBus",
        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
        on_caller, pending, "s", sd_bus_message_get_sender(call));
    if (r < 0) {
        return r;
    }
    pending = NULL; /* on_caller() or vrd_interface_cancel() frees it */
    return 1;
}

static int
on_call(sd_bus_message *call, void *target, sd_bus_error *bus_error)
{
    VrdObjects *objects = vrd_interface_objects(sd_bus_message_get_bus(call));
    VrdObject *object = vrd_objects_find(objects, sd_bus_message_get_path(call));
    const VrdInterface *interface;

    if (object == NULL) {
        return 0;
    }
    interface = object->interface;
    for (unsigned i = 0; i < interface->n_methods; i++) {
        const VrdInterfaceMethod *method = &interface->methods[i];

        if (sd_bus_message_is_method_call(call, interface->name, method->name)) {
            return method->who == VRD_INTERFACE_ANYONE
                       ? run(objects, target, method, call)
                       : ask_caller(objects, interface, method, call);
        }
    }
    return 0;
}

static uint64_t
property_flags(unsigned aspects)
{
    if (aspects == VRD_INTERFACE_CONST) {
        return SD_BUS_VTABLE_PROPERTY_CONST;
    }
    return aspects & VRD_INTERFACE_SILENT ? 0 : SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;
}

/* Member by member: sd-bus wants all that is not set to be zero. */
sd_bus_vtable *
vrd_interface_vtable(const VrdInterface *interface)
{
    unsigned n = interface->n_methods + interface->n_properties;
    sd_bus_vtable *vtable = g_new0(sd_bus_vtable, n + 2);
    sd_bus_vtable *entry = vtable;

    entry->type = _SD_BUS_VTABLE_START;
    entry->x.start.element_size = sizeof(sd_bus_vtable);
    entry->x.start.features = _SD_BUS_VTABLE_PARAM_NAMES;
    entry->x.start.vtable_format_reference = &sd_bus_object_vtable_format;
    for (unsigned i = 0; i < interface->n_methods; i++) {
        entry++;
        entry->type = _SD_BUS_VTABLE_METHOD;
        entry->flags = SD_BUS_VTABLE_UNPRIVILEGED;
        entry->x.method.member = interface->methods[i].name;
        entry->x.method.signature = interface->methods[i].in;
        entry->x.method.result = interface->methods[i].out;
        entry->x.method.names = interface->methods[i].names;
        entry->x.method.handler = on_call;
    }
    for (unsigned i = 0; i < interface->n_properties; i++) {
        entry++;
        entry->type = _SD_BUS_VTABLE_PROPERTY;
        entry->flags = property_flags(interface->properties[i].aspects);
        entry->x.property.member = interface->properties[i].name;
        entry->x.property.signature = interface->properties[i].type;
        entry->x.property.get = interface->properties[i].get;
        entry->x.property.offset = interface->properties[i].offset;
    }
    (++entry)->type = _SD_BUS_VTABLE_END;
    return vtable;
}

char **
vrd_interface_changed(const VrdInterface *interface, unsigned aspects)
{
    char **names = g_new0(char *, interface->n_properties + 1);
    unsigned n = 0;

    for (unsigned i = 0; i < interface->n_properties; i++) {
        const VrdInterfaceProperty *property = &interface->properties[i];

        if (property->aspects & aspects && !(property->aspects & VRD_INTERFACE_SILENT)) {
            names[n++] = (char *) property->name;
        }
    }
    return names;
}

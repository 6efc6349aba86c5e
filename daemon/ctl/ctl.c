/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/text.h"

/* A proxy without an owner says nothing that helps; the bus does. */
static gboolean
check_daemon(const VrdCtl *ctl, GError **error)
{
    g_autoptr(GVariant) owner = g_dbus_connection_call_sync(
        ctl->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
        "org.freedesktop.DBus", "GetNameOwner", g_variant_new("(s)", VRD_CTL_NAME),
        G_VARIANT_TYPE("(s)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);

    return owner != NULL;
}

gboolean
vrd_ctl_connect(VrdCtl *ctl, GError **error)
{
    g_autofree char *address = NULL;

    if (strcmp(ctl->bus, "system") == 0) {
        address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    } else if (strcmp(ctl->bus, "user") == 0) {
        address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SESSION, NULL, error);
    } else {
        address = g_strdup(ctl->bus);
    }
    if (address == NULL) {
        return FALSE;
    }
    ctl->connection = g_dbus_connection_new_for_address_sync(
        address,
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
            G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, error);
    return ctl->connection != NULL && check_daemon(ctl, error);
}

void
vrd_ctl_clear(VrdCtl *ctl)
{
    g_clear_object(&ctl->connection);
    g_clear_pointer(&ctl->bus, g_free);
    g_clear_pointer(&ctl->output, g_free);
}

static gboolean
is_no_daemon(const GError *error)
{
    return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

static gboolean
is_other_version(const GError *error)
{
    return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_INTERFACE) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_PROPERTY) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
}

int
vrd_ctl_fail(const VrdCtl *ctl, const GError *error)
{
    g_autofree char *remote = g_dbus_error_is_remote_error(error)
                                  ? g_dbus_error_get_remote_error(error)
                                  : NULL;
    g_autoptr(GError) copy = g_error_copy(error);
    g_autofree char *text = NULL;

    g_dbus_error_strip_remote_error(copy);
    text = vrd_text_printable(copy->message);
    if (ctl->connection == NULL) {
        g_printerr(
            "vringctl: no connection to bus %s: %s\n"
            "Is the bus running, and is --bus (or DBUS_SYSTEM_BUS_ADDRESS) right?\n",
            ctl->bus, text);
        return VRD_CTL_NO_DAEMON;
    }
    if (is_no_daemon(error)) {
        g_printerr("vringctl: vringd is not running on bus %s: %s\n"
                   "Start it (systemctl start vringd), or choose another bus by --bus.\n",
                   ctl->bus, text);
        return VRD_CTL_NO_DAEMON;
    }
    if (is_other_version(error)) {
        g_printerr("vringctl: %s\n"
                   "vringd seems to be of another version than this vringctl (%s).\n",
                   text, VRINGD_VERSION);
        return VRD_CTL_FAILURE;
    }
    g_printerr("vringctl: %s\n", text);
    if (g_strcmp0(remote, "org.vringd1.Error.NotFound") == 0 ||
        g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT)) {
        g_printerr("vringctl list shows what there is.\n");
        return VRD_CTL_NOT_FOUND;
    }
    if (g_strcmp0(remote, "org.vringd1.Error.Denied") == 0) {
        g_printerr("Call it as root or as the user of vringd.\n");
    }
    return VRD_CTL_FAILURE;
}

GVariant *
vrd_ctl_get_all(const VrdCtl *ctl, const char *path, const char *interface,
                GError **error)
{
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        ctl->connection, VRD_CTL_NAME, path, "org.freedesktop.DBus.Properties", "GetAll",
        g_variant_new("(s)", interface), G_VARIANT_TYPE("(a{sv})"),
        G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, error);

    return answer != NULL ? g_variant_get_child_value(answer, 0) : NULL;
}

void
vrd_ctl_print_json(GVariant *value, gboolean pretty)
{
    g_autoptr(JsonNode) node = json_gvariant_serialize(value);
    g_autofree char *text = json_to_string(node, pretty);

    g_print("%s\n", text);
}

gboolean
vrd_ctl_wants_colour(void)
{
    const char *no_color = g_getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') &&
           g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

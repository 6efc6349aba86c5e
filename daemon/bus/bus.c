/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection. Three ways into it: at start (waits a moment, so that a second vringd
 * ends before it touches a socket), when the bus comes back, and never, for "none".
 * There is a timer only while the bus is away.
 */
#include "bus/bus.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "bus/objects.h"

#define CALL_TIMEOUT_US  (5u * G_USEC_PER_SEC)
#define START_TIMEOUT_US (2u * G_USEC_PER_SEC)
#define RETRY_MIN_US     (100u * 1000u)
#define RETRY_MAX_US     (1000u * 1000u)
#define ACCURACY_US      (20u * 1000u)

#define DRIVER      "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define LOCAL       "org.freedesktop.DBus.Local"
#define LOCAL_PATH  "/org/freedesktop/DBus/Local"

/* Answers to RequestName. */
#define NAME_IS_OURS     1u
#define NAME_IN_QUEUE    2u
#define NAME_IS_OURS_YET 4u

struct VrdBus {
    sd_event *event;        /* (owned reference) */
    VrdObjects *objects;    /* (owned) */
    char *address;          /* NULL: no bus is wanted */
    sd_bus *connection;     /* (owned) NULL: away */
    sd_event_source *retry; /* (owned) */
    uint64_t retry_us;
    gboolean is_away_told;
};

static int on_connected(sd_bus_message *message, void *user_data, sd_bus_error *error);
static int on_disconnected(sd_bus_message *message, void *user_data, sd_bus_error *error);
static int on_name_lost(sd_bus_message *message, void *user_data, sd_bus_error *error);

static char *
resolve_address(const char *address, GError **error)
{
    const char *from_env;

    if (g_strcmp0(address, "system") == 0) {
        from_env = g_getenv("DBUS_SYSTEM_BUS_ADDRESS");
        return g_strdup(from_env != NULL ? from_env
                                         : "unix:path=/run/dbus/system_bus_socket");
    }
    if (g_strcmp0(address, "user") == 0) {
        from_env = g_getenv("DBUS_SESSION_BUS_ADDRESS");
        return from_env != NULL
                   ? g_strdup(from_env)
                   : g_strdup_printf("unix:path=%s/bus", g_get_user_runtime_dir());
    }
    if (address == NULL || strchr(address, ':') == NULL) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM,
                    "bus %s: must be system, user, none or a D-Bus address such as "
                    "unix:path=/run/dbus/system_bus_socket",
                    address);
        return NULL;
    }
    return g_strdup(address);
}

static void
drop_connection(VrdBus *bus)
{
    vrd_objects_detach(bus->objects);
    if (bus->connection != NULL) {
        sd_bus_detach_event(bus->connection);
        bus->connection = sd_bus_close_unref(bus->connection);
    }
}

static void
retry_later(VrdBus *bus, int errnum)
{
    if (!bus->is_away_told) {
        vrd_log_warning(NULL, "bus %s is away (%s), vringd goes on and tries again",
                        bus->address, g_strerror(errnum));
        bus->is_away_told = TRUE;
    }
    sd_event_source_set_time_relative(bus->retry, bus->retry_us);
    sd_event_source_set_enabled(bus->retry, SD_EVENT_ONESHOT);
    bus->retry_us = MIN(2 * bus->retry_us, RETRY_MAX_US);
}

/* Start to connect; what comes of it is told by on_connected() or on_disconnected(). */
static int
connect_bus(VrdBus *bus)
{
    int r = sd_bus_new(&bus->connection);
    sd_bus *connection = bus->connection;

    if (r < 0 || (r = sd_bus_set_address(connection, bus->address)) < 0 ||
        (r = sd_bus_set_bus_client(connection, 1)) < 0 ||
        (r = sd_bus_negotiate_fds(connection, 1)) < 0 ||
        (r = sd_bus_set_exit_on_disconnect(connection, 0)) < 0 ||
        (r = sd_bus_set_connected_signal(connection, 1)) < 0 ||
        (r = sd_bus_set_method_call_timeout(connection, CALL_TIMEOUT_US)) < 0 ||
        (r = sd_bus_match_signal_async(connection, NULL, LOCAL, LOCAL_PATH, LOCAL,
                                       "Connected", on_connected, NULL, bus)) < 0 ||
        (r = sd_bus_match_signal_async(connection, NULL, LOCAL, LOCAL_PATH, LOCAL,
                                       "Disconnected", on_disconnected, NULL, bus)) < 0 ||
        (r = sd_bus_start(connection)) < 0 ||
        (r = sd_bus_match_signal_async(connection, NULL, DRIVER, DRIVER_PATH, DRIVER,
                                       "NameLost", on_name_lost, NULL, bus)) < 0 ||
        (r = vrd_objects_attach(bus->objects, connection)) < 0 ||
        (r = sd_bus_attach_event(connection, bus->event, SD_EVENT_PRIORITY_NORMAL)) < 0) {
        drop_connection(bus);
        return r;
    }
    return 0;
}

static void
tell_name(VrdBus *bus, uint32_t answer)
{
    if (answer == NAME_IS_OURS || answer == NAME_IS_OURS_YET) {
        vrd_log_notice(NULL, "on bus %s as " VRD_BUS_NAME, bus->address);
    } else if (answer == NAME_IN_QUEUE) {
        vrd_log_error(NULL,
                      "bus %s: another process has the name " VRD_BUS_NAME
                      ", vringd goes on without it and takes it when it is free",
                      bus->address);
    } else {
        vrd_log_error(NULL, "bus %s: no name " VRD_BUS_NAME " (answer %u)", bus->address,
                      answer);
    }
}

static int
on_name_answer(sd_bus_message *message, void *user_data, sd_bus_error *bus_error)
{
    VrdBus *bus = user_data;
    const sd_bus_error *error = sd_bus_message_get_error(message);
    uint32_t answer = 0;

    if (error != NULL) {
        vrd_log_error(NULL, "bus %s: no name " VRD_BUS_NAME ": %s", bus->address,
                      error->message);
    } else if (sd_bus_message_read(message, "u", &answer) >= 0) {
        tell_name(bus, answer);
    }
    return 0;
}

static int
on_connected(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    VrdBus *bus = user_data;

    bus->retry_us = RETRY_MIN_US;
    bus->is_away_told = FALSE;
    return sd_bus_request_name_async(bus->connection, NULL, VRD_BUS_NAME,
                                     SD_BUS_NAME_QUEUE, on_name_answer, bus);
}

static int
on_disconnected(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    VrdBus *bus = user_data;

    /* The connection is in this very call: it is given up when the timer comes. */
    vrd_objects_detach(bus->objects);
    retry_later(bus, ECONNRESET);
    return 0;
}

static int
on_name_lost(sd_bus_message *message, void *user_data, sd_bus_error *error)
{
    VrdBus *bus = user_data;
    const char *name = NULL;

    if (sd_bus_message_read(message, "s", &name) >= 0 &&
        g_strcmp0(name, VRD_BUS_NAME) == 0) {
        vrd_log_error(NULL, "bus %s took the name " VRD_BUS_NAME " away", bus->address);
    }
    return 0;
}

static int
on_retry(sd_event_source *source, uint64_t usec, void *user_data)
{
    VrdBus *bus = user_data;
    int r;

    drop_connection(bus);
    r = connect_bus(bus);
    if (r < 0) {
        retry_later(bus, -r);
    }
    return 0;
}

/* Wait until the bus has welcomed us; FALSE: not within the time. */
static gboolean
wait_ready(VrdBus *bus)
{
    uint64_t end = vrd_clock_now_us() + START_TIMEOUT_US;
    uint64_t now;

    while (sd_bus_is_ready(bus->connection) == 0 && (now = vrd_clock_now_us()) < end) {
        int r = sd_bus_process(bus->connection, NULL);

        if (r == 0) {
            r = sd_bus_wait(bus->connection, end - now);
        }
        if (r < 0) {
            return FALSE;
        }
    }
    return sd_bus_is_ready(bus->connection) > 0;
}

/* The first connection. FALSE only if there is another vringd. */
static gboolean
start(VrdBus *bus, GError **error)
{
    int r = connect_bus(bus);

    if (r < 0) {
        retry_later(bus, -r);
        return TRUE;
    }
    if (!wait_ready(bus)) {
        return TRUE; /* what comes of it is told in the loop */
    }
    r = sd_bus_request_name(bus->connection, VRD_BUS_NAME, 0);
    if (r == -EEXIST) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_STATE,
                    "bus %s: another process has the name " VRD_BUS_NAME
                    "; is vringd running already? (--bus=none starts without a bus)",
                    bus->address);
        return FALSE;
    }
    return TRUE;
}

VrdBus *
vrd_bus_new(sd_event *event, VrdHub *hub, const char *address, VrdBusReload reload,
            gpointer user_data, GError **error)
{
    g_autoptr(VrdBus) bus = g_new0(VrdBus, 1);

    bus->event = sd_event_ref(event);
    bus->retry_us = RETRY_MIN_US;
    bus->objects = vrd_objects_new(event, hub, reload, user_data);
    if (bus->objects == NULL ||
        sd_event_add_time_relative(event, &bus->retry, CLOCK_MONOTONIC, bus->retry_us,
                                   ACCURACY_US, on_retry, bus) < 0 ||
        sd_event_source_set_enabled(bus->retry, SD_EVENT_OFF) < 0) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_SYSTEM, "no place in the event loop");
        return NULL;
    }
    if (g_strcmp0(address, "none") == 0) {
        return g_steal_pointer(&bus);
    }
    bus->address = resolve_address(address, error);
    if (bus->address == NULL || !start(bus, error)) {
        return NULL;
    }
    return g_steal_pointer(&bus);
}

void
vrd_bus_free(VrdBus *bus)
{
    if (bus == NULL) {
        return;
    }
    if (bus->objects != NULL) {
        drop_connection(bus);
        vrd_objects_free(bus->objects);
    }
    sd_event_source_disable_unref(bus->retry);
    sd_event_unref(bus->event);
    g_free(bus->address);
    g_free(bus);
}

void
vrd_bus_set_max_devices(VrdBus *bus, uint32_t n_devices)
{
    bus->objects->n_devices_max = n_devices;
    vrd_objects_touch(bus->objects, bus->objects, VRD_INTERFACE_MEMBERS);
}

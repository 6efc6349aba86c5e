/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line for each change. A signal carries all properties of the part that changed;
 * what was known before is left out.
 */
#include "ctl/ctl.h"

#include <glib-unix.h>
#include <signal.h>
#include <string.h>

#include "ctl/text.h"

#define PROPERTIES     "org.freedesktop.DBus.Properties"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

typedef struct {
    VrdCtl *ctl;
    GMainLoop *loop;
    GHashTable *known;  /* "path property" -> GVariant */
    GHashTable *labels; /* path -> "web1/net0" */
    int status;
} Monitor;

static void
print_event(const Monitor *monitor, const char *path, const char *event,
            GVariant *changed)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now,
                                               monitor->ctl->json ? "%FT%T.%f%:z" : "%T");
    const char *label = g_hash_table_lookup(monitor->labels, path);
    g_autofree char *text = NULL;

    if (monitor->ctl->json) {
        GVariantDict dict;
        g_autoptr(GVariant) line = NULL;

        g_variant_dict_init(&dict, NULL);
        g_variant_dict_insert(&dict, "time", "s", time);
        g_variant_dict_insert(&dict, "path", "s", path);
        g_variant_dict_insert(&dict, "name", "s", label != NULL ? label : "");
        g_variant_dict_insert(&dict, "event", "s", event);
        if (changed != NULL) {
            g_variant_dict_insert_value(&dict, "properties", changed);
        }
        line = g_variant_ref_sink(g_variant_dict_end(&dict));
        vrd_ctl_print_json(line, FALSE);
        return;
    }
    text = vrd_text_printable(event);
    g_print("%s  %s  %s\n", time, label != NULL ? label : path, text);
}

/* Feature names and times say nothing that is not said beside them. */
static gboolean
is_told_by_another(const char *property)
{
    return g_str_has_suffix(property, "Names") || g_str_has_suffix(property, "Since");
}

static char *
describe_rings(GVariant *rings)
{
    unsigned n_started = 0;
    gsize n = g_variant_n_children(rings);

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) ring = g_variant_get_child_value(rings, i);
        gboolean started = FALSE;

        g_variant_get_child(ring, 12, "b", &started);
        n_started += started ? 1 : 0;
    }
    return g_strdup_printf("Rings: %u of %u started", n_started, (unsigned) n);
}

static char *
describe_change(const char *property, GVariant *was, GVariant *is)
{
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;

    if (g_variant_is_of_type(is, G_VARIANT_TYPE("a(uuttttuusssbbbt)"))) {
        return describe_rings(is);
    }
    if (g_variant_is_of_type(is, G_VARIANT_TYPE("a(tttttt)"))) {
        return g_strdup_printf("%s: %u regions", property,
                               (unsigned) g_variant_n_children(is));
    }
    after = g_variant_print(is, FALSE);
    if (was == NULL) {
        return g_strdup_printf("%s: %s", property, after);
    }
    before = g_variant_print(was, FALSE);
    return g_strdup_printf("%s: %s -> %s", property, before, after);
}

/* Note new values. @changes: (nullable) what differs, in words; @values: the values */
static void
learn(Monitor *monitor, const char *path, GVariant *properties, GPtrArray *changes,
      GVariantDict *values)
{
    GVariantIter iter;
    const char *property;
    GVariant *value;

    g_variant_iter_init(&iter, properties);
    while (g_variant_iter_next(&iter, "{&sv}", &property, &value)) {
        char *key = g_strdup_printf("%s %s", path, property);
        GVariant *was = g_hash_table_lookup(monitor->known, key);

        if (changes != NULL && (was == NULL || !g_variant_equal(was, value))) {
            g_variant_dict_insert_value(values, property, value);
            if (!is_told_by_another(property)) {
                g_ptr_array_add(changes, describe_change(property, was, value));
            }
        }
        g_hash_table_replace(monitor->known, key, value);
    }
}

static void
learn_label(Monitor *monitor, const char *path, GVariant *properties)
{
    const char *name = NULL;
    const char *vm = NULL;
    const char *vm_label;

    if (!g_variant_lookup(properties, "Name", "&s", &name)) {
        g_hash_table_replace(monitor->labels, g_strdup(path), g_strdup("vringd"));
        return;
    }
    if (!g_variant_lookup(properties, "VM", "&o", &vm)) {
        g_hash_table_replace(monitor->labels, g_strdup(path), vrd_text_printable(name));
        return;
    }
    vm_label = g_hash_table_lookup(monitor->labels, vm);
    g_hash_table_replace(
        monitor->labels, g_strdup(path),
        g_strdup_printf("%s/%s", vm_label != NULL ? vm_label : vm, name));
}

static void
on_properties(GDBusConnection *connection, const char *sender, const char *path,
              const char *interface, const char *signal, GVariant *arguments,
              gpointer user_data)
{
    Monitor *monitor = user_data;
    g_autoptr(GVariant) properties = NULL;
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;
    GVariantDict values;

    if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sa{sv}as)"))) {
        return;
    }
    properties = g_variant_get_child_value(arguments, 1);
    g_variant_dict_init(&values, NULL);
    learn(monitor, path, properties, changes, &values);
    if (changes->len > 0) {
        g_ptr_array_add(changes, NULL);
        text = g_strjoinv(", ", (char **) changes->pdata);
        print_event(monitor, path, monitor->ctl->json ? "changed" : text,
                    g_variant_dict_end(&values));
    } else {
        g_variant_dict_clear(&values);
    }
}

static void
learn_interfaces(Monitor *monitor, const char *path, GVariant *interfaces)
{
    GVariantIter iter;
    const char *interface;
    GVariant *properties;

    g_variant_iter_init(&iter, interfaces);
    while (g_variant_iter_loop(&iter, "{&s@a{sv}}", &interface, &properties)) {
        if (g_str_has_prefix(interface, VRD_CTL_NAME ".")) {
            learn(monitor, path, properties, NULL, NULL);
            learn_label(monitor, path, properties);
        }
    }
}

static gboolean
forget_path(gpointer key, gpointer value, gpointer path)
{
    return g_str_has_prefix(key, path) && ((char *) key)[strlen(path)] == ' ';
}

static void
on_objects(GDBusConnection *connection, const char *sender, const char *root,
           const char *interface, const char *signal, GVariant *arguments,
           gpointer user_data)
{
    Monitor *monitor = user_data;
    const char *path;

    if (g_variant_is_of_type(arguments, G_VARIANT_TYPE("(oa{sa{sv}})"))) {
        g_autoptr(GVariant) interfaces = g_variant_get_child_value(arguments, 1);

        g_variant_get_child(arguments, 0, "&o", &path);
        learn_interfaces(monitor, path, interfaces);
        print_event(monitor, path, "added", NULL);
    } else if (g_variant_is_of_type(arguments, G_VARIANT_TYPE("(oas)"))) {
        g_variant_get_child(arguments, 0, "&o", &path);
        print_event(monitor, path, "removed", NULL);
        g_hash_table_foreach_remove(monitor->known, forget_path, (gpointer) path);
        g_hash_table_remove(monitor->labels, path);
    }
}

static gboolean
load_objects(Monitor *monitor, GError **error)
{
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        monitor->ctl->connection, VRD_CTL_NAME, VRD_CTL_ROOT, OBJECT_MANAGER,
        "GetManagedObjects", NULL, G_VARIANT_TYPE("(a{oa{sa{sv}}})"),
        G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, error);
    g_autoptr(GVariant) manager = NULL;
    g_autoptr(GVariant) objects = NULL;
    GVariantIter iter;
    const char *path;
    GVariant *interfaces;

    manager = answer != NULL
                  ? vrd_ctl_get_all(monitor->ctl, VRD_CTL_ROOT, VRD_CTL_MANAGER, error)
                  : NULL;
    if (manager == NULL) {
        return FALSE;
    }
    learn(monitor, VRD_CTL_ROOT, manager, NULL, NULL);
    learn_label(monitor, VRD_CTL_ROOT, manager);
    objects = g_variant_get_child_value(answer, 0);
    /* Twice: a device's label is made from its VM's, and they come in no order. */
    for (unsigned round = 0; round < 2; round++) {
        g_variant_iter_init(&iter, objects);
        while (g_variant_iter_loop(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
            learn_interfaces(monitor, path, interfaces);
        }
    }
    return TRUE;
}

static void
on_owner(GDBusConnection *connection, const char *sender, const char *path,
         const char *interface, const char *signal, GVariant *arguments,
         gpointer user_data)
{
    Monitor *monitor = user_data;
    const char *owner = "";

    if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sss)"))) {
        return;
    }
    g_variant_get_child(arguments, 2, "&s", &owner);
    if (*owner == '\0') {
        print_event(monitor, VRD_CTL_ROOT, "vringd has left the bus", NULL);
        return;
    }
    g_hash_table_remove_all(monitor->known);
    g_hash_table_remove_all(monitor->labels);
    load_objects(monitor, NULL);
    print_event(monitor, VRD_CTL_ROOT, "vringd is on the bus", NULL);
}

static void
on_closed(GDBusConnection *connection, gboolean vanished, const GError *error,
          gpointer user_data)
{
    Monitor *monitor = user_data;

    g_printerr("vringctl: the bus is gone\n");
    monitor->status = VRD_CTL_NO_DAEMON;
    g_main_loop_quit(monitor->loop);
}

static gboolean
on_interrupt(gpointer user_data)
{
    g_main_loop_quit(((Monitor *) user_data)->loop);
    return G_SOURCE_REMOVE;
}

static void
subscribe(Monitor *monitor)
{
    GDBusConnection *connection = monitor->ctl->connection;

    g_dbus_connection_signal_subscribe(
        connection, VRD_CTL_NAME, PROPERTIES, "PropertiesChanged", NULL, NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, on_properties, monitor, NULL);
    g_dbus_connection_signal_subscribe(connection, VRD_CTL_NAME, OBJECT_MANAGER, NULL,
                                       VRD_CTL_ROOT, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
                                       on_objects, monitor, NULL);
    g_dbus_connection_signal_subscribe(connection, "org.freedesktop.DBus",
                                       "org.freedesktop.DBus", "NameOwnerChanged",
                                       "/org/freedesktop/DBus", VRD_CTL_NAME,
                                       G_DBUS_SIGNAL_FLAGS_NONE, on_owner, monitor, NULL);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), monitor);
    g_unix_signal_add(SIGINT, on_interrupt, monitor);
    g_unix_signal_add(SIGTERM, on_interrupt, monitor);
}

int
vrd_ctl_monitor_run(VrdCtl *ctl)
{
    g_autoptr(GError) error = NULL;
    Monitor monitor = {.ctl = ctl, .status = VRD_CTL_OK};

    monitor.loop = g_main_loop_new(NULL, FALSE);
    monitor.known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                          (GDestroyNotify) g_variant_unref);
    monitor.labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    subscribe(&monitor);
    if (load_objects(&monitor, &error)) {
        g_main_loop_run(monitor.loop);
    } else {
        monitor.status = vrd_ctl_fail(ctl, error);
    }
    g_main_loop_unref(monitor.loop);
    g_hash_table_unref(monitor.known);
    g_hash_table_unref(monitor.labels);
    return monitor.status;
}

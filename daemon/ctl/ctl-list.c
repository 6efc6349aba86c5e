/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

#include "ctl/health-style.h"
#include "ctl/table.h"
#include "vringd-proxy.h"

static const char *const headings[] = {"VM",      "DEVICE", "KIND",   "VMM",
                                       "BACKEND", ">RINGS", "HEALTH", NULL};
#define HEALTH_COLUMN 6u

typedef struct {
    const char *vm, *device, *id, *kind, *vmm, *backend;
    guint32 n_started, n_rings;
    const char *health, *path;
} Row;

static gboolean
next_row(GVariantIter *iter, Row *row)
{
    return g_variant_iter_next(iter, "(&s&s&s&s&s&suu&s&o)", &row->vm, &row->device,
                               &row->id, &row->kind, &row->vmm, &row->backend,
                               &row->n_started, &row->n_rings, &row->health, &row->path);
}

static void
print_json(GVariant *devices)
{
    g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    g_autoptr(GVariant) all = NULL;
    GVariantIter iter;
    Row row;

    g_variant_iter_init(&iter, devices);
    while (next_row(&iter, &row)) {
        g_variant_builder_open(&builder, G_VARIANT_TYPE("a{sv}"));
        g_variant_builder_add(&builder, "{sv}", "vm", g_variant_new_string(row.vm));
        g_variant_builder_add(&builder, "{sv}", "device",
                              g_variant_new_string(row.device));
        g_variant_builder_add(&builder, "{sv}", "id", g_variant_new_string(row.id));
        g_variant_builder_add(&builder, "{sv}", "kind", g_variant_new_string(row.kind));
        g_variant_builder_add(&builder, "{sv}", "vmm", g_variant_new_string(row.vmm));
        g_variant_builder_add(&builder, "{sv}", "backend",
                              g_variant_new_string(row.backend));
        g_variant_builder_add(&builder, "{sv}", "rings_started",
                              g_variant_new_uint32(row.n_started));
        g_variant_builder_add(&builder, "{sv}", "rings",
                              g_variant_new_uint32(row.n_rings));
        g_variant_builder_add(&builder, "{sv}", "health",
                              g_variant_new_string(row.health));
        g_variant_builder_add(&builder, "{sv}", "path", g_variant_new_string(row.path));
        g_variant_builder_close(&builder);
    }
    all = g_variant_ref_sink(g_variant_builder_end(&builder));
    vrd_ctl_print_json(all, TRUE);
}

static void
print_table(const VrdCtl *ctl, GVariant *devices)
{
    g_autoptr(VrdTable) table = vrd_table_new(headings);
    g_autofree char *text = NULL;
    GVariantIter iter;
    Row row;

    vrd_table_set_style(table, HEALTH_COLUMN, vrd_health_style_of);
    g_variant_iter_init(&iter, devices);
    while (next_row(&iter, &row)) {
        char *cells[] = {
            g_strdup(row.vm),      g_strdup(row.device),
            g_strdup(row.kind),    g_strdup(row.vmm),
            g_strdup(row.backend), g_strdup_printf("%u/%u", row.n_started, row.n_rings),
            g_strdup(row.health)};

        vrd_table_add(table, cells);
    }
    text = vrd_table_format(table, 0, ctl->colour);
    g_print("%s", text);
}

int
vrd_ctl_list_run(VrdCtl *ctl)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) devices = NULL;
    g_autoptr(VringdManager) manager = vringd_manager_proxy_new_sync(
        ctl->connection,
        G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES | G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
        VRD_CTL_NAME, VRD_CTL_ROOT, NULL, &error);

    if (manager == NULL ||
        !vringd_manager_call_list_devices_sync(manager, &devices, NULL, &error)) {
        return vrd_ctl_fail(ctl, error);
    }
    if (ctl->json) {
        print_json(devices);
    } else if (g_variant_n_children(devices) == 0) {
        g_printerr("vringd runs, but no device is configured "
                   "(/etc/vringd/devices.d/*.conf).\n");
    } else {
        print_table(ctl, devices);
    }
    return VRD_CTL_OK;
}

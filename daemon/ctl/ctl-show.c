/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

#include "ctl/resolve.h"
#include "ctl/section.h"

/* What is shown: as text at once, or gathered for one JSON document. */
typedef struct {
    VrdCtl *ctl;
    GVariantBuilder all; /* a{sv} by object path */
    unsigned n;
} Show;

static void
begin_object(Show *show, const char *path, GVariant *properties)
{
    if (show->ctl->json) {
        g_variant_builder_add(&show->all, "{sv}", path, properties);
    } else if (show->n > 0) {
        g_print("\n");
    }
    show->n++;
}

/* (owned) name of the VM that has the object path @path */
static char *
name_of_vm(const VrdCtl *ctl, const char *path)
{
    g_autoptr(GVariant) vm = vrd_ctl_get_all(ctl, path, VRD_CTL_VM, NULL);
    char *name = NULL;

    if (vm == NULL || !g_variant_lookup(vm, "Name", "s", &name)) {
        return g_strdup("?"); /* it went while we looked */
    }
    return name;
}

static gboolean
show_device(Show *show, const char *path, GError **error)
{
    g_autoptr(GVariant) device = vrd_ctl_get_all(show->ctl, path, VRD_CTL_DEVICE, error);
    const char *vm_path = "/";

    if (device == NULL) {
        return FALSE;
    }
    begin_object(show, path, device);
    if (!show->ctl->json) {
        g_autofree char *vm = NULL;

        g_variant_lookup(device, "VM", "&o", &vm_path);
        vm = name_of_vm(show->ctl, vm_path);
        vrd_section_print_device(show->ctl, device, vm);
    }
    return TRUE;
}

static gboolean
show_vm(Show *show, const char *path, GError **error)
{
    g_autoptr(GVariant) vm = vrd_ctl_get_all(show->ctl, path, VRD_CTL_VM, error);
    g_autofree const char **devices = NULL;

    if (vm == NULL) {
        return FALSE;
    }
    begin_object(show, path, vm);
    if (!show->ctl->json) {
        vrd_section_print_vm(show->ctl, vm);
    }
    g_variant_lookup(vm, "Devices", "^a&o", &devices);
    for (unsigned i = 0; devices != NULL && devices[i] != NULL; i++) {
        if (!show_device(show, devices[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void
print_manager(GVariant *manager)
{
    const char *version = "";
    guint32 n_vms = 0;
    guint32 n_devices = 0;
    guint32 n_max = 0;

    g_variant_lookup(manager, "Version", "&s", &version);
    g_variant_lookup(manager, "NVms", "u", &n_vms);
    g_variant_lookup(manager, "NDevices", "u", &n_devices);
    g_variant_lookup(manager, "MaxDevices", "u", &n_max);
    g_print("vringd %s: %u VMs, %u of at most %u devices\n", version, n_vms, n_devices,
            n_max);
}

static gboolean
show_all(Show *show, GError **error)
{
    g_autoptr(GVariant)
        manager = vrd_ctl_get_all(show->ctl, VRD_CTL_ROOT, VRD_CTL_MANAGER, error);
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GVariantIter) vms = NULL;
    const char *path;

    if (manager == NULL) {
        return FALSE;
    }
    begin_object(show, VRD_CTL_ROOT, manager);
    if (!show->ctl->json) {
        print_manager(manager);
    }
    answer = g_dbus_connection_call_sync(
        show->ctl->connection, VRD_CTL_NAME, VRD_CTL_ROOT, VRD_CTL_MANAGER, "ListVMs",
        NULL, G_VARIANT_TYPE("(a(sso))"), G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL,
        error);
    if (answer == NULL) {
        return FALSE;
    }
    g_variant_get(answer, "(a(sso))", &vms);
    while (g_variant_iter_next(vms, "(&s&s&o)", NULL, NULL, &path)) {
        if (!show_vm(show, path, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
show_name(Show *show, const char *name, GError **error)
{
    gboolean is_device = FALSE;
    g_autofree char *path = vrd_resolve_name(show->ctl, name, &is_device, error);

    if (path == NULL) {
        return FALSE;
    }
    return is_device ? show_device(show, path, error) : show_vm(show, path, error);
}

int
vrd_ctl_show_run(VrdCtl *ctl, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) all = NULL;
    Show show = {.ctl = ctl, .n = 0};
    gboolean ok;

    g_variant_builder_init(&show.all, G_VARIANT_TYPE_VARDICT);
    ok = name != NULL ? show_name(&show, name, &error) : show_all(&show, &error);
    all = g_variant_ref_sink(g_variant_builder_end(&show.all));
    if (!ok) {
        return vrd_ctl_fail(ctl, error);
    }
    if (ctl->json) {
        vrd_ctl_print_json(all, TRUE);
    }
    return VRD_CTL_OK;
}

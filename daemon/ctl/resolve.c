/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/resolve.h"

#include <string.h>

#include "vringd-proxy.h"

#define VM_PREFIX VRD_CTL_ROOT "/vm/"

VrdResolveKind
vrd_resolve_kind(const char *name)
{
    if (g_str_has_prefix(name, VM_PREFIX) && g_variant_is_object_path(name)) {
        return strchr(name + strlen(VM_PREFIX), '/') != NULL ? VRD_RESOLVE_DEVICE_PATH
                                                             : VRD_RESOLVE_VM_PATH;
    }
    return strchr(name, '/') != NULL ? VRD_RESOLVE_DEVICE : VRD_RESOLVE_EITHER;
}

static gboolean
is_not_found(const GError *error)
{
    g_autofree char *remote = g_dbus_error_is_remote_error(error)
                                  ? g_dbus_error_get_remote_error(error)
                                  : NULL;

    return g_strcmp0(remote, "org.vringd1.Error.NotFound") == 0;
}

static char *
look_up(VringdManager *manager, const char *name, VrdResolveKind kind,
        gboolean *is_device, GError **error)
{
    g_autoptr(GError) cause = NULL;
    char *path = NULL;

    *is_device = FALSE;
    if (kind == VRD_RESOLVE_EITHER) {
        if (vringd_manager_call_lookup_vm_sync(manager, name, &path, NULL, &cause)) {
            return path;
        }
        if (!is_not_found(cause)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
    }
    *is_device = TRUE;
    return vringd_manager_call_lookup_device_sync(manager, name, &path, NULL, error)
               ? path
               : NULL;
}

char *
vrd_resolve_name(const VrdCtl *ctl, const char *name, gboolean *is_device, GError **error)
{
    g_autoptr(VringdManager) manager = NULL;
    VrdResolveKind kind = vrd_resolve_kind(name);

    if (kind == VRD_RESOLVE_VM_PATH || kind == VRD_RESOLVE_DEVICE_PATH) {
        *is_device = kind == VRD_RESOLVE_DEVICE_PATH;
        return g_strdup(name);
    }
    manager = vringd_manager_proxy_new_sync(ctl->connection,
                                            G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES |
                                                G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                            VRD_CTL_NAME, VRD_CTL_ROOT, NULL, error);
    return manager != NULL ? look_up(manager, name, kind, is_device, error) : NULL;
}

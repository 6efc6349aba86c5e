/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

/* What every verb of vringctl works with. */
typedef struct {
    char *bus;    /* system, user or an address */
    char *output; /* (nullable) --output */
    gboolean json;
    gboolean colour;
    GDBusConnection *connection; /* (owned) */
} VrdCtl;

#define VRD_CTL_NAME    "org.vringd1"
#define VRD_CTL_ROOT    "/org/vringd1"
#define VRD_CTL_VM      "org.vringd1.VM"
#define VRD_CTL_DEVICE  "org.vringd1.Device"
#define VRD_CTL_MANAGER "org.vringd1.Manager"

/* Exit codes: part of the command line's contract. */
enum {
    VRD_CTL_OK = 0,
    VRD_CTL_FAILURE = 1,
    VRD_CTL_USAGE = 2,
    VRD_CTL_NOT_FOUND = 3,
    VRD_CTL_NO_DAEMON = 4,
};

/* To the bus, if vringd is there; it is not started. */
gboolean vrd_ctl_connect(VrdCtl *ctl, GError **error);
void vrd_ctl_clear(VrdCtl *ctl);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VrdCtl, vrd_ctl_clear)

/* Say on stderr what went wrong and what to do about it; returns the exit code. */
int vrd_ctl_fail(const VrdCtl *ctl, const GError *error);

/* (owned) all properties of an object's interface, a{sv}; NULL with @error */
GVariant *vrd_ctl_get_all(const VrdCtl *ctl, const char *path, const char *interface,
                          GError **error);
/* Print @value as JSON, on one line or (@pretty) on many. */
void vrd_ctl_print_json(GVariant *value, gboolean pretty);
/* FALSE if the terminal, NO_COLOR or TERM say so. */
gboolean vrd_ctl_wants_colour(void);

int vrd_ctl_list_run(VrdCtl *ctl);                   /* ctl-list.c */
int vrd_ctl_show_run(VrdCtl *ctl, const char *name); /* ctl-show.c; (nullable) */
int vrd_ctl_monitor_run(VrdCtl *ctl);                /* ctl-monitor.c */
int vrd_ctl_log_run(VrdCtl *ctl, const char *name);  /* ctl-log.c */

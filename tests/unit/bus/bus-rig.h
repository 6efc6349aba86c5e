/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus/bus.h"
#include "model/vm.h"

/*
 * A private bus daemon, a hub that holds what the test puts into it, vringd's side of the
 * bus and a client, all in one loop: between two calls nothing moves by itself.
 */
typedef struct {
    char *directory;
    char *address;
    GPid daemon;
    sd_event *event;
    VrdHub *hub;
    VrdBus *bus;    /* NULL until rig_start() */
    sd_bus *client; /* the same */
    unsigned n_reloads;
    gboolean is_reload_usable; /* what the reload callback returns */
} Rig;

Rig *rig_new(void);
void rig_free(Rig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

void rig_start_daemon(Rig *rig);
void rig_stop_daemon(Rig *rig);
void rig_start(Rig *rig);
sd_bus *rig_connect(Rig *rig);
/* As vringd would be on it; for the second instance. */
VrdBus *rig_new_bus(Rig *rig, GError **error);

/* (borrowed) the hub's */
VrdVm *rig_add_vm(Rig *rig, const char *name, const char *uuid);
VrdDevice *rig_add_device(Rig *rig, VrdVm *vm, const char *name, VrdKind kind);
void rig_remove_device(Rig *rig, VrdDevice *device);
void rig_remove_vm(Rig *rig, VrdVm *vm);
/* Two regions of one memfd. */
VrdMemtable *rig_new_memory(void);
VrdDirtylog *rig_new_log(void);

/* Turn the loop until *@done, a minute at most. */
void rig_wait(Rig *rig, const gboolean *done);
/* Turn the loop until the client has heard of all that vringd has said so far. */
void rig_settle(Rig *rig);

/* (owned) the answer to a call without arguments (@argument NULL) or with one string. */
sd_bus_message *rig_call(Rig *rig, const char *path, const char *interface,
                         const char *method, const char *argument);
/* (owned) a property's value, entered: read it at once. @type: its signature */
sd_bus_message *rig_get(Rig *rig, const char *path, const char *interface,
                        const char *property, const char *type);
char *rig_get_text(Rig *rig, const char *path, const char *interface,
                   const char *property);
uint64_t rig_get_u64(Rig *rig, const char *path, const char *interface,
                     const char *property);
gboolean rig_get_bool(Rig *rig, const char *path, const char *interface,
                      const char *property);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "model/memtable.h"

/*
 * Getters for what more than one interface shows. Each gets a pointer to the member at
 * the row's offset.
 */
#define VRD_GETTER(name_)                                                                \
    int name_(sd_bus *bus, const char *path, const char *interface,                      \
              const char *property, sd_bus_message *reply, void *member,                 \
              sd_bus_error *bus_error)

VRD_GETTER(vrd_getter_text);           /* char *: s */
VRD_GETTER(vrd_getter_protocol_names); /* uint64_t of protocol features: as */

/* (nullable) a memory table as a(tttttt) */
int vrd_getter_append_memory(sd_bus_message *reply, const VrdMemtable *memory);
/* Text from outside: what is no UTF-8 would cost us the bus connection. NULL is "". */
int vrd_getter_append_text(sd_bus_message *reply, const char *text);

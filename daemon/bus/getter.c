/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/getter.h"

#include "wire/feature.h"

int
vrd_getter_append_text(sd_bus_message *reply, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text != NULL ? text : "", -1);

    return sd_bus_message_append_basic(reply, 's', valid);
}

int
vrd_getter_append_memory(sd_bus_message *reply, const VrdMemtable *memory)
{
    unsigned n = memory != NULL ? vrd_memtable_n_regions(memory) : 0;
    int r = sd_bus_message_open_container(reply, 'a', "(tttttt)");

    for (unsigned i = 0; r >= 0 && i < n; i++) {
        const VrdMemregion *region = vrd_memtable_region(memory, i);

        r = sd_bus_message_append(reply, "(tttttt)", region->guest_addr, region->size,
                                  region->user_addr, region->mmap_offset,
                                  (uint64_t) vrd_memfile_device(region->file),
                                  (uint64_t) vrd_memfile_inode(region->file));
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

VRD_GETTER(vrd_getter_text)
{
    return vrd_getter_append_text(reply, *(char **) member);
}

VRD_GETTER(vrd_getter_protocol_names)
{
    g_auto(GStrv) names = vrd_feature_protocol_names(*(uint64_t *) member);

    return sd_bus_message_append_strv(reply, names);
}

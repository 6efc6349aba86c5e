/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes of a config space that were seen. A range that does not fit is not stored and not
 * answered; the caller has told the peer so by then.
 */
#include "model/configspace.h"

#include <string.h>

static gboolean
fits(uint32_t offset, uint32_t size)
{
    return offset <= VRD_PAYLOAD_CONFIG_MAX && size <= VRD_PAYLOAD_CONFIG_MAX - offset;
}

static gboolean
is_known(const VrdConfigspace *space, uint32_t i)
{
    return (space->known[i / 8] & (1u << (i % 8))) != 0;
}

void
vrd_configspace_forget(VrdConfigspace *space)
{
    *space = (VrdConfigspace){0};
}

void
vrd_configspace_store(VrdConfigspace *space, uint32_t offset, const uint8_t *bytes,
                      uint32_t size)
{
    if (size == 0 || !fits(offset, size)) {
        return;
    }
    memcpy(space->bytes + offset, bytes, size);
    for (uint32_t i = offset; i < offset + size; i++) {
        space->known[i / 8] |= (uint8_t) (1u << (i % 8));
    }
}

gboolean
vrd_configspace_read(const VrdConfigspace *space, uint32_t offset, uint8_t *bytes,
                     uint32_t size)
{
    if (!fits(offset, size)) {
        return FALSE;
    }
    for (uint32_t i = offset; i < offset + size; i++) {
        if (!is_known(space, i)) {
            return FALSE;
        }
    }
    if (size > 0) {
        memcpy(bytes, space->bytes + offset, size);
    }
    return TRUE;
}

uint32_t
vrd_configspace_end(const VrdConfigspace *space)
{
    uint32_t end = VRD_PAYLOAD_CONFIG_MAX;

    while (end > 0 && !is_known(space, end - 1)) {
        end--;
    }
    return end;
}

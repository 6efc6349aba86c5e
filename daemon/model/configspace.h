/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "wire/payload.h"

/*
 * What is known of a device's config space: the bytes that were read or written, so that
 * they can be answered again while the backend is away (spec "Virtio device config
 * space").
 */
typedef struct {
    uint8_t bytes[VRD_PAYLOAD_CONFIG_MAX];
    uint8_t known[VRD_PAYLOAD_CONFIG_MAX / 8]; /* one bit a byte */
} VrdConfigspace;

void vrd_configspace_forget(VrdConfigspace *space);
void vrd_configspace_store(VrdConfigspace *space, uint32_t offset, const uint8_t *bytes,
                           uint32_t size);
/* TRUE and the bytes, if all of them are known. */
gboolean vrd_configspace_read(const VrdConfigspace *space, uint32_t offset,
                              uint8_t *bytes, uint32_t size);
/* End of what is known, in bytes from the start; 0: nothing. */
uint32_t vrd_configspace_end(const VrdConfigspace *space);

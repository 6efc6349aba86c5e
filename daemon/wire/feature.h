/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/*
 * Feature bits: numbers, names and what vringd does with each. The protocol feature
 * table is wire/protocol-features.inc (spec "Protocol features"), the virtio one
 * wire/virtio-features.inc.
 */
#define VRD_FEATURE_BIT(n_) (UINT64_C(1) << (n_))

/* Protocol feature bits: VRD_PROTOCOL_F_MQ = 0 ...; VRD_PROTOCOL_F_ANY = -1: no gate. */
typedef enum {
    VRD_PROTOCOL_F_ANY = -1,
#define PROTOCOL_FEATURE(name_, bit_, vmm_, backend_) VRD_PROTOCOL_F_##name_ = (bit_),
#include "wire/protocol-features.inc"
#undef PROTOCOL_FEATURE
} VrdProtocolFeature;

/* virtio feature bits that vringd itself looks at */
#define VRD_VIRTIO_F_LOG_ALL           26
#define VRD_VIRTIO_F_PROTOCOL_FEATURES 30
#define VRD_VIRTIO_F_VERSION_1         32
#define VRD_VIRTIO_F_IOMMU_PLATFORM    33
#define VRD_VIRTIO_F_RING_PACKED       34

typedef enum {
    VRD_KIND_GENERIC,
    VRD_KIND_NET,
    VRD_KIND_BLK,
    VRD_KIND_SCSI,
    VRD_KIND_FS,
    VRD_N_KINDS,
} VrdKind;

const char *vrd_feature_kind_name(VrdKind kind); /* "net" */
gboolean vrd_feature_kind_parse(const char *text, VrdKind *kind);

/* Protocol bits that we pass to the VMM / use towards a backend (allow-lists). */
uint64_t vrd_feature_protocol_vmm_mask(void);
uint64_t vrd_feature_protocol_backend_mask(void);

/* virtio bits that a device of @kind may be offered; the rest is masked. */
uint64_t vrd_feature_virtio_mask(VrdKind kind);

/* "MQ", "LOG_SHMFD"...; unknown: NULL */
const char *vrd_feature_protocol_name(unsigned bit);
/* "VERSION_1", for device bits of @kind "MRG_RXBUF"...; unknown: NULL */
const char *vrd_feature_virtio_name(VrdKind kind, unsigned bit);

/* (owned, NULL-terminated) names of the bits in @features, "BIT_61" where unknown. */
char **vrd_feature_protocol_names(uint64_t features);
char **vrd_feature_virtio_names(VrdKind kind, uint64_t features);

/* Read "0x40", or names separated by blanks, into a set. Error: VRD_ERROR_SETTING. */
gboolean vrd_feature_protocol_parse(const char *text, uint64_t *features, GError **error);
gboolean vrd_feature_virtio_parse(VrdKind kind, const char *text, uint64_t *features,
                                  GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Feature bits: names, numbers and the two allow-lists. A bit that is in no list is
 * masked: shipped programs use some numbers for different things.
 */
#include "wire/feature.h"

#include <string.h>

#include "base/error.h"

#define N_BITS   64u
#define ANY_KIND VRD_N_KINDS

/* Device bits of a kind we know nothing about (virtio "Feature Bits"): 0-23, 50-63. */
#define GENERIC_DEVICE_BITS (UINT64_C(0xfffc000000ffffff))

typedef struct {
    const char *name;
    unsigned bit;
    gboolean vmm;
    gboolean backend;
} ProtocolRow;

static const ProtocolRow protocol_rows[] = {
#define PROTOCOL_FEATURE(name_, bit_, vmm_, backend_)                                    \
    {#name_, (bit_), (vmm_), (backend_)},
#include "wire/protocol-features.inc"
#undef PROTOCOL_FEATURE
};

typedef struct {
    VrdKind kind; /* ANY_KIND: all */
    const char *name;
    unsigned bit;
    gboolean allow;
} VirtioRow;

#define KIND_TRANSPORT ANY_KIND
#define KIND_NET       VRD_KIND_NET
#define KIND_BLK       VRD_KIND_BLK
#define KIND_SCSI      VRD_KIND_SCSI
#define KIND_FS        VRD_KIND_FS

static const VirtioRow virtio_rows[] = {
#define VIRTIO_FEATURE(kind_, name_, bit_, allow_)                                       \
    {KIND_##kind_, #name_, (bit_), (allow_)},
#include "wire/virtio-features.inc"
#undef VIRTIO_FEATURE
};

static const char *const kind_names[VRD_N_KINDS] = {
    [VRD_KIND_GENERIC] = "generic", [VRD_KIND_NET] = "net", [VRD_KIND_BLK] = "blk",
    [VRD_KIND_SCSI] = "scsi",       [VRD_KIND_FS] = "fs",
};

const char *
vrd_feature_kind_name(VrdKind kind)
{
    return (unsigned) kind < VRD_N_KINDS ? kind_names[kind] : "unknown";
}

gboolean
vrd_feature_kind_parse(const char *text, VrdKind *kind)
{
    for (unsigned i = 0; i < VRD_N_KINDS; i++) {
        if (g_str_equal(text, kind_names[i])) {
            *kind = (VrdKind) i;
            return TRUE;
        }
    }
    return FALSE;
}

uint64_t
vrd_feature_protocol_vmm_mask(void)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(protocol_rows); i++) {
        mask |= protocol_rows[i].vmm ? VRD_FEATURE_BIT(protocol_rows[i].bit) : 0;
    }
    return mask;
}

uint64_t
vrd_feature_protocol_backend_mask(void)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(protocol_rows); i++) {
        mask |= protocol_rows[i].backend ? VRD_FEATURE_BIT(protocol_rows[i].bit) : 0;
    }
    return mask;
}

static gboolean
row_is_of_kind(const VirtioRow *row, VrdKind kind)
{
    return row->kind == ANY_KIND || row->kind == kind;
}

uint64_t
vrd_feature_virtio_mask(VrdKind kind)
{
    uint64_t mask = kind == VRD_KIND_GENERIC ? GENERIC_DEVICE_BITS : 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(virtio_rows); i++) {
        if (virtio_rows[i].allow && row_is_of_kind(&virtio_rows[i], kind)) {
            mask |= VRD_FEATURE_BIT(virtio_rows[i].bit);
        }
    }
    return mask;
}

const char *
vrd_feature_protocol_name(unsigned bit)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(protocol_rows); i++) {
        if (protocol_rows[i].bit == bit) {
            return protocol_rows[i].name;
        }
    }
    return NULL;
}

const char *
vrd_feature_virtio_name(VrdKind kind, unsigned bit)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(virtio_rows); i++) {
        if (virtio_rows[i].bit == bit && row_is_of_kind(&virtio_rows[i], kind)) {
            return virtio_rows[i].name;
        }
    }
    return NULL;
}

/* Whose bits: a protocol set, or the virtio set of a kind. */
typedef struct {
    gboolean virtio;
    VrdKind kind;
} Space;

static const char *
bit_name(Space space, unsigned bit)
{
    return space.virtio ? vrd_feature_virtio_name(space.kind, bit)
                        : vrd_feature_protocol_name(bit);
}

static char **
names_of(Space space, uint64_t features)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();

    for (unsigned bit = 0; bit < N_BITS; bit++) {
        const char *name = bit_name(space, bit);

        if ((features & VRD_FEATURE_BIT(bit)) == 0) {
            continue;
        }
        if (name != NULL) {
            g_strv_builder_add(names, name);
        } else {
            g_autofree char *number = g_strdup_printf("BIT_%u", bit);

            g_strv_builder_add(names, number);
        }
    }
    return g_strv_builder_end(names);
}

char **
vrd_feature_protocol_names(uint64_t features)
{
    return names_of((Space){.virtio = FALSE}, features);
}

char **
vrd_feature_virtio_names(VrdKind kind, uint64_t features)
{
    return names_of((Space){.virtio = TRUE, .kind = kind}, features);
}

/* One word: "0x40", "BIT_61" as names_of() writes it, or a name. */
static gboolean
parse_word(Space space, const char *word, uint64_t *features)
{
    guint64 number;

    if (g_str_has_prefix(word, "0x")) {
        if (!g_ascii_string_to_unsigned(word + 2, 16, 0, G_MAXUINT64, &number, NULL)) {
            return FALSE;
        }
        *features |= number;
        return TRUE;
    }
    if (g_str_has_prefix(word, "BIT_")) {
        if (!g_ascii_string_to_unsigned(word + 4, 10, 0, N_BITS - 1, &number, NULL)) {
            return FALSE;
        }
        *features |= VRD_FEATURE_BIT(number);
        return TRUE;
    }
    for (unsigned bit = 0; bit < N_BITS; bit++) {
        if (g_strcmp0(bit_name(space, bit), word) == 0) {
            *features |= VRD_FEATURE_BIT(bit);
            return TRUE;
        }
    }
    return FALSE;
}

static char *
allowed_words(Space space)
{
    g_autoptr(GString) words = g_string_new(NULL);

    for (unsigned bit = 0; bit < N_BITS; bit++) {
        const char *name = bit_name(space, bit);

        if (name != NULL) {
            g_string_append_printf(words, "%s%s", words->len > 0 ? " " : "", name);
        }
    }
    return g_string_free(g_steal_pointer(&words), FALSE);
}

static gboolean
parse_set(Space space, const char *text, uint64_t *features, GError **error)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);
    uint64_t set = 0;

    for (unsigned i = 0; words[i] != NULL; i++) {
        if (words[i][0] != '\0' && !parse_word(space, words[i], &set)) {
            g_autofree char *allowed = allowed_words(space);

            g_set_error(
                error, VRD_ERROR, VRD_ERROR_SETTING,
                "feature \"%s\" of %s: unknown, allowed are numbers (0x40, BIT_6) "
                "and %s",
                words[i],
                space.virtio ? vrd_feature_kind_name(space.kind) : "the protocol",
                allowed);
            return FALSE;
        }
    }
    *features = set;
    return TRUE;
}

gboolean
vrd_feature_protocol_parse(const char *text, uint64_t *features, GError **error)
{
    return parse_set((Space){.virtio = FALSE}, text, features, error);
}

gboolean
vrd_feature_virtio_parse(VrdKind kind, const char *text, uint64_t *features,
                         GError **error)
{
    return parse_set((Space){.virtio = TRUE, .kind = kind}, text, features, error);
}

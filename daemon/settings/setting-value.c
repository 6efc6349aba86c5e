/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From text to typed values; an error says what is allowed, its reader adds where. */
#include "settings/setting-value.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/un.h>
#include <syslog.h>

#include "base/error.h"
#include "settings/settings.h"
#include "wire/feature.h"
#include "wire/payload.h"

#define NAME_MAX_BYTES 64u
#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)
#define MS_MAX         86400000u /* a day */
#define DEVICES_MAX    65536u
#define RINGS_MAX      256u
#define SLOTS_MAX      512u
#define FIELD(type_)   ((type_ *) (gpointer) ((char *) target + offset))
#define FAIL(...)      g_set_error(error, VRD_ERROR, VRD_ERROR_SETTING, __VA_ARGS__)

static void
assign(char **field, char *text)
{
    g_free(*field);
    *field = text;
}

static gboolean
read_number(const char *text, uint64_t min, uint64_t max, uint64_t *number,
            GError **error)
{
    if (!g_ascii_string_to_unsigned(text, 10, min, max, number, NULL)) {
        FAIL("allowed is a number from %" PRIu64 " to %" PRIu64, min, max);
        return FALSE;
    }
    return TRUE;
}

static gboolean
read_u32(const char *text, uint32_t min, uint32_t max, uint32_t *field, GError **error)
{
    uint64_t number;

    if (!read_number(text, min, max, &number, error)) {
        return FALSE;
    }
    *field = (uint32_t) number;
    return TRUE;
}

gboolean
vrd_setting_value_is_name(const char *text)
{
    size_t length = strlen(text);

    return length >= 1 && length <= NAME_MAX_BYTES && *text != '.' &&
           strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == length;
}

gboolean
vrd_setting_value_name(const char *text, gpointer target, size_t offset, GError **error)
{
    if (!vrd_setting_value_is_name(text)) {
        FAIL("allowed are %s", VRD_SETTING_VALUE_NAME_ALLOWED);
        return FALSE;
    }
    assign(FIELD(char *), g_strdup(text));
    return TRUE;
}

gboolean
vrd_setting_value_uuid(const char *text, gpointer target, size_t offset, GError **error)
{
    if (!g_uuid_string_is_valid(text)) {
        FAIL("allowed is a UUID, 01234567-89ab-cdef-0123-456789abcdef");
        return FALSE;
    }
    assign(FIELD(char *), g_ascii_strdown(text, -1));
    return TRUE;
}

gboolean
vrd_setting_value_path(const char *text, gpointer target, size_t offset, GError **error)
{
    size_t length = strlen(text);

    if (*text != '/') {
        FAIL("allowed is an absolute path");
        return FALSE;
    }
    if (length > PATH_MAX_BYTES) {
        FAIL("path is %zu bytes, allowed 1 to %zu", length, PATH_MAX_BYTES);
        return FALSE;
    }
    assign(FIELD(char *), g_strdup(text));
    return TRUE;
}

gboolean
vrd_setting_value_bus(const char *text, gpointer target, size_t offset, GError **error)
{
    static const char *const words[] = {"system", "user", "none", NULL};

    if (!g_strv_contains(words, text) && strchr(text, ':') == NULL) {
        FAIL("allowed are system, user, none or a D-Bus address (unix:path=...)");
        return FALSE;
    }
    assign(FIELD(char *), g_strdup(text));
    return TRUE;
}

/* A number stands for itself, whether or not somebody has it; -1 is nobody. */
static gboolean
read_id(const char *text, uint32_t *id)
{
    uint64_t number;

    if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX - 1, &number, NULL)) {
        return FALSE;
    }
    *id = (uint32_t) number;
    return TRUE;
}

gboolean
vrd_setting_value_user(const char *text, gpointer target, size_t offset, GError **error)
{
    uint32_t id = UINT32_MAX;

    if (*text != '\0' && !read_id(text, &id)) {
        const struct passwd *user = getpwnam(text);

        if (user == NULL) {
            FAIL("no such user; allowed is the name of a user or a number");
            return FALSE;
        }
        id = user->pw_uid;
    }
    *FIELD(uid_t) = id;
    return TRUE;
}

gboolean
vrd_setting_value_group(const char *text, gpointer target, size_t offset, GError **error)
{
    uint32_t id = UINT32_MAX;

    if (*text != '\0' && !read_id(text, &id)) {
        const struct group *group = getgrnam(text);

        if (group == NULL) {
            FAIL("no such group; allowed is the name of a group or a number");
            return FALSE;
        }
        id = group->gr_gid;
    }
    *FIELD(gid_t) = id;
    return TRUE;
}

gboolean
vrd_setting_value_mode(const char *text, gpointer target, size_t offset, GError **error)
{
    uint64_t mode;

    if (!g_ascii_string_to_unsigned(text, 8, 0, 0777, &mode, NULL)) {
        FAIL("allowed is an octal number up to 0777");
        return FALSE;
    }
    *FIELD(mode_t) = (mode_t) mode;
    return TRUE;
}

gboolean
vrd_setting_value_log_level(const char *text, gpointer target, size_t offset,
                            GError **error)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {
        {"debug", LOG_DEBUG},     {"info", LOG_INFO}, {"notice", LOG_NOTICE},
        {"warning", LOG_WARNING}, {"err", LOG_ERR},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (g_str_equal(text, levels[i].name)) {
            *FIELD(int) = levels[i].level;
            return TRUE;
        }
    }
    FAIL("allowed are debug, info, notice, warning and err");
    return FALSE;
}

gboolean
vrd_setting_value_role(const char *text, gpointer target, size_t offset, GError **error)
{
    if (g_str_equal(text, "listen")) {
        *FIELD(VrdSettingsRole) = VRD_ROLE_LISTEN;
        return TRUE;
    }
    if (g_str_equal(text, "dial")) {
        *FIELD(VrdSettingsRole) = VRD_ROLE_DIAL;
        return TRUE;
    }
    FAIL("allowed are listen and dial");
    return FALSE;
}

gboolean
vrd_setting_value_kind(const char *text, gpointer target, size_t offset, GError **error)
{
    if (!vrd_feature_kind_parse(text, FIELD(VrdKind))) {
        FAIL("allowed are net, blk, scsi, fs and generic");
        return FALSE;
    }
    return TRUE;
}

gboolean
vrd_setting_value_ms(const char *text, gpointer target, size_t offset, GError **error)
{
    uint64_t number;

    if (!g_ascii_string_to_unsigned(text, 10, 0, MS_MAX, &number, NULL)) {
        FAIL("allowed is a number of milliseconds up to %u, 0 for no deadline", MS_MAX);
        return FALSE;
    }
    *FIELD(uint32_t) = (uint32_t) number;
    return TRUE;
}

gboolean
vrd_setting_value_devices(const char *text, gpointer target, size_t offset,
                          GError **error)
{
    return read_u32(text, 1, DEVICES_MAX, FIELD(uint32_t), error);
}

gboolean
vrd_setting_value_rings(const char *text, gpointer target, size_t offset, GError **error)
{
    return read_u32(text, 1, RINGS_MAX, FIELD(uint32_t), error);
}

gboolean
vrd_setting_value_features(const char *text, gpointer target, size_t offset,
                           GError **error)
{
    const VrdSettingsDevice *device = target;
    uint64_t features = 0;

    if (*text != '\0' &&
        !vrd_feature_virtio_parse(device->kind, text, &features, error)) {
        return FALSE;
    }
    *FIELD(uint64_t) = features;
    return TRUE;
}

gboolean
vrd_setting_value_protocol_features(const char *text, gpointer target, size_t offset,
                                    GError **error)
{
    uint64_t features = 0;

    if (*text != '\0' && !vrd_feature_protocol_parse(text, &features, error)) {
        return FALSE;
    }
    *FIELD(uint64_t) = features;
    return TRUE;
}

gboolean
vrd_setting_value_queues(const char *text, gpointer target, size_t offset, GError **error)
{
    return read_number(text, 1, RINGS_MAX, FIELD(uint64_t), error);
}

gboolean
vrd_setting_value_slots(const char *text, gpointer target, size_t offset, GError **error)
{
    return read_number(text, 1, SLOTS_MAX, FIELD(uint64_t), error);
}

gboolean
vrd_setting_value_config(const char *text, gpointer target, size_t offset, GError **error)
{
    VrdSettingsProfile *profile = FIELD(VrdSettingsProfile);
    size_t n_digits = strlen(text);

    if (n_digits % 2 != 0 || n_digits / 2 > VRD_PAYLOAD_CONFIG_MAX ||
        strspn(text, G_CSET_DIGITS "abcdefABCDEF") != n_digits) {
        FAIL("allowed are two hexadecimal digits for each of up to %u bytes",
             VRD_PAYLOAD_CONFIG_MAX);
        return FALSE;
    }
    g_free(profile->config);
    profile->config = g_malloc(n_digits / 2);
    profile->config_bytes = (unsigned) (n_digits / 2);
    for (unsigned i = 0; i < profile->config_bytes; i++) {
        profile->config[i] = (uint8_t) (g_ascii_xdigit_value(text[2 * i]) * 16 +
                                        g_ascii_xdigit_value(text[2 * i + 1]));
    }
    return TRUE;
}

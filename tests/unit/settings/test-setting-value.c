/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/setting-value.h"

#include <string.h>
#include <sys/types.h>
#include <syslog.h>

#include "base/error.h"
#include "settings/settings.h"

typedef struct {
    VrdSettingParse parse;
    const char *text;
    int64_t number; /* -1: refused */
} NumberRow;

/* Parse into a field of @size bytes and check that its neighbours are left alone. */
static void
check_number(const NumberRow *row, size_t size)
{
    union {
        unsigned char bytes[24];
        uint32_t word;
    } target;
    uint64_t number = 0;
    gboolean is_good;
    g_autoptr(GError) error = NULL;

    memset(&target, 0xa5, sizeof(target));
    is_good = row->parse(row->text, target.bytes, 8, &error);
    g_test_message("\"%s\": %s", row->text, error != NULL ? error->message : "good");
    g_assert_cmpint(is_good, ==, row->number >= 0);
    g_assert_cmpint(is_good, ==, error == NULL);
    for (unsigned i = 0; i < sizeof(target.bytes); i++) {
        if (i < 8 || i >= 8 + size || !is_good) {
            g_assert_cmpuint(target.bytes[i], ==, 0xa5);
        }
    }
    if (is_good) {
        memcpy(&number, target.bytes + 8, size);
        g_assert_cmpint((int64_t) number, ==, row->number);
    } else {
        g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
    }
}

static void
test_words_and_numbers_of_32_bits(void)
{
    static const NumberRow rows[] = {
        {vrd_setting_value_mode, "0660", 0660},
        {vrd_setting_value_mode, "0", 0},
        {vrd_setting_value_mode, "777", 0777},
        {vrd_setting_value_mode, "0999", -1},
        {vrd_setting_value_mode, "01000", -1},
        {vrd_setting_value_mode, "rw", -1},
        {vrd_setting_value_mode, "", -1},
        {vrd_setting_value_mode, "-1", -1},
        {vrd_setting_value_ms, "0", 0},
        {vrd_setting_value_ms, "86400000", 86400000},
        {vrd_setting_value_ms, "86400001", -1},
        {vrd_setting_value_ms, "1s", -1},
        {vrd_setting_value_ms, "0x10", -1},
        {vrd_setting_value_ms, " 1", -1},
        {vrd_setting_value_rings, "1", 1},
        {vrd_setting_value_rings, "256", 256},
        {vrd_setting_value_rings, "0", -1},
        {vrd_setting_value_rings, "257", -1},
        {vrd_setting_value_rings, "18446744073709551617", -1},
        {vrd_setting_value_devices, "65536", 65536},
        {vrd_setting_value_devices, "65537", -1},
        {vrd_setting_value_devices, "0", -1},
        {vrd_setting_value_user, "root", 0},
        {vrd_setting_value_user, "64055", 64055},
        {vrd_setting_value_user, "", UINT32_MAX},
        {vrd_setting_value_user, "4294967294", 4294967294},
        {vrd_setting_value_user, "4294967295", -1},
        {vrd_setting_value_user, "no such user", -1},
        {vrd_setting_value_group, "root", 0},
        {vrd_setting_value_group, "36", 36},
        {vrd_setting_value_group, "", UINT32_MAX},
        {vrd_setting_value_group, "no such group", -1},
        {vrd_setting_value_log_level, "debug", LOG_DEBUG},
        {vrd_setting_value_log_level, "info", LOG_INFO},
        {vrd_setting_value_log_level, "notice", LOG_NOTICE},
        {vrd_setting_value_log_level, "warning", LOG_WARNING},
        {vrd_setting_value_log_level, "err", LOG_ERR},
        {vrd_setting_value_log_level, "Info", -1},
        {vrd_setting_value_role, "listen", VRD_ROLE_LISTEN},
        {vrd_setting_value_role, "dial", VRD_ROLE_DIAL},
        {vrd_setting_value_role, "server", -1},
        {vrd_setting_value_kind, "net", VRD_KIND_NET},
        {vrd_setting_value_kind, "generic", VRD_KIND_GENERIC},
        {vrd_setting_value_kind, "disk", -1},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_number(&rows[i], 4);
    }
}

static void
test_numbers_of_64_bits(void)
{
    static const NumberRow rows[] = {
        {vrd_setting_value_queues, "1", 1},
        {vrd_setting_value_queues, "256", 256},
        {vrd_setting_value_queues, "0", -1},
        {vrd_setting_value_queues, "257", -1},
        {vrd_setting_value_slots, "512", 512},
        {vrd_setting_value_slots, "0", -1},
        {vrd_setting_value_slots, "513", -1},
        {vrd_setting_value_protocol_features, "", 0},
        {vrd_setting_value_protocol_features, "0x9", 9},
        {vrd_setting_value_protocol_features, "MQ REPLY_ACK", 9},
        {vrd_setting_value_protocol_features, "NO_SUCH_BIT", -1},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_number(&rows[i], 8);
    }
}

static void
test_feature_names_mean_what_the_kind_says(void)
{
    VrdSettingsDevice device = {.kind = VRD_KIND_NET};
    size_t offset = offsetof(VrdSettingsDevice, hidden_features);
    g_autoptr(GError) error = NULL;

    g_assert_true(vrd_setting_value_features("MRG_RXBUF", &device, offset, &error));
    g_assert_no_error(error);
    g_assert_cmphex(device.hidden_features, ==, 1 << 15);
    device.kind = VRD_KIND_BLK;
    g_assert_false(vrd_setting_value_features("MRG_RXBUF", &device, offset, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
    g_assert_cmphex(device.hidden_features, ==, 1 << 15);
}

typedef struct {
    VrdSettingParse parse;
    const char *text;
    const char *result; /* NULL: refused */
} TextRow;

static void
test_texts(void)
{
    g_autofree char *tail = g_strnfill(106, 'x');
    g_autofree char *longest = g_strconcat("/", tail, NULL);
    g_autofree char *too_long = g_strconcat(longest, "x", NULL);
    g_autofree char *name = g_strnfill(64, 'n');
    g_autofree char *long_name = g_strnfill(65, 'n');
    const TextRow rows[] = {
        {vrd_setting_value_name, "web1-net0.A_b", "web1-net0.A_b"},
        {vrd_setting_value_name, name, name},
        {vrd_setting_value_name, long_name, NULL},
        {vrd_setting_value_name, "", NULL},
        {vrd_setting_value_name, ".hidden", NULL},
        {vrd_setting_value_name, "..", NULL},
        {vrd_setting_value_name, "a/b", NULL},
        {vrd_setting_value_name, "a b", NULL},
        {vrd_setting_value_name, "\xc3\xa4", NULL},
        {vrd_setting_value_uuid, "5E4F1B0C-3F0E-4C51-9D0A-6A4C0E6D2B11",
         "5e4f1b0c-3f0e-4c51-9d0a-6a4c0e6d2b11"},
        {vrd_setting_value_uuid, "5e4f1b0c3f0e4c519d0a6a4c0e6d2b11", NULL},
        {vrd_setting_value_uuid, "5e4f1b0c-3f0e-4c51-9d0a-6a4c0e6d2b1g", NULL},
        {vrd_setting_value_path, "/run/a b.sock", "/run/a b.sock"},
        {vrd_setting_value_path, longest, longest},
        {vrd_setting_value_path, too_long, NULL},
        {vrd_setting_value_path, "run/a.sock", NULL},
        {vrd_setting_value_path, "@abstract", NULL},
        {vrd_setting_value_bus, "system", "system"},
        {vrd_setting_value_bus, "user", "user"},
        {vrd_setting_value_bus, "none", "none"},
        {vrd_setting_value_bus, "unix:path=/x", "unix:path=/x"},
        {vrd_setting_value_bus, "session", NULL},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *fields[2] = {NULL, g_strdup("before")};
        g_autoptr(GError) error = NULL;

        g_test_message("\"%s\"", rows[i].text);
        g_assert_cmpint(rows[i].parse(rows[i].text, fields, sizeof(char *), &error), ==,
                        rows[i].result != NULL);
        g_assert_cmpstr(fields[1], ==,
                        rows[i].result != NULL ? rows[i].result : "before");
        if (rows[i].result == NULL) {
            g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
        }
        g_free(fields[1]);
    }
}

static void
test_path_too_long_is_told_with_its_length(void)
{
    g_autofree char *tail = g_strnfill(119, 'x');
    g_autofree char *path = g_strconcat("/", tail, NULL);
    char *field = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(vrd_setting_value_path(path, &field, 0, &error));
    g_assert_cmpstr(error->message, ==, "path is 120 bytes, allowed 1 to 107");
}

static void
test_config_is_hexadecimal(void)
{
    static const char *const refused[] = {"0", "0g", "0x00", "00 11", "-1"};
    VrdSettingsProfile profile = {0};
    g_autofree char *longest = g_strnfill(512, 'f');
    g_autofree char *too_long = g_strnfill(514, 'f');

    g_assert_true(vrd_setting_value_config("00aB10", &profile, 0, NULL));
    g_assert_cmpmem(profile.config, profile.config_bytes, "\x00\xab\x10", 3);
    for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(vrd_setting_value_config(refused[i], &profile, 0, &error));
        g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
    }
    g_assert_false(vrd_setting_value_config(too_long, &profile, 0, NULL));
    g_assert_cmpuint(profile.config_bytes, ==, 3);
    g_assert_true(vrd_setting_value_config(longest, &profile, 0, NULL));
    g_assert_cmpuint(profile.config_bytes, ==, 256);
    g_free(profile.config);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/setting-value/words-and-numbers-of-32-bits",
                    test_words_and_numbers_of_32_bits);
    g_test_add_func("/setting-value/numbers-of-64-bits", test_numbers_of_64_bits);
    g_test_add_func("/setting-value/feature-names-mean-what-the-kind-says",
                    test_feature_names_mean_what_the_kind_says);
    g_test_add_func("/setting-value/texts", test_texts);
    g_test_add_func("/setting-value/path-too-long-is-told-with-its-length",
                    test_path_too_long_is_told_with_its_length);
    g_test_add_func("/setting-value/config-is-hexadecimal", test_config_is_hexadecimal);
    return g_test_run();
}

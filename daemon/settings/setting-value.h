/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * One parser for each type of value. They read @text into the field at @offset of
 * @target, or leave it alone and set VRD_ERROR_SETTING, with what is allowed.
 */
typedef gboolean (*VrdSettingParse)(const char *text, gpointer target, size_t offset,
                                    GError **error);

gboolean vrd_setting_value_name(const char *, gpointer, size_t, GError **);  /* char * */
gboolean vrd_setting_value_uuid(const char *, gpointer, size_t, GError **);  /* char * */
gboolean vrd_setting_value_path(const char *, gpointer, size_t, GError **);  /* char * */
gboolean vrd_setting_value_bus(const char *, gpointer, size_t, GError **);   /* char * */
gboolean vrd_setting_value_user(const char *, gpointer, size_t, GError **);  /* uid_t */
gboolean vrd_setting_value_group(const char *, gpointer, size_t, GError **); /* gid_t */
gboolean vrd_setting_value_mode(const char *, gpointer, size_t, GError **);  /* mode_t */
gboolean vrd_setting_value_log_level(const char *, gpointer, size_t, GError **); /* int */
gboolean vrd_setting_value_role(const char *, gpointer, size_t,
                                GError **); /* VrdSettingsRole */
gboolean vrd_setting_value_kind(const char *, gpointer, size_t, GError **); /* VrdKind */

/* uint32_t: milliseconds, devices, rings */
gboolean vrd_setting_value_ms(const char *, gpointer, size_t, GError **);
gboolean vrd_setting_value_devices(const char *, gpointer, size_t, GError **);
gboolean vrd_setting_value_rings(const char *, gpointer, size_t, GError **);

/* uint64_t, in a VrdSettingsDevice whose kind has been read */
gboolean vrd_setting_value_features(const char *, gpointer, size_t, GError **);
gboolean vrd_setting_value_protocol_features(const char *, gpointer, size_t, GError **);
gboolean vrd_setting_value_queues(const char *, gpointer, size_t, GError **);
gboolean vrd_setting_value_slots(const char *, gpointer, size_t, GError **);

/* config space in hexadecimal digits, in a VrdSettingsProfile at @offset */
gboolean vrd_setting_value_config(const char *, gpointer, size_t, GError **);

/* TRUE if @text is 1 to 64 of [A-Za-z0-9._-] and does not begin with a dot. */
gboolean vrd_setting_value_is_name(const char *text);
#define VRD_SETTING_VALUE_NAME_ALLOWED                                                   \
    "1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot"

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "settings/settings.h"

/* A device and where in its file it says so. */
typedef struct {
    VrdSettingsDevice *device; /* (owned) */
    unsigned *lines;           /* (owned) for vrd_device_file_line() */
} VrdDeviceFile;

/*
 * vrd_device_file_parse - read one device's file
 * @file: path, for messages; its last part without .conf is the device's name
 * @defaults: access and deadlines of vringd.conf
 * @problems: (out) (element-type utf8)
 *
 * Returns: (owned) the device, or NULL with at least one more problem.
 */
VrdDeviceFile *vrd_device_file_parse(const char *file, const char *text, size_t n_bytes,
                                     const VrdSettings *defaults, GPtrArray *problems);
void vrd_device_file_free(VrdDeviceFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdDeviceFile, vrd_device_file_free)

/* The line of a setting, 0 if the file does not give it. */
unsigned vrd_device_file_line(const VrdDeviceFile *file, const char *section,
                              const char *key);

/* (owned) @path without what names the same file otherwise: "//", "/./", "/../". */
char *vrd_device_file_canonical_path(const char *path);

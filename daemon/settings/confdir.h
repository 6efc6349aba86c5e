/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * Where settings lie: ROOT/usr/lib/vringd, ROOT/run/vringd and ROOT/etc/vringd, the last
 * the strongest. A link to /dev/null masks the file of that name in the weaker ones.
 */
#define VRD_CONFDIR_FILE_MAX (1024u * 1024u) /* bytes */

/* (owned) (nullable) the path of @name ("vringd.conf") that counts, NULL if there is
 * none. */
char *vrd_confdir_find(const char *root, const char *name);

/*
 * (owned) (element-type filename) the paths of *.conf in @name ("devices.d") that count,
 * by file name. A directory that is there but cannot be read is told in @problems.
 */
GPtrArray *vrd_confdir_list(const char *root, const char *name, GPtrArray *problems);

/*
 * (owned) the bytes of a regular file of at most VRD_CONFDIR_FILE_MAX bytes, or NULL with
 * one more problem. Never blocks, whatever lies at @path.
 */
char *vrd_confdir_read(const char *path, size_t *n_bytes, GPtrArray *problems);

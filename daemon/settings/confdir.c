/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings/confdir.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "settings/ini-reader.h"

/* The strongest first. */
static const char *const directories[] = {"etc/vringd", "run/vringd", "usr/lib/vringd"};

static gboolean
is_masked(const char *path)
{
    g_autofree char *target = g_file_read_link(path, NULL);

    return target != NULL && g_str_equal(target, "/dev/null");
}

char *
vrd_confdir_find(const char *root, const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(directories); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s/%s", root, directories[i], name);

        if (is_masked(path)) {
            return NULL;
        }
        if (g_access(path, F_OK) == 0 || errno != ENOENT) {
            return g_steal_pointer(&path);
        }
    }
    return NULL;
}

static void
list_directory(const char *path, GHashTable *files, GPtrArray *problems)
{
    g_autoptr(GDir) directory = NULL;
    g_autoptr(GError) error = NULL;
    const char *name;

    directory = g_dir_open(path, 0, &error);
    if (directory == NULL) {
        if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            vrd_ini_reader_problem(problems, path, 0, "%s", error->message);
        }
        return;
    }
    while ((name = g_dir_read_name(directory)) != NULL) {
        /* hidden files are those an editor or a package manager is busy with */
        if (*name != '.' && g_str_has_suffix(name, ".conf") &&
            !g_hash_table_contains(files, name)) {
            g_hash_table_insert(files, g_strdup(name),
                                g_build_filename(path, name, NULL));
        }
    }
}

GPtrArray *
vrd_confdir_list(const char *root, const char *name, GPtrArray *problems)
{
    g_autoptr(GHashTable)
        files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GList) names = NULL;
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; i < G_N_ELEMENTS(directories); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s/%s", root, directories[i], name);

        list_directory(path, files, problems);
    }
    names = g_list_sort(g_hash_table_get_keys(files), (GCompareFunc) strcmp);
    for (const GList *at = names; at != NULL; at = at->next) {
        const char *path = g_hash_table_lookup(files, at->data);

        if (!is_masked(path)) {
            g_ptr_array_add(paths, g_strdup(path));
        }
    }
    return paths;
}

/* Up to @size bytes; -1 with errno. */
static ssize_t
read_all(int fd, char *buffer, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t got = read(fd, buffer + used, size - used);

        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        used += got > 0 ? (size_t) got : 0;
    }
    return (ssize_t) used;
}

char *
vrd_confdir_read(const char *path, size_t *n_bytes, GPtrArray *problems)
{
    vrd_autofd fd = -1;
    g_autofree char *buffer = NULL;
    struct stat status;
    ssize_t used;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0) {
        vrd_ini_reader_problem(problems, path, 0, "cannot be read: %s",
                               g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        vrd_ini_reader_problem(problems, path, 0, "is no regular file");
        return NULL;
    }
    buffer = g_malloc(VRD_CONFDIR_FILE_MAX + 1);
    used = read_all(fd, buffer, VRD_CONFDIR_FILE_MAX + 1);
    if (used < 0) {
        vrd_ini_reader_problem(problems, path, 0, "cannot be read: %s",
                               g_strerror(errno));
        return NULL;
    }
    if ((size_t) used > VRD_CONFDIR_FILE_MAX) {
        vrd_ini_reader_problem(problems, path, 0, "is more than the allowed %u bytes",
                               VRD_CONFDIR_FILE_MAX);
        return NULL;
    }
    *n_bytes = (size_t) used;
    return g_realloc(g_steal_pointer(&buffer), (size_t) used + 1);
}

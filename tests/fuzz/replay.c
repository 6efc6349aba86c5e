/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Run a target once on each file of a directory: a corpus as an ordinary TAP test. */
#include <glib.h>
#include <stdio.h>

#include "target.h"

static gboolean
replay_file(const char *path)
{
    g_autofree char *data = NULL;
    g_autoptr(GError) error = NULL;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, &error)) {
        printf("# %s\n", error->message);
        return FALSE;
    }
    LLVMFuzzerTestOneInput((const uint8_t *) data, size);
    return TRUE;
}

int
main(int argc, char **argv)
{
    g_autoptr(GDir) dir = argc == 2 ? g_dir_open(argv[1], 0, NULL) : NULL;
    const char *name;
    unsigned n = 0;
    gboolean all_good = TRUE;

    if (dir == NULL) {
        printf("Bail out! usage: %s DIRECTORY\n", argv[0]);
        return 1;
    }
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(argv[1], name, NULL);
        gboolean good = replay_file(path);

        printf("%sok %u - %s\n", good ? "" : "not ", ++n, name);
        all_good = all_good && good;
    }
    printf("1..%u\n", n);
    return all_good && n > 0 ? 0 : 1;
}

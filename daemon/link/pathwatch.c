/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A walk down to a node. The watch sits on the deepest directory that exists; an event
 * for the next name on the way, or the loss of the directory, makes it walk again. A
 * watch comes first and the look at what is below after it, so that nothing is missed
 * between.
 */
#include "link/pathwatch.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/error.h"

#define EVENTS                                                                           \
    (IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define GONE (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)

/* A directory that comes and goes while we walk is tried this often. */
#define MAX_WALKS 16u

struct VrdPathwatch {
    sd_event *event;
    sd_event_source *source;
    char *path;
    char *next; /* path of the node or directory that must appear next */
    VrdPathwatchHandler handler;
    gpointer user_data;
};

static int on_inotify(sd_event_source *source, const struct inotify_event *what,
                      void *data);

/* Watch the deepest directory above .path that exists. Returns: 0, or a negative errno.
 */
static int
watch_deepest(VrdPathwatch *watch)
{
    g_autofree char *next = g_strdup(watch->path);

    for (;;) {
        g_autofree char *directory = g_path_get_dirname(next);
        sd_event_source *source = NULL;
        int r = sd_event_add_inotify(watch->event, &source, directory, EVENTS, on_inotify,
                                     watch);

        if (r >= 0) {
            sd_event_source_set_description(source, "pathwatch");
            sd_event_source_disable_unref(watch->source);
            watch->source = source;
            g_free(watch->next);
            watch->next = g_steal_pointer(&next);
            return 0;
        }
        if ((r != -ENOENT && r != -ENOTDIR) || g_str_equal(directory, next)) {
            return r;
        }
        g_free(next);
        next = g_steal_pointer(&directory);
    }
}

static int
walk(VrdPathwatch *watch)
{
    int r = -ENOENT;

    for (unsigned i = 0; i < MAX_WALKS; i++) {
        struct stat status;

        r = watch_deepest(watch);
        if (r < 0 || g_str_equal(watch->next, watch->path) ||
            stat(watch->next, &status) < 0 || !S_ISDIR(status.st_mode)) {
            break;
        }
    }
    return r;
}

static int
on_inotify(sd_event_source *source, const struct inotify_event *what, void *data)
{
    VrdPathwatch *watch = data;
    gboolean at_end = g_str_equal(watch->next, watch->path);
    const char *name = strrchr(watch->next, '/');
    gboolean mine = what->len > 0 &&
                    strcmp(what->name, name ? name + 1 : watch->next) == 0;

    if (mine && at_end) {
        watch->handler((what->mask & (IN_CREATE | IN_MOVED_TO)) ? VRD_PATHWATCH_APPEARED
                                                                : VRD_PATHWATCH_CHANGED,
                       watch->user_data);
    } else if (mine || (what->mask & (GONE | IN_Q_OVERFLOW))) {
        int r = walk(watch);

        watch->handler(r < 0 ? VRD_PATHWATCH_LOST : VRD_PATHWATCH_CHANGED,
                       watch->user_data);
    }
    return 0;
}

VrdPathwatch *
vrd_pathwatch_new(sd_event *event, const char *path, VrdPathwatchHandler handler,
                  gpointer user_data, GError **error)
{
    VrdPathwatch *watch = g_new0(VrdPathwatch, 1);
    int r;

    watch->event = sd_event_ref(event);
    watch->path = g_strdup(path);
    watch->handler = handler;
    watch->user_data = user_data;
    r = walk(watch);
    if (r < 0) {
        vrd_error_set_errno(error, -r, "watching for %s", path);
        vrd_pathwatch_free(watch);
        return NULL;
    }
    return watch;
}

void
vrd_pathwatch_free(VrdPathwatch *watch)
{
    if (!watch) {
        return;
    }
    sd_event_source_disable_unref(watch->source);
    sd_event_unref(watch->event);
    g_free(watch->path);
    g_free(watch->next);
    g_free(watch);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/text.h"

typedef struct {
    const char *name;
    int (*run)(VrdCtl *ctl, const char *argument);
    unsigned arguments_min;
    unsigned arguments_max;
    const char *usage;
} Verb;

static int
run_list(VrdCtl *ctl, const char *argument)
{
    return vrd_ctl_list_run(ctl);
}

static int
run_monitor(VrdCtl *ctl, const char *argument)
{
    return vrd_ctl_monitor_run(ctl);
}

static const Verb verbs[] = {
    {"list", run_list, 0, 0, "list"},
    {"show", vrd_ctl_show_run, 0, 1, "show [VM|DEVICE]"},
    {"monitor", run_monitor, 0, 0, "monitor"},
    {"log", vrd_ctl_log_run, 1, 1, "log VM [--output=FILE]"},
};

static const char description[] =
    "Verbs:\n"
    "  list               All devices: both links, rings started of known, health\n"
    "  show [VM|DEVICE]   Everything about a VM and its devices, a device, or all\n"
    "  monitor            One line for each change, until Ctrl-C\n"
    "  log VM             Snapshot of the dirty log that is active: size, dirty pages\n"
    "\n"
    "A VM is given by its name or UUID; a device by its id, as VM/DEVICE, or by the "
    "path\n"
    "of one of its sockets; both by their D-Bus object path as well.\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 no such VM or device, 4 no vringd.\n"
    "\n"
    "Examples:\n"
    "  vringctl list\n"
    "  vringctl show web1/net0\n"
    "  vringctl --json show web1 | jq\n"
    "  vringctl log web1 --output=web1.log\n";

static const Verb *
find_verb(const char *name)
{
    const char *names[G_N_ELEMENTS(verbs) + 1] = {NULL};
    const char *suggestion;

    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++) {
        names[i] = verbs[i].name;
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    suggestion = vrd_text_suggest(name, names);
    if (suggestion != NULL) {
        g_printerr("vringctl: no verb %s; did you mean %s?\n", name, suggestion);
    } else {
        g_printerr("vringctl: no verb %s; there are list, show, monitor and log\n", name);
    }
    return NULL;
}

/* Options and what is left: the verb and its argument. */
static gboolean
parse(VrdCtl *ctl, char ***rest, gboolean *version, int *argc, char ***argv,
      GError **error)
{
    const GOptionEntry entries[] = {
        {"bus", 0, 0, G_OPTION_ARG_STRING, &ctl->bus,
         "Bus of vringd: system (default), user or a D-Bus address", "BUS"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &ctl->json,
         "Print JSON: one document, for monitor one object a line", NULL},
        {"output", 0, 0, G_OPTION_ARG_FILENAME, &ctl->output,
         "With log: write the log to FILE", "FILE"},
        {"version", 0, 0, G_OPTION_ARG_NONE, version, "Print the version and exit", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, rest, NULL, "VERB"},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- look at vringd");

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(context, description);
    return g_option_context_parse(context, argc, argv, error);
}

static int
run_verb(VrdCtl *ctl, char **rest)
{
    const Verb *verb = find_verb(rest[0]);
    unsigned n_arguments = g_strv_length(rest) - 1;
    g_autoptr(GError) error = NULL;

    if (verb == NULL) {
        return VRD_CTL_USAGE;
    }
    if (n_arguments < verb->arguments_min || n_arguments > verb->arguments_max) {
        g_printerr("vringctl: usage: vringctl %s\n", verb->usage);
        return VRD_CTL_USAGE;
    }
    if (ctl->output != NULL && strcmp(verb->name, "log") != 0) {
        g_printerr("vringctl: --output goes with log only\n");
        return VRD_CTL_USAGE;
    }
    if (!vrd_ctl_connect(ctl, &error)) {
        return vrd_ctl_fail(ctl, error);
    }
    return verb->run(ctl, rest[1]);
}

int
main(int argc, char **argv)
{
    g_auto(VrdCtl) ctl = {NULL};
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) rest = NULL;
    gboolean version = FALSE;

    setlocale(LC_ALL, "");
    setvbuf(stdout, NULL, _IOLBF, 0); /* monitor's lines must reach a pipe at once */
    if (!parse(&ctl, &rest, &version, &argc, &argv, &error)) {
        g_printerr("vringctl: %s (see vringctl --help)\n", error->message);
        return VRD_CTL_USAGE;
    }
    if (version) {
        g_print("vringctl " VRINGD_VERSION "\n");
        return VRD_CTL_OK;
    }
    if (rest == NULL) {
        g_printerr(
            "vringctl: which verb? list, show, monitor or log (see vringctl --help)\n");
        return VRD_CTL_USAGE;
    }
    if (ctl.bus == NULL) {
        ctl.bus = g_strdup("system");
    }
    ctl.colour = vrd_ctl_wants_colour() && !ctl.json;
    return run_verb(&ctl, rest);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Start and stop order. What each step makes is let go in the reverse order: the bus
 * first, so that nobody asks for what is going away, the closer last, since the others
 * give their descriptors to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/error.h"
#include "base/log.h"
#include "bus/bus.h"
#include "flow/hub.h"
#include "host/activation.h"
#include "host/notify.h"
#include "settings/settings.h"

#define DEFAULT_RUNTIME_DIRECTORY "/run/vringd"

typedef struct {
    char *root;
    char *runtime_directory;
    char *bus;
    gboolean check_config;
    gboolean version;
} Options;

typedef struct {
    const Options *options;
    sd_event *event;           /* (owned) */
    VrdActivation *activation; /* (owned) */
    VrdHub *hub;               /* (owned) */
    VrdBus *bus;               /* (owned) */
    VrdSettings *settings;     /* (owned) in force */
} Daemon;

static void
clear_options(Options *options)
{
    g_free(options->root);
    g_free(options->runtime_directory);
    g_free(options->bus);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, clear_options)

static gboolean
parse_options(Options *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"root", 0, 0, G_OPTION_ARG_FILENAME, &options->root,
         "Read settings below DIR (DIR/etc/vringd, DIR/run/vringd, DIR/usr/lib/vringd)",
         "DIR"},
        {"runtime-directory", 0, 0, G_OPTION_ARG_FILENAME, &options->runtime_directory,
         "Make sockets below DIR (default $RUNTIME_DIRECTORY "
         "or " DEFAULT_RUNTIME_DIRECTORY ")",
         "DIR"},
        {"bus", 0, 0, G_OPTION_ARG_STRING, &options->bus,
         "D-Bus to be on: system, user, none or an address (default: Bus= in "
         "vringd.conf)",
         "BUS"},
        {"check-config", 0, 0, G_OPTION_ARG_NONE, &options->check_config,
         "Read the settings, print every problem and exit", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version,
         "Print the version and exit", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext)
        context = g_option_context_new("- vhost-user broker for the VMs of this host");

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_description(
        context, "Settings: /etc/vringd/vringd.conf and /etc/vringd/devices.d/*.conf.\n"
                 "SIGHUP reads them again, SIGTERM ends vringd. See it at work with\n"
                 "vringctl list. VRINGD_LOG=stderr keeps the log out of the journal.");
    if (!g_option_context_parse(context, argc, argv, error)) {
        return FALSE;
    }
    if (*argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "unexpected argument %s", (*argv)[1]);
        return FALSE;
    }
    return TRUE;
}

static const char *
settings_root(const Options *options)
{
    return options->root != NULL ? options->root : "";
}

static void
print_problems(const GPtrArray *problems)
{
    for (unsigned i = 0; i < problems->len; i++) {
        g_printerr("%s\n", (const char *) g_ptr_array_index(problems, i));
    }
}

static void
log_problems(const GPtrArray *problems)
{
    for (unsigned i = 0; i < problems->len; i++) {
        vrd_log_error(NULL, "%s", (const char *) g_ptr_array_index(problems, i));
    }
}

static int
check_config(const Options *options)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(VrdSettings) settings = vrd_settings_load(settings_root(options), problems);

    print_problems(problems);
    if (settings == NULL || problems->len > 0) {
        return EXIT_FAILURE;
    }
    g_print("%u devices\n", settings->devices->len);
    return EXIT_SUCCESS;
}

/* A socket that became descriptor 2 would get our log lines. */
static gboolean
open_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            return FALSE;
        }
    }
    return TRUE;
}

static void
raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void
tell_status(const Daemon *daemon)
{
    vrd_notify_status("%u devices of %u VMs", vrd_hub_n_devices(daemon->hub),
                      vrd_hub_vms(daemon->hub)->len);
}

static gboolean
has_device(const VrdSettings *settings, const char *name)
{
    for (unsigned i = 0; i < settings->devices->len; i++) {
        const VrdSettingsDevice *device = g_ptr_array_index(settings->devices, i);

        if (strcmp(device->name, name) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
has_problem(const GPtrArray *problems, const char *file)
{
    for (unsigned i = 0; i < problems->len; i++) {
        const char *problem = g_ptr_array_index(problems, i);

        if (g_str_has_prefix(problem, file) && problem[strlen(file)] == ':') {
            return TRUE;
        }
    }
    return FALSE;
}

/* A slip of the pen in a device's file must not take a running device away. */
static void
keep_broken_devices(const VrdSettings *former, VrdSettings *settings, GPtrArray *problems)
{
    for (unsigned i = 0; i < former->devices->len; i++) {
        const VrdSettingsDevice *device = g_ptr_array_index(former->devices, i);

        if (!has_device(settings, device->name) && has_problem(problems, device->file)) {
            g_ptr_array_add(settings->devices, vrd_settings_device_copy(device));
            g_ptr_array_add(problems, g_strdup_printf("device %s stays as it was, until "
                                                      "its file is right or gone",
                                                      device->name));
        }
    }
}

/* @settings: (owned) */
static void
apply(Daemon *daemon, VrdSettings *settings, GPtrArray *problems)
{
    if (daemon->settings != NULL) {
        keep_broken_devices(daemon->settings, settings, problems);
        vrd_settings_free(daemon->settings);
    }
    daemon->settings = settings;
    vrd_log_set_level(settings->log_level);
    vrd_hub_apply(daemon->hub, settings, problems);
    vrd_bus_set_max_devices(daemon->bus, settings->n_devices_max);
    tell_status(daemon);
}

static gboolean
reload(GPtrArray *problems, gpointer user_data)
{
    Daemon *daemon = user_data;
    VrdSettings *settings;

    vrd_notify_reloading();
    settings = vrd_settings_load(settings_root(daemon->options), problems);
    if (settings != NULL) {
        apply(daemon, settings, problems);
    }
    log_problems(problems);
    if (settings == NULL) {
        vrd_log_error(NULL, "settings not reloaded, the former ones stay in force");
    } else {
        vrd_log_notice(NULL, "settings reloaded: %u devices, %u problems",
                       vrd_hub_n_devices(daemon->hub), problems->len);
    }
    vrd_notify_ready();
    return settings != NULL;
}

static int
on_reload_signal(sd_event_source *source, const struct signalfd_siginfo *info,
                 void *user_data)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

    reload(problems, user_data);
    return 0;
}

static int
on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info,
               void *user_data)
{
    vrd_log_notice(NULL, "stopped by %s", strsignal((int) info->ssi_signo));
    return sd_event_exit(sd_event_source_get_event(source), EXIT_SUCCESS);
}

static gboolean
start_loop(Daemon *daemon, GError **error)
{
    sigset_t signals;
    int r;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if ((r = sd_event_new(&daemon->event)) < 0 ||
        (r = sd_event_add_signal(daemon->event, NULL, SIGTERM, on_stop_signal, daemon)) <
            0 ||
        (r = sd_event_add_signal(daemon->event, NULL, SIGINT, on_stop_signal, daemon)) <
            0 ||
        (r = sd_event_add_signal(daemon->event, NULL, SIGHUP, on_reload_signal, daemon)) <
            0 ||
        (r = vrd_closer_start(daemon->event)) < 0) {
        vrd_error_set_errno(error, -r, "starting the event loop");
        return FALSE;
    }
    return vrd_notify_watchdog(daemon->event, error);
}

/* (owned) the first of the service manager's directories, unless we are told otherwise */
static char *
runtime_directory(const Options *options)
{
    const char *from_env = g_getenv("RUNTIME_DIRECTORY");

    if (options->runtime_directory != NULL) {
        return g_canonicalize_filename(options->runtime_directory, NULL);
    }
    if (from_env != NULL && *from_env != '\0') {
        return g_strndup(from_env, strcspn(from_env, ":"));
    }
    return g_strdup(DEFAULT_RUNTIME_DIRECTORY);
}

static gboolean
start_parts(Daemon *daemon, const VrdSettings *settings, GError **error)
{
    g_autofree char *directory = runtime_directory(daemon->options);
    const char *bus = daemon->options->bus != NULL ? daemon->options->bus : settings->bus;

    daemon->activation = vrd_activation_new(error);
    if (daemon->activation == NULL || !start_loop(daemon, error)) {
        return FALSE;
    }
    daemon->hub = vrd_hub_new(daemon->event, daemon->activation, directory);
    /* Before any socket is made: here a second vringd is told that it is one. */
    daemon->bus = vrd_bus_new(daemon->event, daemon->hub, bus, reload, daemon, error);
    return daemon->bus != NULL;
}

static void
warn_of_leftovers(const Daemon *daemon)
{
    g_auto(GStrv) names = vrd_activation_leftovers(daemon->activation);

    for (unsigned i = 0; names[i] != NULL; i++) {
        vrd_log_warning(NULL,
                        "activated socket %s: no device listens on it (sockets are named "
                        "vmm.DEVICE and backend.DEVICE)",
                        names[i]);
    }
}

static void
stop_parts(Daemon *daemon)
{
    vrd_notify_stopping();
    vrd_bus_free(daemon->bus);
    vrd_hub_free(daemon->hub);
    vrd_activation_free(daemon->activation);
    vrd_closer_stop();
    vrd_settings_free(daemon->settings);
    sd_event_unref(daemon->event);
}

/* @settings: (owned) */
static int
run(Daemon *daemon, VrdSettings *settings, GPtrArray *problems)
{
    g_autoptr(VrdSettings) unused = settings;
    g_autoptr(GError) error = NULL;
    int status;

    if (!start_parts(daemon, settings, &error)) {
        g_printerr("vringd: %s\n", error->message);
        return EXIT_FAILURE;
    }
    apply(daemon, g_steal_pointer(&unused), problems);
    log_problems(problems);
    warn_of_leftovers(daemon);
    vrd_notify_ready();
    vrd_log_notice(NULL, "vringd " VRINGD_VERSION " runs %u devices of %u VMs",
                   vrd_hub_n_devices(daemon->hub), vrd_hub_vms(daemon->hub)->len);
    status = sd_event_loop(daemon->event);
    if (status < 0) {
        vrd_log_error(NULL, "the event loop ended: %s", g_strerror(-status));
        return EXIT_FAILURE;
    }
    return status;
}

int
main(int argc, char **argv)
{
    g_auto(Options) options = {NULL};
    Daemon daemon = {.options = &options};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    VrdSettings *settings;
    int status;

    if (!open_standard_fds()) {
        return EXIT_FAILURE;
    }
    if (!parse_options(&options, &argc, &argv, &error)) {
        g_printerr("vringd: %s (see vringd --help)\n", error->message);
        return 2;
    }
    if (options.version) {
        g_print("vringd " VRINGD_VERSION "\n");
        return EXIT_SUCCESS;
    }
    if (options.check_config) {
        return check_config(&options);
    }
    settings = vrd_settings_load(settings_root(&options), problems);
    if (settings == NULL) {
        print_problems(problems);
        return EXIT_FAILURE;
    }
    raise_fd_limit();
    status = run(&daemon, settings, problems);
    stop_parts(&daemon);
    return status;
}

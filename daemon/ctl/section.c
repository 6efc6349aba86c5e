/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/section.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/health-style.h"
#include "ctl/table.h"
#include "ctl/text.h"

#define LABEL_WIDTH 22
#define LINE_WIDTH  90u /* feature names go on in the next line from here */

static const char *
get_text(GVariant *properties, const char *name)
{
    const char *text = "";

    g_variant_lookup(properties, name, "&s", &text);
    return text;
}

static uint64_t
get_u64(GVariant *properties, const char *name)
{
    uint64_t value = 0;

    g_variant_lookup(properties, name, "t", &value);
    return value;
}

static gboolean
get_bool(GVariant *properties, const char *name)
{
    gboolean value = FALSE;

    g_variant_lookup(properties, name, "b", &value);
    return value;
}

static void print_title(const VrdCtl *ctl, unsigned indent, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void
print_title(const VrdCtl *ctl, unsigned indent, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *printable = NULL;
    g_autofree char *bold = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    printable = vrd_text_printable(text);
    bold = vrd_table_paint(printable, VRD_TABLE_BOLD, ctl->colour);
    g_print("%*s%s\n", (int) indent, "", bold);
}

static void
print_line(const char *label, const char *value)
{
    g_autofree char *printable = vrd_text_printable(value);

    if (*printable != '\0') {
        g_print("    %-*s%s\n", LABEL_WIDTH, label, printable);
    }
}

static void
print_number(const char *label, uint64_t value)
{
    g_autofree char *text = g_strdup_printf("%" PRIu64, value);

    print_line(label, text);
}

/* A feature set: the number, then the names, as many a line as fit. */
static void
print_features(GVariant *properties, const char *label, const char *number,
               const char *names_property)
{
    g_autofree const char **names = NULL;
    unsigned column;

    g_variant_lookup(properties, names_property, "^a&s", &names);
    g_print("    %-*s0x%" PRIx64, LABEL_WIDTH, label, get_u64(properties, number));
    column = LINE_WIDTH;
    for (unsigned i = 0; names != NULL && names[i] != NULL; i++) {
        unsigned length = (unsigned) strlen(names[i]) + 1;

        if (column + length > LINE_WIDTH) {
            g_print("\n    %*s", LABEL_WIDTH, "");
            column = LABEL_WIDTH + 4;
        }
        g_print("%s%s", column > LABEL_WIDTH + 4 ? " " : "", names[i]);
        column += length;
    }
    g_print("\n");
}

static void
print_memory(const VrdCtl *ctl, GVariant *properties)
{
    static const char *const headings[] = {
        ">GUEST ADDRESS", ">SIZE", ">VMM ADDRESS", ">FILE OFFSET", ">DEVICE",
        ">INODE",         NULL};
    g_autoptr(VrdTable) table = vrd_table_new(headings);
    g_autoptr(GVariant) memory = g_variant_lookup_value(properties, "Memory",
                                                        G_VARIANT_TYPE("a(tttttt)"));
    g_autofree char *text = NULL;
    uint64_t guest, size, user, offset, device, inode;
    GVariantIter iter;

    if (memory == NULL || g_variant_n_children(memory) == 0) {
        print_line("Regions", "none");
        return;
    }
    g_variant_iter_init(&iter, memory);
    while (g_variant_iter_next(&iter, "(tttttt)", &guest, &size, &user, &offset, &device,
                               &inode)) {
        char *cells[] = {
            g_strdup_printf("0x%" PRIx64, guest), vrd_text_bytes(size),
            g_strdup_printf("0x%" PRIx64, user),  g_strdup_printf("0x%" PRIx64, offset),
            g_strdup_printf("%" PRIu64, device),  g_strdup_printf("%" PRIu64, inode)};

        vrd_table_add(table, cells);
    }
    text = vrd_table_format(table, 4, ctl->colour);
    g_print("%s", text);
}

typedef struct {
    guint32 index, size, flags, base;
    uint64_t desc, avail, used, log, changed;
    const char *kick, *call, *err;
    gboolean enabled, started, mapped;
} Ring;

static char *
ring_state(const Ring *ring)
{
    if (!ring->started) {
        return g_strdup(ring->enabled ? "stopped, enabled" : "stopped");
    }
    return g_strdup_printf("started%s%s", ring->enabled ? "" : ", disabled",
                           ring->mapped ? "" : ", not mapped");
}

static void
add_ring(VrdTable *table, const Ring *ring, uint64_t now)
{
    char *cells[] = {g_strdup_printf("%u", ring->index),
                     ring_state(ring),
                     g_strdup_printf("%u", ring->size),
                     g_strdup_printf("0x%x", ring->base),
                     g_strdup_printf("0x%" PRIx64, ring->desc),
                     g_strdup_printf("0x%" PRIx64, ring->avail),
                     g_strdup_printf("0x%" PRIx64, ring->used),
                     g_strdup(ring->kick),
                     g_strdup(ring->call),
                     g_strdup(ring->err),
                     vrd_text_ago(ring->changed, now)};

    vrd_table_add(table, cells);
}

static void
print_rings(const VrdCtl *ctl, GVariant *properties)
{
    static const char *const headings[] = {">RING",        "STATE",  ">SIZE",   ">BASE",
                                           ">DESCRIPTORS", ">AVAIL", ">USED",   "KICK",
                                           "CALL",         "ERR",    "CHANGED", NULL};
    g_autoptr(VrdTable) table = vrd_table_new(headings);
    g_autoptr(GVariant) rings = g_variant_lookup_value(
        properties, "Rings", G_VARIANT_TYPE("a(uuttttuusssbbbt)"));
    g_autofree char *text = NULL;
    uint64_t now = vrd_clock_now_us();
    GVariantIter iter;
    Ring ring;

    if (rings == NULL || g_variant_n_children(rings) == 0) {
        print_line("Rings", "none set up");
        return;
    }
    g_variant_iter_init(&iter, rings);
    while (g_variant_iter_next(
        &iter, "(uuttttuu&s&s&sbbbt)", &ring.index, &ring.size, &ring.desc, &ring.avail,
        &ring.used, &ring.log, &ring.flags, &ring.base, &ring.kick, &ring.call, &ring.err,
        &ring.enabled, &ring.started, &ring.mapped, &ring.changed)) {
        add_ring(table, &ring, now);
    }
    text = vrd_table_format(table, 4, ctl->colour);
    g_print("%s", text);
}

void
vrd_section_print_vm(const VrdCtl *ctl, GVariant *properties)
{
    const char *uuid = get_text(properties, "UUID");
    g_autofree char *bytes = vrd_text_bytes(get_u64(properties, "MemoryBytes"));
    g_autofree char *log_bytes = vrd_text_bytes(get_u64(properties, "LogSize"));

    print_title(ctl, 0, "VM %s%s%s", get_text(properties, "Name"),
                *uuid != '\0' ? "  UUID " : "", uuid);
    print_title(ctl, 2, "Memory (%s%s)", bytes,
                get_bool(properties, "MemoryConsistent")
                    ? ""
                    : "; its devices have differing tables, this is the most common one");
    print_memory(ctl, properties);
    print_title(ctl, 2, "Dirty log");
    if (get_bool(properties, "LogActive")) {
        print_number("Generation", get_u64(properties, "LogGeneration"));
        print_line("Size", log_bytes);
    } else {
        print_line("State", "not active");
    }
}

static void
print_link(GVariant *properties, const char *side)
{
    static const struct {
        const char *label, *suffix;
    } lines[] = {{"Peer", "Peer"}, {"Socket", "Path"}, {"vringd's role", "Role"}};
    g_autofree char *state_name = g_strconcat(side, "State", NULL);
    g_autofree char *since_name = g_strconcat(side, "Since", NULL);
    g_autofree char *reason_name = g_strconcat(side, "Reason", NULL);
    g_autofree char *count_name = g_strconcat(side, "Connections", NULL);
    g_autofree char *ago = vrd_text_ago(get_u64(properties, since_name),
                                        vrd_clock_now_us());
    g_autofree char *state = g_strdup_printf("%s (since %s)",
                                             get_text(properties, state_name), ago);

    print_line("State", state);
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *name = g_strconcat(side, lines[i].suffix, NULL);

        print_line(lines[i].label, get_text(properties, name));
    }
    print_number("Connections", get_u64(properties, count_name));
    print_line("Last reason", get_text(properties, reason_name));
}

static void
print_health(const VrdCtl *ctl, GVariant *properties)
{
    const char *health = get_text(properties, "Health");
    g_autofree char *painted = vrd_table_paint(health, vrd_health_style_of(health),
                                               ctl->colour);
    g_autofree const char **reasons = NULL;

    g_print("    %-*s%s\n", LABEL_WIDTH, "Health", painted);
    g_variant_lookup(properties, "HealthReasons", "^a&s", &reasons);
    for (unsigned i = 0; reasons != NULL && reasons[i] != NULL; i++) {
        print_line("", reasons[i]);
    }
}

static void
print_waiting(GVariant *properties)
{
    const char *request = "";
    uint64_t since = 0;
    g_autofree char *ago = NULL;
    g_autofree char *text = NULL;

    g_variant_lookup(properties, "BackendWaiting", "(&st)", &request, &since);
    if (*request != '\0') {
        ago = vrd_text_ago(since, vrd_clock_now_us());
        text = g_strdup_printf("the answer to %s, sent %s", request, ago);
        print_line("Waits for", text);
    }
}

static void
print_negotiated(const VrdCtl *ctl, GVariant *properties)
{
    print_title(ctl, 2, "Features");
    print_features(properties, "Backend offers", "BackendOffered", "BackendOfferedNames");
    print_features(properties, "Offered to the VMM", "Offered", "OfferedNames");
    print_features(properties, "Acked by the VMM", "Features", "FeatureNames");
    print_title(ctl, 2, "Protocol features");
    print_features(properties, "Backend offers", "BackendProtocolOffered",
                   "BackendProtocolOfferedNames");
    print_features(properties, "Acked to the backend", "BackendProtocolFeatures",
                   "BackendProtocolFeatureNames");
    print_features(properties, "Offered to the VMM", "ProtocolOffered",
                   "ProtocolOfferedNames");
    print_features(properties, "Acked by the VMM", "ProtocolFeatures",
                   "ProtocolFeatureNames");
}

void
vrd_section_print_device(const VrdCtl *ctl, GVariant *properties, const char *vm)
{
    g_autofree char *status = g_strdup_printf("0x%" PRIx64,
                                              get_u64(properties, "Status"));
    g_autofree char *inflight = vrd_text_bytes(get_u64(properties, "InflightBytes"));

    print_title(ctl, 0, "Device %s/%s  id %s  kind %s", vm, get_text(properties, "Name"),
                get_text(properties, "Id"), get_text(properties, "Kind"));
    print_health(ctl, properties);
    print_line("Device status", status);
    print_number("Queues offered", get_u64(properties, "QueueNum"));
    print_number("Memory slots", get_u64(properties, "MemSlots"));
    print_line("Logs dirty pages", get_bool(properties, "Logging") ? "yes" : "no");
    print_line("Inflight region", inflight);
    print_number("Config bytes known", get_u64(properties, "ConfigBytes"));
    print_title(ctl, 2, "VMM link");
    print_link(properties, "VMM");
    print_title(ctl, 2, "Backend link");
    print_link(properties, "Backend");
    print_number("Lost", get_u64(properties, "BackendLost"));
    print_waiting(properties);
    print_negotiated(ctl, properties);
    print_title(ctl, 2, "Rings");
    print_rings(ctl, properties);
    print_title(ctl, 2, "Memory");
    print_memory(ctl, properties);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/ring.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include "give.h"

#define BASE   UINT64_C(0x10000000)
#define BYTES  UINT64_C(0x100000)
#define SPLIT  FALSE
#define PACKED TRUE

typedef struct {
    const char *name;
    gboolean packed;
    uint32_t value;
    const char *text; /* NULL: taken */
} NumberRow;

static void
check_numbers(const NumberRow *rows, unsigned n_rows, uint32_t size,
              gboolean (*set)(VrdRing *, uint32_t, gboolean, GError **),
              uint32_t (*get)(const VrdRing *))
{
    for (unsigned i = 0; i < n_rows; i++) {
        GError *error = NULL;
        VrdRing ring;
        uint32_t before;
        gboolean ok;

        g_test_message("%s", rows[i].name);
        vrd_ring_init(&ring, 1);
        ring.size = size;
        before = get(&ring);
        ok = set(&ring, rows[i].value, rows[i].packed, &error);
        if (rows[i].text != NULL) {
            assert_refused(ok, &error, VRD_ERROR_PROTOCOL, rows[i].text);
            g_assert_cmpuint(get(&ring), ==, before);
        } else {
            g_assert_no_error(error);
            g_assert_true(ok);
            g_assert_cmpuint(get(&ring), ==, rows[i].value);
        }
    }
}

static uint32_t
get_size(const VrdRing *ring)
{
    return ring->size;
}

static uint32_t
get_base(const VrdRing *ring)
{
    return ring->base;
}

static const NumberRow size_rows[] = {
    {"one", SPLIT, 1, NULL},
    {"largest", SPLIT, 32768, NULL},
    {"packed, no power of two", PACKED, 3, NULL},
    {"none", SPLIT, 0, "ring 1: size 0, allowed is 1 to 32768"},
    {"none, packed", PACKED, 0, "ring 1: size 0, allowed is 1 to 32768"},
    {"three", SPLIT, 3, "ring 1: size 3, allowed is a power of two for a split ring"},
    {"one too many, packed", PACKED, 32769, "ring 1: size 32769, allowed is 1 to 32768"},
    {"65536", SPLIT, 65536, "ring 1: size 65536, allowed is 1 to 32768"},
    {"all bits", SPLIT, UINT32_MAX, "ring 1: size 4294967295, allowed is 1 to 32768"},
};

static void
test_a_size_is_within_the_specification(void)
{
    check_numbers(size_rows, G_N_ELEMENTS(size_rows), 0, vrd_ring_set_size, get_size);
}

static const NumberRow base_rows[] = {
    {"split", SPLIT, 65535, NULL},
    {"packed, both wrapped", PACKED, 0x80ff80ff, NULL},
    {"split, over 16 bits", SPLIT, 65536,
     "ring 1: base 65536, allowed is 0 to 65535 for a split ring"},
    {"split, packed value", SPLIT, 0x80008000,
     "ring 1: base 2147516416, allowed is 0 to 65535 for a split ring"},
    {"packed avail", PACKED, 0x8100,
     "ring 1: base has avail index 256, allowed is below its size 256"},
    {"packed used", PACKED, 0x7fff0000,
     "ring 1: base has used index 32767, allowed is below its size 256"},
};

static void
test_a_base_is_within_the_ring(void)
{
    check_numbers(base_rows, G_N_ELEMENTS(base_rows), 256, vrd_ring_set_base, get_base);
}

static void
test_a_packed_base_before_the_size_is_judged_at_the_start(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, BYTES, BASE);
    VrdPayloadAddr addr = {0, 0, BASE, BASE + 0x4000, BASE + 0x5000, 0};
    GError *error = NULL;
    VrdRing ring;

    vrd_ring_init(&ring, 0);
    g_assert_true(vrd_ring_set_base(&ring, 300, PACKED, NULL));
    g_assert_true(vrd_ring_set_size(&ring, 256, PACKED, NULL));
    g_assert_true(vrd_ring_set_addr(&ring, &addr, PACKED, memory, NULL));
    assert_refused(vrd_ring_start(&ring, PACKED, memory, &error), &error,
                   VRD_ERROR_PROTOCOL,
                   "ring 0: base has avail index 300, allowed is below its size 256");
    g_assert_false(ring.started);
}

/* The layout of virtio "Split Virtqueues" and "Packed Virtqueues", by hand. */
static const struct {
    uint32_t entries;
    gboolean packed;
    uint64_t desc;
    uint64_t avail;
    uint64_t used;
} byte_rows[] = {
    {1, SPLIT, 16, 8, 14},
    {256, SPLIT, 4096, 518, 2054},
    {32768, SPLIT, 524288, 65542, 262150},
    {256, PACKED, 4096, 4, 4},
};

static void
test_areas_have_the_sizes_of_the_specification(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(byte_rows); i++) {
        uint32_t entries = byte_rows[i].entries;
        gboolean packed = byte_rows[i].packed;

        g_assert_cmpuint(vrd_ring_desc_bytes(entries, packed), ==, byte_rows[i].desc);
        g_assert_cmpuint(vrd_ring_avail_bytes(entries, packed), ==, byte_rows[i].avail);
        g_assert_cmpuint(vrd_ring_used_bytes(entries, packed), ==, byte_rows[i].used);
    }
}

/* Rings of 256 in a table of [BASE, BASE + BYTES) and a neighbour of 4096 bytes. Of a
 * split ring: 4096, 518 and 2054 bytes. */
static const struct {
    const char *name;
    gboolean packed;
    VrdPayloadAddr addr; /* index, flags, desc, used, avail, log */
    const char *text;    /* NULL: taken */
} addr_rows[] = {
    {"split", SPLIT, {1, 0, BASE, BASE + 0x2000, BASE + 0x1000, 0}, NULL},
    {"least alignment", SPLIT, {1, 0, BASE + 16, BASE + 0x2004, BASE + 0x1002, 0}, NULL},
    {"logged", SPLIT, {1, 1, BASE, BASE + 0x2000, BASE + 0x1000, 0x2000}, NULL},
    {"areas in two regions", SPLIT, {1, 0, BASE, BASE + BYTES, BASE + 0x1000, 0}, NULL},
    {"packed", PACKED, {1, 0, BASE, BASE + 0x1004, BASE + 0x1000, 0}, NULL},
    {"ends with its region",
     SPLIT,
     {1, 0, BASE + BYTES - 4096, BASE, BASE + 0x1000, 0},
     NULL},
    {"unknown flag",
     SPLIT,
     {1, 2, BASE, BASE + 0x2000, BASE + 0x1000, 0},
     "ring 1: address flags 0x2, allowed is 0x1"},
    {"all flags",
     SPLIT,
     {1, UINT32_MAX, BASE, BASE + 0x2000, BASE + 0x1000, 0},
     "ring 1: address flags 0xffffffff, allowed is 0x1"},
    {"descriptor alignment",
     SPLIT,
     {1, 0, BASE + 8, BASE + 0x2000, BASE + 0x1000, 0},
     "ring 1: descriptor table at 0x10000008, allowed are multiples of 16"},
    {"avail alignment",
     SPLIT,
     {1, 0, BASE, BASE + 0x2000, BASE + 0x1001, 0},
     "ring 1: avail ring at 0x10001001, allowed are multiples of 2"},
    {"used alignment",
     SPLIT,
     {1, 0, BASE, BASE + 0x2002, BASE + 0x1000, 0},
     "ring 1: used ring at 0x10002002, allowed are multiples of 4"},
    {"driver area alignment",
     PACKED,
     {1, 0, BASE, BASE + 0x2000, BASE + 0x1002, 0},
     "ring 1: driver event area at 0x10001002, allowed are multiples of 4"},
    {"device area alignment",
     PACKED,
     {1, 0, BASE, BASE + 0x2002, BASE + 0x1000, 0},
     "ring 1: device event area at 0x10002002, allowed are multiples of 4"},
    {"descriptor sum",
     SPLIT,
     {1, 0, UINT64_MAX - 15, BASE + 0x2000, BASE + 0x1000, 0},
     "ring 1: descriptor table at 0xfffffffffffffff0 with 4096 bytes is over the 64-bit "
     "limit"},
    {"log address sum",
     SPLIT,
     {1, 1, BASE, BASE + 0x2000, BASE + 0x1000, UINT64_MAX},
     "ring 1: log address 0xffffffffffffffff with 2054 bytes is over the 64-bit limit"},
    {"outside",
     SPLIT,
     {1, 0, 0x1000, BASE + 0x2000, BASE + 0x1000, 0},
     "ring 1: descriptor table at 0x1000 with 4096 bytes, allowed is inside one of the 2 "
     "memory regions"},
    {"descriptors across two regions",
     SPLIT,
     {1, 0, BASE + BYTES - 4080, BASE + 0x2000, BASE + 0x1000, 0},
     "ring 1: descriptor table at 0x100ff010 with 4096 bytes, allowed is inside one of "
     "the 2 memory regions"},
    {"used ring across two regions",
     SPLIT,
     {1, 0, BASE, BASE + BYTES - 2052, BASE + 0x1000, 0},
     "ring 1: used ring at 0x100ff7fc with 2054 bytes, allowed is inside one of the 2 "
     "memory regions"},
    {"avail ring over the end",
     SPLIT,
     {1, 0, BASE, BASE + 0x2000, BASE + BYTES + 4096 - 516, 0},
     "ring 1: avail ring at 0x10100dfc with 518 bytes, allowed is inside one of the 2 "
     "memory regions"},
};

static VrdMemtable *
give_two_regions(void)
{
    VrdMemtable *memory = give_table(0, BYTES, BASE);
    g_autoptr(VrdMemfile) file = give_memfile(4096);

    add_region(memory, BYTES, 4096, BASE + BYTES, 0, file);
    return memory;
}

static void
test_addresses_are_whole_inside_the_memory(void)
{
    g_autoptr(VrdMemtable) memory = give_two_regions();

    for (unsigned i = 0; i < G_N_ELEMENTS(addr_rows); i++) {
        GError *error = NULL;
        VrdRing ring;
        gboolean ok;

        g_test_message("%s", addr_rows[i].name);
        vrd_ring_init(&ring, 1);
        ring.size = 256;
        ok = vrd_ring_set_addr(&ring, &addr_rows[i].addr, addr_rows[i].packed, memory,
                               &error);
        if (addr_rows[i].text != NULL) {
            assert_refused(ok, &error, VRD_ERROR_PROTOCOL, addr_rows[i].text);
        }
        g_assert_no_error(error);
        g_assert_cmpint(ring.has_addr, ==, addr_rows[i].text == NULL);
        g_assert_cmpint(ring.mapped, ==, addr_rows[i].text == NULL);
    }
}

static const VrdPayloadAddr good_addr = {1, 0, BASE, BASE + 0x2000, BASE + 0x1000, 0};

/* A ring that lacks nothing but the start. */
static void
prepare(VrdRing *ring, const VrdMemtable *memory)
{
    vrd_ring_init(ring, 1);
    g_assert_true(vrd_ring_set_size(ring, 256, SPLIT, NULL));
    g_assert_true(vrd_ring_set_base(ring, 7, SPLIT, NULL));
    g_assert_true(vrd_ring_set_addr(ring, &good_addr, SPLIT, memory, NULL));
}

static void
test_addresses_before_the_memory_are_not_mapped_yet(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, BYTES, BASE);
    g_autoptr(VrdMemtable) empty = vrd_memtable_new();
    VrdRing ring;

    prepare(&ring, NULL);
    g_assert_true(ring.has_addr);
    g_assert_false(ring.mapped);
    prepare(&ring, empty);
    g_assert_false(ring.mapped);
    vrd_ring_remap(&ring, SPLIT, memory);
    g_assert_true(ring.mapped);
    vrd_ring_remap(&ring, SPLIT, NULL);
    g_assert_false(ring.mapped);
}

static void
test_what_is_missing_is_named_at_the_start(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, BYTES, BASE);
    g_autoptr(VrdMemtable) elsewhere = give_table(0, BYTES, 0);
    g_autoptr(VrdMemtable) empty = vrd_memtable_new();
    GError *error = NULL;
    VrdRing ring;

    vrd_ring_init(&ring, 1);
    assert_refused(vrd_ring_start(&ring, SPLIT, memory, &error), &error, VRD_ERROR_STATE,
                   "ring 1 has no size, needed before it is started");
    g_assert_true(vrd_ring_set_size(&ring, 256, SPLIT, NULL));
    assert_refused(vrd_ring_start(&ring, SPLIT, memory, &error), &error, VRD_ERROR_STATE,
                   "ring 1 has no addresses, needed before it is started");
    g_assert_true(vrd_ring_set_addr(&ring, &good_addr, SPLIT, NULL, NULL));
    assert_refused(vrd_ring_start(&ring, SPLIT, NULL, &error), &error, VRD_ERROR_STATE,
                   "ring 1 has no memory table, needed before it is started");
    assert_refused(vrd_ring_start(&ring, SPLIT, empty, &error), &error, VRD_ERROR_STATE,
                   "ring 1 has no memory table, needed before it is started");
    assert_refused(vrd_ring_start(&ring, SPLIT, elsewhere, &error), &error,
                   VRD_ERROR_STATE,
                   "ring 1: descriptor table at 0x10000000 with 4096 bytes, allowed is "
                   "inside one of the 1 memory regions");
    g_assert_false(ring.started);
    g_assert_true(vrd_ring_start(&ring, SPLIT, memory, &error));
    g_assert_true(ring.started && ring.mapped);
}

static void
test_a_larger_size_is_held_against_the_memory_again(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, 0x3000, BASE);
    GError *error = NULL;
    VrdRing ring;

    prepare(&ring, memory);
    g_assert_true(vrd_ring_set_size(&ring, 1024, SPLIT, NULL));
    g_assert_false(ring.mapped);
    assert_refused(vrd_ring_start(&ring, SPLIT, memory, &error), &error, VRD_ERROR_STATE,
                   "ring 1: descriptor table at 0x10000000 with 16384 bytes, allowed is "
                   "inside one of the 1 memory regions");
}

static void
test_a_started_ring_changes_its_log_flag_only(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, BYTES, BASE);
    VrdPayloadAddr addr = good_addr;
    GError *error = NULL;
    VrdRing ring;

    prepare(&ring, memory);
    g_assert_true(vrd_ring_start(&ring, SPLIT, memory, NULL));
    assert_refused(vrd_ring_set_size(&ring, 256, SPLIT, &error), &error, VRD_ERROR_STATE,
                   "ring 1: size 256 while it is started, allowed is after "
                   "GET_VRING_BASE");
    assert_refused(vrd_ring_set_base(&ring, 8, SPLIT, &error), &error, VRD_ERROR_STATE,
                   "ring 1: base 8 while it is started, allowed is after GET_VRING_BASE");
    addr.avail += 2;
    assert_refused(vrd_ring_set_addr(&ring, &addr, SPLIT, memory, &error), &error,
                   VRD_ERROR_STATE,
                   "ring 1: addresses 0x10000000 0x10001002 0x10002000 while it is "
                   "started, allowed is a change of the log flag and address");
    g_assert_cmpuint(ring.addr.avail, ==, good_addr.avail);
    addr = good_addr;
    addr.flags = 1;
    addr.log = 0x2000;
    g_assert_true(vrd_ring_set_addr(&ring, &addr, SPLIT, memory, &error));
    g_assert_cmpuint(ring.addr.flags, ==, 1);
    g_assert_cmpuint(ring.addr.log, ==, 0x2000);
    /* A new kick descriptor comes as a second start. */
    g_assert_true(vrd_ring_start(&ring, SPLIT, memory, &error));
    g_assert_true(ring.started);
}

static void
test_a_started_ring_without_memory_says_so_and_goes_on(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, BYTES, BASE);
    g_autoptr(VrdMemtable) elsewhere = give_table(0, BYTES, 0);
    VrdRing ring;

    prepare(&ring, memory);
    g_assert_true(vrd_ring_start(&ring, SPLIT, memory, NULL));
    vrd_ring_remap(&ring, SPLIT, elsewhere);
    g_assert_true(ring.started);
    g_assert_false(ring.mapped);
    g_assert_true(vrd_ring_set_addr(&ring, &good_addr, SPLIT, elsewhere, NULL));
    g_assert_false(ring.mapped);
}

static int
give_eventfd(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void
test_a_stopped_ring_keeps_what_lasts(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, BYTES, BASE);
    GError *error = NULL;
    VrdRing ring;
    int err;

    prepare(&ring, memory);
    for (unsigned i = 0; i < VRD_RING_N_FILES; i++) {
        g_assert_true(
            vrd_ring_set_file(&ring, (VrdRingFileKind) i, give_eventfd(), NULL));
    }
    err = ring.files[VRD_RING_ERR].fd;
    vrd_ring_set_enabled(&ring, TRUE);
    g_assert_true(vrd_ring_start(&ring, SPLIT, memory, NULL));
    vrd_ring_stop(&ring, 42);
    g_assert_false(ring.started);
    g_assert_cmpuint(ring.base, ==, 42);
    g_assert_cmpuint(ring.size, ==, 256);
    g_assert_true(ring.enabled);
    g_assert_cmpint(ring.files[VRD_RING_KICK].state, ==, VRD_RING_FILE_NEVER);
    g_assert_cmpint(ring.files[VRD_RING_CALL].state, ==, VRD_RING_FILE_NEVER);
    g_assert_cmpint(ring.files[VRD_RING_KICK].fd, ==, -1);
    g_assert_cmpint(ring.files[VRD_RING_CALL].fd, ==, -1);
    g_assert_cmpint(ring.files[VRD_RING_ERR].fd, ==, err);
    g_assert_true(is_open(err));
    /* The old addresses must be of no use any more. */
    g_assert_false(ring.has_addr || ring.mapped);
    assert_refused(vrd_ring_start(&ring, SPLIT, memory, &error), &error, VRD_ERROR_STATE,
                   "ring 1 has no addresses, needed before it is started");
    vrd_ring_clear(&ring);
    g_assert_false(is_open(err));
}

static void
test_files_are_eventfds_and_never_pile_up(void)
{
    static const char *const texts[VRD_RING_N_FILES] = {
        [VRD_RING_KICK] = "kick descriptor of ring 3 is a socket, allowed is an eventfd",
        [VRD_RING_CALL] = "call descriptor of ring 3 is a socket, allowed is an eventfd",
        [VRD_RING_ERR] = "err descriptor of ring 3 is a socket, allowed is an eventfd",
    };
    unsigned n_fds = count_fds();
    VrdRing ring;

    vrd_ring_init(&ring, 3);
    for (unsigned i = 0; i < VRD_RING_N_FILES; i++) {
        VrdRingFile *file = &ring.files[i];
        VrdRingFileKind kind = (VrdRingFileKind) i;
        GError *error = NULL;
        int kept;

        g_assert_cmpint(file->state, ==, VRD_RING_FILE_NEVER);
        for (unsigned n = 0; n < 1000; n++) {
            g_assert_true(vrd_ring_set_file(&ring, kind, give_eventfd(), &error));
        }
        g_assert_cmpint(file->state, ==, VRD_RING_FILE_FD);
        g_assert_cmpuint(count_fds(), ==, n_fds + 1);
        kept = file->fd;
        assert_refused(vrd_ring_set_file(&ring, kind,
                                         socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                         &error),
                       &error, VRD_ERROR_PROTOCOL, texts[i]);
        g_assert_cmpint(file->fd, ==, kept);
        g_assert_cmpuint(count_fds(), ==, n_fds + 1);
        g_assert_true(vrd_ring_set_file(&ring, kind, -1, &error));
        g_assert_cmpint(file->state, ==, VRD_RING_FILE_NONE);
        g_assert_cmpuint(count_fds(), ==, n_fds);
    }
    g_assert_false(ring.started);
}

static void
test_a_cleared_ring_is_a_new_one(void)
{
    g_autoptr(VrdMemtable) memory = give_table(0, BYTES, BASE);
    unsigned n_fds = count_fds();
    VrdRing fresh;
    VrdRing ring;

    prepare(&ring, memory);
    g_assert_true(vrd_ring_set_file(&ring, VRD_RING_KICK, give_eventfd(), NULL));
    g_assert_true(vrd_ring_start(&ring, SPLIT, memory, NULL));
    vrd_ring_clear(&ring);
    vrd_ring_init(&fresh, 1);
    g_assert_cmpmem(&ring, sizeof ring, &fresh, sizeof fresh);
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void
test_only_a_change_moves_the_time(void)
{
    VrdRing ring;

    vrd_ring_init(&ring, 0);
    g_assert_cmpuint(ring.changed_us, ==, 0);
    vrd_ring_set_enabled(&ring, FALSE);
    g_assert_false(vrd_ring_set_size(&ring, 0, SPLIT, NULL));
    g_assert_true(vrd_ring_set_base(&ring, 0, SPLIT, NULL));
    g_assert_cmpuint(ring.changed_us, ==, 0);
    vrd_ring_set_enabled(&ring, TRUE);
    g_assert_cmpuint(ring.changed_us, >, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ring/a-size-is-within-the-specification",
                    test_a_size_is_within_the_specification);
    g_test_add_func("/ring/a-base-is-within-the-ring", test_a_base_is_within_the_ring);
    g_test_add_func("/ring/a-packed-base-before-the-size-is-judged-at-the-start",
                    test_a_packed_base_before_the_size_is_judged_at_the_start);
    g_test_add_func("/ring/areas-have-the-sizes-of-the-specification",
                    test_areas_have_the_sizes_of_the_specification);
    g_test_add_func("/ring/addresses-are-whole-inside-the-memory",
                    test_addresses_are_whole_inside_the_memory);
    g_test_add_func("/ring/addresses-before-the-memory-are-not-mapped-yet",
                    test_addresses_before_the_memory_are_not_mapped_yet);
    g_test_add_func("/ring/what-is-missing-is-named-at-the-start",
                    test_what_is_missing_is_named_at_the_start);
    g_test_add_func("/ring/a-larger-size-is-held-against-the-memory-again",
                    test_a_larger_size_is_held_against_the_memory_again);
    g_test_add_func("/ring/a-started-ring-changes-its-log-flag-only",
                    test_a_started_ring_changes_its_log_flag_only);
    g_test_add_func("/ring/a-started-ring-without-memory-says-so-and-goes-on",
                    test_a_started_ring_without_memory_says_so_and_goes_on);
    g_test_add_func("/ring/a-stopped-ring-keeps-what-lasts",
                    test_a_stopped_ring_keeps_what_lasts);
    g_test_add_func("/ring/files-are-eventfds-and-never-pile-up",
                    test_files_are_eventfds_and_never_pile_up);
    g_test_add_func("/ring/a-cleared-ring-is-a-new-one",
                    test_a_cleared_ring_is_a_new_one);
    g_test_add_func("/ring/only-a-change-moves-the-time",
                    test_only_a_change_moves_the_time);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/inflight.h"

#include <sys/socket.h>

#include "base/fd.h"
#include "give.h"

/* From the layout of the specification: a header and its entries, to 64 bytes up. */
static const struct {
    uint16_t n_queues;
    uint16_t queue_size;
    gboolean packed;
    uint64_t bytes;
} byte_rows[] = {
    {1, 128, FALSE, 2112}, {2, 128, FALSE, 4224},
    {1, 1, FALSE, 64},     {1, 4, FALSE, 128},
    {1, 256, TRUE, 8256},  {1, 1, TRUE, 64},
    {1, 2, TRUE, 128},     {65535, 65535, FALSE, UINT64_C(65535) * 1048576},
};

static void
test_the_size_is_that_of_the_layout(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(byte_rows); i++) {
        g_assert_cmpuint(vrd_inflight_bytes(byte_rows[i].n_queues,
                                            byte_rows[i].queue_size, byte_rows[i].packed),
                         ==, byte_rows[i].bytes);
    }
}

/* Four rings, split; the file has 16384 bytes. Needed for two queues of 128: 4224. */
static const struct {
    const char *name;
    VrdPayloadInflight geometry; /* size, offset, queues, queue size */
    const char *text;            /* NULL: taken */
    gboolean is_taken_without_file;
} rows[] = {
    {"exact", {4224, 0, 2, 128}, NULL, TRUE},
    {"larger", {8192, 4096, 2, 128}, NULL, TRUE},
    {"not a power of two", {4224, 0, 1, 100}, NULL, TRUE},
    {"no queue",
     {4224, 0, 0, 128},
     "inflight region: queues 0, allowed is 1 to 4",
     FALSE},
    {"one queue too many",
     {16384, 0, 5, 128},
     "inflight region: queues 5, allowed is 1 to 4",
     FALSE},
    {"all queues",
     {4224, 0, 65535, 128},
     "inflight region: queues 65535, allowed is 1 to 4",
     FALSE},
    {"queue size 0",
     {4224, 0, 2, 0},
     "inflight region: queue size 0, allowed is 1 to 32768",
     FALSE},
    {"queue size over the limit",
     {4224, 0, 2, 32769},
     "inflight region: queue size 32769, allowed is 1 to 32768",
     FALSE},
    {"size one less",
     {4223, 0, 2, 128},
     "inflight region: size 4223, needed are 4224 for 2 queues of 128",
     TRUE},
    {"size 0",
     {0, 0, 2, 128},
     "inflight region: size 0, needed are 4224 for 2 queues of 128",
     TRUE},
    {"odd offset",
     {4224, 1, 2, 128},
     "inflight region: offset 1, allowed are multiples of 4096",
     TRUE},
    {"file too short",
     {16385, 0, 2, 128},
     "file of the inflight region has 16384 bytes, needed 16385",
     TRUE},
    {"file too short by the offset",
     {12289, 4096, 2, 128},
     "file of the inflight region has 16384 bytes, needed 16385",
     TRUE},
    {"sum",
     {UINT64_MAX, 4096, 2, 128},
     "the inflight region: offset 0x1000 plus size 0xffffffffffffffff is over the 64-bit "
     "limit",
     TRUE},
};

static void
test_a_region_must_be_sound_and_in_its_file(void)
{
    vrd_autofd fd = give_memfd(16384);

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        GError *error = NULL;
        gboolean ok = vrd_inflight_check(fd, &rows[i].geometry, FALSE, 4, &error);

        g_test_message("%s", rows[i].name);
        if (rows[i].text != NULL) {
            assert_refused(ok, &error, VRD_ERROR_PROTOCOL, rows[i].text);
        } else {
            g_assert_no_error(error);
            g_assert_true(ok);
        }
        g_assert_cmpint(vrd_inflight_check(-1, &rows[i].geometry, FALSE, 4, NULL), ==,
                        rows[i].is_taken_without_file);
    }
    g_assert_true(is_open(fd));
}

static void
test_packed_rings_need_more(void)
{
    VrdPayloadInflight geometry = {4224, 0, 2, 128, 0};
    vrd_autofd fd = give_memfd(16384);
    GError *error = NULL;

    assert_refused(vrd_inflight_check(fd, &geometry, TRUE, 4, &error), &error,
                   VRD_ERROR_PROTOCOL,
                   "inflight region: size 4224, needed are 8320 for 2 queues of 128");
}

static void
test_only_memory_is_taken(void)
{
    VrdPayloadInflight geometry = {4224, 0, 2, 128, 0};
    vrd_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    GError *error = NULL;

    assert_refused(vrd_inflight_check(fd, &geometry, FALSE, 4, &error), &error,
                   VRD_ERROR_PROTOCOL,
                   "inflight descriptor is a socket, allowed is a memfd, tmpfs or "
                   "hugetlbfs file");
}

static void
test_one_region_is_kept(void)
{
    VrdPayloadInflight geometry = {4224, 0, 2, 128, 0};
    unsigned n_fds = count_fds();
    VrdInflight inflight;

    vrd_inflight_init(&inflight);
    g_assert_cmpint(inflight.fd, ==, -1);
    for (unsigned i = 0; i < 1000; i++) {
        vrd_inflight_set(&inflight, give_memfd(4224), &geometry);
    }
    g_assert_cmpuint(count_fds(), ==, n_fds + 1);
    g_assert_cmpuint(inflight.geometry.mmap_size, ==, 4224);
    vrd_inflight_clear(&inflight);
    g_assert_cmpint(inflight.fd, ==, -1);
    g_assert_cmpuint(inflight.geometry.mmap_size, ==, 0);
    g_assert_cmpuint(count_fds(), ==, n_fds);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inflight/the-size-is-that-of-the-layout",
                    test_the_size_is_that_of_the_layout);
    g_test_add_func("/inflight/a-region-must-be-sound-and-in-its-file",
                    test_a_region_must_be_sound_and_in_its_file);
    g_test_add_func("/inflight/packed-rings-need-more", test_packed_rings_need_more);
    g_test_add_func("/inflight/only-memory-is-taken", test_only_memory_is_taken);
    g_test_add_func("/inflight/one-region-is-kept", test_one_region_is_kept);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables below are the specification's, written here a second time: what a row of
 * the daemon's tables allows is held against them.
 */
#include "wire/request.h"

#include <string.h>

#include "base/error.h"
#include "wire/payload.h"

typedef struct {
    uint32_t id;
    const char *name;
    uint32_t size_min;
    uint32_t size_max;
    unsigned fds_min;
    unsigned fds_max;
    int reply; /* payload bytes of an unconditional reply; -1: none, -2: see its test */
    unsigned reply_fds;
} Row;

static const Row front[] = {
    {1, "GET_FEATURES", 0, 0, 0, 0, 8, 0},
    {2, "SET_FEATURES", 8, 8, 0, 0, -1, 0},
    {3, "SET_OWNER", 0, 0, 0, 0, -1, 0},
    {4, "RESET_OWNER", 0, 0, 0, 0, -1, 0},
    {5, "SET_MEM_TABLE", 40, 264, 1, 8, -1, 0},
    {6, "SET_LOG_BASE", 16, 16, 0, 1, -2, 0},
    {7, "SET_LOG_FD", 0, 0, 1, 1, -1, 0},
    {8, "SET_VRING_NUM", 8, 8, 0, 0, -1, 0},
    {9, "SET_VRING_ADDR", 40, 40, 0, 0, -1, 0},
    {10, "SET_VRING_BASE", 8, 8, 0, 0, -1, 0},
    {11, "GET_VRING_BASE", 8, 8, 0, 0, 8, 0},
    {12, "SET_VRING_KICK", 8, 8, 0, 1, -1, 0},
    {13, "SET_VRING_CALL", 8, 8, 0, 1, -1, 0},
    {14, "SET_VRING_ERR", 8, 8, 0, 1, -1, 0},
    {15, "GET_PROTOCOL_FEATURES", 0, 0, 0, 0, 8, 0},
    {16, "SET_PROTOCOL_FEATURES", 8, 8, 0, 0, -1, 0},
    {17, "GET_QUEUE_NUM", 0, 0, 0, 0, 8, 0},
    {18, "SET_VRING_ENABLE", 8, 8, 0, 0, -1, 0},
    {19, "SEND_RARP", 8, 8, 0, 0, -1, 0},
    {20, "NET_SET_MTU", 8, 8, 0, 0, -1, 0},
    {21, "SET_BACKEND_REQ_FD", 0, 0, 1, 1, -1, 0},
    {22, "IOTLB_MSG", 32, 32, 0, 0, 8, 0},
    {23, "SET_VRING_ENDIAN", 8, 8, 0, 0, -1, 0},
    {24, "GET_CONFIG", 12, 268, 0, 0, -2, 0},
    {25, "SET_CONFIG", 12, 268, 0, 0, -1, 0},
    {26, "CREATE_CRYPTO_SESSION", 1072, 1072, 0, 0, 1072, 0},
    {27, "CLOSE_CRYPTO_SESSION", 8, 8, 0, 0, -1, 0},
    {28, "POSTCOPY_ADVISE", 0, 0, 0, 0, 0, 1},
    {29, "POSTCOPY_LISTEN", 0, 0, 0, 0, 8, 0},
    {30, "POSTCOPY_END", 0, 0, 0, 0, 8, 0},
    {31, "GET_INFLIGHT_FD", 24, 24, 0, 0, 24, 1},
    {32, "SET_INFLIGHT_FD", 24, 24, 1, 1, -1, 0},
    {33, "GPU_SET_SOCKET", 0, 0, 1, 1, -1, 0},
    {34, "RESET_DEVICE", 0, 0, 0, 0, -1, 0},
    {35, "VRING_KICK", 8, 8, 0, 0, -1, 0},
    {36, "GET_MAX_MEM_SLOTS", 0, 0, 0, 0, 8, 0},
    {37, "ADD_MEM_REG", 40, 40, 1, 1, -1, 0},
    {38, "REM_MEM_REG", 40, 40, 0, 1, -1, 0},
    {39, "SET_STATUS", 8, 8, 0, 0, -1, 0},
    {40, "GET_STATUS", 0, 0, 0, 0, 8, 0},
    {41, "GET_SHARED_OBJECT", 16, 16, 0, 0, -2, 0},
    {42, "SET_DEVICE_STATE_FD", 8, 8, 1, 1, 8, 1},
    {43, "CHECK_DEVICE_STATE", 0, 0, 0, 0, 8, 0},
    {44, "GET_SHMEM_CONFIG", 0, 0, 0, 0, 2056, 0},
};

static const Row back[] = {
    {1, "IOTLB_MSG", 32, 32, 0, 0, -1, 0},
    {2, "CONFIG_CHANGE_MSG", 0, 0, 0, 0, -1, 0},
    {3, "VRING_HOST_NOTIFIER_MSG", 24, 24, 0, 1, -1, 0},
    {4, "VRING_CALL", 8, 8, 0, 0, -1, 0},
    {5, "VRING_ERR", 8, 8, 0, 0, -1, 0},
    {6, "SHARED_OBJECT_ADD", 16, 16, 0, 0, -1, 0},
    {7, "SHARED_OBJECT_REMOVE", 16, 16, 0, 0, -1, 0},
    {8, "SHARED_OBJECT_LOOKUP", 16, 16, 0, 0, 8, 1},
    {9, "SHMEM_MAP", 40, 40, 1, 1, -1, 0},
    {10, "SHMEM_UNMAP", 40, 40, 0, 0, -1, 0},
};

typedef gboolean (*Check)(const VrdMessage *message, GError **error);

static VrdMessage message;
static VrdMessage reply;

static void
set_words(VrdMessage *m, uint32_t first, uint32_t second)
{
    memcpy(m->payload, &first, 4);
    memcpy(m->payload + 4, &second, 4);
}

/* A correct message of @row, the smallest one. */
static void
make(VrdMessage *m, const Row *row)
{
    vrd_message_init(m, row->id);
    memset(m->payload, 0, sizeof m->payload);
    m->size = row->size_min;
    m->n_fds = row->fds_min;
    if (row->size_min == 40 && row->size_max == 264) {
        set_words(m, 1, 0);
    }
    if (g_str_has_prefix(row->name, "SET_VRING_") && row->fds_max == 1) {
        m->n_fds = 1;
    }
    if (g_str_equal(row->name, "VRING_HOST_NOTIFIER_MSG")) {
        m->n_fds = 1;
    }
}

/* Size or descriptors follow from the content, so that just one number is right. */
static gboolean
is_exact(const Row *row, gboolean for_fds)
{
    if (!for_fds) {
        return row->size_max != row->size_min;
    }
    return row->fds_max > row->fds_min && !g_str_equal(row->name, "SET_LOG_BASE") &&
           !g_str_equal(row->name, "REM_MEM_REG");
}

static void
assert_protocol_error(Check check, const VrdMessage *m, const char *name)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(check(m, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(error->message, name));
    g_assert_nonnull(strstr(error->message, "allowed"));
}

static void
assert_text(const VrdMessage *m, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vrd_request_check(m, &error));
    g_assert_cmpstr(error->message, ==, text);
}

static void
check_sizes(const Row *row, Check check)
{
    uint32_t sizes[] = {0,
                        row->size_min - 1,
                        row->size_min,
                        row->size_min + 1,
                        row->size_max,
                        row->size_max + 1,
                        VRD_MESSAGE_PAYLOAD_MAX};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        gboolean good;

        make(&message, row);
        good = sizes[i] == message.size ||
               (!is_exact(row, FALSE) && sizes[i] >= row->size_min &&
                sizes[i] <= row->size_max);
        message.size = sizes[i];
        g_test_message("%s with %u bytes", row->name, sizes[i]);
        if (good) {
            g_assert_true(check(&message, NULL));
        } else {
            assert_protocol_error(check, &message, row->name);
        }
    }
}

static void
check_fds(const Row *row, Check check)
{
    for (unsigned n = 0; n <= VRD_MESSAGE_FDS_MAX; n++) {
        gboolean good;

        make(&message, row);
        good = n == message.n_fds ||
               (!is_exact(row, TRUE) && n >= row->fds_min && n <= row->fds_max);
        message.n_fds = n;
        g_test_message("%s with %u descriptors", row->name, n);
        if (good) {
            g_assert_true(check(&message, NULL));
        } else {
            assert_protocol_error(check, &message, row->name);
        }
    }
}

static void
test_each_message_has_the_sizes_of_the_specification(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(front); i++) {
        check_sizes(&front[i], vrd_request_check);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(back); i++) {
        check_sizes(&back[i], vrd_request_check_backend);
    }
}

static void
test_each_message_has_the_descriptors_of_the_specification(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(front); i++) {
        check_fds(&front[i], vrd_request_check);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(back); i++) {
        check_fds(&back[i], vrd_request_check_backend);
    }
}

static void
test_the_tables_are_complete_and_named(void)
{
    g_assert_cmpuint(G_N_ELEMENTS(front), ==, VRD_REQUEST_MAX);
    g_assert_cmpuint(G_N_ELEMENTS(back), ==, VRD_BACKEND_REQUEST_MAX);
    for (unsigned i = 0; i < G_N_ELEMENTS(front); i++) {
        g_assert_cmpstr(vrd_request_find(front[i].id)->name, ==, front[i].name);
        g_assert_nonnull(vrd_request_find(front[i].id)->section);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(back); i++) {
        g_assert_cmpstr(vrd_request_backend_name(back[i].id), ==, back[i].name);
    }
    g_assert_null(vrd_request_find(0));
    g_assert_null(vrd_request_find(45));
    g_assert_null(vrd_request_find(UINT32_MAX));
    g_assert_null(vrd_request_find_backend(0));
    g_assert_null(vrd_request_find_backend(11));
    g_assert_cmpstr(vrd_request_name(77), ==, "request 77");
}

static void
test_owner_comes_after_what_is_asked_once(void)
{
    static const uint32_t early[] = {1, 2, 3, 4, 15, 16, 17, 21, 24, 25, 36, 39, 40, 44};

    for (uint32_t id = 1; id <= VRD_REQUEST_MAX; id++) {
        VrdStage stage = VRD_STAGE_OWNER;

        for (unsigned i = 0; i < G_N_ELEMENTS(early); i++) {
            stage = early[i] == id ? VRD_STAGE_ANY : stage;
        }
        g_test_message("%s", vrd_request_name(id));
        g_assert_cmpint(vrd_request_find(id)->stage, ==, stage);
    }
}

static void
test_unknown_numbers_are_unsupported(void)
{
    static const uint32_t ids[] = {0, 45, 77, 0x7fffffff, UINT32_MAX};

    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GError) back_error = NULL;

        vrd_message_init(&message, ids[i]);
        g_assert_false(vrd_request_check(&message, &error));
        g_assert_error(error, VRD_ERROR, VRD_ERROR_UNSUPPORTED);
        g_assert_false(vrd_request_check_backend(&message, &back_error));
        g_assert_error(back_error, VRD_ERROR, VRD_ERROR_UNSUPPORTED);
    }
    vrd_message_init(&message, 77);
    assert_text(&message, "request 77: unknown, allowed 1 to 44");
}

static void
test_flags_are_version_one_and_need_reply_only(void)
{
    for (uint32_t flags = 0; flags < 0x20; flags++) {
        vrd_message_init(&message, 3);
        message.flags = flags;
        g_test_message("flags 0x%x", flags);
        if (flags == 0x1 || flags == 0x9) {
            g_assert_true(vrd_request_check(&message, NULL));
        } else {
            assert_protocol_error(vrd_request_check, &message, "SET_OWNER");
        }
    }
    message.flags = 0x80000001;
    assert_protocol_error(vrd_request_check, &message, "SET_OWNER");
}

static void
test_a_memory_table_has_as_many_regions_as_descriptors(void)
{
    for (uint32_t count = 0; count <= 9; count++) {
        for (unsigned n_fds = 0; n_fds <= VRD_MESSAGE_FDS_MAX; n_fds++) {
            for (uint32_t regions = 0; regions <= 9; regions++) {
                gboolean good = count >= 1 && count <= 8 && n_fds == count &&
                                regions == count;

                make(&message, &front[4]);
                set_words(&message, count, 0);
                message.n_fds = n_fds;
                message.size = 8 + 32 * regions;
                g_assert_cmpint(vrd_request_check(&message, NULL), ==, good);
            }
        }
    }
    make(&message, &front[4]);
    set_words(&message, 0x80000000, 0);
    assert_text(&message, "SET_MEM_TABLE: 2147483648 regions, allowed 1 to 8");
    make(&message, &front[4]);
    message.n_fds = 2;
    assert_text(&message, "SET_MEM_TABLE: 2 descriptors for 1 regions, allowed 1");
}

static void
test_config_stays_within_256_bytes(void)
{
    static const struct {
        uint32_t offset;
        uint32_t inner;
        uint32_t size;
        gboolean good;
    } rows[] = {
        {0, 0, 12, TRUE},           {0, 256, 268, TRUE},
        {256, 0, 12, TRUE},         {200, 56, 68, TRUE},
        {200, 57, 69, FALSE},       {257, 0, 12, FALSE},
        {0, 257, 269, FALSE},       {0, 257, 268, FALSE},
        {0, 8, 19, FALSE},          {0, 8, 21, FALSE},
        {UINT32_MAX, 8, 20, FALSE}, {UINT32_MAX - 7, 8, 20, FALSE},
        {0, UINT32_MAX, 12, FALSE}, {0, UINT32_MAX - 11, 12, FALSE},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (uint32_t id = VRD_REQUEST_GET_CONFIG; id <= VRD_REQUEST_SET_CONFIG; id++) {
            vrd_message_init(&message, id);
            set_words(&message, rows[i].offset, rows[i].inner);
            message.size = rows[i].size;
            g_test_message("row %u", i);
            g_assert_cmpint(vrd_request_check(&message, NULL), ==, rows[i].good);
        }
    }
}

static void
test_a_ring_file_comes_exactly_without_the_no_fd_bit(void)
{
    for (uint32_t id = VRD_REQUEST_SET_VRING_KICK; id <= VRD_REQUEST_SET_VRING_ERR;
         id++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            for (unsigned n_fds = 0; n_fds <= 1; n_fds++) {
                gboolean good = bit < 8 ? n_fds == 1 : bit == 8 && n_fds == 0;

                vrd_message_init(&message, id);
                vrd_payload_put_u64(&message, UINT64_C(1) << bit);
                message.n_fds = n_fds;
                g_test_message("%s bit %u, %u descriptors", vrd_request_name(id), bit,
                               n_fds);
                g_assert_cmpint(vrd_request_check(&message, NULL), ==, good);
            }
        }
    }
    message.n_fds = 2;
    message.request = VRD_REQUEST_SET_VRING_KICK;
    assert_text(&message, "SET_VRING_KICK: 2 descriptors, allowed 0 to 1");
}

/* TRUE: @size bytes and @n_fds descriptors answer the request in `message`. */
static gboolean
is_answer(gboolean backend, uint32_t size, unsigned n_fds)
{
    vrd_message_init_reply(&reply, &message);
    memset(reply.payload, 0, sizeof reply.payload);
    reply.size = size;
    reply.n_fds = n_fds;
    return backend ? vrd_request_check_backend_reply(&reply, &message, NULL)
                   : vrd_request_check_reply(&reply, &message, NULL);
}

static void
check_replies(const Row *row, gboolean backend)
{
    gboolean acked = row->reply == -1;
    uint32_t size = acked ? 8 : (uint32_t) row->reply;

    g_test_message("%s", row->name);
    make(&message, row);
    if (acked) {
        g_assert_false(is_answer(backend, 8, 0)); /* nobody asked */
    }
    message.flags |= VRD_MESSAGE_NEED_REPLY;
    if (row->id != VRD_REQUEST_SET_DEVICE_STATE_FD || backend) {
        g_assert_true(is_answer(backend, size, 0));
    }
    g_assert_cmpint(is_answer(backend, size, 1), ==, row->reply_fds == 1);
    g_assert_false(is_answer(backend, size, 2));
    g_assert_false(is_answer(backend, size + 1, row->reply_fds));
    if (size > 0) {
        g_assert_false(is_answer(backend, size - 1, row->reply_fds));
        g_assert_false(is_answer(backend, 0, row->reply_fds));
    }
}

static void
test_each_reply_has_the_size_of_the_specification(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(front); i++) {
        if (front[i].reply != -2) {
            check_replies(&front[i], FALSE);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(back); i++) {
        check_replies(&back[i], TRUE);
    }
}

static void
test_a_reply_answers_its_request_with_flags_five(void)
{
    static const uint32_t flags[] = {0, 1, 4, 0xd, 6, 7, 0x15, 0x80000005};
    g_autoptr(GError) error = NULL;

    vrd_message_init(&message, VRD_REQUEST_GET_FEATURES);
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_assert_true(is_answer(FALSE, 8, 0));
        reply.flags = flags[i];
        g_assert_false(vrd_request_check_reply(&reply, &message, NULL));
    }
    g_assert_true(is_answer(FALSE, 8, 0));
    reply.request = VRD_REQUEST_GET_QUEUE_NUM;
    g_assert_false(vrd_request_check_reply(&reply, &message, &error));
    g_assert_error(error, VRD_ERROR, VRD_ERROR_PROTOCOL);
    g_assert_cmpstr(error->message, ==,
                    "reply to GET_FEATURES: answers GET_QUEUE_NUM instead");
}

static void
test_a_log_reply_may_have_any_size_seen_in_backends(void)
{
    make(&message, &front[5]);
    g_assert_true(is_answer(FALSE, 0, 0));
    g_assert_true(is_answer(FALSE, 8, 0));
    g_assert_true(is_answer(FALSE, 16, 0));
    g_assert_false(is_answer(FALSE, 17, 0));
    g_assert_false(is_answer(FALSE, 16, 1));
}

static void
test_a_config_reply_is_whole_or_a_failure(void)
{
    vrd_message_init(&message, VRD_REQUEST_GET_CONFIG);
    set_words(&message, 0, 57);
    message.size = 69;
    g_assert_true(is_answer(FALSE, 0, 0));
    g_assert_true(is_answer(FALSE, 12, 0));
    g_assert_false(is_answer(FALSE, 69, 0)); /* an inner size of 0 */
    set_words(&reply, 0, 57);
    g_assert_true(vrd_request_check_reply(&reply, &message, NULL));
    reply.size = 68;
    g_assert_false(vrd_request_check_reply(&reply, &message, NULL));
    set_words(&reply, 0, 56);
    g_assert_false(vrd_request_check_reply(&reply, &message, NULL));
    set_words(&reply, 0, 57);
    reply.size = 12;
    g_assert_false(vrd_request_check_reply(&reply, &message, NULL));
}

static void
test_an_inflight_area_comes_with_its_descriptor(void)
{
    VrdPayloadInflight inflight = {.mmap_size = 4224, .n_queues = 2, .queue_size = 128};

    make(&message, &front[30]);
    vrd_message_init_reply(&reply, &message);
    vrd_payload_put_inflight(&reply, &inflight);
    g_assert_false(vrd_request_check_reply(&reply, &message, NULL));
    reply.n_fds = 1;
    g_assert_true(vrd_request_check_reply(&reply, &message, NULL));
}

static void
test_a_device_state_reply_has_a_descriptor_or_says_that_it_has_none(void)
{
    static const struct {
        uint64_t value;
        unsigned n_fds;
        gboolean good;
    } rows[] = {
        {0x000, 0, FALSE}, {0x000, 1, TRUE}, {0x100, 0, TRUE},  {0x100, 1, FALSE},
        {0x101, 0, TRUE},  {0x001, 0, TRUE}, {0x1ff, 1, FALSE},
    };

    make(&message, &front[41]);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vrd_message_init_reply(&reply, &message);
        vrd_payload_put_u64(&reply, rows[i].value);
        reply.n_fds = rows[i].n_fds;
        g_test_message("row %u", i);
        g_assert_cmpint(vrd_request_check_reply(&reply, &message, NULL), ==,
                        rows[i].good);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/request/the-tables-are-complete-and-named",
                    test_the_tables_are_complete_and_named);
    g_test_add_func("/request/each-message-has-the-sizes-of-the-specification",
                    test_each_message_has_the_sizes_of_the_specification);
    g_test_add_func("/request/each-message-has-the-descriptors-of-the-specification",
                    test_each_message_has_the_descriptors_of_the_specification);
    g_test_add_func("/request/what-real-front-ends-send-first-needs-no-owner",
                    test_owner_comes_after_what_is_asked_once);
    g_test_add_func("/request/unknown-numbers-are-unsupported",
                    test_unknown_numbers_are_unsupported);
    g_test_add_func("/request/flags-are-version-one-and-need-reply-only",
                    test_flags_are_version_one_and_need_reply_only);
    g_test_add_func("/request/a-memory-table-has-as-many-regions-as-descriptors",
                    test_a_memory_table_has_as_many_regions_as_descriptors);
    g_test_add_func("/request/config-stays-within-256-bytes",
                    test_config_stays_within_256_bytes);
    g_test_add_func("/request/a-ring-file-comes-exactly-without-the-no-fd-bit",
                    test_a_ring_file_comes_exactly_without_the_no_fd_bit);
    g_test_add_func("/request/each-reply-has-the-size-of-the-specification",
                    test_each_reply_has_the_size_of_the_specification);
    g_test_add_func("/request/a-reply-answers-its-request-with-flags-five",
                    test_a_reply_answers_its_request_with_flags_five);
    g_test_add_func("/request/a-log-reply-may-have-any-size-seen-in-backends",
                    test_a_log_reply_may_have_any_size_seen_in_backends);
    g_test_add_func("/request/a-config-reply-is-whole-or-a-failure",
                    test_a_config_reply_is_whole_or_a_failure);
    g_test_add_func("/request/an-inflight-area-comes-with-its-descriptor",
                    test_an_inflight_area_comes_with_its_descriptor);
    g_test_add_func("/request/a-device-state-reply-has-or-disclaims-a-descriptor",
                    test_a_device_state_reply_has_a_descriptor_or_says_that_it_has_none);
    return g_test_run();
}

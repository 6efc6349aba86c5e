/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages cut, glued and malformed by hand, read through a stream. */
#include "link/inbox.h"

#include <sys/resource.h>

#include "stream-rig.h"

static void
test_a_message_cut_anywhere_arrives_whole(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    Rig rig;

    rig_start(&rig);
    rig_lay(bytes, 12, V1, 8);
    for (unsigned cut = 1; cut < MESSAGE_BYTES; cut++) {
        rig_write(rig.peer, bytes, cut, 1);
        rig_settle(rig.event);
        g_assert_cmpuint(rig.n_messages, ==, cut - 1);
        rig_write(rig.peer, bytes + cut, MESSAGE_BYTES - cut, 0);
        rig_settle(rig.event);
        g_assert_cmpuint(rig.n_messages, ==, cut);
        g_assert_cmpuint(rig.last_fds, ==, 1);
    }
    rig_end(&rig);
}

static void
test_a_message_in_single_bytes_arrives_whole(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    Rig rig;

    rig_start(&rig);
    rig_lay(bytes, 12, V1, 8);
    for (unsigned i = 0; i < MESSAGE_BYTES; i++) {
        rig_write(rig.peer, bytes + i, 1, i == 0 ? 3 : 0);
        rig_settle(rig.event);
    }
    g_assert_cmpuint(rig.n_messages, ==, 1);
    g_assert_cmpuint(rig.last_fds, ==, 3);
    rig_end(&rig);
}

static void
test_glued_messages_keep_their_own_descriptors(void)
{
    static const unsigned n_fds[] = {0, 2, 0, 8, 1, 0};
    uint8_t bytes[MESSAGE_BYTES];
    Rig rig;

    rig_start(&rig);
    rig.act = ACT_PAUSE;
    for (unsigned i = 0; i < G_N_ELEMENTS(n_fds); i++) {
        rig_write(rig.peer, bytes, rig_lay(bytes, i + 1, V1, i % 2 ? 8 : 0), n_fds[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(n_fds); i++) {
        rig_settle(rig.event);
        g_assert_cmpuint(rig.last_request, ==, i + 1);
        g_assert_cmpuint(rig.last_fds, ==, n_fds[i]);
        vrd_stream_set_paused(rig.stream, FALSE);
    }
    rig_end(&rig);
}

static void
test_messages_in_one_write_are_told_apart(void)
{
    uint8_t bytes[50 * MESSAGE_BYTES];
    Rig rig;

    rig_start(&rig);
    for (unsigned i = 0; i < 50; i++) {
        rig_lay(bytes + i * MESSAGE_BYTES, i, V1, 8);
    }
    rig_write(rig.peer, bytes, sizeof bytes, 2);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_messages, ==, 50);
    g_assert_cmpuint(rig.n_fds, ==, 2);
    rig_end(&rig);
}

static void
test_descriptors_of_the_payload_are_the_messages(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    Rig rig;

    rig_start(&rig);
    rig_lay(bytes, 5, V1, 8);
    rig_write(rig.peer, bytes, VRD_MESSAGE_HEADER_BYTES, 0);
    rig_write(rig.peer, bytes + VRD_MESSAGE_HEADER_BYTES, 8, 2);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.last_fds, ==, 2);
    rig_write(rig.peer, bytes, VRD_MESSAGE_HEADER_BYTES, 5);
    rig_settle(rig.event);
    rig_write(rig.peer, bytes + VRD_MESSAGE_HEADER_BYTES, 8, 3);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.last_fds, ==, 8);
    g_assert_cmpuint(rig.n_closed, ==, 0);
    rig_end(&rig);
}

static void
test_too_many_descriptors_end_it_and_none_is_kept(void)
{
    static const unsigned n_fds[][2] = {{9, 0}, {10, 0}, {11, 0}, {253, 0},
                                        {0, 9}, {8, 1},  {5, 5},  {8, 253}};
    uint8_t bytes[MESSAGE_BYTES];

    rig_lay(bytes, 5, V1, 8);
    for (unsigned i = 0; i < G_N_ELEMENTS(n_fds); i++) {
        Rig rig;

        rig_start(&rig);
        rig_write(rig.peer, bytes, VRD_MESSAGE_HEADER_BYTES, n_fds[i][0]);
        rig_write(rig.peer, bytes + VRD_MESSAGE_HEADER_BYTES, 8, n_fds[i][1]);
        rig_settle(rig.event);
        g_assert_cmpuint(rig.n_messages, ==, 0);
        assert_closed(&rig, VRD_ERROR_PROTOCOL, "more than 8 descriptors");
        rig_end(&rig);
    }
}

static void
test_a_record_of_zero_descriptors_is_accepted(void)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(0)];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(0)}};
    uint8_t bytes[MESSAGE_BYTES];
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    Rig rig;

    rig_start(&rig);
    rig_lay(bytes, 1, V1, 8);
    g_assert_cmpint(sendmsg(rig.peer, &packet, 0), ==, MESSAGE_BYTES);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_messages, ==, 1);
    g_assert_cmpuint(rig.last_fds, ==, 0);
    rig_end(&rig);
}

static void
test_a_bad_header_ends_it(void)
{
    static const struct {
        uint32_t flags;
        uint32_t size;
        const char *text;
    } rows[] = {
        {0, 8, "version 0, allowed 1"},
        {2, 8, "version 2, allowed 1"},
        {3, 8, "version 3, allowed 1"},
        {V1 | 0x10, 8, "flags 0x11, allowed bits 0xf"},
        {V1 | 0x80000000u, 8, "flags 0x80000001"},
        {V1, 4097, "payload 4097 bytes, allowed 0 to 4096"},
        {V1, 0x80000000u, "payload 2147483648 bytes"},
        {V1, 0xffffffffu, "payload 4294967295 bytes"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t bytes[MESSAGE_BYTES];
        Rig rig;

        rig_start(&rig);
        rig_lay(bytes, 5, rows[i].flags, 8);
        memcpy(bytes + 8, &rows[i].size, 4);
        rig_write(rig.peer, bytes, sizeof bytes, 1);
        rig_settle(rig.event);
        g_assert_cmpuint(rig.n_messages, ==, 0);
        assert_closed(&rig, VRD_ERROR_PROTOCOL, rows[i].text);
        rig_end(&rig);
    }
}

static void
test_the_largest_payload_is_delivered(void)
{
    static uint8_t bytes[VRD_MESSAGE_HEADER_BYTES + VRD_MESSAGE_PAYLOAD_MAX];
    Rig rig;

    rig_start(&rig);
    rig_lay(bytes, 5, V1 | VRD_MESSAGE_REPLY | VRD_MESSAGE_NEED_REPLY,
            VRD_MESSAGE_PAYLOAD_MAX);
    rig_write(rig.peer, bytes, sizeof bytes, 8);
    rig_settle(rig.event);
    g_assert_cmpuint(rig.n_messages, ==, 1);
    rig_end(&rig);
}

static void
test_an_end_within_a_message_says_how_much_is_missing(void)
{
    uint8_t bytes[MESSAGE_BYTES];

    rig_lay(bytes, 5, V1, 8);
    for (unsigned cut = 0; cut <= MESSAGE_BYTES; cut++) {
        g_autofree char *text = NULL;
        Rig rig;

        rig_start(&rig);
        if (cut > 0) {
            rig_write(rig.peer, bytes, cut, 1);
        }
        if (cut % 2) {
            rig_settle(rig.event); /* torn first, then the end */
        }
        g_assert_cmpint(shutdown(rig.peer, SHUT_WR), ==, 0);
        rig_settle(rig.event);
        if (cut == 0 || cut == MESSAGE_BYTES) {
            assert_closed(&rig, VRD_ERROR_LOST, "connection closed by peer");
        } else if (cut < VRD_MESSAGE_HEADER_BYTES) {
            text = g_strdup_printf("header incomplete, %u of 12 bytes", cut);
            assert_closed(&rig, VRD_ERROR_PROTOCOL, text);
        } else {
            text = g_strdup_printf("payload incomplete, %u of 8 bytes", cut - 12);
            assert_closed(&rig, VRD_ERROR_PROTOCOL, text);
        }
        g_assert_cmpuint(rig.n_messages, ==, cut == MESSAGE_BYTES);
        rig_end(&rig);
    }
}

static void
test_descriptors_lost_at_our_limit_end_it(void)
{
    uint8_t bytes[MESSAGE_BYTES];
    struct rlimit old;
    struct rlimit low;
    Rig rig;

    rig_start(&rig);
    rig_write(rig.peer, bytes, rig_lay(bytes, 5, V1, 8), 8);
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t) rig_file() + 3;
    close((int) low.rlim_cur - 3);
    setrlimit(RLIMIT_NOFILE, &low);
    rig_settle(rig.event);
    setrlimit(RLIMIT_NOFILE, &old);
    g_assert_cmpuint(rig.n_messages, ==, 0);
    assert_closed(&rig, VRD_ERROR_SYSTEM, "descriptors of a message were lost");
    rig_end(&rig);
}

#define ADD(test_) g_test_add_func("/link/inbox/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_a_message_cut_anywhere_arrives_whole);
    ADD(test_a_message_in_single_bytes_arrives_whole);
    ADD(test_glued_messages_keep_their_own_descriptors);
    ADD(test_messages_in_one_write_are_told_apart);
    ADD(test_descriptors_of_the_payload_are_the_messages);
    ADD(test_too_many_descriptors_end_it_and_none_is_kept);
    ADD(test_a_record_of_zero_descriptors_is_accepted);
    ADD(test_a_bad_header_ends_it);
    ADD(test_the_largest_payload_is_delivered);
    ADD(test_an_end_within_a_message_says_how_much_is_missing);
    ADD(test_descriptors_lost_at_our_limit_end_it);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Peers that read late or never, and what waits for them. */
#include "link/outbox.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "stream-rig.h"

static void
test_a_peer_that_reads_nothing_is_ended_at_the_bound(void)
{
    for (unsigned n_fds = 0; n_fds <= 8; n_fds += 8) {
        VrdMessage message;
        unsigned n = 0;
        int file;
        Rig rig;

        rig_start(&rig);
        file = rig_file();
        vrd_message_init(&message, 1);
        for (unsigned i = 0; i < n_fds; i++) {
            vrd_message_add_fd(&message, file);
        }
        for (; n < 100000 && !rig.n_closed; n++) {
            vrd_stream_send(rig.stream, &message);
            if (n % 64 == 0) {
                rig_settle(rig.event);
            }
        }
        rig_settle(rig.event);
        assert_closed(&rig, VRD_ERROR_PROTOCOL, "peer reads nothing: ");
        g_assert_false(vrd_stream_is_drained(rig.stream));
        close(file);
        rig_end(&rig);
    }
}

/* A small buffer makes the socket take some messages in part. */
static void
test_queued_messages_arrive_in_order_with_their_descriptors(void)
{
    static const uint32_t sizes[] = {0, 4096, 8, 3000, 4000, 1, 2500};
    static uint8_t bytes[VRD_MESSAGE_HEADER_BYTES + VRD_MESSAGE_PAYLOAD_MAX];
    int small = 1;
    int file;
    Rig rig;

    rig_start(&rig);
    file = rig_file();
    g_assert_cmpint(setsockopt(vrd_stream_fd(rig.stream), SOL_SOCKET, SO_SNDBUF, &small,
                               sizeof small),
                    ==, 0);
    for (unsigned i = 0; i < 21; i++) {
        VrdMessage message;

        vrd_message_init(&message, i);
        message.size = sizes[i % 7];
        for (uint32_t at = 0; at < message.size; at++) {
            message.payload[at] = (uint8_t) (i + at);
        }
        for (unsigned n = 0; n < i % 4; n++) {
            vrd_message_add_fd(&message, file);
        }
        vrd_stream_send(rig.stream, &message);
    }
    g_assert_false(vrd_stream_is_drained(rig.stream));
    close(file);
    g_assert_cmpint(fcntl(rig.peer, F_SETFL, O_NONBLOCK), ==, 0);
    for (unsigned i = 0; i < 21; i++) {
        uint8_t *at = bytes;
        size_t left = VRD_MESSAGE_HEADER_BYTES + sizes[i % 7];
        unsigned n_fds = 0;
        uint32_t request;

        while (left > 0) {
            rig_settle(rig.event);
            n_fds += rig_read(rig.peer, at++, 1);
            left--;
        }
        memcpy(&request, bytes, 4);
        g_assert_cmpuint(request, ==, i);
        g_assert_cmpuint(n_fds, ==, i % 4);
        for (uint32_t k = 0; k < sizes[i % 7]; k++) {
            g_assert_cmpuint(bytes[VRD_MESSAGE_HEADER_BYTES + k], ==, (uint8_t) (i + k));
        }
    }
    rig_settle(rig.event);
    g_assert_true(vrd_stream_is_drained(rig.stream));
    g_assert_cmpuint(rig.n_closed, ==, 0);
    rig_end(&rig);
}

/* The limit of descriptors in flight is a user's: without it root never meets it. */
static void
crowd_in_child(void)
{
    struct rlimit low = {.rlim_cur = 64, .rlim_max = 64};
    uint8_t bytes[MESSAGE_BYTES];
    VrdMessage message;
    int file = rig_file();
    int ends[2];
    Rig rig;

    rig_start(&rig);
    rig_pair(ends);
    setrlimit(RLIMIT_NOFILE, &low);
    if (geteuid() == 0 && setresuid(64999, 64999, 64999) < 0) {
        _exit(77);
    }
    for (unsigned i = 0; i < 9; i++) {
        rig_write(ends[1], bytes, MESSAGE_BYTES, 8);
    }
    vrd_message_init(&message, 3);
    vrd_message_add_fd(&message, file);
    vrd_stream_send(rig.stream, &message);
    vrd_message_init(&message, 4);
    vrd_stream_send(rig.stream, &message);
    sd_event_run(rig.event, 30 * G_TIME_SPAN_MILLISECOND);
    g_assert_cmpuint(rig.n_closed, ==, 0);
    g_assert_false(vrd_stream_is_drained(rig.stream));
    for (unsigned i = 0; i < 9; i++) {
        rig_read(ends[0], bytes, MESSAGE_BYTES);
    }
    rig_run_until(rig.event, vrd_stream_is_drained(rig.stream));
    g_assert_cmpuint(rig_read(rig.peer, bytes, 12), ==, 1);
    g_assert_cmpuint(rig_read(rig.peer, bytes, 12), ==, 0);
    vrd_stream_free(rig.stream);
    _exit(0);
}

static void
test_too_many_descriptors_in_flight_are_waited_out(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        crowd_in_child();
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        g_test_skip("cannot become another user");
        return;
    }
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

#define ADD(test_) g_test_add_func("/link/outbox/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_a_peer_that_reads_nothing_is_ended_at_the_bound);
    ADD(test_queued_messages_arrive_in_order_with_their_descriptors);
    ADD(test_too_many_descriptors_in_flight_are_waited_out);
    return g_test_run();
}

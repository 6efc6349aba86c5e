/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/message.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include "base/fd.h"

static VrdMessage message;

static void
test_a_new_message_is_empty_and_of_version_one(void)
{
    message.n_fds = 3;
    message.size = 7;
    vrd_message_init(&message, 12);
    g_assert_cmpuint(message.request, ==, 12);
    g_assert_cmphex(message.flags, ==, 0x1);
    g_assert_cmpuint(message.size, ==, 0);
    g_assert_cmpuint(message.n_fds, ==, 0);
    g_assert_false(vrd_message_needs_reply(&message));
}

static void
test_a_reply_has_the_request_number_and_flags_five(void)
{
    VrdMessage reply;

    vrd_message_init(&message, 5);
    message.flags |= VRD_MESSAGE_NEED_REPLY;
    g_assert_true(vrd_message_needs_reply(&message));
    vrd_message_init_reply(&reply, &message);
    g_assert_cmpuint(reply.request, ==, 5);
    g_assert_cmphex(reply.flags, ==, 0x5);
    g_assert_cmpuint(reply.size, ==, 0);
}

static void
test_a_taken_descriptor_is_not_dropped(void)
{
    int kept = eventfd(0, EFD_CLOEXEC);
    int dropped = eventfd(0, EFD_CLOEXEC);
    int owned;

    vrd_message_init(&message, 12);
    vrd_message_add_fd(&message, kept);
    vrd_message_add_fd(&message, dropped);
    owned = vrd_message_take_fd(&message, 0);
    g_assert_cmpint(owned, ==, kept);
    g_assert_cmpint(vrd_message_take_fd(&message, 0), ==, -1);
    g_assert_cmpint(vrd_message_take_fd(&message, 2), ==, -1);
    vrd_message_drop_fds(&message);
    g_assert_cmpuint(message.n_fds, ==, 0);
    g_assert_cmpint(fcntl(kept, F_GETFD), >=, 0);
    g_assert_cmpint(fcntl(dropped, F_GETFD), ==, -1);
    vrd_fd_close(&owned);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/message/a-new-message-is-empty-and-of-version-one",
                    test_a_new_message_is_empty_and_of_version_one);
    g_test_add_func("/message/a-reply-has-the-request-number-and-flags-five",
                    test_a_reply_has_the_request_number_and_flags_five);
    g_test_add_func("/message/a-taken-descriptor-is-not-dropped",
                    test_a_taken_descriptor_is_not_dropped);
    return g_test_run();
}

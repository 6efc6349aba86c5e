/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/peer.h"

#include "link-rig.h"

static void
test_the_peer_of_a_socketpair_is_this_process(void)
{
    g_autofree char *begin = g_strdup_printf("pid %d uid %u", (int) getpid(), geteuid());
    g_autofree char *text = NULL;
    VrdPeer peer;
    int ends[2];

    rig_pair(ends);
    vrd_peer_read(ends[0], &peer);
    g_assert_cmpint(peer.pid, ==, getpid());
    g_assert_cmpuint(peer.uid, ==, geteuid());
    g_assert_cmpuint(peer.gid, ==, getegid());
    text = vrd_peer_text(&peer);
    g_assert_true(g_str_has_prefix(text, begin));
    close(ends[0]);
    close(ends[1]);
}

static void
test_what_is_no_socket_has_no_peer(void)
{
    int fd = rig_file();
    g_autofree char *text = NULL;
    VrdPeer peer;

    vrd_peer_read(fd, &peer);
    g_assert_cmpint(peer.pid, ==, 0);
    g_assert_cmpuint(peer.uid, ==, (uid_t) -1);
    text = vrd_peer_text(&peer);
    g_assert_cmpstr(text, ==, "pid 0 uid 4294967295");
    close(fd);
}

static void
test_a_label_cannot_break_a_line(void)
{
    VrdPeer peer = {.pid = 812, .uid = 64055, .label = "a:b\n<0>c"};
    g_autofree char *text = vrd_peer_text(&peer);

    g_assert_cmpstr(text, ==, "pid 812 uid 64055 label a:b\\n<0>c");
}

#define ADD(test_) g_test_add_func("/link/peer/" #test_, test_)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(test_the_peer_of_a_socketpair_is_this_process);
    ADD(test_what_is_no_socket_has_no_peer);
    ADD(test_a_label_cannot_break_a_line);
    return g_test_run();
}

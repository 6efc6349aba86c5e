/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include <glib.h>
#include <time.h>

static uint64_t
monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void
test_now_is_the_monotonic_clock_in_microseconds(void)
{
    uint64_t before = monotonic_us();
    uint64_t now = vrd_clock_now_us();
    uint64_t after = monotonic_us();

    g_assert_cmpuint(now, >=, before);
    g_assert_cmpuint(now, <=, after);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/now-is-the-monotonic-clock-in-microseconds",
                    test_now_is_the_monotonic_clock_in_microseconds);
    return g_test_run();
}

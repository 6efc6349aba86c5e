/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <errno.h>

static void
test_errno_ends_the_message(void)
{
    g_autoptr(GError) error = NULL;

    vrd_error_set_errno(&error, ENOSPC, "fixing log at %d bytes", 42);
    g_assert_error(error, VRD_ERROR, VRD_ERROR_SYSTEM);
    g_assert_cmpstr(error->message, ==,
                    "fixing log at 42 bytes: No space left on device");
}

static void
test_nowhere_to_set_an_error_is_fine(void)
{
    vrd_error_set_errno(NULL, EINVAL, "nothing");
}

static void
test_each_code_has_a_name_of_its_own(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (int code = VRD_ERROR_SYSTEM; code <= VRD_ERROR_LIMIT; code++) {
        const char *name = vrd_error_code_name((VrdErrorCode) code);

        g_assert_cmpstr(name, !=, "unknown");
        g_assert_true(g_hash_table_add(names, (gpointer) name));
    }
    g_assert_cmpstr(vrd_error_code_name(VRD_ERROR_PROTOCOL), ==, "protocol");
    g_assert_cmpstr(vrd_error_code_name((VrdErrorCode) (VRD_ERROR_LIMIT + 1)), ==,
                    "unknown");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/errno-ends-the-message", test_errno_ends_the_message);
    g_test_add_func("/error/nowhere-to-set-an-error-is-fine",
                    test_nowhere_to_set_an_error_is_fine);
    g_test_add_func("/error/each-code-has-a-name-of-its-own",
                    test_each_code_has_a_name_of_its_own);
    return g_test_run();
}

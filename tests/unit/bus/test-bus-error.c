/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus-error.h"

#include <gio/gio.h>

static void
test_every_code_has_a_name_of_ours(void)
{
    for (int code = VRD_ERROR_SYSTEM; code <= VRD_ERROR_LIMIT; code++) {
        g_autoptr(GError) error = g_error_new_literal(VRD_ERROR, code, "x");
        const char *name = vrd_bus_error_name(error);

        g_assert_true(g_str_has_prefix(name, "org.vringd1.Error."));
        g_assert_true(g_dbus_is_interface_name(name));
        g_assert_false(g_str_has_suffix(name, "Failed"));
    }
}

static void
test_codes_that_callers_tell_apart_have_different_names(void)
{
    static const struct {
        VrdErrorCode code;
        const char *name;
    } rows[] = {
        {VRD_ERROR_PROTOCOL, "org.vringd1.Error.Protocol"},
        {VRD_ERROR_NOT_FOUND, "org.vringd1.Error.NotFound"},
        {VRD_ERROR_STATE, "org.vringd1.Error.State"},
        {VRD_ERROR_DENIED, "org.vringd1.Error.Denied"},
        {VRD_ERROR_LIMIT, "org.vringd1.Error.Limit"},
        {VRD_ERROR_SYSTEM, "org.vringd1.Error.System"},
        {VRD_ERROR_UNSUPPORTED, "org.vringd1.Error.Unsupported"},
        {VRD_ERROR_SETTING, "org.vringd1.Error.Settings"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = g_error_new_literal(VRD_ERROR, (int) rows[i].code, "x");

        g_assert_cmpstr(vrd_bus_error_name(error), ==, rows[i].name);
    }
}

static void
test_an_error_of_another_domain_is_the_systems(void)
{
    g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_FAILED, "x");

    g_assert_cmpstr(vrd_bus_error_name(error), ==, "org.vringd1.Error.System");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus-error/every-code-has-a-name-of-ours",
                    test_every_code_has_a_name_of_ours);
    g_test_add_func("/bus-error/codes-that-callers-tell-apart-have-different-names",
                    test_codes_that_callers_tell_apart_have_different_names);
    g_test_add_func("/bus-error/an-error-of-another-domain-is-the-systems",
                    test_an_error_of_another_domain_is_the_systems);
    return g_test_run();
}

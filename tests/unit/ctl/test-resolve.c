/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/resolve.h"

static void
test_the_form_of_a_name_tells_what_it_may_be(void)
{
    static const struct {
        const char *name;
        VrdResolveKind kind;
    } rows[] = {
        {"web1", VRD_RESOLVE_EITHER},
        {"web1-net0", VRD_RESOLVE_EITHER},
        {"6f1c0c8e-7a1d-4f0c-9a55-2f1d3f0a9b11", VRD_RESOLVE_EITHER},
        {"web1/net0", VRD_RESOLVE_DEVICE},
        {"/run/vringd/vmm/web1-net0.sock", VRD_RESOLVE_DEVICE},
        {"/org/vringd1/vm/web1", VRD_RESOLVE_VM_PATH},
        {"/org/vringd1/vm/web1/net0", VRD_RESOLVE_DEVICE_PATH},
        {"/org/vringd1/vm/web1/", VRD_RESOLVE_DEVICE}, /* no object path: asked for */
        {"/org/vringd1/vm/web-1", VRD_RESOLVE_DEVICE},
        {"", VRD_RESOLVE_EITHER},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].name);
        g_assert_cmpint(vrd_resolve_kind(rows[i].name), ==, rows[i].kind);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/resolve/the-form-of-a-name-tells-what-it-may-be",
                    test_the_form_of_a_name_tells_what_it_may_be);
    return g_test_run();
}

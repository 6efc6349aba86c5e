/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/feature.h"

#include <string.h>

#include "base/error.h"

static void
test_only_listed_protocol_bits_are_offered(void)
{
    /* 0-5, 9, 10, 12, 13, 15, 16, 19 */
    g_assert_cmphex(vrd_feature_protocol_vmm_mask(), ==, 0x9b63f);
    g_assert_cmphex(vrd_feature_protocol_backend_mask(), ==, 0x9b63f);
}

static void
test_each_protocol_bit_up_to_23_has_a_name_of_its_own(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (unsigned bit = 0; bit <= 23; bit++) {
        const char *name = vrd_feature_protocol_name(bit);

        g_test_message("bit %u", bit);
        g_assert_nonnull(name);
        g_assert_true(g_hash_table_add(names, (gpointer) name));
    }
    g_assert_null(vrd_feature_protocol_name(24));
    g_assert_cmpstr(vrd_feature_protocol_name(3), ==, "REPLY_ACK");
    g_assert_cmpint(VRD_PROTOCOL_F_CONFIGURE_MEM_SLOTS, ==, 15);
}

static void
test_virtio_bits_pass_by_kind(void)
{
    static const struct {
        VrdKind kind;
        uint64_t mask;
    } rows[] = {
        /* transport bits 24, 26-30, 32, 34-36 are in each */
        {VRD_KIND_GENERIC, UINT64_C(0xfffc001d7dffffff)},
        {VRD_KIND_NET, UINT64_C(0xfbf8001d7dffffef)},
        {VRD_KIND_BLK, UINT64_C(0x1d7d03fe76)},
        {VRD_KIND_SCSI, UINT64_C(0x1d7d00000f)},
        {VRD_KIND_FS, UINT64_C(0x1d7d000001)},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", vrd_feature_kind_name(rows[i].kind));
        g_assert_cmphex(vrd_feature_virtio_mask(rows[i].kind), ==, rows[i].mask);
    }
}

static void
test_a_kind_has_one_name_for_each_bit(void)
{
    for (VrdKind kind = 0; kind < VRD_N_KINDS; kind++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            const char *name = vrd_feature_virtio_name(kind, bit);
            uint64_t back = 0;

            if (name != NULL) {
                g_test_message("%s %s", vrd_feature_kind_name(kind), name);
                g_assert_true(vrd_feature_virtio_parse(kind, name, &back, NULL));
                g_assert_cmphex(back, ==, VRD_FEATURE_BIT(bit));
            }
        }
    }
    g_assert_cmpstr(vrd_feature_virtio_name(VRD_KIND_NET, 15), ==, "MRG_RXBUF");
    g_assert_cmpstr(vrd_feature_virtio_name(VRD_KIND_BLK, 15), ==, "LIFETIME");
    g_assert_cmpstr(vrd_feature_virtio_name(VRD_KIND_GENERIC, 32), ==, "VERSION_1");
    g_assert_null(vrd_feature_virtio_name(VRD_KIND_GENERIC, 15));
}

static void
test_kinds_are_parsed_by_their_names(void)
{
    VrdKind kind = VRD_KIND_GENERIC;

    for (VrdKind k = 0; k < VRD_N_KINDS; k++) {
        g_assert_true(vrd_feature_kind_parse(vrd_feature_kind_name(k), &kind));
        g_assert_cmpint(kind, ==, k);
    }
    g_assert_false(vrd_feature_kind_parse("Net", &kind));
    g_assert_false(vrd_feature_kind_parse("", &kind));
}

static void
test_names_and_sets_are_the_same(void)
{
    uint64_t all = UINT64_MAX;
    uint64_t back = 0;
    g_auto(GStrv) names = vrd_feature_protocol_names(all);
    g_autofree char *text = g_strjoinv(" ", names);

    g_assert_cmpuint(g_strv_length(names), ==, 64);
    g_assert_cmpstr(names[1], ==, "LOG_SHMFD");
    g_assert_cmpstr(names[61], ==, "BIT_61");
    g_assert_true(vrd_feature_protocol_parse(text, &back, NULL));
    g_assert_cmphex(back, ==, all);
}

static void
test_sets_are_numbers_or_names_or_both(void)
{
    uint64_t set = 1;

    g_assert_true(vrd_feature_protocol_parse("", &set, NULL));
    g_assert_cmphex(set, ==, 0);
    g_assert_true(vrd_feature_protocol_parse("0x40", &set, NULL));
    g_assert_cmphex(set, ==, 0x40);
    g_assert_true(vrd_feature_protocol_parse("  MQ\tCONFIG 0x40 BIT_63", &set, NULL));
    g_assert_cmphex(set, ==, UINT64_C(0x8000000000000241));
    g_assert_true(
        vrd_feature_virtio_parse(VRD_KIND_NET, "0xffffffffffffffff", &set, NULL));
    g_assert_cmphex(set, ==, UINT64_MAX);
}

static void
test_a_word_that_is_no_feature_is_refused_by_name(void)
{
    static const char *const words[] = {
        "mq", "MQ,CONFIG", "0x", "0xfg", "0x10000000000000000", "40", "BIT_64", "BIT_-1",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t set = 7;

        g_assert_false(vrd_feature_protocol_parse(words[i], &set, &error));
        g_assert_error(error, VRD_ERROR, VRD_ERROR_SETTING);
        g_assert_nonnull(strstr(error->message, words[i]));
        g_assert_nonnull(strstr(error->message, "LOG_SHMFD"));
        g_assert_cmphex(set, ==, 7);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/feature/only-listed-protocol-bits-are-offered",
                    test_only_listed_protocol_bits_are_offered);
    g_test_add_func("/feature/each-protocol-bit-up-to-23-has-a-name-of-its-own",
                    test_each_protocol_bit_up_to_23_has_a_name_of_its_own);
    g_test_add_func("/feature/virtio-bits-pass-by-kind", test_virtio_bits_pass_by_kind);
    g_test_add_func("/feature/a-kind-has-one-name-for-each-bit",
                    test_a_kind_has_one_name_for_each_bit);
    g_test_add_func("/feature/kinds-are-parsed-by-their-names",
                    test_kinds_are_parsed_by_their_names);
    g_test_add_func("/feature/names-and-sets-are-the-same",
                    test_names_and_sets_are_the_same);
    g_test_add_func("/feature/sets-are-numbers-or-names-or-both",
                    test_sets_are_numbers_or_names_or_both);
    g_test_add_func("/feature/a-word-that-is-no-feature-is-refused-by-name",
                    test_a_word_that_is_no_feature_is_refused_by_name);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Golden bytes of each payload, written by hand from the layouts of the specification for
 * x86-64 (offsets beside the rows). Never made by the code under test.
 */
#include "wire/payload.h"

#include <string.h>

static VrdMessage message;

static void
load(const uint8_t *bytes, size_t size)
{
    vrd_message_init(&message, 1);
    memset(message.payload, 0xee, sizeof message.payload);
    memcpy(message.payload, bytes, size);
    message.size = (uint32_t) size;
}

/* @value encodes to exactly @bytes, and @bytes decode to exactly @value. */
#define assert_codec(name_, value_, bytes_, size_)                                       \
    do {                                                                                 \
        __typeof__(value_) decoded_;                                                     \
                                                                                         \
        vrd_message_init(&message, 1);                                                   \
        memset(message.payload, 0xee, sizeof message.payload);                           \
        vrd_payload_put_##name_(&message, &(value_));                                    \
        g_assert_cmpmem(message.payload, message.size, (bytes_), (size_));               \
        g_assert_cmphex(message.payload[message.size], ==, 0xee);                        \
        load((bytes_), (size_));                                                         \
        memset(&decoded_, 0xa5, sizeof decoded_);                                        \
        vrd_payload_get_##name_(&message, &decoded_);                                    \
        g_assert_cmpmem(&decoded_, sizeof decoded_, &(value_), sizeof(value_));          \
    } while (0)

static void
test_u64_is_eight_bytes_low_byte_first(void)
{
    static const uint8_t bytes[] = {0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x81};

    vrd_message_init(&message, 2);
    vrd_payload_put_u64(&message, UINT64_C(0x8102030405060708));
    g_assert_cmpmem(message.payload, message.size, bytes, sizeof bytes);
    load(bytes, sizeof bytes);
    g_assert_cmphex(vrd_payload_get_u64(&message), ==, UINT64_C(0x8102030405060708));
}

static void
test_vring_state(void)
{
    static VrdPayloadState value = {.index = 0x01020304, .num = 0x80007fff};
    static const uint8_t bytes[8] = {
        0x04, 0x03, 0x02, 0x01, /* 0: index */
        0xff, 0x7f, 0x00, 0x80, /* 4: num */
    };

    assert_codec(state, value, bytes, sizeof bytes);
}

static void
test_vring_addr(void)
{
    static VrdPayloadAddr value = {.index = 3,
                                   .flags = 1,
                                   .desc = UINT64_C(0x7f1122334455a000),
                                   .used = UINT64_C(0x7f1122334455c040),
                                   .avail = UINT64_C(0x7f1122334455b002),
                                   .log = UINT64_C(0x00000001fedc0004)};
    static const uint8_t bytes[40] = {
        0x03, 0x00, 0x00, 0x00,                         /* 0: index */
        0x01, 0x00, 0x00, 0x00,                         /* 4: flags */
        0x00, 0xa0, 0x55, 0x44, 0x33, 0x22, 0x11, 0x7f, /* 8: descriptors */
        0x40, 0xc0, 0x55, 0x44, 0x33, 0x22, 0x11, 0x7f, /* 16: used */
        0x02, 0xb0, 0x55, 0x44, 0x33, 0x22, 0x11, 0x7f, /* 24: available */
        0x04, 0x00, 0xdc, 0xfe, 0x01, 0x00, 0x00, 0x00, /* 32: log */
    };

    assert_codec(addr, value, bytes, sizeof bytes);
}

static const uint8_t two_regions[72] = {
    0x02, 0x00, 0x00, 0x00,                         /* 0: count */
    0x00, 0x00, 0x00, 0x00,                         /* 4: padding */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 8: guest address */
    0x00, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, /* 16: size */
    0x00, 0x00, 0x00, 0x10, 0x5c, 0x7f, 0x00, 0x00, /* 24: user address */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 32: mmap offset */
    0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, /* 40: guest address */
    0x00, 0x00, 0x00, 0xc0, 0x02, 0x00, 0x00, 0x00, /* 48: size */
    0x00, 0x00, 0x00, 0xd0, 0x5c, 0x7f, 0x00, 0x00, /* 56: user address */
    0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, /* 64: mmap offset */
};

static void
test_memory_table(void)
{
    static VrdPayloadMemory value = {.n_regions = 2,
                                     .regions = {{.guest_addr = 0,
                                                  .size = 0xa0000,
                                                  .user_addr = UINT64_C(0x7f5c10000000),
                                                  .mmap_offset = 0},
                                                 {.guest_addr = UINT64_C(0x100000000),
                                                  .size = UINT64_C(0x2c0000000),
                                                  .user_addr = UINT64_C(0x7f5cd0000000),
                                                  .mmap_offset = UINT64_C(0x80000000)}}};

    assert_codec(memory, value, two_regions, sizeof two_regions);
}

static void
test_a_memory_table_is_never_longer_than_its_array(void)
{
    VrdPayloadMemory value;

    load(two_regions, sizeof two_regions);
    message.payload[0] = 9;
    vrd_payload_get_memory(&message, &value);
    g_assert_cmpuint(value.n_regions, ==, VRD_PAYLOAD_REGIONS_MAX);
    g_assert_cmphex(value.regions[2].size, ==, 0);
    value.n_regions = 9;
    vrd_payload_put_memory(&message, &value);
    g_assert_cmpuint(message.size, ==, 264);
}

static void
test_single_region(void)
{
    static VrdPayloadSingleRegion value = {
        .region = {.guest_addr = UINT64_C(0x140000000),
                   .size = UINT64_C(0x40000000),
                   .user_addr = UINT64_C(0x7fe980000000),
                   .mmap_offset = UINT64_C(0x200000)}};
    static const uint8_t bytes[40] = {
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 0: padding */
        0x00, 0x00, 0x00, 0x40, 0x01, 0x00, 0x00, 0x00, /* 8: guest address */
        0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, /* 16: size */
        0x00, 0x00, 0x00, 0x80, 0xe9, 0x7f, 0x00, 0x00, /* 24: user address */
        0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, /* 32: mmap offset */
    };

    assert_codec(single_region, value, bytes, sizeof bytes);
}

static void
test_log(void)
{
    static VrdPayloadLog value = {.mmap_size = 8192, .mmap_offset = 4096};
    static const uint8_t bytes[16] = {
        0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 0: mmap size */
        0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 8: mmap offset */
    };

    assert_codec(log, value, bytes, sizeof bytes);
}

static void
test_iotlb(void)
{
    static VrdPayloadIotlb value = {.iova = UINT64_C(0xfffff000),
                                    .size = 0x1000,
                                    .user_addr = UINT64_C(0x7f0000abc000),
                                    .permission = 3,
                                    .type = 2};
    static const uint8_t bytes[32] = {
        0x00, 0xf0, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, /* 0: iova */
        0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 8: size */
        0x00, 0xc0, 0xab, 0x00, 0x00, 0x7f, 0x00, 0x00, /* 16: user address */
        0x03, 0x02,                                     /* 24: permission, 25: type */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00,             /* 26: padding */
    };

    assert_codec(iotlb, value, bytes, sizeof bytes);
}

static void
test_config(void)
{
    static VrdPayloadConfig value = {
        .offset = 6, .size = 5, .flags = 1, .bytes = {0xde, 0xad, 0xbe, 0xef, 0x42}};
    static const uint8_t bytes[17] = {
        0x06, 0x00, 0x00, 0x00,       /* 0: offset */
        0x05, 0x00, 0x00, 0x00,       /* 4: size */
        0x01, 0x00, 0x00, 0x00,       /* 8: flags */
        0xde, 0xad, 0xbe, 0xef, 0x42, /* 12: bytes */
    };

    assert_codec(config, value, bytes, sizeof bytes);
}

static void
test_config_bytes_are_never_more_than_their_array(void)
{
    static const uint8_t bytes[12] = {0, 0, 0, 0, 0x01, 0x01, 0, 0, 0, 0, 0, 0};
    VrdPayloadConfig value;

    load(bytes, sizeof bytes);
    vrd_payload_get_config(&message, &value);
    g_assert_cmpuint(value.size, ==, VRD_PAYLOAD_CONFIG_MAX);
    g_assert_cmphex(value.bytes[0], ==, 0);
    value.size = UINT32_MAX;
    vrd_payload_put_config(&message, &value);
    g_assert_cmpuint(message.size, ==, 268);
}

static void
test_vring_area(void)
{
    static VrdPayloadArea value = {
        .value = 0x102, .size = 0x1000, .offset = UINT64_C(0x300000000)};
    static const uint8_t bytes[24] = {
        0x02, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 0: index and no-fd bit */
        0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 8: size */
        0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, /* 16: offset */
    };

    assert_codec(area, value, bytes, sizeof bytes);
}

static void
test_inflight(void)
{
    static VrdPayloadInflight value = {
        .mmap_size = 4224, .mmap_offset = 64, .n_queues = 2, .queue_size = 0x8000};
    static const uint8_t bytes[24] = {
        0x80, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 0: mmap size */
        0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 8: mmap offset */
        0x02, 0x00,                                     /* 16: queues */
        0x00, 0x80,                                     /* 18: queue size */
        0x00, 0x00, 0x00, 0x00,                         /* 20: padding */
    };

    assert_codec(inflight, value, bytes, sizeof bytes);
}

static void
test_shared_object(void)
{
    static VrdPayloadUuid value = {.uuid = {0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12,
                                            0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17,
                                            0x40, 0x00}};
    static const uint8_t bytes[16] = {0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3,
                                      0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00};

    assert_codec(uuid, value, bytes, sizeof bytes);
}

static void
test_device_state(void)
{
    static VrdPayloadDeviceState value = {.direction = 1, .phase = 0x01000000};
    static const uint8_t bytes[8] = {
        0x01, 0x00, 0x00, 0x00, /* 0: direction */
        0x00, 0x00, 0x00, 0x01, /* 4: phase */
    };

    assert_codec(device_state, value, bytes, sizeof bytes);
}

static void
test_mmap_request(void)
{
    static VrdPayloadMmap value = {.shmid = 5,
                                   .fd_offset = 0x2000,
                                   .shm_offset = UINT64_C(0x100000000),
                                   .length = 0x200000,
                                   .flags = 1};
    static const uint8_t bytes[40] = {
        0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 0: shmid, 1: padding */
        0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 8: offset in the file */
        0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, /* 16: offset in the region */
        0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, /* 24: length */
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 32: flags */
    };

    assert_codec(mmap, value, bytes, sizeof bytes);
}

static void
test_shmem_config(void)
{
    static VrdPayloadShmem value = {.n_regions = 2};
    static const uint8_t bytes[2056] = {
        [0] = 0x02,    /* 0: count, 4: padding */
        [8] = 0x00,    /* 8: size of region 0 */
        [9] = 0x10,    /* 8 + 8 * 0 + 1 */
        [2052] = 0x08, /* 8 + 8 * 255 + 4 */
    };

    value.sizes[0] = 0x1000;
    value.sizes[255] = UINT64_C(0x800000000);
    assert_codec(shmem, value, bytes, sizeof bytes);
}

static void
test_what_a_message_does_not_have_decodes_as_zero(void)
{
    static const uint8_t bytes[3] = {0x11, 0x22, 0x33};
    VrdPayloadState value;

    load(bytes, sizeof bytes);
    vrd_payload_get_state(&message, &value);
    g_assert_cmphex(value.index, ==, 0x332211);
    g_assert_cmphex(value.num, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/payload/u64-is-eight-bytes-low-byte-first",
                    test_u64_is_eight_bytes_low_byte_first);
    g_test_add_func("/payload/golden/vring-state", test_vring_state);
    g_test_add_func("/payload/golden/vring-addr", test_vring_addr);
    g_test_add_func("/payload/golden/memory-table", test_memory_table);
    g_test_add_func("/payload/golden/single-region", test_single_region);
    g_test_add_func("/payload/golden/log", test_log);
    g_test_add_func("/payload/golden/iotlb", test_iotlb);
    g_test_add_func("/payload/golden/config", test_config);
    g_test_add_func("/payload/golden/vring-area", test_vring_area);
    g_test_add_func("/payload/golden/inflight", test_inflight);
    g_test_add_func("/payload/golden/shared-object", test_shared_object);
    g_test_add_func("/payload/golden/device-state", test_device_state);
    g_test_add_func("/payload/golden/mmap-request", test_mmap_request);
    g_test_add_func("/payload/golden/shmem-config", test_shmem_config);
    g_test_add_func("/payload/a-memory-table-is-never-longer-than-its-array",
                    test_a_memory_table_is_never_longer_than_its_array);
    g_test_add_func("/payload/config-bytes-are-never-more-than-their-array",
                    test_config_bytes_are_never_more_than_their_array);
    g_test_add_func("/payload/what-a-message-does-not-have-decodes-as-zero",
                    test_what_a_message_does_not_have_decodes_as_zero);
    return g_test_run();
}

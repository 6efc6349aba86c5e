/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a message of a VMM: check and decoders. */
#include "target.h"
#include "wire-input.h"

/* What a handler relies on once the check has passed. */
static void
assert_promises(const VrdMessage *message)
{
    const VrdRequest *row = vrd_request_find(message->request);

    g_assert(row != NULL);
    g_assert(message->size >= row->payload_min && message->size <= row->payload_max);
    g_assert(message->n_fds >= row->fds_min && message->n_fds <= row->fds_max);
    if (message->request == VRD_REQUEST_SET_MEM_TABLE) {
        VrdPayloadMemory memory;

        vrd_payload_get_memory(message, &memory);
        g_assert(memory.n_regions == message->n_fds);
        g_assert(memory.n_regions >= 1 && memory.n_regions <= VRD_PAYLOAD_REGIONS_MAX);
    }
    if (message->request == VRD_REQUEST_GET_CONFIG ||
        message->request == VRD_REQUEST_SET_CONFIG) {
        VrdPayloadConfig config;

        vrd_payload_get_config(message, &config);
        g_assert((uint64_t) config.offset + config.size <= VRD_PAYLOAD_CONFIG_MAX);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static VrdMessage message;
    FuzzInput input = {data, size};
    GError *error = NULL;
    gboolean good;

    fuzz_take_message(&input, &message);
    good = vrd_request_check(&message, &error);
    if (fuzz_verdict(good, error)) {
        assert_promises(&message);
    }
    g_assert(vrd_request_name(message.request) != NULL);
    fuzz_decode_all(&message);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a backend's reply to any request that we could have sent. */
#include "target.h"
#include "wire-input.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static VrdMessage request;
    static VrdMessage reply;
    FuzzInput input = {data, size};
    uint32_t words[2] = {0, 0};
    GError *error = NULL;
    gboolean good;

    /* One byte each: request number, NEED_REPLY, config bytes that were asked for. */
    vrd_message_init(&request, fuzz_take(&input, 1) % (VRD_REQUEST_MAX + 2));
    request.flags |= fuzz_take(&input, 1) & VRD_MESSAGE_NEED_REPLY;
    words[1] = fuzz_take(&input, 1);
    memcpy(request.payload, words, sizeof words);
    request.size = 12 + words[1];
    fuzz_take_message(&input, &reply);

    good = vrd_request_check_reply(&reply, &request, &error);
    if (fuzz_verdict(good, error)) {
        g_assert(reply.request == request.request);
        g_assert(reply.n_fds <= 1);
        g_assert(reply.size <= sizeof(VrdPayloadShmem));
    }
    fuzz_decode_all(&reply);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backend channel: any bytes as a backend's request, or as a VMM's reply to one. */
#include "target.h"
#include "wire-input.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static VrdMessage request;
    static VrdMessage message;
    FuzzInput input = {data, size};
    uint32_t id = fuzz_take(&input, 1);
    uint32_t flags = fuzz_take(&input, 1) & VRD_MESSAGE_NEED_REPLY;
    GError *error = NULL;
    gboolean good;

    /* The first byte: 0, a request of the backend; else the request that is answered. */
    fuzz_take_message(&input, &message);
    if (id == 0) {
        good = vrd_request_check_backend(&message, &error);
        if (fuzz_verdict(good, error)) {
            g_assert(vrd_request_find_backend(message.request) != NULL);
            g_assert(message.n_fds <= 1);
        }
    } else {
        vrd_message_init(&request, id);
        request.flags |= flags;
        good = vrd_request_check_backend_reply(&message, &request, &error);
        if (fuzz_verdict(good, error)) {
            g_assert(message.request == id && message.size == 8);
        }
    }
    g_assert(vrd_request_backend_name(message.request) != NULL);
    fuzz_decode_all(&message);
    return 0;
}

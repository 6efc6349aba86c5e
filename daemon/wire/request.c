/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The request tables: what the specification allows for each message. Checks that hold
 * whatever the device's state are made here; nothing here keeps state. A message is any
 * bytes a peer sent; nothing of it is trusted before its check.
 */
#include "wire/request.h"

#include <inttypes.h>

#include "base/error.h"
#include "wire/payload.h"

#define CONFIG_HEADER 12u
#define MEMORY_HEADER 8u
#define REGION_BYTES  32u
#define ACK_BYTES     8u

#define DEVICE_STATE_ERROR 0xffu
#define DEVICE_STATE_NOFD  0x100u

typedef struct {
    const VrdRequest *rows;
    uint32_t max;
    const char *(*name)(uint32_t id);
} Table;

#define REQUEST(name_, id_, pmin_, pmax_, fmin_, fmax_, answer_, rmin_, rmax_, rfmax_,   \
                stage_, needs_, section_)                                                \
    [id_] = {.name = #name_,                                                             \
             .payload_min = (pmin_),                                                     \
             .payload_max = (pmax_),                                                     \
             .fds_min = (fmin_),                                                         \
             .fds_max = (fmax_),                                                         \
             .answer = VRD_ANSWER_##answer_,                                             \
             .reply_min = (rmin_),                                                       \
             .reply_max = (rmax_),                                                       \
             .reply_fds_max = (rfmax_),                                                  \
             .stage = VRD_STAGE_##stage_,                                                \
             .needs = VRD_PROTOCOL_F_##needs_,                                           \
             .section = (section_)},

static const VrdRequest requests[VRD_REQUEST_MAX + 1] = {
#include "wire/requests.inc"
};

static const VrdRequest backend_requests[VRD_BACKEND_REQUEST_MAX + 1] = {
#include "wire/backend-requests.inc"
};
#undef REQUEST

static const VrdRequest *
find_row(const VrdRequest *rows, uint32_t max, uint32_t id)
{
    return id <= max && rows[id].name != NULL ? &rows[id] : NULL;
}

const VrdRequest *
vrd_request_find(uint32_t id)
{
    return find_row(requests, VRD_REQUEST_MAX, id);
}

const VrdRequest *
vrd_request_find_backend(uint32_t id)
{
    return find_row(backend_requests, VRD_BACKEND_REQUEST_MAX, id);
}

static const char *
row_name(const VrdRequest *row, const char *what, uint32_t id)
{
    static char unknown[40];

    if (row != NULL) {
        return row->name;
    }
    g_snprintf(unknown, sizeof unknown, "%s %" PRIu32, what, id);
    return unknown;
}

const char *
vrd_request_name(uint32_t id)
{
    return row_name(vrd_request_find(id), "request", id);
}

const char *
vrd_request_backend_name(uint32_t id)
{
    return row_name(vrd_request_find_backend(id), "back-end request", id);
}

static const Table front_table = {requests, VRD_REQUEST_MAX, vrd_request_name};
static const Table back_table = {backend_requests, VRD_BACKEND_REQUEST_MAX,
                                 vrd_request_backend_name};

#define refuse(error_, ...)                                                              \
    (g_set_error(error_, VRD_ERROR, VRD_ERROR_PROTOCOL, __VA_ARGS__), FALSE)

static gboolean
check_request_flags(const char *name, uint32_t flags, GError **error)
{
    uint32_t version = flags & VRD_MESSAGE_VERSION_MASK;

    if (version != VRD_MESSAGE_VERSION) {
        return refuse(error, "%s: version %" PRIu32 ", allowed 1", name, version);
    }
    if ((flags & VRD_MESSAGE_REPLY) != 0) {
        return refuse(error,
                      "%s: flags 0x%" PRIx32 " with the reply bit, allowed 0x1 or 0x9",
                      name, flags);
    }
    if ((flags & ~VRD_MESSAGE_FLAGS_MASK) != 0) {
        return refuse(error,
                      "%s: flags 0x%" PRIx32 " with reserved bits, allowed 0x1 or 0x9",
                      name, flags);
    }
    return TRUE;
}

static gboolean
check_range(const char *name, const char *what, uint32_t value, uint32_t min,
            uint32_t max, GError **error)
{
    if (value >= min && value <= max) {
        return TRUE;
    }
    if (min == max) {
        return refuse(error, "%s: %" PRIu32 " %s, allowed %" PRIu32, name, value, what,
                      min);
    }
    return refuse(error, "%s: %" PRIu32 " %s, allowed %" PRIu32 " to %" PRIu32, name,
                  value, what, min, max);
}

static gboolean
check_memory(const char *name, const VrdMessage *message, GError **error)
{
    VrdPayloadState header; /* the count is the first word */
    uint32_t n;

    vrd_payload_get_state(message, &header);
    n = header.index;
    if (!check_range(name, "regions", n, 1, VRD_PAYLOAD_REGIONS_MAX, error)) {
        return FALSE;
    }
    if (message->size != MEMORY_HEADER + n * REGION_BYTES) {
        return refuse(error,
                      "%s: %" PRIu32 " payload bytes for %" PRIu32
                      " regions, allowed %" PRIu32,
                      name, message->size, n, MEMORY_HEADER + n * REGION_BYTES);
    }
    if (message->n_fds != n) {
        return refuse(error,
                      "%s: %u descriptors for %" PRIu32 " regions, allowed %" PRIu32,
                      name, message->n_fds, n, n);
    }
    return TRUE;
}

/* The two words before the bytes; not by the decoder, which cuts the size to its limit.
 */
static gboolean
check_config(const char *name, const VrdMessage *message, GError **error)
{
    VrdPayloadState words;
    uint32_t offset;
    uint32_t size;

    vrd_payload_get_state(message, &words);
    offset = words.index;
    size = words.num;
    if (!check_range(name, "config bytes", size, 0, VRD_PAYLOAD_CONFIG_MAX, error)) {
        return FALSE;
    }
    if (message->size != CONFIG_HEADER + size) {
        return refuse(error,
                      "%s: %" PRIu32 " payload bytes for %" PRIu32
                      " config bytes, allowed %" PRIu32,
                      name, message->size, size, CONFIG_HEADER + size);
    }
    if (offset > VRD_PAYLOAD_CONFIG_MAX - size) {
        return refuse(error,
                      "%s: offset %" PRIu32 " with %" PRIu32
                      " config bytes, allowed 0 to %" PRIu32,
                      name, offset, size, VRD_PAYLOAD_CONFIG_MAX - size);
    }
    return TRUE;
}

/* Ring index and no-descriptor bit, at the beginning of the payload. */
static gboolean
check_ring_file(const char *name, const VrdMessage *message, GError **error)
{
    uint64_t value = vrd_payload_get_u64(message);
    unsigned n_fds = (value & VRD_PAYLOAD_NOFD) != 0 ? 0 : 1;

    if ((value & ~(uint64_t) (VRD_PAYLOAD_RING_MASK | VRD_PAYLOAD_NOFD)) != 0) {
        return refuse(error, "%s: value 0x%" PRIx64 ", allowed 0x0 to 0x1ff", name,
                      value);
    }
    if (message->n_fds != n_fds) {
        return refuse(error, "%s: %u descriptors with value 0x%" PRIx64 ", allowed %u",
                      name, message->n_fds, value, n_fds);
    }
    return TRUE;
}

static gboolean
check_front_content(const char *name, const VrdMessage *message, GError **error)
{
    switch (message->request) {
    case VRD_REQUEST_SET_MEM_TABLE:
        return check_memory(name, message, error);
    case VRD_REQUEST_GET_CONFIG:
    case VRD_REQUEST_SET_CONFIG:
        return check_config(name, message, error);
    case VRD_REQUEST_SET_VRING_KICK:
    case VRD_REQUEST_SET_VRING_CALL:
    case VRD_REQUEST_SET_VRING_ERR:
        return check_ring_file(name, message, error);
    default:
        return TRUE;
    }
}

static gboolean
check_request(const Table *table, const VrdMessage *message, GError **error)
{
    const VrdRequest *row = find_row(table->rows, table->max, message->request);
    const char *name = table->name(message->request);

    if (!check_request_flags(name, message->flags, error)) {
        return FALSE;
    }
    if (row == NULL) {
        g_set_error(error, VRD_ERROR, VRD_ERROR_UNSUPPORTED,
                    "%s: unknown, allowed 1 to %" PRIu32, name, table->max);
        return FALSE;
    }
    return check_range(name, "payload bytes", message->size, row->payload_min,
                       row->payload_max, error) &&
           check_range(name, "descriptors", message->n_fds, row->fds_min, row->fds_max,
                       error);
}

gboolean
vrd_request_check(const VrdMessage *message, GError **error)
{
    return check_request(&front_table, message, error) &&
           check_front_content(vrd_request_name(message->request), message, error);
}

gboolean
vrd_request_check_backend(const VrdMessage *message, GError **error)
{
    if (!check_request(&back_table, message, error)) {
        return FALSE;
    }
    return message->request != VRD_BACKEND_REQUEST_VRING_HOST_NOTIFIER_MSG ||
           check_ring_file(vrd_request_backend_name(message->request), message, error);
}

static gboolean
check_config_reply(const VrdMessage *reply, const VrdMessage *request, GError **error)
{
    VrdPayloadState words;

    if (reply->size == 0) {
        return TRUE; /* the failure of libvhost-user and DPDK */
    }
    vrd_payload_get_state(reply, &words);
    if (reply->size == CONFIG_HEADER && words.num == 0) {
        return TRUE; /* the failure of rust-vmm */
    }
    if (reply->size != request->size) {
        return refuse(error,
                      "reply to GET_CONFIG: %" PRIu32 " payload bytes, allowed %" PRIu32
                      ", or 0 for a failure",
                      reply->size, request->size);
    }
    return check_config("reply to GET_CONFIG", reply, error);
}

static gboolean
check_inflight_reply(const VrdMessage *reply, GError **error)
{
    VrdPayloadInflight inflight;

    vrd_payload_get_inflight(reply, &inflight);
    if (inflight.mmap_size != 0 && reply->n_fds == 0) {
        return refuse(error,
                      "reply to GET_INFLIGHT_FD: 0 descriptors for %" PRIu64
                      " bytes, allowed 1",
                      inflight.mmap_size);
    }
    return TRUE;
}

static gboolean
check_device_state_reply(const VrdMessage *reply, GError **error)
{
    uint64_t value = vrd_payload_get_u64(reply);
    gboolean none = (value & DEVICE_STATE_NOFD) != 0;
    gboolean failed = (value & DEVICE_STATE_ERROR) != 0;

    if ((none && reply->n_fds != 0) || (!none && !failed && reply->n_fds == 0)) {
        return refuse(error,
                      "reply to SET_DEVICE_STATE_FD: %u descriptors with value 0x%" PRIx64
                      ", allowed %d",
                      reply->n_fds, value, none ? 0 : 1);
    }
    return TRUE;
}

static gboolean
check_front_reply_content(const VrdMessage *reply, const VrdMessage *request,
                          GError **error)
{
    switch (request->request) {
    case VRD_REQUEST_GET_CONFIG:
        return check_config_reply(reply, request, error);
    case VRD_REQUEST_GET_INFLIGHT_FD:
        return check_inflight_reply(reply, error);
    case VRD_REQUEST_SET_DEVICE_STATE_FD:
        return check_device_state_reply(reply, error);
    default:
        return TRUE;
    }
}

static gboolean
check_reply(const Table *table, const VrdMessage *reply, const VrdMessage *request,
            GError **error)
{
    const VrdRequest *row = find_row(table->rows, table->max, request->request);
    g_autofree char *name = g_strconcat("reply to ", table->name(request->request), NULL);

    if (reply->request != request->request) {
        return refuse(error, "%s: answers %s instead", name, table->name(reply->request));
    }
    if (row == NULL) {
        return refuse(error, "%s: unknown request", name);
    }
    if (reply->flags != (VRD_MESSAGE_VERSION | VRD_MESSAGE_REPLY)) {
        return refuse(error, "%s: flags 0x%" PRIx32 ", allowed 0x5", name, reply->flags);
    }
    if (row->answer != VRD_ANSWER_NONE) {
        return check_range(name, "payload bytes", reply->size, row->reply_min,
                           row->reply_max, error) &&
               check_range(name, "descriptors", reply->n_fds, 0, row->reply_fds_max,
                           error);
    }
    if (!vrd_message_needs_reply(request)) {
        return refuse(error, "%s: none was asked for", name);
    }
    return check_range(name, "payload bytes", reply->size, ACK_BYTES, ACK_BYTES, error) &&
           check_range(name, "descriptors", reply->n_fds, 0, 0, error);
}

gboolean
vrd_request_check_reply(const VrdMessage *reply, const VrdMessage *request,
                        GError **error)
{
    return check_reply(&front_table, reply, request, error) &&
           check_front_reply_content(reply, request, error);
}

gboolean
vrd_request_check_backend_reply(const VrdMessage *reply, const VrdMessage *request,
                                GError **error)
{
    return check_reply(&back_table, reply, request, error);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "wire/feature.h"
#include "wire/message.h"

/*
 * The two message tables: front-end messages (wire/requests.inc, spec "Front-end message
 * types") and back-end messages (wire/backend-requests.inc, spec "Back-end message
 * types"). A row holds whatever the device's state is; a handler gets only what its row
 * promised.
 */
typedef enum {
    VRD_ANSWER_NONE,  /* an ack (u64, 0 = success) only when NEED_REPLY is set */
    VRD_ANSWER_VALUE, /* always a reply with a payload of its own */
    VRD_ANSWER_LOG, /* SET_LOG_BASE: a reply when LOG_SHMFD is negotiated, else as NONE */
} VrdAnswer;

/* What should have happened on the connection before a message; not all front-ends do. */
typedef enum {
    VRD_STAGE_ANY,   /* from the first message on */
    VRD_STAGE_OWNER, /* after SET_OWNER */
} VrdStage;

typedef struct {
    const char *name; /* "SET_VRING_KICK"; NULL: no such message */
    uint16_t payload_min;
    uint16_t payload_max;
    uint8_t fds_min;
    uint8_t fds_max;
    VrdAnswer answer;
    uint16_t reply_min; /* payload bytes of the reply, VALUE and LOG only */
    uint16_t reply_max;
    uint8_t reply_fds_max;
    VrdStage stage;
    VrdProtocolFeature needs;
    const char *section; /* title in the specification */
} VrdRequest;

#define VRD_REQUEST_MAX         44u
#define VRD_BACKEND_REQUEST_MAX 10u

/* Numbers: VRD_REQUEST_GET_FEATURES = 1 ..., VRD_BACKEND_REQUEST_IOTLB_MSG = 1 ... */
typedef enum {
#define REQUEST(name_, id_, ...) VRD_REQUEST_##name_ = (id_),
#include "wire/requests.inc"
#undef REQUEST
} VrdRequestId;

typedef enum {
#define REQUEST(name_, id_, ...) VRD_BACKEND_REQUEST_##name_ = (id_),
#include "wire/backend-requests.inc"
#undef REQUEST
} VrdBackendRequestId;

/* (borrowed) the row, or NULL for a number that is in no table. */
const VrdRequest *vrd_request_find(uint32_t id);
const VrdRequest *vrd_request_find_backend(uint32_t id);

/* Name for logs: "SET_OWNER", or "request 77". (borrowed, valid until the next call) */
const char *vrd_request_name(uint32_t id);
const char *vrd_request_backend_name(uint32_t id);

/*
 * vrd_request_check - hold a front-end message against its row
 * @message: from a VMM
 *
 * Number, flags (version 1, no REPLY, no reserved bits), exact payload size (also where
 * it depends on a count inside), number of descriptors (also where it depends on the
 * no-descriptor bit). Gates and stages are the caller's, who knows what was negotiated.
 *
 * Returns: TRUE, or FALSE with @error set (VRD_ERROR_PROTOCOL, or VRD_ERROR_UNSUPPORTED
 * for an unknown number), naming message, field, value and what is allowed.
 */
gboolean vrd_request_check(const VrdMessage *message, GError **error);

/* The same for a message on the backend channel. */
gboolean vrd_request_check_backend(const VrdMessage *message, GError **error);

/*
 * vrd_request_check_reply - hold a backend's reply against the request it answers
 * @reply: from the backend
 * @request: what was sent to it
 *
 * An answer to NEED_REPLY must be 8 bytes without descriptors, a reply as its row says.
 * Returns: TRUE, or FALSE with @error set (VRD_ERROR_PROTOCOL).
 */
gboolean vrd_request_check_reply(const VrdMessage *reply, const VrdMessage *request,
                                 GError **error);
gboolean vrd_request_check_backend_reply(const VrdMessage *reply,
                                         const VrdMessage *request, GError **error);

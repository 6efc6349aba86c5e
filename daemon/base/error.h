/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * The one error domain of vringd. A code says who must act; the message says what
 * was being done, to which object, with which numbers.
 */
#define VRD_ERROR vrd_error_quark()

typedef enum {
    VRD_ERROR_SYSTEM,      /* the operating system refused: the administrator */
    VRD_ERROR_PROTOCOL,    /* a peer broke the vhost-user protocol: the peer's author */
    VRD_ERROR_UNSUPPORTED, /* legal, but not offered here: the caller */
    VRD_ERROR_STATE,       /* legal, but not now: the caller, later */
    VRD_ERROR_NOT_FOUND,   /* no such object: the caller */
    VRD_ERROR_DENIED,      /* not allowed to this peer or caller */
    VRD_ERROR_TIMEOUT,     /* a deadline passed: the peer that did not answer */
    VRD_ERROR_LOST,        /* a connection ended: nobody, or the peer */
    VRD_ERROR_REFUSED,     /* a peer answered a request with a failure: the peer */
    VRD_ERROR_SETTING,     /* a settings file is wrong: the administrator */
    VRD_ERROR_LIMIT,       /* a hard limit of ours is reached: the caller */
} VrdErrorCode;

GQuark vrd_error_quark(void);

/*
 * vrd_error_set_errno - set a VRD_ERROR_SYSTEM error that ends in ": strerror"
 * @error: (out) (optional) where to
 * @errnum: the errno value
 * @format: printf format of what was being done
 */
void vrd_error_set_errno(GError **error, int errnum, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Stable lower-case name of a code ("protocol"), for logs and D-Bus. */
const char *vrd_error_code_name(VrdErrorCode code);

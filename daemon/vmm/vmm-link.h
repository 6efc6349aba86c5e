/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

#include "link/stream.h"
#include "model/device.h"
#include "vmm/effect.h"

/*
 * The VMM link: here vringd is the back-end (spec "Front-end message types"). Each
 * request is held against its row, its gate and the model; then it edits the model, and
 * the owner carries out what it asks for beyond. One request is in work at a time: the
 * next one is read when the answer of this one is out.
 */
typedef struct VrdVmmLink VrdVmmLink;

typedef struct {
    /*
     * Carry out @effect and end it by one vrd_vmm_link_finish_*(), from inside or later.
     */
    void (*effect)(const VrdEffect *effect, gpointer user_data);
    /* The link ended, from the loop. May free the link. */
    void (*closed)(const GError *reason, gpointer user_data);
} VrdVmmLinkOwner;

/*
 * vrd_vmm_link_new - serve a VMM that has connected
 * @fd: (owned) its socket
 * @device: (borrowed) after vrd_device_begin_vmm(); outlives the link
 * @first_message_ms: milliseconds for the first message to come; 0: no deadline
 */
VrdVmmLink *vrd_vmm_link_new(sd_event *event, int fd, VrdDevice *device,
                             unsigned first_message_ms, const VrdVmmLinkOwner *owner,
                             gpointer user_data, GError **error);
void vrd_vmm_link_free(VrdVmmLink *link); /* no callback comes after it */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrdVmmLink, vrd_vmm_link_free)

/* The VMM has hung up, though its end has not been read yet. */
gboolean vrd_vmm_link_is_gone(const VrdVmmLink *link);

/* A request is in work: an effect has not been finished. */
gboolean vrd_vmm_link_is_busy(const VrdVmmLink *link);

/* It is done. @error: (nullable) what the VMM is told: a non-zero ack, if it asked for
 * one */
void vrd_vmm_link_finish(VrdVmmLink *link, const GError *error);

/* It is done, with this payload and descriptors; @reply: (borrowed) header set here */
void vrd_vmm_link_finish_reply(VrdVmmLink *link, VrdMessage *reply);

/* It cannot be answered at all: the VMM loses its socket. */
void vrd_vmm_link_fail(VrdVmmLink *link, const GError *reason);

/* For the handlers: the device, and the answer of a request that needs no effect. */
VrdDevice *vrd_vmm_link_device(const VrdVmmLink *link);
void vrd_vmm_link_answer_u64(VrdVmmLink *link, uint64_t value);
void vrd_vmm_link_answer(VrdVmmLink *link, VrdMessage *reply);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <systemd/sd-event.h>

/*
 * A short-lived child that shares nothing but our descriptor table (clone(CLONE_FILES)),
 * for system calls that a peer can make block for good: the loop goes on, and the
 * process can end. It has a copy of our memory but no locks: only system calls in it.
 */

/* Runs in the child: system calls only. @data: the child's own copy */
typedef void (*VrdChildBody)(const void *data, gsize bytes);

/*
 * vrd_child_run - run @body in such a child
 *
 * Its end is waited for by @event; with no loop it is left to the process' end.
 * Returns: FALSE if no child can be had.
 */
gboolean vrd_child_run(sd_event *event, VrdChildBody body, const void *data, gsize bytes);

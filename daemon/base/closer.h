/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

/*
 * Closing of foreign descriptors off the loop. close() of a peer's file can block for
 * good (FUSE, lingering sockets) and dropping guest memory takes 0.17 s a GiB; a thread
 * would keep the process from exiting. So a child that shares only the descriptor table
 * (clone(CLONE_FILES)) closes: the slot is free at once, the loop goes on, the process
 * can end. One child for each batch that collects in a loop turn.
 */

/* Start closing for this process; without it (unit tests) descriptors close in line. */
int vrd_closer_start(sd_event *event);
void vrd_closer_stop(void);

/* Give away *@fd (owned by the closer from here on, *@fd becomes -1). */
void vrd_closer_take(int *fd);

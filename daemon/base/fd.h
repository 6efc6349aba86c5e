/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * Descriptors: -1 is none, each is close-on-exec from birth. Nothing here may block on
 * a foreign descriptor, except vrd_fd_close(), which is for our own ones only: those of
 * peers go to base/closer.h.
 */

/* What a foreign descriptor is, found out without a call that could block on it. */
typedef enum {
    VRD_FD_UNKNOWN,
    VRD_FD_SHM, /* memfd, tmpfs or hugetlbfs file: F_GET_SEALS answers */
    VRD_FD_EVENTFD,
    VRD_FD_SOCKET,
    VRD_FD_PIPE,
    VRD_FD_FILE, /* any other file with a path: disk file, directory, device, FUSE */
    VRD_FD_ANON, /* another anonymous inode: epoll, timerfd, userfaultfd... */
} VrdFdKind;

VrdFdKind vrd_fd_kind(int fd);
const char *vrd_fd_kind_name(VrdFdKind kind);

/* TRUE if @fd was opened for reading and writing and not with O_PATH (F_GETFL). */
gboolean vrd_fd_is_read_write(int fd);

/* Close *@fd if it is not -1, set it to -1, keep errno. Our own descriptors only. */
void vrd_fd_close(int *fd);

/* Return *@fd and set it to -1. */
int vrd_fd_steal(int *fd);

/* (owned) a close-on-exec duplicate, or -1 with errno and @error set. */
int vrd_fd_dup(int fd, GError **error);

/* A descriptor that closes at the end of its scope. */
#define vrd_autofd __attribute__((cleanup(vrd_fd_close))) int

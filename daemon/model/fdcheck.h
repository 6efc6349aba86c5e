/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/*
 * Is a peer's descriptor what its message promises? Asked without a call that could
 * block.
 * @fd: (borrowed) foreign; @what: how an error names it ("kick descriptor of ring 3").
 * Errors: VRD_ERROR_PROTOCOL naming the kind found and the one allowed.
 */

/* A memfd, tmpfs or hugetlbfs file, open for reading and writing. */
gboolean vrd_fdcheck_memory(int fd, const char *what, GError **error);
gboolean vrd_fdcheck_eventfd(int fd, const char *what, GError **error);

/*
 * vrd_fdcheck_holds - does the file hold @size bytes from @offset on?
 * @fd: (borrowed) one that vrd_fdcheck_memory() has let pass
 */
gboolean vrd_fdcheck_holds(int fd, const char *what, uint64_t offset, uint64_t size,
                           GError **error);

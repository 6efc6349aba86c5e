# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guest memory in files, compared page by page."""

import os
import shutil
import tempfile

PAGE = 4096

# QEMU 7.2 with its own storage daemon, alone and with a correct log, differs by up to 28
# pages in one run of eight; without a log it is 600 pages and more.
NOISE = 64


class RamFiles:
    """A place for memory files that is itself memory, removed at the end of the case."""

    def __init__(self, case):
        free = 0
        if os.path.isdir('/dev/shm'):
            state = os.statvfs('/dev/shm')
            free = state.f_bavail * state.f_frsize
        home = '/dev/shm' if free > 512 << 20 else case.directory
        self.directory = tempfile.mkdtemp(prefix='vt.', dir=home)
        case.keep(self)

    def path(self, name):
        return os.path.join(self.directory, name)

    def kill(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def different_pages(one, other):
    """Numbers of the pages that are not the same in both files."""
    pages = []
    with open(one, 'rb') as first, open(other, 'rb') as second:
        at = 0
        while True:
            a, b = first.read(PAGE * 256), second.read(PAGE * 256)
            if not a and not b:
                return pages
            if a != b:
                pages += [at + index for index in range(256)
                          if a[index * PAGE:(index + 1) * PAGE] !=
                          b[index * PAGE:(index + 1) * PAGE]]
            at += 256

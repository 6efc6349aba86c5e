# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which eventfds and memory files a process holds, by what makes them the same thing."""

import os
import re


def eventfds(pid):
    """{eventfd-id} of all eventfds that the process has open."""
    found = set()
    directory = '/proc/%d/fdinfo' % pid
    for name in os.listdir(directory):
        try:
            with open(os.path.join(directory, name)) as info:
                match = re.search(r'^eventfd-id:\s*(\d+)', info.read(), re.M)
        except OSError:
            continue
        if match:
            found.add(int(match.group(1)))
    return found


def memory_files(pid):
    """{(device, inode)} of the memory files that the process has open."""
    found = set()
    directory = '/proc/%d/fd' % pid
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        try:
            target = os.readlink(path)
            if target.startswith(('/memfd:', '/dev/shm/')):
                state = os.stat(path)
                found.add((state.st_dev, state.st_ino))
        except OSError:
            continue
    return found


def mapped_files(pid):
    """{(device, inode)} of the shared memory files that the process has mapped."""
    found = set()
    with open('/proc/%d/maps' % pid) as maps:
        for line in maps:
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[1][3] == 's' and \
                    fields[5].startswith(('/memfd:', '/dev/shm/')):
                major, minor = (int(part, 16) for part in fields[3].split(':'))
                found.add((os.makedev(major, minor), int(fields[4])))
    return found

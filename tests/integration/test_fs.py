#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU with a vhost-user file system of virtiofsd."""

import hashlib
import os

from rig import backends, qemu, tap
from rig.route import Route


def md5(path):
    with open(path, 'rb') as file:
        return hashlib.md5(file.read()).hexdigest()


def start(case, jobs):
    """Returns (guest, shared directory, device, route)."""
    share = case.path('share')
    os.makedirs(share, exist_ok=True)
    with open(share + '/host.bin', 'wb') as file:
        file.write(os.urandom(3 << 20))
    route = Route(case)
    device = route.device('web1', 'fs0', 'fs', Queues=2)
    route.start()
    backends.Virtiofsd(case, device.backend, share)
    guest = qemu.Guest(case, 'guest', qemu.fs(device.vmm), jobs=jobs)
    return guest, share, device, route


@tap.case(quick=True, limit=60)
def files_have_the_same_sums_on_both_sides(case):
    guest, share, _, _ = start(case, 'fs')
    found = guest.says(r'fs sum=(\w+) host=(\w+)', 40)
    guest.expect_no_faults()
    tap.equal(found.group(1), md5(share + '/guest.bin'), "sum of the guest's file")
    tap.equal(found.group(2), md5(share + '/host.bin'), "sum of the host's file")
    tap.equal(guest.join(), 0, "QEMU's exit status")


@tap.case(limit=60)
def files_are_served_after_stop_and_cont(case):
    guest, _, _, _ = start(case, 'fsloop')
    guest.moves('fsloop', 40)
    for _ in range(3):
        guest.qmp.command('stop')
        guest.qmp.command('cont')
        guest.moves('fsloop')
    guest.expect_no_faults()


@tap.case(limit=60)
def next_virtiofsd_serves_the_next_guest(case):
    guest, share, device, _ = start(case, 'fsloop')
    guest.moves('fsloop', 40)
    guest.quit()
    # virtiofsd ends with its front-end; the next guest needs a next one.
    backends.Virtiofsd(case, device.backend, share, 'virtiofsd2')
    again = qemu.Guest(case, 'again', qemu.fs(device.vmm), jobs='fs')
    again.says(r'fs sum=\w+', 40)
    again.expect_no_faults()


if __name__ == '__main__':
    tap.main()

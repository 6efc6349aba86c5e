#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
How many of the requests that QEMU waits for are forwarded to the backend. vringd knows
most answers beforehand; what was negotiated before QEMU connects does not count.
"""

import collections

from rig import backends, qemu, roundtrips, tap
from rig.process import wait_path
from rig.relay import Relay
from rig.route import Route


def between(case, device):
    """A recorder on each side of vringd; returns (QEMU's path, backend's path, both)."""
    vmm_path = case.path('recorded.vmm')
    backend_path = case.path('recorded.backend')
    to_vringd = Relay(case, vmm_path, device.vmm)
    to_backend = Relay(case, device.backend, backend_path)
    return vmm_path, backend_path, (to_vringd, to_backend)


def hold(recorders, least, most):
    """
    least: waits without which the run was no whole one
    most: forwarded ones that are allowed
    """
    found = roundtrips.waits(*(recorder.log for recorder in recorders))
    forwarded = roundtrips.forwarded(found)
    print('# QEMU waited %d times, %d of them for the backend' % (len(found), len(forwarded)))
    counts = collections.Counter(map(str, found))
    for text, count in sorted(counts.items()):
        print('#   %d x %s' % (count, text))
    tap.true(len(found) >= least, 'QEMU waited %d times, at least %d are expected' %
             (len(found), least))
    tap.true(len(forwarded) <= most, '%d waits were forwarded, allowed are %d' %
             (len(forwarded), most))


@tap.case(quick=True, limit=60, via='vringd')
def net_with_two_pairs_forwards_at_most_14(case):
    route = Route(case)
    device = route.device('web1', 'net0', 'net', Queues=4)
    vmm_path, backend_path, recorders = between(case, device)
    backends.vhost_testpmd(case, backend_path, pairs=2)
    route.start()
    route.wait_backend(device)
    guest = qemu.Guest(case, 'guest', qemu.net(vmm_path, pairs=2), jobs='netping', cpus=2)
    found = guest.says(r'netping received=(\d+) of=20 queues=(\d+)', 40)
    tap.equal(found.groups(), ('20', '2'), 'answers and queues')
    tap.equal(guest.join(20), 0, "QEMU's exit status")
    hold(recorders, 15, 14)


@tap.case(quick=True, limit=60, via='vringd')
def blk_with_four_queues_forwards_at_most_12(case):
    route = Route(case)
    device = route.device('web1', 'disk0', 'blk', Queues=4)
    vmm_path, backend_path, recorders = between(case, device)
    backends.StorageDaemon(case, backend_path, backends.disk_image(case), 4)
    wait_path(backend_path)
    route.start()
    route.wait_backend(device)
    # Two CPUs use two of the queues: of 16 SET_VRING_ENABLE 10 are for queues without a ring.
    guest = qemu.Guest(case, 'guest', qemu.blk(vmm_path, queues=4, bootindex=1), jobs='blk',
                       cpus=2)
    found = guest.says(r'blk (ok|bad).*queues=(\d+)', 30)
    tap.equal(found.groups(), ('ok', '2'), 'outcome and queues')
    tap.equal(guest.join(20), 0, "QEMU's exit status")
    hold(recorders, 10, 12)


if __name__ == '__main__':
    tap.main()

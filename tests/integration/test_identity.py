#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The data path is untouched: the backend holds the very eventfds and memory files that the
VMM made, and vringd maps none of the memory.
"""

from rig import backends, identity, qemu, tap
from rig.process import wait_for
from rig.route import Route


def expect_same_things(guest, backend, rings, files, route):
    """
    rings: how many have a kick and a call eventfd in both processes
    files: how many memory files both have mapped
    """
    def shared():
        return identity.eventfds(guest.pid) & identity.eventfds(backend.pid)
    wait_for('%d eventfds in both' % (2 * rings), lambda: len(shared()) >= 2 * rings, 5, 0.1)
    print('# %d eventfds shared by QEMU and %s' % (len(shared()), backend.name))
    memory = identity.mapped_files(guest.pid) & identity.mapped_files(backend.pid)
    tap.equal(len(memory), files, 'memory files mapped by both')
    if route.vringd:
        mapped = identity.mapped_files(route.vringd.pid) & memory
        tap.equal(mapped, set(), 'guest memory mapped by vringd')


@tap.case(quick=True, limit=60)
def storage_daemon_holds_what_qemu_made(case):
    route = Route(case)
    device = route.device('web1', 'disk0', 'blk', Queues=2)
    route.start()
    storage = backends.StorageDaemon(case, device.backend, backends.disk_image(case), 2)
    guest = qemu.Guest(case, 'guest', qemu.blk(device.vmm, queues=2), jobs='blkloop', cpus=2)
    guest.moves('blkloop', 30)
    expect_same_things(guest, storage, 2, 1, route)
    guest.qmp.command('object-add', qom_type='memory-backend-memfd', id='more',
                      size=64 << 20, share=True)
    guest.qmp.command('device_add', driver='pc-dimm', id='dimm', memdev='more')
    guest.moves('blkloop')
    expect_same_things(guest, storage, 2, 2, route)


@tap.case(limit=60)
def testpmd_holds_what_qemu_made(case):
    route = Route(case)
    device = route.device('web1', 'net0', 'net', Queues=4)
    route.start()
    testpmd = backends.vhost_testpmd(case, device.backend, pairs=2)
    guest = qemu.Guest(case, 'guest', qemu.net(device.vmm, pairs=2), jobs='netloop', cpus=2)
    guest.moves('netloop', 30)
    expect_same_things(guest, testpmd, 4, 1, route)


@tap.case(limit=60)
def vhost_testpmd_holds_what_virtio_user_made(case):
    route = Route(case)
    device = route.device('dpdk', 'net0', 'net', Queues=4)
    route.start()
    back = backends.vhost_testpmd(case, device.backend, pairs=2, forward='macswap')
    front = backends.virtio_user(case, device.vmm, pairs=2, forward='flowgen')
    backends.wait_flow(front, 'rx')
    expect_same_things(front, back, 4, 1, route)


if __name__ == '__main__':
    tap.main()

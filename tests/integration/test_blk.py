#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU with a vhost-user-blk disk of qemu-storage-daemon."""

import time

from rig import backends, qemu, tap
from rig.oracle import Oracle
from rig.process import wait_for
from rig.route import Route

ROLES = {'qemu-client': {'vmm': 'listen'}, 'qemu-server': {'vmm': 'dial'}}


class Disk:
    """A device and its storage daemon."""

    def __init__(self, case, route, vm='web1', queues=1, vmm='listen', backend='dial',
                 boot=False, reload=False):
        self.server = 'wait' if vmm == 'dial' else False
        self.queues = queues
        self.device = route.device(vm, 'disk0', 'blk', vmm=vmm, backend=backend, Queues=queues)
        if reload:
            route.reload()
        self.image = backends.disk_image(case, vm + '.img', boot=boot)
        self.backend = self.device.backend
        self.storage = lambda: backends.StorageDaemon(case, self.backend, self.image, queues,
                                                      vm + '-storage')

    def options(self, **more):
        return qemu.blk(self.device.vmm, queues=self.queues, server=self.server, **more)


def one_disk(case, jobs, reboots=False, cpus=1, **keys):
    """A guest with one disk that does `jobs`; returns (guest, disk, route)."""
    route = Route(case)
    disk = Disk(case, route, **keys)
    route.start()
    disk.process = disk.storage()
    guest = qemu.Guest(case, 'guest', disk.options(bootindex=1), jobs=jobs, cpus=cpus,
                       reboots=reboots)
    return guest, disk, route


@tap.case(quick=True, limit=20)
def boot_sector_does_verified_io(case):
    guest, _, _ = one_disk(case, None, boot=True)
    guest.says('boot-io ok', 15)


@tap.case(quick=True, limit=40)
def linux_writes_and_reads_on_four_queues(case):
    guest, _, _ = one_disk(case, 'blk', cpus=4, queues=4)
    found = guest.says(r'blk (ok|bad).*queues=(\d+)', 30)
    tap.equal(found.groups(), ('ok', '4'), 'outcome and queues')
    guest.expect_no_faults()
    tap.equal(guest.join(), 0, "QEMU's exit status")


@tap.case(limit=40)
def qemu_as_server_writes_and_reads(case):
    if case.direct:
        raise tap.Skip('qemu-storage-daemon cannot connect')
    route = Route(case)
    disk = Disk(case, route, vmm='dial')
    route.start()
    disk.storage()
    # QEMU answers on QMP only when somebody has connected.
    guest = qemu.Guest(case, 'guest', disk.options(), jobs='blk', wait_qmp=False)
    guest.says('blk ok', 30)
    guest.expect_no_faults()


@tap.case(limit=60)
def guest_reboots(case):
    guest, _, _ = one_disk(case, 'reboot+blk', reboots=True)
    guest.says('reboot now', 30)
    guest.says('reboot done', 30)
    guest.says('blk ok', 30)
    guest.expect_no_faults()


@tap.case(limit=60)
def guest_goes_on_after_stop_and_cont(case):
    guest, _, _ = one_disk(case, 'blkloop')
    guest.moves('blkloop')
    for _ in range(3):
        guest.qmp.command('stop')
        tap.equal(guest.qmp.command('query-status')['status'], 'paused', 'status')
        time.sleep(0.2)
        guest.qmp.command('cont')
        guest.moves('blkloop')
    guest.expect_no_faults()


@tap.case(limit=60)
def reset_by_qmp_boots_again(case):
    guest, _, _ = one_disk(case, 'blkloop', reboots=True)
    guest.moves('blkloop')
    mark = guest.mark()
    guest.qmp.command('system_reset')
    guest.says('init', 20, mark)
    guest.says('blkloop round=', 20, mark)
    guest.expect_no_faults()


@tap.case(limit=60)
def disk_is_removed_and_added_again(case):
    route = Route(case)
    disk = Disk(case, route)
    route.start()
    disk.storage()
    guest = qemu.Guest(case, 'guest', disk.options(bus='port0'), jobs='hotplugloop')
    guest.says('hotplug present', 30)
    for _ in range(2):
        mark = guest.mark()
        guest.qmp.command('device_del', id='disk0')
        guest.qmp.wait_event('DEVICE_DELETED', 20)
        guest.says('hotplug gone', 15, mark)
        wait_for('chardev to be free', lambda: remove_chardev(guest), 5, 0.1)
        guest.qmp.command('chardev-add', id='c-disk0', backend={
            'type': 'socket', 'data': {'server': False, 'addr': {
                'type': 'unix', 'data': {'path': disk.device.vmm}}}})
        guest.qmp.command('device_add', driver='vhost-user-blk-pci', id='disk0',
                          chardev='c-disk0', num_queues=1, bus='port0')
        guest.says('hotplug present', 20, mark)
    guest.expect_no_faults()


def remove_chardev(guest):
    try:
        guest.qmp.command('chardev-remove', id='c-disk0')
        return True
    except qemu.Failure:
        # The device lets go of it a moment after the event.
        return False


@tap.case(limit=60)
def qemu_quits_and_another_one_connects(case):
    guest, disk, route = one_disk(case, 'blkloop')
    guest.moves('blkloop')
    guest.quit()
    oracle = None
    for _ in range(2):
        again = qemu.Guest(case, 'guest', disk.options(), jobs='blkloop')
        again.moves('blkloop')
        again.expect_no_faults()
        again.quit()
        if route.vringd:
            oracle = oracle or Oracle(route.vringd)
    if oracle:
        oracle.after()


@tap.case(limit=60, via='vringd')
def second_qemu_on_a_busy_disk_is_refused_and_the_first_goes_on(case):
    guest, disk, route = one_disk(case, 'blkloop')
    guest.moves('blkloop')
    second = qemu.Guest(case, 'second', disk.options(), jobs='blk', wait_qmp=False)
    tap.true(second.join(15) != 0, 'the second QEMU was not refused')
    guest.moves('blkloop')
    guest.expect_no_faults()


@tap.case(quick=True, limit=90)
def forty_guests_at_once(case):
    count = 40
    route = Route(case)
    disks = [Disk(case, route, 'vm%d' % number, boot=True) for number in range(count)]
    route.start()
    for disk in disks:
        disk.storage()
    begin = time.monotonic()
    guests = [qemu.Guest(case, 'guest%d' % number, disk.options(bootindex=1), mib=32,
                         wait_qmp=False) for number, disk in enumerate(disks)]
    for guest in guests:
        guest.says('boot-io ok', 60)
    print('# all done after %.2f s' % (time.monotonic() - begin))


@tap.case(limit=60, via='vringd')
def device_is_added_and_removed_while_another_works(case):
    guest, _, route = one_disk(case, 'blkloop')
    guest.moves('blkloop')
    for _ in range(3):
        disk = Disk(case, route, 'late', boot=True, reload=True)
        storage = disk.storage()
        late = qemu.Guest(case, 'late', disk.options(bootindex=1), mib=32)
        late.says('boot-io ok', 20)
        late.quit()
        storage.kill()
        route.vringd.remove(disk.device.ident)
        route.reload()
        guest.moves('blkloop')
    guest.expect_no_faults()


if __name__ == '__main__':
    tap.main()

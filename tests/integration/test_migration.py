#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Live migration from QEMU to QEMU, a vringd on each side.

A check inside the guest proves nothing about the dirty log: a guest does not notice the
pages it lost. So both guests' memory lies in files, and these are compared page by page.
"""

import fcntl
import os
import time

from rig import backends, qemu, ram, tap
from rig.oracle import Oracle
from rig.process import wait_for
from rig.relay import Relay
from rig.route import Route

MIB = 128

# linux/fcntl.h; the names came to Python 3.9 on some systems only
F_GET_SEALS = 1034
SEALED = 0x0002 | 0x0004 | 0x0008  # shrink, grow, write


class Host:
    """One side: its vringd, its devices and their backends."""

    def __init__(self, case, name, kinds, image=None, share=None):
        self.case = case
        self.name = name
        self.kinds = kinds
        self.image = image
        self.share = share
        self.route = Route(case, name + '-vringd')
        self.devices = {kind: self.route.device('web1', kind + '0', kind,
                                                Queues=4 if kind == 'net' else 1 + (kind == 'fs'))
                        for kind in kinds}
        # Where the backends are; a relay may lie before one of them.
        self.sockets = {kind: device.backend for kind, device in self.devices.items()}
        self.route.start()

    def hide_log(self):
        """Keeps the dirty log away from all backends."""
        for kind, device in self.devices.items():
            self.sockets[kind] = self.case.path('%s-%s.hidden' % (self.name, kind))
            Relay(self.case, device.backend, self.sockets[kind], hide_log=True)

    def start_backends(self):
        if 'blk' in self.kinds:
            backends.StorageDaemon(self.case, self.sockets['blk'], self.image, 1,
                                   self.name + '-storage')
        if 'fs' in self.kinds:
            backends.Virtiofsd(self.case, self.sockets['fs'], self.share,
                               self.name + '-virtiofsd')

    def guest(self, jobs, **keys):
        options = []
        if 'blk' in self.kinds:
            options += qemu.blk(self.devices['blk'].vmm)
        if 'net' in self.kinds:
            options += qemu.net(self.devices['net'].vmm, pairs=2)
        if 'fs' in self.kinds:
            options += qemu.fs(self.devices['fs'].vmm)
        return qemu.Guest(self.case, self.name, options, jobs=jobs, mib=MIB, **keys)


class Hosts:
    """Source and destination, with a disk and a testpmd that both can reach."""

    def __init__(self, case, kinds, hide_log=False, random=True):
        self.case = case
        self.kinds = kinds
        image = backends.disk_image(case, random=random) if 'blk' in kinds else None
        share = case.path('share')
        if 'fs' in kinds:
            os.makedirs(share)
        self.source = Host(case, 'source', kinds, image, share)
        self.destination = Host(case, 'destination', kinds, image, share)
        if hide_log:
            self.source.hide_log()
        for host in (self.source, self.destination):
            host.start_backends()
        if 'net' in kinds:
            # One process for both ports: two would take both cores.
            self.testpmd = backends.vhost_testpmd(
                case, [self.source.sockets['net'], self.destination.sockets['net']], pairs=2)
        self.socket = case.path('migration')

    def forget_socket(self):
        """Removes the socket of the last migration; newer versions of QEMU do it themselves."""
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def vringds(self):
        return [host.route.vringd for host in (self.source, self.destination)
                if host.route.vringd is not None]

    def expect_clean(self):
        for vringd in self.vringds():
            vringd.expect_clean()


LOADS = {'blk': (['blk'], 'blkloop'), 'net': (['net'], 'netloop'),
         'blk and net': (['blk', 'net'], 'blkloop+netloop')}
if qemu.version() >= (8, 2) and backends.VIRTIOFSD_RUST:
    # QEMU before that and the virtiofsd in C cannot migrate a file system.
    LOADS['fs'] = (['fs'], 'fsloop')


def loops(jobs):
    return jobs.split('+')


@tap.case(quick=['blk and net'], limit=90, rows={name: {'kinds': kinds, 'jobs': jobs}
                          for name, (kinds, jobs) in LOADS.items()})
def guest_goes_on_at_the_destination(case, kinds, jobs):
    hosts = Hosts(case, kinds, random=False)
    source = hosts.source.guest(jobs)
    for job in loops(jobs):
        source.moves(job, 40)
    destination = hosts.destination.guest(jobs, incoming=hosts.socket)
    state = qemu.migrate(source, hosts.socket)
    print('# total %d ms, down %d ms' % (state['total-time'], state['downtime']))
    destination.qmp.wait_event('RESUME', 10)
    for job in loops(jobs):
        destination.moves(job)
    destination.expect_no_faults()
    source.quit()
    for job in loops(jobs):
        destination.moves(job)
    hosts.expect_clean()


def migrate_under_load(case, hide_log):
    """Migrates a guest whose backends write its memory; returns the pages that differ."""
    hosts = Hosts(case, ['blk', 'net'], hide_log)
    files = ram.RamFiles(case)
    jobs = 'cacheloop+netloop'
    source = hosts.source.guest(jobs, ram=files.path('source'))
    source.moves('cacheloop', 60)
    source.moves('netloop', 30)
    destination = hosts.destination.guest(jobs, incoming=hosts.socket, paused=True,
                                          ram=files.path('destination'))
    state = qemu.migrate(source, hosts.socket, bandwidth=24 << 20, converge_after=4)
    print('# total %d ms, down %d ms, %d rounds' % (
        state['total-time'], state['downtime'], state['ram']['dirty-sync-count']))
    destination.qmp.command('query-status')
    pages = ram.different_pages(files.path('source'), files.path('destination'))
    print('# %d pages of %d differ' % (len(pages), MIB << 8))
    return pages, destination, hosts


@tap.case(quick=True, limit=120)
def memory_is_the_same_page_by_page(case):
    pages, destination, hosts = migrate_under_load(case, False)
    tap.true(len(pages) <= ram.NOISE, '%d pages differ: %s' % (len(pages), pages[:20]))
    destination.qmp.command('cont')
    destination.moves('cacheloop')
    destination.moves('netloop')
    destination.expect_no_faults()
    hosts.expect_clean()


@tap.case(limit=120)
def comparison_finds_a_log_hidden_from_the_backend(case):
    pages, _, _ = migrate_under_load(case, True)
    tap.true(len(pages) > ram.NOISE,
             'only %d pages differ although the backend did not log' % len(pages))


@tap.case(limit=120)
def cancelled_migration_can_be_repeated(case):
    hosts = Hosts(case, ['blk', 'net'], random=False)
    jobs = 'blkloop+netloop'
    source = hosts.source.guest(jobs)
    for job in loops(jobs):
        source.moves(job, 40)
    for _ in range(2):
        destination = hosts.destination.guest(jobs, incoming=hosts.socket)
        source.qmp.command('migrate-set-parameters', max_bandwidth=8 << 20)
        source.qmp.command('migrate', uri='unix:' + hosts.socket)
        wait_for('the migration to be under way', lambda: source.qmp.command(
            'query-migrate').get('ram', {}).get('transferred', 0) > 4 << 20, 15, 0.05)
        source.qmp.command('migrate_cancel')
        wait_for('the cancellation', lambda: source.qmp.command(
            'query-migrate')['status'] == 'cancelled', 15, 0.02)
        for job in loops(jobs):
            source.moves(job)
        destination.kill()
        hosts.forget_socket()
    destination = hosts.destination.guest(jobs, incoming=hosts.socket)
    qemu.migrate(source, hosts.socket)
    destination.qmp.wait_event('RESUME', 10)
    for job in loops(jobs):
        destination.moves(job)
    source.expect_no_faults()
    destination.expect_no_faults()
    hosts.expect_clean()


def there_and_away(hosts, jobs):
    """One migration, after which both guests end."""
    hosts.forget_socket()
    source = hosts.source.guest(jobs)
    for job in loops(jobs):
        source.moves(job, 40)
    destination = hosts.destination.guest(jobs, incoming=hosts.socket)
    qemu.migrate(source, hosts.socket)
    destination.qmp.wait_event('RESUME', 10)
    for job in loops(jobs):
        destination.moves(job)
    source.quit()
    destination.quit()


@tap.case(limit=150, via='vringd')
def both_daemons_have_as_many_descriptors_as_before(case):
    hosts = Hosts(case, ['blk', 'net'], random=False)
    jobs = 'blkloop+netloop'
    there_and_away(hosts, jobs)
    oracles = [Oracle(vringd) for vringd in hosts.vringds()]
    there_and_away(hosts, jobs)
    for oracle in oracles:
        oracle.after()


def expect_sealed(descriptor):
    """Nobody may change the snapshot, whatever way he has it opened."""
    seals = fcntl.fcntl(descriptor, F_GET_SEALS)
    tap.equal(seals & SEALED, SEALED, 'seals of the snapshot')
    try:
        os.pwrite(descriptor, b'\0', 0)
    except OSError:
        return
    raise qemu.Failure('the snapshot can be written')


@tap.case(quick=True, limit=90, via='vringd')
def log_is_opened_over_dbus_while_it_runs(case):
    hosts = Hosts(case, ['blk'])
    vringd = hosts.source.route.vringd
    source = hosts.source.guest('cacheloop')
    source.moves('cacheloop', 60)
    tap.equal(vringd.vm('web1')['LogActive'], False, 'LogActive before the migration')
    hosts.destination.guest('cacheloop', incoming=hosts.socket)
    source.qmp.command('migrate-set-parameters', max_bandwidth=8 << 20)
    source.qmp.command('migrate', uri='unix:' + hosts.socket)
    wait_for('LogActive', lambda: vringd.vm('web1')['LogActive'], 15, 0.05)
    time.sleep(0.5)
    descriptor, size, page_size, generation = vringd.open_log('web1')
    try:
        tap.equal(os.fstat(descriptor).st_size, size, 'size of the log')
        tap.equal(page_size, 4096, 'page size')
        tap.true(generation > 0, 'the generation is 0')
        tap.true(size * 8 * page_size >= MIB << 20, 'the log covers only a part of the memory')
        expect_sealed(descriptor)
    finally:
        os.close(descriptor)
    source.qmp.command('migrate-set-parameters', max_bandwidth=1 << 30)
    wait_for('the end of the migration', lambda: source.qmp.command(
        'query-migrate')['status'] == 'completed', 40, 0.05)


@tap.case(limit=90, rows={'blk': {'kind': 'blk', 'job': 'blkloop'},
                          'net': {'kind': 'net', 'job': 'netloop'}})
def memory_is_plugged_in_while_the_guest_works(case, kind, job):
    route = Route(case)
    device = route.device('web1', kind + '0', kind, Queues=4)
    route.start()
    if kind == 'blk':
        image = backends.disk_image(case)
        backends.StorageDaemon(case, device.backend, image)
        options = qemu.blk(device.vmm)
    else:
        backends.vhost_testpmd(case, device.backend)
        options = qemu.net(device.vmm)
    guest = qemu.Guest(case, 'guest', options, jobs=job + '+memoryloop')
    guest.moves(job, 40)
    before = int(guest.find(r'memory kib=(\d+)')[-1].group(1))
    for number in range(2):
        mark = guest.mark()
        guest.qmp.command('object-add', qom_type='memory-backend-memfd',
                          id='more%d' % number, size=128 << 20, share=True)
        guest.qmp.command('device_add', driver='pc-dimm', id='dimm%d' % number,
                          memdev='more%d' % number)
        guest.says(r'memory kib=\d+', 15, mark)
        guest.moves(job)
    after = int(guest.find(r'memory kib=(\d+)')[-1].group(1))
    tap.true(after > before + (200 << 10), 'memory grew from %d to %d KiB' % (before, after))
    guest.expect_no_faults()
    if route.vringd:
        tap.true(route.vringd.vm('web1')['MemoryBytes'] >= (MIB + 256) << 20,
                 'vringd does not know the new memory')


if __name__ == '__main__':
    tap.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What vringd does, as a story: see ../../quickstart, which calls this."""

import os
import signal
import sys
import time

from rig import backends, qemu
from rig.process import Failure, wait_for
from rig.tap import Case
from rig.vringd import Vringd

KINDS = {'disk0': ('blk', 1), 'net0': ('net', 4)}
JOBS = 'blk+netping+blkloop+netloop'


class Story:
    """Numbered steps and the time they took."""

    def __init__(self):
        self.begin = time.monotonic()
        self.number = 0

    def step(self, text):
        self.number += 1
        print('\n%d. %s' % (self.number, text), flush=True)

    def note(self, text):
        print('\n'.join('   ' + line for line in text.rstrip('\n').splitlines()), flush=True)


class Machine:
    """A VM's two devices on the daemon: where QEMU and where the backends connect."""

    def __init__(self, case, vringd, vm):
        self.case = case
        self.vm = vm
        self.front, self.back = {}, {}
        for device, (kind, queues) in KINDS.items():
            self.back[device] = case.path('%s-%s.backend' % (vm, device))
            ident = vringd.add(vm, device, kind, {'Backend': {'Path': self.back[device]}},
                               Queues=queues)
            self.front[device] = vringd.activate('vmm.' + ident)

    def guest(self, **keys):
        return qemu.Guest(self.case, self.vm,
                          qemu.blk(self.front['disk0']) + qemu.net(self.front['net0'], pairs=2),
                          jobs=JOBS, cpus=2, **keys)


def start_backends(case, machines):
    """A storage daemon for each machine, on one image, and one testpmd for both."""
    image = backends.disk_image(case)
    for machine in machines:
        backends.StorageDaemon(case, machine.back['disk0'], image, 1, machine.vm + '-storage')
    backends.vhost_testpmd(case, [machine.back['net0'] for machine in machines], pairs=2)


def migrate(story, vringd, first, second, socket):
    """Migrates slowly, looks into the log, then lets the migration finish."""
    first.qmp.command('migrate-set-parameters', max_bandwidth=16 << 20)
    first.qmp.command('migrate', uri='unix:' + socket)
    wait_for('the dirty log', lambda: vringd.vm('web1')['LogActive'], 20, 0.05)
    time.sleep(0.5)
    log, size, page_size, generation = vringd.open_log('web1')
    try:
        dirty = sum(bin(byte).count('1') for byte in os.pread(log, size, 0))
    finally:
        os.close(log)
    story.note('org.vringd1.VM.OpenLog: %d bytes, one bit for %d bytes of the guest, '
               'generation %d, %d pages dirty now' % (size, page_size, generation, dirty))
    first.qmp.command('migrate-set-parameters', max_bandwidth=1 << 30)
    wait_for('the end of the migration', lambda: first.qmp.command(
        'query-migrate')['status'] not in ('active', 'setup', 'device'), 60, 0.02)
    state = first.qmp.command('query-migrate')
    if state['status'] != 'completed':
        raise Failure('migration %s: %s' % (state['status'], state.get('error-desc', '')))
    second.qmp.wait_event('RESUME', 10)
    for job in ('blkloop', 'netloop'):
        second.moves(job)
    second.expect_no_faults()
    story.note('completed in %.1f s, the guest stood still for %d ms and goes on' %
               (state['total-time'] / 1000, state['downtime']))


def tell(case, story):
    story.step('One vringd, with sockets handed to it as systemd does')
    vringd = Vringd(case)
    machines = [Machine(case, vringd, vm) for vm in ('web1', 'web1-moved')]
    vringd.start()
    for name, (path, _) in vringd.activated.items():
        story.note('%-24s %s' % (name, path))

    story.step('Backends: qemu-storage-daemon for the disk, DPDK testpmd for the network')
    start_backends(case, machines)
    story.note('ready')

    story.step('A Linux guest on QEMU uses both through vringd')
    first = machines[0].guest()
    found = first.says(r'blk ok', 60)
    story.note('disk: 1 MiB written, read again and compared: %s' % found.group(0)[-2:])
    found = first.says(r'netping received=(\d+) of=(\d+) queues=(\d+)', 60)
    story.note('network: %s of %s pings answered, %s queue pairs' % found.groups())
    if found.group(1) != found.group(2):
        raise Failure('pings were lost')
    for job in ('blkloop', 'netloop'):
        first.moves(job)
    first.expect_no_faults()

    story.step('What vringd knows about it')
    for words in (['list'], ['show', 'web1']):
        print('   $ vringctl ' + ' '.join(words))
        story.note(vringd.ctl(*words))

    story.step('Live migration to a second QEMU; its dirty log is opened over D-Bus meanwhile')
    socket = case.path('migration')
    second = machines[1].guest(incoming=socket)
    migrate(story, vringd, first, second, socket)
    first.quit()
    print('   $ vringctl list')
    story.note(vringd.ctl('list'))

    story.step('Everything ends')
    second.quit()
    case.finish()
    story.note('vringd has ended well')


def main():
    def on_signal(number, frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    story = Story()
    print('preparing the guest, once', flush=True)
    qemu.guest_files()
    case = Case('quickstart', False)
    try:
        tell(case, story)
    except Failure as failure:
        print('\nThis went wrong: %s\n%s' % (failure, case.outputs()))
        sys.exit(1)
    finally:
        case.end()
    print('\nDone in %.0f s; nothing is left behind.' % (time.monotonic() - story.begin))


if __name__ == '__main__':
    main()

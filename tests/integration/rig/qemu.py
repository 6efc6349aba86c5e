# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU with a small guest in shared memory, and the devices it can have."""

import os
import re
import signal
import time

from .process import Failure, Process, run, wait_for
from .qmp import Qmp

QEMU = os.environ.get('QEMU', 'qemu-system-x86_64')
# What a guest is migrated to, and the machine type that both have.
QEMU_DESTINATION = os.environ.get('QEMU_DESTINATION', QEMU)
MACHINE = os.environ.get('QEMU_MACHINE', 'q35')
HERE = os.path.dirname(os.path.abspath(__file__))

# Zeroing pages at allocation hides a missing dirty log almost completely.
KERNEL_LINE = ('console=ttyS0 loglevel=4 nokaslr mitigations=off tsc=reliable no_timer_check '
               '8250.nr_uarts=1 random.trust_cpu=on panic=-1 init_on_alloc=0 init_on_free=0 '
               'memhp_default_state=online')

_guest = None
_version = None


def guest_files():
    """The directory with the guest's kernel, initramfs and boot sector; made when missing."""
    global _guest
    if _guest is None:
        cache = os.environ.get('VRINGD_TEST_GUEST', '')
        command = [os.path.join(HERE, '..', 'guest', 'make-guest')] + ([cache] if cache else [])
        _guest = run(command, timeout=240).strip().splitlines()[-1]
    return _guest


def version():
    """(major, minor) of the QEMU in use."""
    global _version
    if _version is None:
        found = re.search(r'version (\d+)\.(\d+)', run([QEMU, '--version']))
        _version = (int(found.group(1)), int(found.group(2)))
    return _version


def _chardev(name, path, server, reconnect=0):
    """server: False, 'wait' (QEMU waits for a peer before the guest starts) or 'nowait'"""
    text = 'socket,id=%s,path=%s' % (name, path)
    if server:
        text += ',server=on,wait=%s' % ('off' if server == 'nowait' else 'on')
    if reconnect:
        text += ',reconnect=%d' % reconnect
    return ['-chardev', text]


def blk(path, name='disk0', queues=1, server=False, reconnect=0, bus=None, bootindex=None):
    """A vhost-user-blk disk. `name` is the id that device_del takes."""
    device = 'vhost-user-blk-pci,id=%s,chardev=c-%s,num-queues=%d' % (name, name, queues)
    if bus:
        device += ',bus=%s' % bus
    if bootindex is not None:
        device += ',bootindex=%d' % bootindex
    return _chardev('c-' + name, path, server, reconnect) + ['-device', device]


def net(path, name='net0', pairs=1, server=False, reconnect=0, mac='52:54:00:76:72:01'):
    """
    A vhost-user network card.

    QEMU before 8 crashes under TCG when the guest starts this device with MSI-X: it
    installs vector notifiers and uses an interrupt route table that only KVM has.
    """
    vectors = ',vectors=0' if version() < (8, 0) else ''
    return (_chardev('c-' + name, path, server, reconnect) +
            ['-netdev', 'vhost-user,id=n-%s,chardev=c-%s,queues=%d' % (name, name, pairs),
             '-device', 'virtio-net-pci,id=%s,netdev=n-%s,mac=%s,mq=%s,romfile=%s' %
             (name, name, mac, 'on' if pairs > 1 else 'off', vectors)])


def fs(path, name='fs0', server=False):
    """A vhost-user file system with the tag `share`; QEMU cannot reconnect this one."""
    return (_chardev('c-' + name, path, server) +
            ['-device', 'vhost-user-fs-pci,id=%s,chardev=c-%s,tag=share,queue-size=128' %
             (name, name)])


class Guest(Process):
    """
    A running QEMU.

    jobs: what the guest's init shall do, or None for the boot sector on the first disk
    ram: a file that holds the guest's memory, in place of a memfd
    incoming: a socket path on which a migration is awaited
    """

    def __init__(self, case, name, devices, jobs=None, mib=128, cpus=1, incoming=None,
                 paused=False, ram=None, extra=(), reboots=False, wait_qmp=True):
        self.qmp_path = case.path(name + '.qmp')
        memory = 'memory-backend-memfd'
        if ram:
            memory = 'memory-backend-file,mem-path=%s' % ram
        binary = QEMU_DESTINATION if incoming else QEMU
        command = [binary, '-name', name, '-nodefaults', '-no-user-config', '-display', 'none',
                   '-serial', 'stdio', '-accel', 'tcg', '-cpu', 'max',
                   '-M', MACHINE + ',memory-backend=ram0', '-smp', cpus,
                   '-m', '%dM,slots=4,maxmem=2G' % mib,
                   '-object', '%s,id=ram0,size=%dM,share=on' % (memory, mib),
                   '-device', 'pcie-root-port,id=port0,chassis=1',
                   '-qmp', 'unix:%s,server=on,wait=off' % self.qmp_path]
        if not reboots:
            command += ['-no-reboot']
        if jobs is not None:
            files = guest_files()
            command += ['-kernel', files + '/vmlinux', '-initrd', files + '/initramfs',
                        '-append', '%s guest=%s' % (KERNEL_LINE, jobs)]
        if incoming:
            command += ['-incoming', 'unix:%s' % incoming]
        if paused:
            command += ['-S']
        super().__init__(name, command + list(devices) + list(extra))
        case.keep(self)
        self.qmp = None
        if wait_qmp:
            self.connect()

    def connect(self, timeout=20.0):
        """Opens the QMP session. A server chardev with wait=on delays its greeting."""
        wait_for('QMP socket of %s\n%s' % (self.name, self.tail()),
                 lambda: os.path.exists(self.qmp_path) or not self.running(), timeout)
        if not self.running():
            self.reader.join(2)
            raise Failure('%s ended at once\n%s' % (self.name, self.tail()))
        self.qmp = Qmp(self.qmp_path, timeout)
        return self.qmp

    def says(self, pattern, timeout=30.0, since=0):
        """Waits for a line of the guest's own."""
        return self.wait('GUEST ' + pattern, timeout, since)

    def progress(self, job):
        """How far a loop is: rounds done, or pings answered (sending alone proves nothing)."""
        found = self.find(r'GUEST %s (?:round|sent=\d+ received)=(\d+)' % job)
        return int(found[-1].group(1)) if found else 0

    def moves(self, job, timeout=15.0):
        """Waits for new progress of a loop."""
        before = self.progress(job)
        end = time.monotonic() + timeout
        while self.progress(job) <= before:
            left = end - time.monotonic()
            if left <= 0:
                raise Failure('%s of %s stays at %d for %g s\n%s' %
                              (job, self.name, before, timeout, self.tail()))
            self.says(job + ' ', left, self.mark())

    def faults(self, since=0):
        """What the guest found wrong."""
        wrong = self.find(r'GUEST .*(bad|error|no-disk|no-device|no-mount|failed)|'
                          r'Oops|Kernel panic|I/O error', since)
        return [found.string for found in wrong]

    def expect_no_faults(self, since=0):
        faults = self.faults(since)
        if faults:
            raise Failure('the guest found faults:\n  ' + '\n  '.join(faults))

    def quit(self):
        """Ends QEMU by its own command and checks that it ended well."""
        if self.running():
            try:
                self.qmp.command('quit')
            except Failure:
                # It may be gone before the answer is.
                pass
        status = self.join()
        if status != 0:
            raise Failure('%s ended with status %d\n%s' % (self.name, status, self.tail()))

    def kill(self):
        if self.qmp is not None:
            self.qmp.close()
        self.signal(signal.SIGCONT)
        super().kill()


def migrate(source, path, timeout=60.0, bandwidth=None, converge_after=None):
    """
    Migrates and waits for the end; returns what query-migrate says then.

    With a bandwidth (bytes a second) the migration is held up until `converge_after`
    seconds have passed.
    """
    qmp = source.qmp
    qmp.command('migrate-set-parameters', max_bandwidth=bandwidth or 1 << 30)
    qmp.command('migrate', uri='unix:%s' % path)
    begin = time.monotonic()
    while True:
        state = qmp.command('query-migrate')
        if state.get('status') in ('completed', 'failed', 'cancelled'):
            break
        passed = time.monotonic() - begin
        if passed > timeout:
            raise Failure('migration still %s after %g s' % (state.get('status'), timeout))
        if bandwidth and passed > (converge_after or 0):
            qmp.command('migrate-set-parameters', max_bandwidth=1 << 30)
            bandwidth = None
        time.sleep(0.02)
    if state['status'] != 'completed':
        raise Failure('migration %s: %s' % (state['status'], state.get('error-desc', '')))
    return state

# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other side: storage daemon, testpmd in both roles, virtiofsd."""

import os
import signal

from . import packets
from .process import Failure, Process, wait_for, wait_path
from .qemu import guest_files

QSD = os.environ.get('QSD', 'qemu-storage-daemon')
TESTPMD = os.environ.get('TESTPMD', 'dpdk-testpmd')
VIRTIOFSD = os.environ.get('VIRTIOFSD', '/usr/lib/qemu/virtiofsd')
VIRTIOFSD_RUST = bool(os.environ.get('VIRTIOFSD_RUST')) or 'libexec' in VIRTIOFSD

# The prompt has no newline, so the answer to a further command marks the end of one.
END_OF_ANSWER = r'forwarding lcores'

# Runs of one process need a prefix of their own each: DPDK names its files by it.
_serial = 0


def disk_image(case, name='disk.img', mib=64, boot=False, random=False):
    """Makes a disk image: sparse, or bootable, or full of random bytes."""
    path = case.path(name)
    with open(path, 'wb') as image:
        if random:
            for _ in range(mib):
                image.write(os.urandom(1 << 20))
        if boot:
            with open(guest_files() + '/boot.bin', 'rb') as sector:
                image.write(sector.read() + os.urandom(512))
        image.truncate(mib << 20)
    return path


class StorageDaemon(Process):
    """qemu-storage-daemon that exports an image as a vhost-user-blk device."""

    def __init__(self, case, socket, image, queues=1, name='storage'):
        if os.path.exists(socket):
            os.unlink(socket)
        super().__init__(name, [
            QSD, '--blockdev', 'driver=file,node-name=file0,locking=off,filename=%s' % image,
            '--blockdev', 'driver=raw,node-name=raw0,file=file0',
            '--export', 'type=vhost-user-blk,id=export0,addr.type=unix,addr.path=%s,'
            'node-name=raw0,writable=on,num-queues=%d' % (socket, queues)])
        case.keep(self)
        wait_path(socket, self)

    def kill(self):
        self.signal(signal.SIGCONT)
        super().kill()


class Testpmd(Process):
    """DPDK's testpmd at its prompt, with one core for itself and the traffic."""

    def __init__(self, case, name, vdevs, forward, cpu, pairs=1, start=True, descriptors=0,
                 mib=64, extra=()):
        global _serial
        _serial += 1
        self.ports = len(vdevs)
        command = ['stdbuf', '-oL', TESTPMD, '--lcores', '0@%d,1@%d' % (cpu, cpu), '--no-huge',
                   '-m', mib, '--no-pci', '--no-telemetry', '--file-prefix',
                   'vringd-test-%d-%d' % (os.getpid(), _serial),
                   '--log-level=lib.vhost.*:info']
        for vdev in vdevs:
            command += ['--vdev', vdev]
        command += ['--', '-i', '--total-num-mbufs=%d' % (4096 * len(vdevs)), '--nb-cores=1',
                    '--rxq=%d' % pairs, '--txq=%d' % pairs, '--forward-mode=%s' % forward]
        if descriptors:
            command += ['--rxd=%d' % descriptors, '--txd=%d' % descriptors]
        if start:
            command += ['--auto-start']
        # DPDK leaves its directory behind; here it goes with the case.
        runtime = case.path('dpdk')
        os.makedirs(runtime, exist_ok=True)
        super().__init__(name, command + list(extra), env={'RUNTIME_DIRECTORY': runtime},
                         stdin=True)
        case.keep(self)
        self.ready()

    def ready(self, timeout=30.0):
        """Waits until the prompt answers, which is after the ports are configured."""
        self.ask('show port summary all', r'^ *(Link|0 )', timeout)

    def ask(self, text, pattern, timeout=10.0):
        """Types a command and waits for a line of its answer."""
        since = self.mark()
        self.type(text + '\n')
        return self.wait(pattern, timeout, since)

    def statistics(self):
        """Counters of each port: a list of packets.Port."""
        since = self.mark()
        self.type('show port stats all\nshow config cores\n')
        self.wait(END_OF_ANSWER, 10, since)
        with self.changed:
            text = '\n'.join(line for _, line in self.lines[since:])
        return packets.ports(text)

    def queue_packets(self, port=0):
        """Packets of each queue: {('rx', 0): n, ('tx', 0): n, ...}."""
        since = self.mark()
        self.type('show port xstats %d\nshow config cores\n' % port)
        self.wait(END_OF_ANSWER, 10, since)
        with self.changed:
            text = '\n'.join(line for _, line in self.lines[since:])
        return packets.queues(text)

    def quit(self):
        """Ends it as a user does."""
        self.type('quit\n')
        status = self.join(20)
        if status != 0:
            raise Failure('%s ended with status %d\n%s' % (self.name, status, self.tail()))


def vhost_testpmd(case, sockets, client=False, pairs=1, forward='icmpecho', cpu=0,
                  name='testpmd', wait=True):
    """testpmd as a vhost-user backend, one port for each socket; client: it connects."""
    if isinstance(sockets, str):
        sockets = [sockets]
    if not client:
        for socket in sockets:
            if os.path.exists(socket):
                os.unlink(socket)
    vdevs = ['net_vhost%d,iface=%s,queues=%d%s' % (index, socket, pairs,
                                                   ',client=1' if client else '')
             for index, socket in enumerate(sockets)]
    process = Testpmd(case, name, vdevs, forward, cpu, pairs, mib=64 + 32 * len(sockets))
    if not client and wait:
        for socket in sockets:
            wait_path(socket, process)
    return process


def virtio_user(case, socket, server=False, pairs=1, packed=False, forward='txonly', cpu=1,
                name='virtio-user', start=True):
    """testpmd as the front-end; server: it listens and the backend connects to it."""
    vdev = 'net_virtio_user0,path=%s,queues=%d,queue_size=256' % (socket, pairs)
    if server:
        if os.path.exists(socket):
            os.unlink(socket)
        vdev += ',server=1'
    if packed:
        vdev += ',packed_vq=1'
    return Testpmd(case, name, [vdev], forward, cpu, pairs, start=start, descriptors=256)


class Virtiofsd(Process):
    """virtiofsd, the one in C or the one in Rust. It ends when its front-end goes."""

    def __init__(self, case, socket, directory, name='virtiofsd'):
        if os.path.exists(socket):
            os.unlink(socket)
        command = [VIRTIOFSD, '--socket-path=%s' % socket]
        if VIRTIOFSD_RUST:
            command += ['--shared-dir=%s' % directory, '--sandbox=none']
        else:
            command += ['-o', 'source=%s' % directory, '-o', 'sandbox=chroot',
                        '-o', 'cache=none']
        super().__init__(name, command)
        case.keep(self)
        # The one in Rust removes its socket when somebody has connected, which is at once.
        wait_for('virtiofsd to listen', lambda: os.path.exists(socket) or
                 self.find('Client connected|[Ww]aiting for vhost-user socket'), 20)


def wait_flow(process, field, port=0, more_than=None, timeout=20.0):
    """Waits until a counter of testpmd grows past `more_than` (default: its value now)."""
    if more_than is None:
        more_than = getattr(process.statistics()[port], field)
    return wait_for('%s of %s to pass %d' % (field, process.name, more_than),
                    lambda: (lambda n: n if n > more_than else 0)(
                        getattr(process.statistics()[port], field)),
                    timeout, 0.1)

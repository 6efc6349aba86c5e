#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QMP answers within a second, whatever the backend is: a backend never holds up QEMU."""

import os
import signal
import struct
import time

from rig import backends, qemu, tap
from rig.process import Failure, wait_for
from rig.qmp import Qmp
from rig.relay import Relay
from rig.route import Route

LIMIT_S = 1.0
# Less than the limit by what a busy machine with sanitizers needs.
DEADLINES = {'AckMs': 500, 'DrainMs': 500, 'OfferMs': 800}

# vhost-user front-end requests
HANDSHAKE = {'GET_FEATURES': 1, 'SET_FEATURES': 2, 'SET_OWNER': 3, 'SET_VRING_NUM': 8,
             'SET_VRING_KICK': 12, 'GET_PROTOCOL_FEATURES': 15, 'SET_VRING_ENABLE': 18,
             'GET_CONFIG': 24, 'ADD_MEM_REG': 37}
GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_CONFIG = 1, 15, 17, 24
GET_MAX_MEM_SLOTS = 36


def watch(guest, seconds, condition=lambda: False):
    """Asks QMP again and again; the client fails when an answer takes too long."""
    slowest = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        begin = time.monotonic()
        guest.qmp.command('query-status', limit=LIMIT_S)
        slowest = max(slowest, time.monotonic() - begin)
        time.sleep(0.02)
    print('# slowest answer %.3f s' % slowest)


def connect_at_once(guest):
    """QMP's greeting has to come within the limit after its socket is there."""
    wait_for('the QMP socket', lambda: os.path.exists(guest.qmp_path), 10, 0.005)
    guest.qmp = Qmp(guest.qmp_path, LIMIT_S)


def profile(case):
    """The [Profile] of a storage daemon's disk, as one tells it to QEMU."""
    image = backends.disk_image(case, 'profile.img', boot=True)
    storage = backends.StorageDaemon(case, case.path('profile.back'), image, name='profiled')
    relay = Relay(case, case.path('profile.front'), case.path('profile.back'))
    guest = qemu.Guest(case, 'profile', qemu.blk(case.path('profile.front')), mib=32)
    guest.says('boot-io ok', 15)
    guest.kill()
    storage.kill()

    def number(request):
        return '0x%x' % struct.unpack('<Q', relay.answers[request])[0]
    return {'Features': number(GET_FEATURES), 'ProtocolFeatures': number(GET_PROTOCOL_FEATURES),
            'Queues': int(number(GET_QUEUE_NUM), 16),
            'MemSlots': int(number(GET_MAX_MEM_SLOTS), 16),
            'Config': relay.answers[GET_CONFIG][12:].hex()}


class Setup:
    """A disk whose backend can be anything; `delay` and `hang_up_at` put a Relay before it."""

    def __init__(self, case, profile=None, boot=True, **relay):
        self.case = case
        self.route = Route(case)
        sections = {'Deadlines': DEADLINES}
        if profile:
            sections['Profile'] = profile
        self.device = self.route.device('web1', 'disk0', 'blk', sections=sections, Queues=1)
        self.image = backends.disk_image(case, boot=boot)
        self.socket = self.device.backend
        if relay:
            self.socket = case.path('behind-relay')
            self.relay = Relay(case, self.device.backend, self.socket, **relay)

    def backend(self):
        self.storage = backends.StorageDaemon(self.case, self.socket, self.image)

    def guest(self, jobs=None, connect=True, **keys):
        guest = qemu.Guest(self.case, 'guest', qemu.blk(self.device.vmm, bootindex=1, **keys),
                           jobs=jobs, mib=128 if jobs else 32, wait_qmp=False)
        if connect:
            connect_at_once(guest)
        return guest


@tap.case(limit=60, via='vringd')
def backend_is_absent_at_start(case):
    setup = Setup(case, profile(case))
    setup.route.start()
    guest = setup.guest()
    watch(guest, 3)
    setup.backend()
    watch(guest, 15, lambda: guest.find('GUEST boot-io'))
    guest.says('boot-io ok', 1)


@tap.case(limit=60, via='vringd')
def backend_is_killed(case):
    setup = Setup(case)
    setup.route.start()
    setup.backend()
    guest = setup.guest('blkloop')
    guest.moves('blkloop', 30)
    setup.storage.kill()
    watch(guest, 3)
    guest.qmp.command('stop', limit=LIMIT_S)
    watch(guest, 1)
    guest.qmp.command('cont', limit=LIMIT_S)
    watch(guest, 2)


@tap.case(quick=True, limit=60, via='vringd')
def backend_is_stopped(case):
    setup = Setup(case)
    setup.route.start()
    setup.backend()
    guest = setup.guest('blkloop')
    guest.moves('blkloop', 30)
    setup.storage.signal(signal.SIGSTOP)
    watch(guest, 1)
    # The dirty log is what makes QEMU ask the backend something.
    guest.qmp.command('migrate', limit=LIMIT_S, uri='exec:cat >/dev/null')
    watch(guest, 4)
    setup.storage.signal(signal.SIGCONT)
    watch(guest, 1)


@tap.case(limit=60, via='vringd')
def backend_is_stopped_while_qemu_stops_the_guest(case):
    setup = Setup(case)
    setup.route.start()
    setup.backend()
    guest = setup.guest('blkloop')
    guest.moves('blkloop', 30)
    setup.storage.signal(signal.SIGSTOP)
    guest.qmp.command('stop', limit=LIMIT_S)
    watch(guest, 2)
    guest.qmp.command('cont', limit=LIMIT_S)
    watch(guest, 1)


@tap.case(limit=60, via='vringd')
def first_answer_is_slow(case):
    # As slow as testpmd, which answers when its port is configured.
    setup = Setup(case, delay={GET_FEATURES: 0.7})
    setup.backend()
    setup.route.start()
    guest = setup.guest()
    watch(guest, 10, lambda: guest.find('GUEST boot-io'))
    guest.says('boot-io ok', 1)


@tap.case(limit=60, via='vringd')
def first_answer_comes_after_the_deadline(case):
    setup = Setup(case, profile(case), delay={GET_FEATURES: 3})
    setup.backend()
    setup.route.start()
    guest = setup.guest()
    watch(guest, 5)


@tap.case(limit=60, via='vringd', rows={name: {'request': number}
                                        for name, number in HANDSHAKE.items()})
def backend_goes_away_in_mid_handshake(case, request):
    setup = Setup(case, hang_up_at=request)
    setup.backend()
    setup.route.start()
    guest = setup.guest(connect=False, reconnect=1)
    try:
        connect_at_once(guest)
        watch(guest, 6, lambda: guest.find('GUEST boot-io ok'))
    except (Failure, OSError):
        # Before it has started, QEMU may end because of a lost backend. Nothing else.
        wait_for('the end of QEMU', lambda: not guest.running(), 2)
        if guest.join() != 1:
            raise
        print('# QEMU ended: %s' % guest.tail(1))
    tap.true(setup.relay.hang_up_at is None, 'the request never came')


@tap.case(limit=60, via='vringd')
def backend_is_absent_while_a_disk_is_plugged_in(case):
    setup = Setup(case, profile(case))
    setup.route.start()
    guest = qemu.Guest(case, 'guest', [], jobs='hotplugloop')
    guest.says('modules', 20)
    guest.qmp.command('chardev-add', limit=LIMIT_S, id='c-disk0', backend={
        'type': 'socket', 'data': {'server': False, 'addr': {
            'type': 'unix', 'data': {'path': setup.device.vmm}}}})
    guest.qmp.command('device_add', limit=LIMIT_S, driver='vhost-user-blk-pci', id='disk0',
                      chardev='c-disk0', num_queues=1, bus='port0')
    watch(guest, 3)


if __name__ == '__main__':
    tap.main()

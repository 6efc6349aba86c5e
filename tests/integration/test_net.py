#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU with a vhost-user network card; testpmd answers its pings."""

from rig import backends, qemu, tap
from rig.route import Route

WAYS = {'qemu-%s backend-%s %d-pair' % ('client' if vmm == 'listen' else 'server',
                                        'server' if backend == 'dial' else 'client', pairs):
        {'vmm': vmm, 'backend': backend, 'pairs': pairs}
        for vmm in ('listen', 'dial') for backend in ('dial', 'listen') for pairs in (1, 2)}


def start(case, jobs, vmm='listen', backend='dial', pairs=1, reconnect=0):
    """Returns (guest, device, route); the backend is guest.backend."""
    route = Route(case)
    device = route.device('web1', 'net0', 'net', vmm=vmm, backend=backend, Queues=2 * pairs)
    route.start()
    testpmd = backends.vhost_testpmd(case, device.backend, client=backend == 'listen',
                                     pairs=pairs)
    server = 'wait' if vmm == 'dial' else False
    guest = qemu.Guest(case, 'guest', qemu.net(device.vmm, pairs=pairs, server=server,
                                               reconnect=reconnect),
                       jobs=jobs, cpus=pairs, wait_qmp=False)
    guest.backend = testpmd
    return guest, device, route


@tap.case(quick=['qemu-client backend-server 2-pair'], rows=WAYS, limit=60)
def pings_are_answered(case, vmm, backend, pairs):
    guest, _, _ = start(case, 'netping', vmm, backend, pairs)
    found = guest.says(r'netping received=(\d+) of=20 queues=(\d+)', 40)
    tap.equal(found.groups(), ('20', str(pairs)), 'answers and queues')
    port = guest.backend.statistics()[0]
    tap.true(port.rx >= 20 and port.tx >= 20, 'testpmd counted %s' % (port,))
    guest.expect_no_faults()


@tap.case(limit=60)
def pings_go_on_after_stop_and_cont(case):
    guest, _, _ = start(case, 'netloop', pairs=2)
    guest.connect()
    guest.moves('netloop', 30)
    for _ in range(3):
        guest.qmp.command('stop')
        guest.qmp.command('cont')
        guest.moves('netloop', 20)


@tap.case(limit=60)
def card_works_after_a_reboot(case):
    route = Route(case)
    device = route.device('web1', 'net0', 'net', Queues=4)
    route.start()
    backends.vhost_testpmd(case, device.backend, pairs=2)
    guest = qemu.Guest(case, 'guest', qemu.net(device.vmm, pairs=2), jobs='netping+netloop',
                       cpus=2, reboots=True)
    guest.says('netping received=20', 40)
    mark = guest.mark()
    guest.qmp.command('system_reset')
    guest.says('netping received=20', 40, mark)


if __name__ == '__main__':
    tap.main()

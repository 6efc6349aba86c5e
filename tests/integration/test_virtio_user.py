#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DPDK's virtio-user as the front-end and its vhost port as the backend."""

import time

from rig import backends, tap
from rig.process import Failure, wait_for
from rig.route import Route

ROLES = [(vmm, backend) for vmm in ('listen', 'dial') for backend in ('dial', 'listen')]
WAYS = {'vmm-%s backend-%s %d-pair %s' % (vmm, backend, pairs, ring):
        {'vmm': vmm, 'backend': backend, 'pairs': pairs, 'packed': ring == 'packed'}
        for vmm, backend in ROLES for pairs in (1, 2) for ring in ('split', 'packed')}
RESTARTS = {'%s vmm-%s backend-%s %s' % (who, vmm, backend, ring):
            {'who': who, 'vmm': vmm, 'backend': backend, 'packed': ring == 'packed'}
            for who in ('front-end', 'backend') for vmm, backend in ROLES
            for ring in ('split', 'packed')}


class Pair:
    """Both testpmds of one device; what the one sends the other sends back."""

    def __init__(self, case, vmm, backend, pairs=1, packed=False):
        self.case = case
        self.roles = {'vmm': vmm, 'backend': backend}
        self.pairs = pairs
        self.packed = packed
        self.route = Route(case)
        self.device = self.route.device('dpdk', 'net0', 'net', vmm=vmm, backend=backend,
                                        Queues=2 * pairs)
        self.route.start()
        self.start_backend()
        self.start_front_end()

    def start_backend(self):
        self.back = backends.vhost_testpmd(
            self.case, self.device.backend, client=self.roles['backend'] == 'listen',
            pairs=self.pairs, forward='macswap', cpu=0, name='backend')

    def start_front_end(self):
        self.front = backends.virtio_user(
            self.case, self.device.vmm, server=self.roles['vmm'] == 'dial', pairs=self.pairs,
            packed=self.packed, forward='flowgen', cpu=1, name='front-end')

    def expect_traffic(self):
        """Packets go both ways, on all queues."""
        backends.wait_flow(self.back, 'rx')
        backends.wait_flow(self.front, 'rx')
        self.each_queue(self.front, 'tx')
        self.each_queue(self.back, 'rx')

    def each_queue(self, process, way):
        def all_used():
            counts = process.queue_packets()
            return all(counts.get((way, queue), 0) > 0 for queue in range(self.pairs))
        wait_for('packets on each %s queue of %s' % (way, process.name), all_used, 10, 0.1)

    def expect_nothing_lost(self):
        """What the front-end has put in its rings is what the backend took out of them."""
        self.front.ask('stop', 'Done|Accumulated forward statistics')
        state = [None]

        def same():
            before, state[0] = state[0], (self.front.statistics()[0], self.back.statistics()[0])
            return before == state[0]
        wait_for('counters to settle', same, 10, 0.3)
        front, back = state[0]
        print('# front-end %s' % (front,))
        print('# backend   %s' % (back,))
        tap.equal(back.rx, front.tx, 'packets that the backend received')
        tap.true(0 < front.rx <= back.tx, 'the front-end received %d packets of %d' %
                 (front.rx, back.tx))


@tap.case(quick=['vmm-listen backend-dial 1-pair split',
                 'vmm-dial backend-listen 2-pair packed'], rows=WAYS, limit=60)
def packets_arrive(case, vmm, backend, pairs, packed):
    pair = Pair(case, vmm, backend, pairs, packed)
    pair.expect_traffic()
    pair.expect_nothing_lost()


@tap.case(rows=RESTARTS, limit=90)
def restarted_side_is_connected_again(case, who, vmm, backend, packed):
    pair = Pair(case, vmm, backend, packed=packed)
    pair.expect_traffic()
    for _ in range(2):
        if who == 'front-end':
            pair.front.kill()
            pair.start_front_end()
        else:
            pair.back.kill()
            pair.start_backend()
            if vmm == 'listen' and (packed or case.direct):
                # As a client virtio-user does not connect a second time, and where a packed
                # ring stood cannot be read from it.
                pair.front.kill()
                pair.start_front_end()
        pair.expect_traffic()


@tap.case(limit=60, via='vringd')
def front_end_does_not_hear_of_a_new_backend(case):
    pair = Pair(case, 'listen', 'dial', pairs=2)
    pair.expect_traffic()
    since = pair.route.vringd.device(pair.device.ident)['VMMSince']
    pair.back.kill()
    pair.start_backend()
    pair.expect_traffic()
    tap.equal(pair.route.vringd.device(pair.device.ident)['VMMPeer'].split()[1],
              str(pair.front.pid), 'pid of the VMM')
    tap.true(since <= pair.route.vringd.device(pair.device.ident)['VMMSince'],
             'the VMM link is older than before')
    tap.true(not pair.route.vringd.process.find('VMM left|VMM loses'), 'the VMM link ended')


@tap.case(limit=60)
def front_end_that_quits_leaves_the_backend_usable(case):
    pair = Pair(case, 'listen', 'dial')
    pair.expect_traffic()
    pair.front.quit()
    time.sleep(0.2)
    if not pair.back.running():
        raise Failure('the backend ended\n' + pair.back.tail())
    pair.start_front_end()
    pair.expect_traffic()


if __name__ == '__main__':
    tap.main()

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the counters that testpmd prints."""

import re
from collections import namedtuple

Port = namedtuple('Port', 'rx tx rx_missed tx_errors')


def _number(text, name):
    found = re.search(r'\b%s:\s*(\d+)' % re.escape(name), text)
    return int(found.group(1)) if found else 0


def ports(text):
    """`show port stats all` as a list of Port, in the order of the ports."""
    blocks = re.split(r'#+ NIC statistics for port \d+ +#+', text)[1:]
    return [Port(_number(block, 'RX-packets'), _number(block, 'TX-packets'),
                 _number(block, 'RX-missed'), _number(block, 'TX-errors'))
            for block in blocks]


def queues(text):
    """`show port xstats` as {('rx' or 'tx', queue): packets}."""
    found = re.findall(r'\b(rx|tx)_q(\d+)_(?:good_)?packets: (\d+)', text)
    return {(way, int(queue)): int(count) for way, queue, count in found}

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which requests a VMM waits for, and which of these wait for the backend in turn."""

import os
import re

_TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      '../../../daemon/wire/requests.inc')
_names = {}


def name(number):
    """What the specification calls a request."""
    if not _names:
        with open(_TABLE) as table:
            for row in re.finditer(r'^REQUEST\((\w+), *(\d+),', table.read(), re.M):
                _names[int(row.group(2))] = row.group(1)
    return _names.get(number, str(number))


class Wait:
    """A request that the VMM waited for, and what the backend answered meanwhile."""

    def __init__(self, number, begin, end):
        self.number = number
        self.begin = begin
        self.end = end
        self.asked = []

    def __str__(self):
        return name(self.number) + (' <- ' + ' '.join(map(name, self.asked))
                                    if self.asked else '')


def waits(vmm, backend):
    """
    The waits of a VMM, from the logs of two relays around vringd (rig.relay.Relay.log).

    A VMM has one request open at a time, so an answer is to the last one with its number.
    Answers of the backend that come while the VMM waits are what it waits for: whether
    vringd asked because of this request or of one before makes no difference to it.
    """
    found = []
    begun = {}
    for time, what, number, _ in vmm:
        if what == 'request':
            begun[number] = time
        else:
            found.append(Wait(number, begun[number], time))
    for time, what, number, _ in backend:
        for wait in found:
            if what == 'answer' and wait.begin <= time <= wait.end:
                wait.asked.append(number)
    return found


def forwarded(found):
    return [wait for wait in found if wait.asked]

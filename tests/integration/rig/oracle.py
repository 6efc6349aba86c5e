# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must be the same after a case as it was before it."""

from .process import Failure, wait_for


class Oracle:
    """
    Remembers a vringd; after() holds it against now: the same process, as many
    descriptors, memory within a bound. Make it after a first turn of the same kind, so
    that one-time allocations have been made.
    """

    def __init__(self, vringd, memory_kib=1024):
        self.vringd = vringd
        self.pid = vringd.pid
        self.descriptors = self._settled()
        self.kib = vringd.process.private_kib()
        self.allowed_kib = memory_kib

    def _settled(self):
        # A link that has just ended is closed within the next turns of the loop.
        seen = [self.vringd.process.descriptors()]

        def same():
            seen.append(self.vringd.process.descriptors())
            return len(seen) > 5 and len(set(seen[-5:])) == 1
        wait_for('the descriptor count of vringd to settle', same, 10, 0.05)
        return seen[-1]

    def after(self):
        process = self.vringd.process
        if not process.running() or self.vringd.pid != self.pid:
            raise Failure('vringd is not the same process any more\n' + process.tail())
        try:
            wait_for('descriptors', lambda: process.descriptors() == self.descriptors, 5, 0.05)
        except Failure:
            raise Failure('vringd has %d descriptors, had %d\n%s' % (
                process.descriptors(), self.descriptors, process.tail())) from None
        grown = process.private_kib() - self.kib
        if grown > self.allowed_kib:
            raise Failure('vringd grew by %d KiB, allowed are %d' % (grown, self.allowed_kib))
        self.vringd.expect_clean()

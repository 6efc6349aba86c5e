# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts tests by their TAP and keeps what failed."""

import re


class Tally:
    """Passed, failed and skipped tests, and the output of those that failed."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.failures = []

    def __str__(self):
        return '%d passed, %d failed, %d skipped' % (self.passed, self.failed, self.skipped)

    def pass_(self, name):
        self.passed += 1

    def fail(self, name, output):
        self.failed += 1
        self.failures.append((name, output))

    def program(self, name, output, status, errors='', result=None):
        """
        Counts what a finished program reports.

        status: its exit status; result: meson's word for it, for a program without TAP
        """
        plan = re.search(r'^1\.\.(\d+)', output, re.M)
        if not plan:
            self._plain(name, output + errors, status, result)
            return
        if re.search(r'^1\.\.0\b.*#\s*skip', output, re.M | re.I):
            self.skipped += 1
            return
        done, failed = self._lines(name, output, errors)
        missing = int(plan.group(1)) - done
        text = _tail(output, errors)
        if missing > 0 or re.search(r'^Bail out!', output, re.M):
            self.fail('%s: %d of its tests have no result' % (name, max(missing, 1)), text)
            # Each of them is one that did not pass.
            self.failed += max(missing, 1) - 1
        elif status != 0 and not failed:
            self.fail('%s: exit status %d' % (name, status), text)

    def _plain(self, name, output, status, result):
        if result == 'SKIP' or status == 77:
            self.skipped += 1
        elif result == 'OK':
            self.passed += 1
        else:
            self.fail('%s: exit status %s' % (name, status), _tail(output, ''))

    def _lines(self, name, output, errors):
        """Returns (results seen, failures among them)."""
        done = failed = 0
        lines = output.splitlines()
        for index, line in enumerate(lines):
            found = re.match(r'(not )?ok\b(?:\s+\d+)?(?:\s*-)?\s*([^#]*?)\s*(#\s*(\w+).*)?$',
                             line)
            if not found:
                continue
            done += 1
            word = (found.group(4) or '').lower()
            if word == 'skip':
                self.skipped += 1
            elif found.group(1):
                failed += 1
                self.fail('%s: %s' % (name, found.group(2)),
                          _diagnostics(lines, index) or _tail(output, errors))
            else:
                self.passed += 1
        return done, failed

    def report(self):
        """Prints failures and the last line; returns the exit status."""
        for name, output in self.failures:
            print('\n== FAILED %s' % name)
            print(output.rstrip('\n'))
        total = self.passed + self.failed
        if total == 0:
            print('\nno test was run')
        print('\n%s' % self, flush=True)
        return 1 if self.failed or total == 0 else 0


def _diagnostics(lines, index):
    """The comment lines that follow a result."""
    found = []
    for line in lines[index + 1:]:
        if not line.startswith('#'):
            break
        found.append(line)
    return '\n'.join(found)


def _tail(output, errors, count=60):
    return '\n'.join((output + '\n' + errors).strip().splitlines()[-count:])

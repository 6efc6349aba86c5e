# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Test cases as functions, their results as TAP.

A case is a function with the decorator @case(...) that takes a Case. It passes when it
returns, is skipped when it raises Skip, and fails on everything else. Whatever it made
through its Case is ended and removed afterwards.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

from .process import Failure

_cases = []


class Skip(Exception):
    """The case cannot run here; the text says why."""


class TimeLimit(BaseException):
    """The case took too long. Not an Exception, so that no case catches it by mistake."""


class Case:
    """One run of a test: its directory, its processes and whether vringd is in between."""

    def __init__(self, name, direct):
        self.name = name
        self.direct = direct
        # Socket paths end at 107 bytes, so the directory's name is short.
        self.directory = tempfile.mkdtemp(prefix='vt.', dir='/tmp')
        # Peers drop to another user or run in a chroot, and still need their sockets.
        os.chmod(self.directory, 0o755)
        self.things = []

    def path(self, name):
        """A path in the case's own directory."""
        return os.path.join(self.directory, name)

    def keep(self, thing):
        """Has `thing.kill()` called at the end of the case, in reverse order."""
        self.things.append(thing)
        return thing

    def finish(self):
        """Last checks of a case that passed so far."""
        for thing in reversed(self.things):
            if hasattr(thing, 'finish'):
                thing.finish()

    def end(self):
        for thing in reversed(self.things):
            try:
                thing.kill()
            except Exception as error:
                print('# cleaning up %r: %s' % (thing, error))
        self.things.clear()
        if os.environ.get('VRINGD_TEST_KEEP'):
            print('# kept %s' % self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def outputs(self):
        """The ends of all outputs, for a failure."""
        return '\n'.join(thing.tail(12) for thing in self.things if hasattr(thing, 'tail'))


class Registered:
    def __init__(self, function, name, arguments, limit, quick, via):
        self.function = function
        self.name = name
        self.arguments = arguments
        self.limit = limit
        self.quick = quick
        self.via = via


def case(limit=60, quick=False, via='both', rows=None):
    """
    Registers a function as a test case.

    limit: seconds after which it has failed
    quick: run by --quick too; with rows, the names of those that are
    via: 'both', or 'vringd' for a case that makes no sense without it
    rows: a dict of name: arguments; one test for each
    """
    def register(function):
        base = function.__name__
        for row, arguments in (rows or {'': {}}).items():
            name = base + ('[%s]' % row if row else '')
            _cases.append(Registered(function, name, arguments, limit,
                                     row in quick if rows and quick else quick, via))
        return function
    return register


def equal(actual, expected, what):
    if actual != expected:
        raise Failure('%s is %r, expected %r' % (what, actual, expected))


def true(condition, what):
    if not condition:
        raise Failure(what)


def _on_alarm(number, frame):
    raise TimeLimit()


def _on_end(number, frame):
    raise SystemExit(128 + number)


def _run_one(registered, direct):
    """Returns (passed, text after the name, diagnostics)."""
    if direct and registered.via == 'vringd':
        return True, ' # SKIP needs vringd', ''
    run = Case(registered.name, direct)
    signal.alarm(registered.limit)
    try:
        registered.function(run, **registered.arguments)
        run.finish()
        return True, '', ''
    except Skip as why:
        return True, ' # SKIP %s' % why, ''
    except TimeLimit:
        return False, '', 'not done after %d s\n%s\n%s' % (
            registered.limit, ''.join(traceback.format_exc(limit=-4)), run.outputs())
    except Failure as failure:
        where = traceback.extract_tb(failure.__traceback__)
        lines = ['%s:%d in %s' % (os.path.basename(step.filename), step.lineno, step.name)
                 for step in where[1:]]
        return False, '', '%s\n%s\n%s' % (failure, '\n'.join(lines), run.outputs())
    except Exception:
        return False, '', '%s\n%s' % (traceback.format_exc(), run.outputs())
    finally:
        signal.alarm(0)
        run.end()


def main():
    """Runs the registered cases as the command line says; ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument('-k', metavar='TEXT', default='', help='only names with TEXT in it')
    parser.add_argument('-l', '--list', action='store_true', help='list the cases')
    parser.add_argument('--direct', action='store_true',
                        help='connect the peers with each other, without vringd')
    parser.add_argument('--quick', action='store_true', help='only the cases that are marked so')
    options = parser.parse_args()
    chosen = [one for one in _cases
              if options.k in one.name and (one.quick or not options.quick)]
    if options.list:
        print('\n'.join(one.name for one in chosen))
        sys.exit(0)

    signal.signal(signal.SIGALRM, _on_alarm)
    signal.signal(signal.SIGTERM, _on_end)
    signal.signal(signal.SIGHUP, _on_end)
    print('1..%d' % len(chosen), flush=True)
    failed = 0
    for number, one in enumerate(chosen, 1):
        begin = time.monotonic()
        passed, rest, diagnostics = _run_one(one, options.direct)
        failed += not passed
        print('%s %d - %s%s' % ('ok' if passed else 'not ok', number, one.name, rest))
        print('# time %.1f s' % (time.monotonic() - begin))
        for line in diagnostics.splitlines():
            print('#   ' + line)
        sys.stdout.flush()
    sys.exit(1 if failed else 0)

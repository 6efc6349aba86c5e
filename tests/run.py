#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Builds vringd and runs every test; see ../test, which calls this.

Each test that a TAP program reports counts, a test of another kind counts as one.
"""

import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'tests', 'integration'))

from rig.tally import Tally  # noqa: E402

SANITIZE = ['-Db_sanitize=address,undefined', '-Db_lundef=false', '-Dwerror=true']
FUZZ_SECONDS = 5


class Run:
    """The child that runs now, in a process group of its own, so that it can be ended."""

    def __init__(self):
        self.child = None

    def start(self, command, **keys):
        self.child = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL,
                                      start_new_session=True, **keys)
        return self.child

    def end(self):
        """Asks the group to end, which gives tests time to clean up; then makes it."""
        if self.child is None or self.child.poll() is not None:
            return
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.child.pid, number)
                self.child.wait(seconds)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def text(self, command, **keys):
        """Runs a command; returns (exit status, standard output and error)."""
        child = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **keys)
        output = child.communicate()[0].decode(errors='replace')
        return child.returncode, output


def say(text):
    print(text, flush=True)


def step(title):
    say('\n== %s' % title)
    return time.monotonic()


def build(run, tally, directory, arguments, env=None):
    """Configures if need be and builds; returns whether that went well."""
    begin = step('building in %s' % directory)
    environment = {**os.environ, **(env or {})}
    commands = [['ninja', '-C', directory]]
    if not os.path.exists(os.path.join(TOP, directory, 'build.ninja')):
        commands.insert(0, ['meson', 'setup', directory] + arguments)
    for command in commands:
        status, output = run.text(command, env=environment)
        if status != 0:
            tally.fail(' '.join(command), output[-6000:])
            say(output[-6000:])
            return False
    say('built in %.0f s' % (time.monotonic() - begin))
    return True


def meson_tests(run, tally, directory):
    """Runs the tests that meson knows and counts what is inside them."""
    begin = step('unit tests, fuzz corpora, checks')
    log = os.path.join(TOP, directory, 'meson-logs', 'testlog.json')
    if os.path.exists(log):
        os.unlink(log)
    status, output = run.text(['meson', 'test', '-C', directory, '--no-rebuild',
                               '--no-suite', 'bench', '--print-errorlogs'])
    before = tally.failed
    if os.path.exists(log):
        with open(log) as lines:
            for line in lines:
                result = json.loads(line)
                tally.program(result['name'], result.get('stdout') or '',
                              result.get('returncode', 1), result.get('stderr') or '',
                              result.get('result'))
    else:
        tally.fail('meson test', output[-6000:])
    if status != 0 and tally.failed == before:
        tally.fail('meson test', output[-6000:])
    say('%s, %.0f s' % (tally, time.monotonic() - begin))


def fuzz(run, tally, directory):
    """Runs each fuzz target for a moment, on top of its corpus."""
    begin = step('fuzzing, %d s each' % FUZZ_SECONDS)
    targets = sorted(glob.glob(os.path.join(TOP, directory, 'tests', 'fuzz', 'fuzz-*')))
    for target in targets:
        if os.path.isdir(target) or not os.access(target, os.X_OK):
            continue
        name = os.path.basename(target)
        corpus = os.path.join(TOP, 'tests', 'fuzz', 'corpus', name[len('fuzz-'):])
        scratch = os.path.join(TOP, directory, 'corpus-' + name)
        os.makedirs(scratch, exist_ok=True)
        status, output = run.text([target, '-seed=1', '-max_total_time=%d' % FUZZ_SECONDS,
                                   '-artifact_prefix=' + scratch + '/', scratch, corpus])
        if status == 0:
            tally.pass_(name)
        else:
            tally.fail(name, output[-4000:])
    say('%s, %.0f s' % (tally, time.monotonic() - begin))


def programs(run, tally, title, env, arguments):
    """Runs the TAP programs of the integration tests one after the other."""
    step(title)
    files = sorted(glob.glob(os.path.join(TOP, 'tests', 'integration', 'test_*.py')) +
                   glob.glob(os.path.join(TOP, 'tests', 'cases', 'test_*.py')))
    for path in files:
        name = os.path.basename(path)[:-3]
        say('-- %s' % name)
        child = run.start([sys.executable, path] + arguments, env={**os.environ, **env},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = []
        for raw in child.stdout:
            line = raw.decode(errors='replace')
            output.append(line)
            if re.match(r'(ok|not ok|# time)\b', line):
                say('   ' + line.rstrip('\n'))
        status = child.wait()
        tally.program(title + ': ' + name, ''.join(output), status)
    say(str(tally))


def newer(run, tally, env, arguments):
    """The same with Debian 13's peers, and with those of both mixed."""
    begin = step("Debian 13's peers")
    status, output = run.text([os.path.join(TOP, 'tests', 'make-newer')])
    if status != 0:
        tally.fail('make-newer', output[-4000:])
        return
    binaries = output.strip().splitlines()[-1]
    say('ready after %.0f s' % (time.monotonic() - begin))
    tools = {'QEMU': binaries + '/qemu-system-x86_64', 'QSD': binaries + '/qemu-storage-daemon',
             'TESTPMD': binaries + '/dpdk-testpmd', 'VIRTIOFSD': binaries + '/virtiofsd',
             'VIRTIOFSD_RUST': '1'}
    programs(run, tally, "Debian 13's VMM and backends", {**env, **tools}, arguments)
    programs(run, tally, "Debian 13's VMM, Debian 12's backends",
             {**env, 'QEMU': tools['QEMU']}, arguments)
    programs(run, tally, "from Debian 12's QEMU to Debian 13's",
             {**env, 'QEMU_DESTINATION': tools['QEMU'], 'QEMU_MACHINE': 'pc-q35-7.2'},
             arguments + ['-k', 'guest_goes_on_at_the_destination'])


def main():
    parser = argparse.ArgumentParser(prog='test')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--newer', action='store_true')
    parser.add_argument('-k', metavar='TEXT', default='')
    parser.add_argument('--only', choices=['unit', 'integration'])
    options = parser.parse_args()
    directory = os.environ.get('BUILD_DIR', 'build-test')
    where = os.path.join(TOP, directory)
    tally = Tally()
    run = Run()

    def on_signal(number, frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    arguments = (['--quick'] if options.quick else []) + (
        ['-k', options.k] if options.k else [])
    env = {'VRINGD': os.path.join(where, 'daemon', 'vringd'),
           'VRINGCTL': os.path.join(where, 'daemon', 'ctl', 'vringctl'),
           'PYTHONDONTWRITEBYTECODE': '1'}
    try:
        if build(run, tally, directory, SANITIZE):
            if options.only != 'integration':
                meson_tests(run, tally, directory)
            if options.only != 'unit':
                programs(run, tally, 'integration', env, arguments)
                if options.newer:
                    newer(run, tally, env, ['--quick'] if not options.k else arguments)
        if not options.quick and options.only != 'integration' and \
                build(run, tally, directory + '-clang', SANITIZE + ['-Dfuzz=true'],
                      {'CC': 'clang'}):
            tally.pass_('build with clang')
            fuzz(run, tally, directory + '-clang')
    finally:
        run.end()
    sys.exit(tally.report())


if __name__ == '__main__':
    main()

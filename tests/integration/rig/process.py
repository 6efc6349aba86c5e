# SPDX-License-Identifier: LGPL-2.1-or-later
"""Child processes whose output is kept and which never outlive the test."""

import ctypes
import os
import re
import signal
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """What was expected did not happen; the text says what did."""


def wait_for(what, condition, timeout=10.0, interval=0.01):
    """Waits until condition() is true and returns its value; else fails naming `what`."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure('waited %g s in vain for %s' % (timeout, what))
        time.sleep(interval)


def wait_path(path, process=None, timeout=20.0):
    """Waits for a file to appear; fails at once when the process that makes it is dead."""
    def there():
        if process is not None and not process.running() and not os.path.exists(path):
            raise Failure('%s ended before it made %s\n%s' % (process.name, path,
                                                             process.tail()))
        return os.path.exists(path)
    wait_for(path, there, timeout)


class Process:
    """
    A child; its standard output and error are kept as lines with their time of arrival.

    It is killed by the kernel when the thread that made it ends, so make it in the main
    thread only.
    """

    def __init__(self, name, command, env=None, stdin=False, pass_fds=()):
        self.name = name
        self.command = [str(word) for word in command]
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        parent = os.getpid()

        def in_child():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        self.child = subprocess.Popen(
            self.command, preexec_fn=in_child, pass_fds=pass_fds, start_new_session=True,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=None if env is None else {**os.environ, **env})
        self.pid = self.child.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        rest = b''
        source = self.child.stdout.fileno()
        while True:
            data = os.read(source, 65536)
            with self.changed:
                if not data:
                    self.ended = True
                    if rest:
                        self.lines.append((time.monotonic(), rest.decode(errors='replace')))
                    self.changed.notify_all()
                    return
                *lines, rest = (rest + data).split(b'\n')
                now = time.monotonic()
                for line in lines:
                    self.lines.append((now, line.decode(errors='replace').rstrip('\r')))
                self.changed.notify_all()

    def mark(self):
        """A place in the output: wait(..., since=mark) looks only at what comes later."""
        with self.changed:
            return len(self.lines)

    def wait(self, pattern, timeout=30.0, since=0):
        """Waits for a line that matches and returns the match."""
        end = time.monotonic() + timeout
        at = since
        with self.changed:
            while True:
                while at < len(self.lines):
                    found = re.search(pattern, self.lines[at][1])
                    if found:
                        return found
                    at += 1
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = 'ended' if self.ended else 'said nothing like it in %g s' % timeout
                    raise Failure('waiting for /%s/: %s %s\n%s' %
                                  (pattern, self.name, why, self.tail()))
                self.changed.wait(left)

    def find(self, pattern, since=0):
        """All matches in the output so far."""
        with self.changed:
            found = [re.search(pattern, line) for _, line in self.lines[since:]]
        return [match for match in found if match]

    def tail(self, count=25):
        """The end of the output, for a failure's text."""
        with self.changed:
            lines = [line for _, line in self.lines[-count:]]
        return '\n'.join('  %s| %s' % (self.name, line) for line in lines)

    def type(self, text):
        """Writes to the standard input."""
        self.child.stdin.write(text.encode())
        self.child.stdin.flush()

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def running(self):
        return self.child.poll() is None

    def join(self, timeout=10.0):
        """Waits for the end and returns the exit status."""
        try:
            status = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure('%s still runs after %g s\n%s' %
                          (self.name, timeout, self.tail())) from None
        self.reader.join(2)
        return status

    def kill(self):
        """Ends it with SIGKILL, the whole session with it."""
        if self.running():
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.child.wait()
        self.reader.join(2)
        for stream in (self.child.stdin, self.child.stdout):
            if stream is not None and not self.reader.is_alive():
                try:
                    stream.close()
                except OSError:
                    pass

    def descriptors(self):
        """How many descriptors it has open."""
        return len(os.listdir('/proc/%d/fd' % self.pid))

    def private_kib(self):
        """Memory that is its own, in KiB."""
        with open('/proc/%d/smaps_rollup' % self.pid) as rollup:
            return sum(int(line.split()[1]) for line in rollup
                       if line.startswith(('Private_Clean', 'Private_Dirty')))


def run(command, timeout=20.0, env=None, check=True):
    """Runs a command to its end and returns its standard output."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          env=None if env is None else {**os.environ, **env})
    if check and done.returncode != 0:
        raise Failure('%s: exit status %d\n%s%s' % (
            ' '.join(map(str, command)), done.returncode,
            done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')))
    return done.stdout.decode(errors='replace')

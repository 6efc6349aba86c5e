# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QMP client: commands with a time limit, events kept in order."""

import json
import socket
import time

from .process import Failure


class Qmp:
    """One QMP session. Arguments are given as Python names: an underscore is a dash."""

    def __init__(self, path, timeout=20.0):
        end = time.monotonic() + timeout
        self.events = []
        self.buffer = b''
        while True:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise Failure('no QMP at %s after %g s' % (path, timeout)) from None
                time.sleep(0.01)
        self._next(end)
        self.command('qmp_capabilities', limit=max(0.1, end - time.monotonic()))

    def _next(self, end):
        while b'\n' not in self.buffer:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            data = self.socket.recv(65536)
            if not data:
                raise Failure('QEMU closed its QMP socket')
            self.buffer += data
        line, self.buffer = self.buffer.split(b'\n', 1)
        return json.loads(line)

    def command(self, name, limit=20.0, **arguments):
        """
        Sends a command and returns what it returns; `limit` is in seconds.

        A late answer is a failure, and the session is of no use afterwards.
        """
        words = {key.replace('_', '-'): value for key, value in arguments.items()}
        message = {'execute': name}
        if words:
            message['arguments'] = words
        end = time.monotonic() + limit
        try:
            self.socket.settimeout(limit)
            self.socket.sendall(json.dumps(message).encode() + b'\n')
            while True:
                answer = self._next(end)
                if 'event' in answer:
                    self.events.append(answer)
                elif 'error' in answer:
                    raise QmpError('%s: %s' % (name, answer['error']['desc']))
                else:
                    return answer['return']
        except socket.timeout:
            raise Failure('QMP %s: no answer within %g s' % (name, limit)) from None

    def wait_event(self, name, timeout=10.0):
        """Waits for an event, takes it from the list and returns its data."""
        end = time.monotonic() + timeout
        while True:
            for index, event in enumerate(self.events):
                if event['event'] == name:
                    return self.events.pop(index).get('data', {})
            try:
                answer = self._next(end)
            except socket.timeout:
                raise Failure('no event %s within %g s; got %s' % (
                    name, timeout, [event['event'] for event in self.events])) from None
            if 'event' in answer:
                self.events.append(answer)

    def close(self):
        self.socket.close()


class QmpError(Failure):
    """QEMU answered a command with an error."""

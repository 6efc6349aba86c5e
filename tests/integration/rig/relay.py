# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A process in the middle that misbehaves on purpose: it hides the dirty log from the
backend, answers late or goes away in mid-handshake. It carries whole messages with their
descriptors, and nothing else is changed. With no fault asked for it is a recorder.
"""

import os
import socket
import struct
import threading
import time

GET_FEATURES, SET_FEATURES, SET_LOG_BASE, SET_LOG_FD, SET_VRING_ADDR = 1, 2, 6, 7, 9
HEADER = struct.Struct('<III')
REPLY, NEED_REPLY = 1 << 2, 1 << 3
LOG_ALL = 1 << 26


class Ended(Exception):
    pass


def _exactly(stream, size):
    """Reads `size` bytes and the descriptors that came with them."""
    data, descriptors = b'', []
    while len(data) < size:
        part, received, _, _ = socket.recv_fds(stream, size - len(data), 16)
        descriptors += received
        if not part:
            raise Ended()
        data += part
    return data, descriptors


def _receive(stream):
    header, descriptors = _exactly(stream, HEADER.size)
    request, flags, size = HEADER.unpack(header)
    payload, more = _exactly(stream, size) if size else (b'', [])
    return request, flags, payload, descriptors + more


class Relay:
    """
    Listens on one path and dials the other for each connection.

    hide_log: answers SET_LOG_BASE itself and takes LOG_ALL away
    delay: {request: seconds} before a request goes on
    hang_up_at: the request at which the first connection is closed, on both sides

    `seen` is every request so far, `answers` the last answer to each, `log` all messages
    as (time, 'request' or 'answer', number, flags), noted before they go on.
    """

    def __init__(self, case, front, back, hide_log=False, delay=None, hang_up_at=None):
        self.back = back
        self.hide_log = hide_log
        self.delay = dict(delay or {})
        self.hang_up_at = hang_up_at
        self.seen = []
        self.answers = {}
        self.log = []
        self.open = []
        if os.path.exists(front):
            os.unlink(front)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(front)
        self.listener.listen(8)
        case.keep(self)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                front, _ = self.listener.accept()
            except OSError:
                return
            back = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                back.connect(self.back)
            except OSError:
                front.close()
                back.close()
                continue
            self.open += [front, back]
            to_front = threading.Lock()
            threading.Thread(target=self._requests, args=(front, back, to_front),
                             daemon=True).start()
            threading.Thread(target=self._answers, args=(front, back, to_front),
                             daemon=True).start()

    @staticmethod
    def _close(*streams):
        for stream in streams:
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _send(stream, request, flags, payload, descriptors):
        data = HEADER.pack(request, flags, len(payload)) + payload
        try:
            sent = socket.send_fds(stream, [data], descriptors)
            stream.sendall(data[sent:])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _requests(self, front, back, to_front):
        try:
            while True:
                request, flags, payload, descriptors = _receive(front)
                self.seen.append(request)
                self.log.append((time.monotonic(), 'request', request, flags))
                if request in self.delay:
                    time.sleep(self.delay[request])
                if request == self.hang_up_at:
                    self.hang_up_at = None
                    raise Ended()
                if self.hide_log:
                    payload = self._without_log(request, payload)
                    if request in (SET_LOG_BASE, SET_LOG_FD):
                        for descriptor in descriptors:
                            os.close(descriptor)
                        if request == SET_LOG_BASE or flags & NEED_REPLY:
                            with to_front:
                                self._send(front, request, 1 | REPLY,
                                           payload if request == SET_LOG_BASE else bytes(8), [])
                        continue
                self._send(back, request, flags, payload, descriptors)
        except (Ended, OSError):
            self._close(front, back)

    @staticmethod
    def _without_log(request, payload):
        if request == SET_FEATURES:
            return struct.pack('<Q', struct.unpack('<Q', payload)[0] & ~LOG_ALL)
        if request == SET_VRING_ADDR:
            index, flags = struct.unpack_from('<II', payload)
            return struct.pack('<II', index, flags & ~1) + payload[8:]
        return payload

    def _answers(self, front, back, to_front):
        try:
            while True:
                message = _receive(back)
                self.answers[message[0]] = message[2]
                self.log.append((time.monotonic(), 'answer') + message[:2])
                with to_front:
                    self._send(front, *message)
        except (Ended, OSError):
            self._close(front, back)

    def kill(self):
        self._close(self.listener, *self.open)
        for stream in [self.listener] + self.open:
            stream.close()

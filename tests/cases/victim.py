# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another VM beside the cases: its requests must be answered whatever happens elsewhere."""

import socket
import struct
import threading
import time

import autobackend
import vhostwire
from script import Failure
from vhostwire import FRONTEND, NEED_REPLY, VERSION, Message

# Generous, because the machine is shared and sanitizers are slow: an undisturbed answer
# takes well under a millisecond, a disturbed one would wait for somebody's deadline.
ANSWER_MS = 1500
PAUSE_S = 0.01


class Victim:
    """A VMM and a backend of its own, in threads, from the first case to the last."""

    def __init__(self, vmm_path, backend_path):
        self.backend = autobackend.AutoBackend(backend_path)
        self.backend.wait_connections(1, 5000)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.connect(vmm_path)
        self.turns = 0
        self.slowest_ms = 0.0
        self.trouble = None
        self.ending = False
        self._start()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _ask(self, name, payload=b"", flags=VERSION, fds=()):
        begin = time.monotonic()
        vhostwire.send_bytes(self.sock, Message(FRONTEND[name], flags, payload).encode(), fds)
        reply = vhostwire.receive(self.sock, ANSWER_MS, f"the answer to {name}")
        reply.close_fds()
        if reply.request != FRONTEND[name]:
            raise vhostwire.WireError(f"request {reply.request} was answered, not {name}")
        self.slowest_ms = max(self.slowest_ms, (time.monotonic() - begin) * 1000)
        return reply.u64()

    def _tell(self, name, value=None):
        payload = b"" if value is None else struct.pack("=Q", value)
        vhostwire.send_bytes(self.sock, Message(FRONTEND[name], VERSION, payload).encode())

    def _start(self):
        self.features = self._ask("GET_FEATURES")
        offered = self._ask("GET_PROTOCOL_FEATURES")
        self._tell("SET_PROTOCOL_FEATURES", offered & vhostwire.PROTOCOL_BITS["REPLY_ACK"])
        self._tell("SET_OWNER")
        self._tell("SET_FEATURES", self.features)

    def _run(self):
        """In turn a request that the model answers and one that the backend must see."""
        try:
            while not self.ending:
                if self._ask("GET_FEATURES") != self.features:
                    raise vhostwire.WireError("its features changed")
                state = struct.pack("=II", self.turns % 2, 128 << self.turns % 3)
                if self._ask("SET_VRING_NUM", state, VERSION | NEED_REPLY) != 0:
                    raise vhostwire.WireError("SET_VRING_NUM was refused")
                self.turns += 1
                time.sleep(PAUSE_S)
        except (vhostwire.WireError, OSError) as error:
            self.trouble = error

    def mark(self):
        self.slowest_ms = 0.0
        return self.turns

    def check(self, mark):
        """It was served between mark() and now."""
        end = time.monotonic() + ANSWER_MS / 1000
        while self.turns <= mark and self.trouble is None and time.monotonic() < end:
            time.sleep(0.01)
        if self.trouble is not None:
            raise Failure(f"the VM beside it: {self.trouble}")
        if self.turns <= mark:
            raise Failure("the VM beside it was not served")

    def end(self):
        self.ending = True
        self.thread.join(5)
        self.sock.close()
        self.backend.stop()

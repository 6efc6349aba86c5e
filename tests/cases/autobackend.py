# SPDX-License-Identifier: LGPL-2.1-or-later
"""A backend that answers everything correctly, remembers what it got, and can be told to
misbehave at one message.

It runs in a thread of its own, so that a script can act as the VMM meanwhile. A behaviour
(see BEHAVIOURS) is set for one message name and holds for a number of times or for ever.
"""

import os
import select
import socket
import struct
import threading
import time

import vhostwire
from vhostwire import FRONTEND, NEED_REPLY, REPLY, VERSION, Message

# Bits 26 LOG_ALL, 30 PROTOCOL_FEATURES, 32 VERSION_1 and 29 EVENT_IDX, 28 INDIRECT_DESC
DEFAULT_FEATURES = 1 << 32 | 1 << 30 | 1 << 29 | 1 << 28 | 1 << 26
# all that vringd may use towards a backend and a script may want to see there
DEFAULT_PROTOCOL = sum(vhostwire.PROTOCOL_BITS[name] for name in (
    "MQ", "LOG_SHMFD", "REPLY_ACK", "BACKEND_REQ", "CONFIG", "BACKEND_SEND_FD",
    "INFLIGHT_SHMFD", "RESET_DEVICE", "CONFIGURE_MEM_SLOTS", "STATUS", "DEVICE_STATE"))

BEHAVIOURS = """silent  hang  close  nak  wrong-id  wrong-flags  short  long  empty
extra-fd  twice  torn  late  value""".split()


class Seen:
    """What the backend got: a message without its descriptors, but with what they were."""

    def __init__(self, message):
        self.name = vhostwire.name_of(message.request, FRONTEND)
        self.payload = message.payload
        self.flags = message.flags
        self.inodes = [(os.fstat(fd).st_dev, os.fstat(fd).st_ino) for fd in message.fds]
        self.eventfds = [eventfd_id(fd) for fd in message.fds]
        self.time = time.monotonic()


def eventfd_id(fd):
    """The kernel's number of an eventfd, equal in all processes; None for other kinds."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("eventfd-id:"):
                return int(line.split()[1])
    return None


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.reply_ack = False
        self.hung = False
        self.bases = {}
        self.status = 0


class AutoBackend:
    """Listens at @path, or dials it with dial=True, until stop()."""

    def __init__(self, path, features=DEFAULT_FEATURES, protocol=DEFAULT_PROTOCOL, queues=8,
                 slots=509, config=b"", log_reply=16, reply_ack=True, dial=False,
                 keep_channel=None):
        self.path = path
        self.features = features
        self.protocol = protocol if reply_ack else protocol & ~vhostwire.PROTOCOL_BITS["REPLY_ACK"]
        self.queues = queues
        self.slots = slots
        self.config = config.ljust(256, b"\0")
        self.log_reply = log_reply
        self.dial = dial
        self.keep_channel = keep_channel
        self.seen = []
        self.n_connections = 0
        self.behaviours = {}
        self.refusing = False
        self.lock = threading.Condition()
        self.connections = []
        self.listener = None
        self.trouble = None
        self.wake_reader, self.wake_writer = os.pipe()
        self.ending = False
        if not dial:
            self._listen()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _listen(self):
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.listener.bind(self.path)
        self.listener.listen(16)

    def stop(self):
        self.ending = True
        os.write(self.wake_writer, b"x")
        self.thread.join()
        for connection in self.connections:
            connection.sock.close()
        self.connections = []
        if self.listener is not None:
            os.unlink(self.path)
            self.listener.close()
        os.close(self.wake_reader)
        os.close(self.wake_writer)

    # --- what a script asks -------------------------------------------------------------

    def behave(self, name, behaviour, argument=None, times=None):
        if name != "*" and name not in FRONTEND:
            raise ValueError(f"no message '{name}'")
        if behaviour not in BEHAVIOURS:
            raise ValueError(f"no behaviour '{behaviour}'; there are {', '.join(BEHAVIOURS)}")
        with self.lock:
            self.behaviours[name] = [behaviour, argument, times]

    def behave_well(self):
        with self.lock:
            self.behaviours = {}

    def wait_seen(self, name, count, within_ms):
        """TRUE once @name has come at least @count times."""
        with self.lock:
            return self.lock.wait_for(lambda: self._count(name) >= count, within_ms / 1000)

    def _count(self, name):
        return sum(1 for seen in self.seen if seen.name == name)

    def count(self, name):
        with self.lock:
            return self._count(name)

    def last(self, name):
        with self.lock:
            return next((seen for seen in reversed(self.seen) if seen.name == name), None)

    def forget(self):
        with self.lock:
            self.seen = []

    def wait_connections(self, count, within_ms):
        with self.lock:
            return self.lock.wait_for(lambda: self.n_connections >= count, within_ms / 1000)

    def send(self, data, fds=()):
        """Bytes of the script's own on the connection of now."""
        with self.lock:
            if not self.connections:
                raise vhostwire.WireError("the backend has no connection")
            sock = self.connections[-1].sock
        vhostwire.send_bytes(sock, data, fds)

    def disconnect(self):
        """End the connections of now, as a backend that restarts."""
        with self.lock:
            for connection in self.connections:
                connection.sock.shutdown(socket.SHUT_RDWR)

    # --- the thread ---------------------------------------------------------------------

    def _run(self):
        while not self.ending:
            if self.dial and not self.connections:
                self._dial()
            watched = [self.wake_reader] + [c.sock for c in self.connections if not c.hung]
            if self.listener is not None:
                watched.append(self.listener)
            try:
                ready, _, _ = select.select(watched, [], [], 0.05 if self.dial else None)
            except (OSError, ValueError):
                continue
            if self.listener in ready:
                self._accept()
            for connection in [c for c in self.connections if c.sock in ready]:
                self._serve(connection)

    def _dial(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            return
        self._add(sock)

    def _accept(self):
        sock, _ = self.listener.accept()
        if self.refusing:
            sock.close()
            with self.lock:
                self.n_connections += 1
                self.lock.notify_all()
            return
        self._add(sock)

    def _add(self, sock):
        with self.lock:
            self.connections.append(Connection(sock))
            self.n_connections += 1
            self.lock.notify_all()

    def _drop(self, connection):
        with self.lock:
            if connection in self.connections:
                self.connections.remove(connection)
        connection.sock.close()

    def _serve(self, connection):
        try:
            message = vhostwire.receive(connection.sock, 5000, "a request")
        except (vhostwire.WireError, OSError):
            self._drop(connection)
            return
        seen = Seen(message)
        try:
            reply = self._answer(connection, seen, message)
            behaviour = self._behaviour(seen.name)
            self._reply(connection, message, reply, behaviour)
        except (vhostwire.WireError, OSError):
            self._drop(connection)
        finally:
            message.close_fds()
            with self.lock:
                self.seen.append(seen)
                self.lock.notify_all()

    def _behaviour(self, name):
        with self.lock:
            key = name if name in self.behaviours else "*"
            entry = self.behaviours.get(key)
            if entry is None:
                return None
            if entry[2] is not None:
                entry[2] -= 1
                if entry[2] <= 0:
                    del self.behaviours[key]
            return entry

    def _answer(self, connection, seen, message):
        """The right reply as payload and descriptors, or None where none is due."""
        special = getattr(self, "_on_" + seen.name.lower(), None)
        if special is not None:
            answer = special(connection, message)
            if answer is not None:
                return answer
        if message.flags & NEED_REPLY and connection.reply_ack:
            return struct.pack("=Q", 0), []
        return None

    @staticmethod
    def _u64(value):
        return struct.pack("=Q", value), []

    def _on_get_features(self, connection, message):
        return self._u64(self.features)

    def _on_get_protocol_features(self, connection, message):
        return self._u64(self.protocol)

    def _on_set_protocol_features(self, connection, message):
        connection.reply_ack = bool(message.u64() & vhostwire.PROTOCOL_BITS["REPLY_ACK"])

    def _on_get_queue_num(self, connection, message):
        return self._u64(self.queues)

    def _on_get_max_mem_slots(self, connection, message):
        return self._u64(self.slots)

    def _on_set_vring_base(self, connection, message):
        index, base = struct.unpack("=II", message.payload[:8])
        connection.bases[index] = base

    def _on_get_vring_base(self, connection, message):
        index = struct.unpack_from("=I", message.payload)[0]
        return struct.pack("=II", index, connection.bases.get(index, 0)), []

    def _on_set_log_base(self, connection, message):
        return message.payload[:self.log_reply], []

    def _on_get_config(self, connection, message):
        offset, size, flags = struct.unpack_from("=III", message.payload)
        return (struct.pack("=III", offset, size, flags) +
                self.config[offset:offset + size].ljust(size, b"\0")), []

    def _on_get_inflight_fd(self, connection, message):
        queues, queue_size = struct.unpack_from("=HH", message.payload, 16)
        size = queues * ((16 + 16 * queue_size + 63) // 64 * 64)
        fd = os.memfd_create("inflight", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
        return struct.pack("=QQHHI", size, 0, queues, queue_size, 0), [fd]

    def _on_set_backend_req_fd(self, connection, message):
        if self.keep_channel is not None and message.fds:
            self.keep_channel(socket.socket(fileno=os.dup(message.fds[0])))

    def _on_iotlb_msg(self, connection, message):
        return self._u64(0)

    def _on_get_status(self, connection, message):
        return self._u64(connection.status)

    def _on_set_status(self, connection, message):
        connection.status = message.u64()

    def _on_set_device_state_fd(self, connection, message):
        return self._u64(0x100)

    def _on_check_device_state(self, connection, message):
        return self._u64(0)

    def _reply(self, connection, message, reply, behaviour):
        kind, argument = (behaviour[0], behaviour[1]) if behaviour else (None, None)
        fds = reply[1] if reply else []
        try:
            self._send_reply(connection, message, reply, kind, argument)
        finally:
            for fd in fds:
                os.close(fd)

    def _send_reply(self, connection, message, reply, kind, argument):
        if kind == "close":
            self._drop(connection)
            return
        if kind == "hang":
            connection.hung = True
            return
        if kind == "silent" or reply is None:
            return
        if kind == "late":
            time.sleep(float(argument or 500) / 1000)
        answer = Message(message.request, VERSION | REPLY, reply[0], reply[1])
        copies = 1
        if kind == "nak":
            answer.payload = struct.pack("=Q", int(argument or 1))
        elif kind == "value":
            answer.payload = struct.pack("=Q", vhostwire.number(argument) & (2**64 - 1))
        elif kind == "wrong-id":
            answer.request = message.request % 40 + 1
        elif kind == "wrong-flags":
            answer.flags = vhostwire.number(argument or "0x1")
        elif kind == "short":
            answer.payload = answer.payload[:-4]
        elif kind == "long":
            answer.payload += bytes(8)
        elif kind == "empty":
            answer.payload = b""
        elif kind == "twice":
            copies = 2
        answer.size = len(answer.payload)
        data = answer.encode() * copies
        if kind == "torn":
            vhostwire.send_bytes(connection.sock, data[:len(data) // 2])
            self._drop(connection)
            return
        extra = os.eventfd(0, os.EFD_CLOEXEC) if kind == "extra-fd" else None
        try:
            vhostwire.send_bytes(connection.sock, data,
                                 reply[1] + ([extra] if extra is not None else []))
        finally:
            if extra is not None:
                os.close(extra)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""vhost-user messages as bytes: numbers, payload layouts, sockets with descriptors.

Written from the specification and independent of the daemon's own tables, so that both
can be held against each other. Knows no state: anything can be sent, wrong or right.
"""

import array
import ast
import errno
import operator
import os
import select
import socket
import struct
import time

HEADER = struct.Struct("=III")
VERSION = 0x1
REPLY = 0x4
NEED_REPLY = 0x8

FRONTEND = {name: number for number, name in enumerate("""
GET_FEATURES SET_FEATURES SET_OWNER RESET_OWNER SET_MEM_TABLE SET_LOG_BASE SET_LOG_FD
SET_VRING_NUM SET_VRING_ADDR SET_VRING_BASE GET_VRING_BASE SET_VRING_KICK SET_VRING_CALL
SET_VRING_ERR GET_PROTOCOL_FEATURES SET_PROTOCOL_FEATURES GET_QUEUE_NUM SET_VRING_ENABLE
SEND_RARP NET_SET_MTU SET_BACKEND_REQ_FD IOTLB_MSG SET_VRING_ENDIAN GET_CONFIG SET_CONFIG
CREATE_CRYPTO_SESSION CLOSE_CRYPTO_SESSION POSTCOPY_ADVISE POSTCOPY_LISTEN POSTCOPY_END
GET_INFLIGHT_FD SET_INFLIGHT_FD GPU_SET_SOCKET RESET_DEVICE VRING_KICK GET_MAX_MEM_SLOTS
ADD_MEM_REG REM_MEM_REG SET_STATUS GET_STATUS GET_SHARED_OBJECT SET_DEVICE_STATE_FD
CHECK_DEVICE_STATE GET_SHMEM_CONFIG""".split(), 1)}

BACKEND = {name: number for number, name in enumerate("""
IOTLB_MSG CONFIG_CHANGE_MSG VRING_HOST_NOTIFIER_MSG VRING_CALL VRING_ERR
SHARED_OBJECT_ADD SHARED_OBJECT_REMOVE SHARED_OBJECT_LOOKUP SHMEM_MAP
SHMEM_UNMAP""".split(), 1)}

PROTOCOL_BITS = {name: 1 << bit for bit, name in enumerate("""
MQ LOG_SHMFD RARP REPLY_ACK NET_MTU BACKEND_REQ CROSS_ENDIAN CRYPTO_SESSION PAGEFAULT
CONFIG BACKEND_SEND_FD HOST_NOTIFIER INFLIGHT_SHMFD RESET_DEVICE INBAND_NOTIFICATIONS
CONFIGURE_MEM_SLOTS STATUS XEN_MMAP SHARED_OBJECT DEVICE_STATE GET_VRING_BASE_INFLIGHT
GPA_ADDRESSES SHMEM GET_VRING_BASE_SKIP_DRAIN""".split())}

# Front-end messages with a payload, by the option that writes it; the rest carry none.
PAYLOADS = {
    "SET_FEATURES": "u64", "SET_MEM_TABLE": "memory", "SET_LOG_BASE": "log",
    "SET_VRING_NUM": "state", "SET_VRING_ADDR": "addr", "SET_VRING_BASE": "state",
    "GET_VRING_BASE": "state", "SET_VRING_KICK": "u64", "SET_VRING_CALL": "u64",
    "SET_VRING_ERR": "u64", "SET_PROTOCOL_FEATURES": "u64", "SET_VRING_ENABLE": "state",
    "SEND_RARP": "u64", "NET_SET_MTU": "u64", "IOTLB_MSG": "iotlb",
    "SET_VRING_ENDIAN": "state", "GET_CONFIG": "config", "SET_CONFIG": "config",
    "CLOSE_CRYPTO_SESSION": "u64", "GET_INFLIGHT_FD": "inflight",
    "SET_INFLIGHT_FD": "inflight", "VRING_KICK": "state", "ADD_MEM_REG": "region",
    "REM_MEM_REG": "region", "SET_STATUS": "u64", "GET_SHARED_OBJECT": "uuid",
    "SET_DEVICE_STATE_FD": "devstate",
}

# These are answered by their nature, with or without NEED_REPLY.
ALWAYS_ANSWERED = {
    "GET_FEATURES", "GET_PROTOCOL_FEATURES", "GET_QUEUE_NUM", "GET_VRING_BASE", "IOTLB_MSG",
    "GET_CONFIG", "CREATE_CRYPTO_SESSION", "POSTCOPY_ADVISE", "POSTCOPY_LISTEN",
    "POSTCOPY_END", "GET_INFLIGHT_FD", "GET_MAX_MEM_SLOTS", "GET_STATUS",
    "GET_SHARED_OBJECT", "SET_DEVICE_STATE_FD", "CHECK_DEVICE_STATE", "GET_SHMEM_CONFIG",
}

_OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.LShift: operator.lshift,
    ast.RShift: operator.rshift, ast.BitOr: operator.or_, ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor, ast.Pow: operator.pow,
}


class WireError(Exception):
    """A message that did not come, or came otherwise than the protocol says."""


class PeerClosed(WireError):
    """The other side ended the connection."""


def number(text):
    """Value of an integer expression: 4096, 0x10, 2**64-1, 1<<30|1; K, M and G end sizes.

    A protocol feature's name stands for its bit.
    """
    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
            return ~value(node.operand) & (2**64 - 1)
        if isinstance(node, ast.Name) and node.id in PROTOCOL_BITS:
            return PROTOCOL_BITS[node.id]
        raise ValueError(text)

    text = text.strip()
    if text[-1:] in "KMG" and text[:-1].isdigit():
        return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]
    try:
        return value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError):
        raise ValueError(f"not a number: '{text}'") from None


def numbers(text):
    return [number(part) for part in text.split(",")]


def raw_bytes(text):
    """Bytes from hexadecimal pieces: 0100, 00*4096, 0100+ff*8."""
    out = b""
    for piece in text.split("+"):
        digits, _, times = piece.partition("*")
        out += bytes.fromhex(digits) * (number(times) if times else 1)
    return out


def _u(bits, value):
    return value & ((1 << bits) - 1)


def encode_state(text):
    index, num = numbers(text)
    return struct.pack("=II", _u(32, index), _u(32, num))


def encode_addr(text):
    """index,flags,desc,used,avail[,log]"""
    values = numbers(text)
    values += [0] * (6 - len(values))
    return struct.pack("=IIQQQQ", _u(32, values[0]), _u(32, values[1]),
                       *[_u(64, value) for value in values[2:]])


def encode_region(text):
    """guest,size,user,offset without the padding in front"""
    return struct.pack("=QQQQ", *[_u(64, value) for value in numbers(text)])


def encode_memory(text, count=None):
    """guest,size,user,offset;...  @count: what the head says instead of the true number"""
    regions = [encode_region(part) for part in text.split(";") if part]
    head = len(regions) if count is None else count
    return struct.pack("=II", _u(32, head), 0) + b"".join(regions)


def encode_config(text):
    """offset,size,flags[,hex]; without bytes as many zeros as size says"""
    parts = text.split(",", 3)
    offset, size, flags = [number(part) for part in parts[:3]]
    data = raw_bytes(parts[3]) if len(parts) > 3 else bytes(min(size, 4096))
    return struct.pack("=III", _u(32, offset), _u(32, size), _u(32, flags)) + data


def encode_inflight(text):
    size, offset, queues, queue_size = numbers(text)
    return struct.pack("=QQHHI", _u(64, size), _u(64, offset), _u(16, queues),
                       _u(16, queue_size), 0)


def encode_iotlb(text):
    iova, size, user, permission, kind = numbers(text)
    return struct.pack("=QQQBB6x", iova, size, user, permission, kind)


def encode_mmap(text):
    shmid, fd_offset, shm_offset, length, flags = numbers(text)
    return struct.pack("=B7xQQQQ", shmid, fd_offset, shm_offset, length, flags)


ENCODERS = {
    "u64": lambda text: struct.pack("=Q", _u(64, number(text))),
    "state": encode_state,
    "addr": encode_addr,
    "memory": encode_memory,
    "region": lambda text: bytes(8) + encode_region(text),
    "log": lambda text: struct.pack("=QQ", *[_u(64, value) for value in numbers(text)]),
    "config": encode_config,
    "inflight": encode_inflight,
    "iotlb": encode_iotlb,
    "area": lambda text: struct.pack("=QQQ", *[_u(64, value) for value in numbers(text)]),
    "uuid": lambda text: raw_bytes(text).ljust(16, b"\0")[:16],
    "devstate": lambda text: struct.pack("=II", *numbers(text)),
    "mmap": encode_mmap,
    "raw": raw_bytes,
}


class Message:
    """One message: header fields, payload, and descriptors that whoever holds it owns."""

    def __init__(self, request, flags=VERSION, payload=b"", fds=(), size=None):
        self.request = request
        self.flags = flags
        self.payload = payload
        self.fds = list(fds)
        self.size = len(payload) if size is None else size

    def encode(self):
        return HEADER.pack(_u(32, self.request), _u(32, self.flags),
                           _u(32, self.size)) + self.payload

    def u64(self):
        if len(self.payload) < 8:
            raise WireError(f"payload of {len(self.payload)} bytes where 8 are due")
        return struct.unpack_from("=Q", self.payload)[0]

    def close_fds(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []


def name_of(request, table):
    for name, value in table.items():
        if value == request:
            return name
    return f"request {request}"


def send_bytes(sock, data, fds=(), within_ms=5000):
    """All of @data, the descriptors with its first byte; WireError if it does not fit."""
    deadline = time.monotonic() + within_ms / 1000
    ancillary = []

    if fds:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    view = memoryview(data)
    while view:
        try:
            sent = sock.sendmsg([view], ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            _wait(sock, select.POLLOUT, deadline, "the socket took nothing more")
            continue
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET):
                raise PeerClosed("closed by the other side while sending") from None
            raise
        view = view[sent:]
        ancillary = []


def _wait(sock, events, deadline, what):
    poll = select.poll()
    poll.register(sock, events)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise WireError(what)


def _receive(sock, count, deadline, fds, what):
    """Exactly @count bytes; fewer only at the end of the connection."""
    data = b""
    while len(data) < count:
        _wait(sock, select.POLLIN, deadline, f"{what} did not come in time")
        try:
            piece, ancillary, _, _ = sock.recvmsg(
                count - len(data), socket.CMSG_SPACE(4 * 64),
                socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            piece, ancillary = b"", []
        for level, kind, rights in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                got = array.array("i")
                got.frombytes(rights[:len(rights) - len(rights) % got.itemsize])
                fds.extend(got)
        if not piece:
            return data
        data += piece
    return data


def receive(sock, within_ms=5000, what="a message"):
    """The next message; PeerClosed at the end, WireError at a timeout or half a message."""
    deadline = time.monotonic() + within_ms / 1000
    fds = []

    header = _receive(sock, HEADER.size, deadline, fds, what)
    if not header:
        raise PeerClosed(f"the connection was closed where {what} was expected")
    if len(header) < HEADER.size:
        raise WireError(f"the connection ended after {len(header)} bytes of a header")
    request, flags, size = HEADER.unpack(header)
    payload = _receive(sock, min(size, 65536), deadline, fds, what)
    if len(payload) < size:
        raise WireError(f"the connection ended after {len(payload)} of {size} payload bytes")
    return Message(request, flags, payload, fds)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Descriptors of every kind that a peer could pass, right ones and wrong ones.

make("memfd:1M") returns a new descriptor. The wrong kinds are those that hurt others: a
file whose close() blocks (linger, fuse), memory that cannot be written, a socket in
place of an eventfd.
"""

import ctypes
import ctypes.util
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

import vhostwire


class Unavailable(Exception):
    """This machine cannot make such a descriptor."""


def _memfd(size, seals=0):
    fd = os.memfd_create("peer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def _reopened(size, flags):
    fd = _memfd(size)
    try:
        return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
    finally:
        os.close(fd)


def _eventfd():
    return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def _disk_file(size):
    fd, path = tempfile.mkstemp(dir="/var/tmp")
    os.unlink(path)
    os.ftruncate(fd, size)
    return fd


def _tmpfile(size):
    """An unlinked file on tmpfs: guest memory as with memory-backend-file."""
    fd, path = tempfile.mkstemp(dir="/dev/shm")
    os.unlink(path)
    os.ftruncate(fd, size)
    return fd


def _pipe():
    reader, writer = os.pipe()
    os.close(writer)
    return reader


def _socket():
    one, other = socket.socketpair()
    other.close()
    return one.detach()


def _linger():
    """A TCP socket with unsent data whose close() waits for the linger time."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 4))
    client.connect(listener.getsockname())
    _LINGER_LISTENERS.append(listener)
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        pass
    return client.detach()


_LINGER_LISTENERS = []


def _epoll():
    epoll = select.epoll()
    fd = os.dup(epoll.fileno())
    epoll.close()
    return fd


def _listener():
    """A listening socket whose path is gone."""
    path = tempfile.mktemp(prefix="peer-listener-")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.unlink(path)
    listener.listen(1)
    return listener.detach()


class _FuseServer:
    """A FUSE file system with one file, served up to its open() and never again.

    Runs as a process of its own: whoever touches the file may block for good, and only a
    process that never does can end that, by a forced unmount when its input ends.
    """

    INIT, LOOKUP, GETATTR, OPEN = 26, 1, 3, 14
    MNT_FORCE, MNT_DETACH = 1, 2
    LIFETIME_S = 60

    def __init__(self, directory):
        self.directory = directory.encode()
        self.libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0"
        if self.libc.mount(b"peer", self.directory, b"fuse", 6, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mounting FUSE")

    @staticmethod
    def _attr(inode, mode):
        return struct.pack("=QQQQQQIIIIIIIIII", inode, 4096, 8, 0, 0, 0, 0, 0, 0, mode,
                           1, 0, 0, 0, 4096, 0)

    def _answer(self, opcode, node):
        root = (1, 0o40755)
        file = (2, 0o100666)
        if opcode == self.INIT:
            return struct.pack("=IIIIHHIIHHI7I", 7, 31, 0, 0, 12, 10, 4096, 1, 0, 0, 0,
                               *[0] * 7)
        if opcode == self.LOOKUP:
            return struct.pack("=QQQQII", 2, 0, 3600, 3600, 0, 0) + self._attr(*file)
        if opcode == self.GETATTR:
            return struct.pack("=QII", 3600, 0, 0) + self._attr(*(root if node == 1 else file))
        if opcode == self.OPEN:
            return struct.pack("=QII", 0, 0, 0)
        return b""

    def _serve_one(self):
        """FALSE once the file is open: from then on nothing is answered."""
        data = os.read(self.device, 1 << 17)
        _, opcode, unique, node = struct.unpack_from("=IIQQ", data)
        answer = self._answer(opcode, node)
        os.write(self.device, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)
        return opcode != self.OPEN

    def run(self):
        print("mounted", flush=True)
        poll = select.poll()
        poll.register(self.device, select.POLLIN)
        poll.register(sys.stdin, select.POLLIN)
        deadline = time.monotonic() + self.LIFETIME_S
        try:
            while time.monotonic() < deadline:
                ready = dict(poll.poll(1000))
                if sys.stdin.fileno() in ready:
                    return
                if self.device in ready and not self._serve_one():
                    poll.unregister(self.device)
        finally:
            self.libc.umount2(self.directory, self.MNT_FORCE)
            self.libc.umount2(self.directory, self.MNT_DETACH)
            os.close(self.device)
            os.rmdir(self.directory)


_FUSE_SERVERS = []
_BLOCKING = set()


def _fuse():
    if not os.access("/dev/fuse", os.W_OK):
        raise Unavailable("/dev/fuse cannot be used here")
    directory = tempfile.mkdtemp(prefix="peer-fuse-")
    server = subprocess.Popen([sys.executable, __file__, directory], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if server.stdout.readline() != b"mounted\n":
        server.communicate()
        os.rmdir(directory)
        raise Unavailable("mounting FUSE is not permitted here")
    _FUSE_SERVERS.append(server)
    return os.open(f"{directory}/file", os.O_RDWR | os.O_CLOEXEC)


_DEFERRED = []


def close(fd):
    """Close a descriptor of make(); one whose close() could block waits for release()."""
    if fd in _BLOCKING:
        _DEFERRED.append(fd)
    else:
        os.close(fd)


def release():
    """End what descriptors handed out here have at their back, then close them."""
    while _FUSE_SERVERS:
        _FUSE_SERVERS.pop().communicate()
    while _LINGER_LISTENERS:
        _LINGER_LISTENERS.pop().close()
    while _DEFERRED:
        try:
            os.close(_DEFERRED.pop())
        except OSError:
            pass  # FUSE says so once its connection is cut; the descriptor is gone
    _BLOCKING.clear()


KINDS = {
    "memfd": lambda size: _memfd(size),
    "sealed": lambda size: _memfd(size, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW |
                                  fcntl.F_SEAL_SEAL),
    "memfd-ro": lambda size: _reopened(size, os.O_RDONLY),
    "memfd-wo": lambda size: _reopened(size, os.O_WRONLY),
    "tmpfile": _tmpfile,
    "eventfd": lambda size: _eventfd(),
    "file": _disk_file,
    "directory": lambda size: os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
    "opath": lambda size: os.open("/", os.O_PATH | os.O_CLOEXEC),
    "zero": lambda size: os.open("/dev/zero", os.O_RDWR | os.O_CLOEXEC),
    "pipe": lambda size: _pipe(),
    "socket": lambda size: _socket(),
    "linger": lambda size: _linger(),
    "epoll": lambda size: _epoll(),
    "closed-listener": lambda size: _listener(),
    "fuse": lambda size: _fuse(),
}


def make(text):
    """KIND or KIND:SIZE, as "memfd:16M"; the size is 1 MiB where none is given."""
    kind, _, size = text.partition(":")
    if kind not in KINDS:
        raise ValueError(f"no kind of descriptor '{kind}'; there are {', '.join(KINDS)}")
    fd = KINDS[kind](vhostwire.number(size) if size else 1 << 20)
    if kind in ("fuse", "linger"):
        _BLOCKING.add(fd)
    return fd


if __name__ == "__main__":
    _FuseServer(sys.argv[1]).run()

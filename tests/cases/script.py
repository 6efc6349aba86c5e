# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a peer script is made of: statements, the peers they are about, how they fail."""

import pathlib
import socket
import time

from vhostwire import FRONTEND

BLOCKS = ("repeat", "for", "def")


class ScriptError(Exception):
    """The script itself is wrong."""


class Failure(Exception):
    """The other side did not do what the script expects."""


class Statement:
    """One line, with the lines of its block where it opens one."""

    def __init__(self, where, text):
        self.where = where
        self.text = text
        self.body = []


def parse(text, origin):
    """Lines into statements; a block (repeat, for, def) holds its own up to `end`."""
    root = []
    open_blocks = []

    for line_number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        where = f"{origin}:{line_number}"
        if line == "end":
            if not open_blocks:
                raise ScriptError(f"{where}: 'end' without repeat, for or def")
            open_blocks.pop()
            continue
        statement = Statement(where, line)
        (open_blocks[-1].body if open_blocks else root).append(statement)
        if line.split(None, 1)[0] in BLOCKS:
            open_blocks.append(statement)
    if open_blocks:
        raise ScriptError(f"{open_blocks[-1].where}: '{open_blocks[-1].text}' has no end")
    return root


def options(words):
    """["a=1", "b"] -> {"a": "1", "b": ""}"""
    return dict(word.partition("=")[::2] for word in words)


class Peer:
    """One socket of the script and how it comes to be.

    @asks: it sends requests and gets replies (a VMM; a backend's end of the channel);
    otherwise requests come to it.
    """

    def __init__(self, name, path=None, listen=False, asks=True, table=None):
        self.name = name
        self.path = path
        self.asks = asks
        self.table = FRONTEND if table is None else table
        self.listener = None
        self.sock = None
        self.glued = None
        if listen:
            pathlib.Path(path).unlink(missing_ok=True)
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(path)
            self.listener.listen(16)

    def connect(self, within_ms):
        self.close()
        if self.listener is not None:
            self.listener.settimeout(within_ms / 1000)
            try:
                self.sock, _ = self.listener.accept()
            except TimeoutError:
                raise Failure(f"{self.name}: nobody connected to {self.path}") from None
            return
        deadline = time.monotonic() + within_ms / 1000
        while True:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                sock.connect(self.path)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as error:
                sock.close()
                if time.monotonic() > deadline:
                    raise Failure(f"{self.name}: {self.path}: {error.strerror}") from None
                time.sleep(0.01)
                continue
            self.sock = sock
            return

    def live(self):
        if self.sock is None:
            raise ScriptError(f"peer {self.name} is not connected")
        return self.sock

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def end(self):
        self.close()
        if self.listener is not None:
            self.listener.close()
            pathlib.Path(self.path).unlink(missing_ok=True)
            self.listener = None


class Glue:
    """Messages on their way into one sendmsg."""

    def __init__(self, count):
        self.left = count
        self.data = b""
        self.fds = []

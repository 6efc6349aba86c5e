#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""peer.py - a scripted vhost-user peer

Runs a script in the language of README.md: a VMM or a backend, or several of them in one
script, that send, expect and misbehave. Used as a program for one script, and as a
library by run.py.

  peer.py [-D NAME=VALUE]... [-v] SCRIPT     ("-" reads standard input)

Exit status: 0 the script went through, 1 an expectation failed, 2 the script is wrong.
"""

import argparse
import os
import pathlib
import re
import select
import shlex
import socket
import struct
import sys
import time

import fdkinds
import vhostwire
from backendverbs import BackendStatements
from script import Failure, Glue, Peer, ScriptError, options, parse
from vhostwire import (BACKEND, NEED_REPLY, REPLY, VERSION, Message, PeerClosed,
                       WireError, number)

DEFAULT_WITHIN_MS = 5000


class World(BackendStatements):
    """The peers, variables and descriptors of one script, and the statements on them."""

    def __init__(self, variables=None, verbose=False):
        self.variables = dict(variables or {})
        self.peers = {}
        self.current = None
        self.functions = {}
        self.kept_fds = {}
        self.backend = None
        self.backend_socket = None
        self.verbose = verbose
        self.n_refused = 0

    # --- running ------------------------------------------------------------------------

    def run(self, statements):
        for statement in statements:
            try:
                self.statement(statement)
            except (ScriptError, Failure) as error:
                if not hasattr(error, "where"):
                    error.where = statement.where
                    error.args = (f"{statement.where}: {statement.text}: {error}",)
                raise
            except WireError as error:
                failure = Failure(f"{statement.where}: {statement.text}: {error}")
                failure.where = statement.where
                raise failure from None
            except (ValueError, KeyError, IndexError, struct.error) as error:
                failure = ScriptError(f"{statement.where}: {statement.text}: {error}")
                failure.where = statement.where
                raise failure from None

    def run_text(self, text, origin="script"):
        self.run(parse(text, origin))

    def expand(self, text):
        def value(match):
            name = match.group(1) or match.group(2)
            if name not in self.variables:
                raise ScriptError(f"no variable '{name}'")
            return str(self.variables[name])
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)

    def statement(self, statement):
        word, _, rest = statement.text.partition(" ")
        if word == "def":
            self._define(statement, rest.split())
            return
        words = shlex.split(self.expand(rest), comments=True)
        if self.verbose:
            print(f"{statement.where}: {word} {' '.join(words)}", file=sys.stderr)
        if word == "repeat":
            self._repeat(statement, words)
        elif word == "for":
            self._for(statement, words)
        elif word in self.functions:
            self._call(word, words)
        else:
            self.simple(word, words, statement)

    def simple(self, word, words, statement):
        if word in ("as", "must-fail"):
            (self._as if word == "as" else self._must_fail)(words, statement)
            return
        handler = getattr(self, "do_" + word.replace("-", "_"), None)
        if handler is None:
            raise ScriptError(f"no statement '{word}'")
        handler(words)

    def _define(self, statement, words):
        """def NAME [PARAMETER[=DEFAULT]]..."""
        self.functions[words[0]] = (options(words[1:]), statement.body)

    def _call(self, name, words):
        parameters, body = self.functions[name]
        given = options(words)
        for key in given:
            if key not in parameters:
                raise ScriptError(f"{name} has no parameter '{key}'")
        saved = dict(self.variables)
        for key, default in parameters.items():
            self.variables[key] = given.get(key, self.expand(default))
        self.run(body)
        for key in parameters:
            if key in saved:
                self.variables[key] = saved[key]
            else:
                del self.variables[key]

    def _repeat(self, statement, words):
        for i in range(number(words[0])):
            self.variables["i"] = i
            self.run(statement.body)

    def _for(self, statement, words):
        """for NAME in VALUE...   or   for NAME from FIRST to LAST"""
        values = words[2:]
        if words[1] == "from":
            values = range(number(words[2]), number(words[4]) + 1)
        for value in values:
            self.variables[words[0]] = value
            self.run(statement.body)

    def _as(self, words, statement):
        """as PEER STATEMENT, or as PEER: from here on"""
        if words[0] not in self.peers:
            raise ScriptError(f"no peer '{words[0]}'; there are {', '.join(self.peers)}")
        saved = self.current
        self.current = self.peers[words[0]]
        if len(words) > 1:
            try:
                if words[1] in self.functions:
                    self._call(words[1], words[2:])
                else:
                    self.simple(words[1], words[2:], statement)
            finally:
                self.current = saved

    def _must_fail(self, words, statement):
        """must-fail STATEMENT: passes if the statement does not; tests of the peers"""
        try:
            self.simple(words[0], words[1:], statement)
        except (Failure, WireError):
            return
        raise Failure("it did not fail")

    def peer(self):
        if self.current is None:
            raise ScriptError("no peer yet")
        return self.current

    def end_peers(self):
        """All sockets of the script are closed, after what a descriptor could block on."""
        fdkinds.release()
        for peer in self.peers.values():
            peer.end()

    def end(self):
        self.end_peers()
        if self.backend is not None:
            self.backend.stop()
            self.backend = None
        for fd in self.kept_fds.values():
            fdkinds.close(fd)
        self.kept_fds = {}

    # --- peers --------------------------------------------------------------------------

    def add_peer(self, peer):
        if peer.name in self.peers:
            self.peers[peer.name].end()
        self.peers[peer.name] = peer
        if self.current is None or self.current.name == peer.name:
            self.current = peer

    def do_peer(self, words):
        """peer NAME vmm|backend dial|listen PATH"""
        name, role, how, path = words
        self.add_peer(Peer(name, path, listen=how == "listen", asks=role == "vmm"))

    def do_connect(self, words):
        self.peer().connect(number(options(words).get("within", str(DEFAULT_WITHIN_MS))))

    def do_die(self, words):
        self.peer().close()

    def do_half_close(self, words):
        self.peer().live().shutdown(socket.SHUT_WR)

    def do_sleep(self, words):
        time.sleep(number(words[0]) / 1000)

    def do_set(self, words):
        """set NAME = VALUE"""
        self.variables[words[0]] = number(words[2]) if words[2][:1].isdigit() else words[2]

    # --- descriptors --------------------------------------------------------------------

    def do_fd(self, words):
        """fd NAME = KIND[:SIZE]: a descriptor to be passed more than once, as @NAME"""
        if words[0] in self.kept_fds:
            fdkinds.close(self.kept_fds.pop(words[0]))
        self.kept_fds[words[0]] = fdkinds.make(words[2])

    def _kept(self, name):
        return self.kept_fds[name.lstrip("@")]

    def do_symlink(self, words):
        """symlink TARGET PATH"""
        pathlib.Path(words[1]).unlink(missing_ok=True)
        os.symlink(words[0], words[1])

    def do_unlink(self, words):
        os.unlink(words[0])

    def do_stale_socket(self, words):
        """stale-socket PATH: what a dead listener leaves behind"""
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(words[0])

    def do_truncate(self, words):
        os.ftruncate(self._kept(words[0]), number(words[1]))

    def do_blocks(self, words):
        """blocks @NAME N: N blocks of 512 bytes of the file are allocated"""
        blocks = os.fstat(self._kept(words[0])).st_blocks
        if blocks != number(words[1]):
            raise Failure(f"{blocks} blocks are allocated")

    def do_close_fd(self, words):
        fdkinds.close(self.kept_fds.pop(words[0]))

    def _fds(self, text):
        """(descriptors, those of them to close after sending)"""
        fds, ours = [], []
        for part in filter(None, text.split(",")):
            kind, _, times = part.partition("*")
            for _ in range(number(times) if times else 1):
                if kind.startswith("@"):
                    fds.append(self.kept_fds[kind[1:]])
                elif kind == "channel":
                    mine, other = socket.socketpair()
                    ours.append(other.detach())
                    fds.append(ours[-1])
                    channel = Peer("channel", asks=False, table=BACKEND)
                    channel.sock = mine
                    self.add_peer(channel)
                else:
                    try:
                        ours.append(fdkinds.make(kind))
                    except fdkinds.Unavailable:
                        for fd in ours:
                            fdkinds.close(fd)
                        raise
                    fds.append(ours[-1])
        return fds, ours

    # --- sending ------------------------------------------------------------------------

    def build(self, words, peer):
        """NAME and options into a message, without descriptors, and the options"""
        given = options(words[1:])
        name = words[0]
        request = peer.table[name] if name in peer.table else number(name)
        payload = b""
        for key, encoder in vhostwire.ENCODERS.items():
            if key == "memory" and key in given:
                count = given.get("count")
                payload = vhostwire.encode_memory(given[key],
                                                  None if count is None else number(count))
            elif key in given:
                payload = encoder(given[key])
        flags = VERSION | (NEED_REPLY if "nr" in given else 0)
        if "reply" in given or ("request" not in given and not peer.asks):
            flags |= REPLY
        if "flags" in given:
            flags = number(given["flags"])
        size = number(given["size"]) if "size" in given else None
        return Message(request, flags, payload, size=size), given

    def do_send(self, words):
        peer = self.peer()
        message, given = self.build(words, peer)
        fds, ours = self._fds(given.get("fds", ""))
        try:
            self._transmit(peer, message.encode(), fds, given)
        finally:
            for fd in ours:
                if peer.glued is None or fd not in peer.glued.fds:
                    fdkinds.close(fd)

    def _transmit(self, peer, data, fds, given):
        if peer.glued is not None:
            self._glue(peer, data, fds)
            return
        if "only" in given:
            data = data[:number(given["only"])]
        split = number(given["split"]) if "split" in given else 0
        at = number(given.get("fds-at", "0"))
        pieces = [data[:split], data[split:]] if split else [data]
        start = 0
        for piece in pieces:
            with_fds = fds if start <= at < start + len(piece) else ()
            vhostwire.send_bytes(peer.live(), piece, with_fds)
            start += len(piece)
            if start < len(data):
                time.sleep(number(given.get("pause", "10")) / 1000)

    def do_glue(self, words):
        """glue N: the next N messages leave in one sendmsg"""
        self.peer().glued = Glue(number(words[0]))

    def _glue(self, peer, data, fds):
        glue = peer.glued
        glue.data += data
        glue.fds += [os.dup(fd) for fd in fds]
        glue.left -= 1
        if glue.left == 0:
            peer.glued = None
            vhostwire.send_bytes(peer.live(), glue.data, glue.fds)
            for fd in glue.fds:
                fdkinds.close(fd)

    def do_send_raw(self, words):
        """send-raw HEX [fds=..]: bytes that need not be a message"""
        given = options(words[1:])
        fds, ours = self._fds(given.get("fds", ""))
        vhostwire.send_bytes(self.peer().live(), vhostwire.raw_bytes(words[0]), fds)
        for fd in ours:
            fdkinds.close(fd)

    def do_flood(self, words):
        """flood NAME ... times=N: sends until the socket takes no more; $sent counts"""
        peer = self.peer()
        message, given = self.build(words, peer)
        fds, ours = self._fds(given.get("fds", ""))
        self.variables["sent"] = 0
        try:
            for _ in range(number(given.get("times", "10000"))):
                vhostwire.send_bytes(peer.live(), message.encode(), fds, 300)
                self.variables["sent"] += 1
        except WireError:
            pass
        for fd in ours:
            fdkinds.close(fd)

    # --- expecting ----------------------------------------------------------------------

    def do_expect(self, words):
        """expect NAME [value= payload= ack= fds= size= flags= within= nr no-nr keep= save=]"""
        peer = self.peer()
        given = options(words[1:])
        message = vhostwire.receive(peer.live(), self._within(given), words[0])
        try:
            self._compare(peer, message, words[0], given)
            if "keep" in given:
                self.kept_fds[given["keep"]] = os.dup(message.fds[0])
        finally:
            message.close_fds()

    @staticmethod
    def _within(given):
        return number(given.get("within", str(DEFAULT_WITHIN_MS)))

    def _compare(self, peer, message, name, given):
        request = peer.table[name] if name in peer.table else number(name)
        got = vhostwire.name_of(message.request, peer.table)
        if message.request != request:
            raise Failure(f"{got} came, flags {message.flags:#x}, "
                          f"payload {message.payload[:32].hex()}")
        flags = REPLY | VERSION if peer.asks and "request" not in given else None
        if "flags" in given:
            flags = number(given["flags"])
        if flags is not None and message.flags != flags:
            raise Failure(f"{got} has flags {message.flags:#x}, not {flags:#x}")
        for word, wanted in (("nr", NEED_REPLY), ("no-nr", 0)):
            if word in given and message.flags & NEED_REPLY != wanted:
                raise Failure(f"{got} has flags {message.flags:#x}")
        self._compare_payload(message, got, given)
        if len(message.fds) != number(given.get("fds", "0")):
            raise Failure(f"{got} has {len(message.fds)} descriptors")

    def _compare_payload(self, message, got, given):
        if "ack" in given:
            if message.size != 8:
                raise Failure(f"{got} is answered by {message.size} bytes, not by an ack")
            value = message.u64()
            bad = value == 0 if given["ack"] == "!0" else value != number(given["ack"])
            if bad:
                raise Failure(f"{got} is acked with {value}")
        if "value" in given and message.u64() != number(given["value"]) % 2**64:
            raise Failure(f"{got} has the value {message.u64():#x}")
        if "bits" in given and number(given["bits"]) & ~message.u64():
            raise Failure(f"{got} lacks bits: {message.u64():#x}")
        if "no-bits" in given and number(given["no-bits"]) & message.u64():
            raise Failure(f"{got} has bits that it must not have: {message.u64():#x}")
        if "size" in given and message.size != number(given["size"]):
            raise Failure(f"{got} has {message.size} payload bytes")
        for key, encoder in vhostwire.ENCODERS.items():
            name = "payload" if key == "raw" else key
            if name in given and message.payload != encoder(given[name]):
                raise Failure(f"{got} has the payload {message.payload.hex()}")
        if "save" in given:
            self.variables[given["save"]] = message.u64()

    def do_expect_close(self, words):
        """expect-close [within=] [drain]: drain passes over messages before the end"""
        given = options(words)
        peer = self.peer()
        deadline = time.monotonic() + self._within(given) / 1000
        while True:
            left = max(1, (deadline - time.monotonic()) * 1000)
            try:
                message = vhostwire.receive(peer.live(), left, "the end")
            except PeerClosed:
                peer.close()
                return
            message.close_fds()
            if "drain" not in given:
                name = vhostwire.name_of(message.request, peer.table)
                raise Failure(f"{name} came, payload {message.payload[:32].hex()}")

    def do_expect_hangup(self, words):
        """expect-hangup [within=]: the end, seen without reading"""
        poll = select.poll()
        poll.register(self.peer().live(), select.POLLRDHUP)
        if not poll.poll(self._within(options(words))):
            raise Failure("the connection was not closed")
        self.peer().close()

    def do_expect_nothing(self, words):
        """expect-nothing [within=]: silence, and the connection stays"""
        poll = select.poll()
        poll.register(self.peer().live(), select.POLLIN | select.POLLRDHUP)
        if poll.poll(number(options(words).get("within", "100"))):
            raise Failure("something came, or the connection was closed")

    def do_alive(self, words):
        """alive: the connection still answers"""
        self.do_send(["GET_FEATURES"])
        self.do_expect(["GET_FEATURES"])

    def do_ok(self, words):
        """ok NAME ...: sent with NEED_REPLY, acked with 0"""
        self.do_send(words + ["nr"])
        self.do_expect([words[0], "ack=0"] + [w for w in words if w.startswith("within=")])

    def do_nak(self, words):
        """nak NAME ...: sent with NEED_REPLY, acked with a failure, connection kept"""
        self.do_send(words + ["nr"])
        self.do_expect([words[0], "ack=!0"])
        self.n_refused += 1
        self.do_alive([])

    def do_shut(self, words):
        """shut NAME ...: sent without NEED_REPLY, the connection is closed for it"""
        self.do_send(words)
        self.do_expect_close(["within=3000"])
        self.n_refused += 1

    def do_refused(self, words):
        """refused NAME ...: nak, then shut"""
        self.do_nak(words)
        self.do_shut(words)


def main():
    parser = argparse.ArgumentParser(description="run a vhost-user peer script")
    parser.add_argument("-D", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("-v", action="store_true", help="print each statement")
    parser.add_argument("script")
    arguments = parser.parse_args()
    world = World(options(arguments.D), arguments.v)
    text = sys.stdin.read() if arguments.script == "-" else pathlib.Path(
        arguments.script).read_text(encoding="utf-8")
    try:
        world.run_text(text, arguments.script)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except (ScriptError, fdkinds.Unavailable) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        world.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())

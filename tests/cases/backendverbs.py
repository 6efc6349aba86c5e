# SPDX-License-Identifier: LGPL-2.1-or-later
"""The statements `backend VERB ...`: the automatic backend of a script and its misbehaviour."""

import os

import autobackend
import fdkinds
import vhostwire
from script import Failure, Peer, ScriptError, options
from vhostwire import BACKEND, number


class BackendStatements:
    """Mixed into the world of a script (peer.py)."""

    def do_backend(self, words):
        """backend VERB ..., see README.md"""
        verb = words[0].replace("-", "_")
        handler = getattr(self, "backend_" + verb, None)
        if handler is None:
            raise ScriptError(f"no statement 'backend {words[0]}'")
        if verb not in ("auto", "manual", "path") and self.backend is None:
            raise ScriptError("there is no automatic backend")
        handler(words[1:])

    def _keep_channel(self, sock):
        channel = Peer("bchannel", asks=True, table=BACKEND)
        channel.sock = sock
        if "bchannel" in self.peers:
            self.peers["bchannel"].end()
        self.peers["bchannel"] = channel

    def backend_path(self, words):
        self.backend_socket = words[0]

    def backend_auto(self, words):
        given = options(words)
        arguments = {}
        for key, name in (("features", "features"), ("protocol", "protocol"),
                          ("queues", "queues"), ("slots", "slots"),
                          ("log-reply", "log_reply")):
            if key in given:
                arguments[name] = number(given[key])
        if "config" in given:
            arguments["config"] = vhostwire.raw_bytes(given["config"])
        if self.backend is not None:
            self.backend.stop()
        if "backend" in self.peers:
            self.peers.pop("backend").end()
        self.backend = autobackend.AutoBackend(
            given.get("path", self.backend_socket), reply_ack="no-reply-ack" not in given,
            dial="dial" in given, keep_channel=self._keep_channel, **arguments)

    def backend_manual(self, words):
        """The script itself is the backend from here on, as peer `backend`."""
        self.backend_stop([])
        self.add_peer(Peer("backend", self.backend_socket, listen=True, asks=False))

    def backend_stop(self, words):
        if self.backend is not None:
            self.backend.stop()
            self.backend = None

    def backend_on(self, words):
        """backend on NAME: BEHAVIOUR [ARGUMENT] [times=N]"""
        rest = [word for word in words[1:] if not word.startswith("times=")]
        times = next((number(word[6:]) for word in words if word.startswith("times=")), None)
        self.backend.behave(words[0].rstrip(":"), rest[0], *rest[1:2], times=times)

    def backend_well(self, words):
        self.backend.behave_well()

    def backend_refuse(self, words):
        self.backend.refusing = words[:1] != ["off"]

    def backend_forget(self, words):
        self.backend.forget()

    def backend_disconnect(self, words):
        self.backend.disconnect()

    def backend_connections(self, words):
        """backend connections N [within=ms]: it was connected to at least N times"""
        if not self.backend.wait_connections(number(words[0]), self._within(options(words[1:]))):
            raise Failure(f"the backend was connected to {self.backend.n_connections} times")

    def backend_connections_at_most(self, words):
        if self.backend.n_connections > number(words[0]):
            raise Failure(f"the backend was connected to {self.backend.n_connections} times")

    def backend_saw(self, words):
        """backend saw NAME [count=N | min=N] [within=ms] [PAYLOAD=..] [same=@NAME]"""
        given = options(words[1:])
        count = number(given.get("count", given.get("min", "1")))
        if not self.backend.wait_seen(words[0], count, self._within(given)):
            raise Failure(f"the backend got {self.backend.count(words[0])} of {words[0]}")
        if "count" in given and self.backend.count(words[0]) != count:
            raise Failure(f"the backend got {self.backend.count(words[0])} of {words[0]}")
        last = self.backend.last(words[0])
        for key, encoder in vhostwire.ENCODERS.items():
            if key in given and last.payload != encoder(given[key]):
                raise Failure(f"the backend got the payload {last.payload.hex()}")
        if "fds" in given and len(last.inodes) != number(given["fds"]):
            raise Failure(f"the backend got {len(last.inodes)} descriptors")
        if "same" in given:
            status = os.fstat(self.kept_fds[given["same"].lstrip("@")])
            if (status.st_dev, status.st_ino) not in last.inodes:
                raise Failure("the backend got another file")

    def backend_not_saw(self, words):
        if self.backend.count(words[0]):
            raise Failure(f"the backend got {words[0]}")

    def backend_send(self, words):
        """backend send NAME ...: a message of the script's own from the automatic backend"""
        message, given = self.build(words, Peer("backend", asks=False))
        fds, ours = self._fds(given.get("fds", ""))
        data = message.encode()
        self.backend.send(data[:number(given["only"])] if "only" in given else data, fds)
        for fd in ours:
            fdkinds.close(fd)

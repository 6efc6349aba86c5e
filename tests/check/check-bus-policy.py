#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus policy, asked of a real dbus-daemon: who may own the name and who may call what.

usage: check-bus-policy.py TREE     (TAP; needs root, to be somebody else as well)

Callers and owner speak the wire format themselves: a call either reaches the owner or
comes back as AccessDenied, with no time limit to guess.
"""
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

NOBODY = 65534
NAME = "org.vringd1"
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
CALL, RETURN, ERROR = 1, 2, 3
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SIGNATURE = 1, 2, 3, 4, 5, 6, 8

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={dir}/bus</listen>
  <auth>EXTERNAL</auth>
  <!-- as a distribution's system bus: closed but for what a policy opens -->
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""


def pad(data, size):
    return data + b"\0" * (-len(data) % size)


def string(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


class Connection:
    """A connection of the caller's uid, with the few types that are needed here."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.serial = 0
        self.socket.sendall(b"\0AUTH EXTERNAL %s\r\n" % str(os.geteuid()).encode().hex().encode())
        answer = b""
        while not answer.endswith(b"\r\n"):
            answer += self.read(1)
        if not answer.startswith(b"OK"):
            raise RuntimeError(f"bus refused to authenticate: {answer!r}")
        self.socket.sendall(b"BEGIN\r\n")
        self.wait_reply(self.call(*BUS, "Hello"))

    def read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise RuntimeError("bus closed the connection")
            data += chunk
        return data

    def call(self, destination, path, interface, member, signature="", body=b""):
        self.serial += 1
        fields = [(PATH, "o", path), (MEMBER, "s", member), (DESTINATION, "s", destination)]
        if interface:
            fields.append((INTERFACE, "s", interface))
        array = b""
        for code, kind, value in fields:
            array = pad(array, 8) + bytes([code, 1]) + kind.encode() + b"\0" + string(value)
        if signature:
            array = pad(array, 8) + bytes([SIGNATURE, 1]) + b"g\0"
            array += bytes([len(signature)]) + signature.encode() + b"\0"
        head = struct.pack("<cBBBIII", b"l", CALL, 0, 1, len(body), self.serial, len(array))
        self.socket.sendall(pad(head + array, 8) + body)
        return self.serial

    def receive(self):
        """(type, {field code: value}, body)"""
        head = self.read(16)
        _, kind, _, _, n_body, _, n_fields = struct.unpack("<cBBBIII", head)
        data = self.read(n_fields + -n_fields % 8)
        body = self.read(n_body)
        fields, at = {}, 0
        while at < n_fields:
            at += -at % 8
            code, signature = data[at], chr(data[at + 2])
            at += 4
            if signature == "u":
                fields[code] = struct.unpack_from("<I", data, at)[0]
                at += 4
            elif signature == "g":
                fields[code] = data[at + 1:at + 1 + data[at]].decode()
                at += data[at] + 2
            else:
                size = struct.unpack_from("<I", data, at)[0]
                fields[code] = data[at + 4:at + 4 + size].decode()
                at += size + 5
        return kind, fields, body

    def wait_reply(self, serial):
        """The error's name, or None and the body of the reply."""
        while True:
            kind, fields, body = self.receive()
            if kind in (RETURN, ERROR) and fields.get(REPLY_SERIAL) == serial:
                return fields.get(ERROR_NAME), body

    def own(self, name):
        """The error's name, or None if the name is ours now."""
        body = pad(string(name), 4) + struct.pack("<I", 4)
        error, answer = self.wait_reply(self.call(*BUS, "RequestName", "su", body))
        if error is None and struct.unpack("<I", answer)[0] != 1:
            error = "taken"
        return error


def as_nobody(path, calls):
    """What becomes of each call, made as nobody: "passed" or the error's name."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            bus = Connection(path)
            said = [bus.own(NAME) or "owned"]
            for interface, member in calls:
                serial = bus.call(NAME, "/org/vringd1", interface, member)
                # what the bus refuses, it has refused before it answers the next one
                echo = bus.call(*BUS, "GetId")
                said.append("passed")
                while True:
                    kind, fields, _ = bus.receive()
                    if kind == ERROR and fields.get(REPLY_SERIAL) == serial:
                        said[-1] = fields[ERROR_NAME]
                    if fields.get(REPLY_SERIAL) == echo:
                        break
            os.write(writer, "\n".join(said).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read().split("\n")
    os.waitpid(pid, 0)
    return said


def start_bus(directory, policy):
    config = os.path.join(directory, "bus.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(dir=directory, policy=policy))
    bus = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nosyslog",
                            "--print-address"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if not bus.stdout.readline():
        raise RuntimeError("dbus-daemon does not start with the policy")
    return bus


def cases(tree):
    """(interface, member, may nobody call it)"""
    with open(os.path.join(tree, "daemon/bus/org.vringd1.xml"), encoding="utf-8") as file:
        ours = re.findall(r'<interface name="([^"]+)"', file.read())
    rows = [(interface, "Anything", True) for interface in ours]
    rows += [
        ("org.freedesktop.DBus.Introspectable", "Introspect", True),
        ("org.freedesktop.DBus.Peer", "Ping", True),
        ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", True),
        ("org.freedesktop.DBus.Properties", "Get", True),
        ("org.freedesktop.DBus.Properties", "GetAll", True),
        ("org.freedesktop.DBus.Properties", "Set", False),
        ("org.freedesktop.LogControl1", "Anything", False),
        ("org.vringd1.Unheard", "Anything", False),
        ("org.vringd1", "Anything", False),
        ("", "ListVMs", False),
    ]
    return rows


def main():
    tree = os.path.abspath(sys.argv[1])
    if os.geteuid() != 0 or shutil.which("dbus-daemon") is None:
        print("1..0 # SKIP needs root and dbus-daemon")
        return 0
    rows = cases(tree)
    results = []
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        bus = start_bus(directory, os.path.join(tree, "conf/org.vringd1.conf"))
        try:
            owner = Connection(os.path.join(directory, "bus"))
            results.append((owner.own(NAME) is None, "root may own the name"))
            said = as_nobody(os.path.join(directory, "bus"), [row[:2] for row in rows])
        finally:
            bus.terminate()
            bus.wait()
    denied = "org.freedesktop.DBus.Error.AccessDenied"
    results.append((said[0] == denied, f"nobody may not own the name ({said[0]})"))
    results.append((len(said) == len(rows) + 1, "nobody made every call"))
    for (interface, member, allowed), outcome in zip(rows, said[1:]):
        what = f"{interface or 'no interface'} {member}: {outcome}"
        results.append((outcome == ("passed" if allowed else denied), what))
    for number, (good, what) in enumerate(results, 1):
        print(f"{'' if good else 'not '}ok {number} - {what}")
    print(f"1..{len(results)}")
    return 0 if all(good for good, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())

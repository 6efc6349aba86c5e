#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the scripted cases of *.cases against vringd and reports them as TAP.

  test_cases.py [-k TEXT] [-l] [--quick] [--many N] [FILE.cases]...

One vringd serves a whole file, with a victim VM beside the cases whose requests must be
answered all the time. Each case has a device of its own. The form of the files is in
README.md. The daemon is $VRINGD.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
sys.path.insert(0, str(HERE))

import fdkinds  # noqa: E402
from peer import World  # noqa: E402
from rig.process import Failure as RigFailure  # noqa: E402
from rig.process import Process, wait_for  # noqa: E402
from rig.vringd import SANITIZER, SANITIZER_OPTIONS  # noqa: E402
from script import Failure, Peer, ScriptError  # noqa: E402
from victim import Victim  # noqa: E402
from vhostwire import WireError  # noqa: E402

VRINGD = os.environ.get("VRINGD", "vringd")
RSS_SLACK_KIB = 64
MANY, MANY_SANITIZED, MANY_QUICK = 2000, 500, 100
LOG_BUDGET = 10  # lines for each device and minute; what is over is counted, not written
DIRECTIVES = ("settings", "kind", "log", "log-lines", "flat", "needs", "limit",
              "backend-later")


class CaseText:
    """One case of a file: its directives, and its script with the file's line numbers."""

    def __init__(self, origin, head, line_number):
        self.ident, _, self.title = head.partition(":")
        self.ident = self.ident.strip()
        self.title = self.title.strip()
        self.device = re.sub(r"[^a-z0-9]+", "-", self.ident.lower())
        self.origin = origin
        self.lines = [""] * line_number
        self.directives = {}
        self.settings = []

    def add(self, line):
        word, _, rest = line.strip().partition(" ")
        if word not in DIRECTIVES:
            self.lines.append(line)
            return
        self.lines.append("")
        if word == "settings":
            self.settings += rest.split()
        else:
            self.directives[word] = rest.strip()

    def script(self):
        return "\n".join(self.lines)


def read_cases(path):
    """(settings of the whole file, its cases)"""
    settings, cases = [], []
    for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("case "):
            cases.append(CaseText(path.name, line[5:], i))
        elif cases:
            cases[-1].add(line)
        elif line.startswith("settings "):
            settings += line[9:].split()
        elif line.strip() and not line.startswith("#"):
            raise ScriptError(f"{path.name}:{i}: '{line}' before the first case")
    idents = [case.device for case in cases]
    twins = {ident for ident in idents if idents.count(ident) > 1}
    if twins:
        raise ScriptError(f"{path.name}: more than one case {', '.join(twins)}")
    return settings, cases


def device_text(vm, kind, backend_path, settings):
    """The device file of a case; "Deadlines.AckMs=300" is a key of a section."""
    sections = {"Device": {"VM": vm, "Name": "dev", "Kind": kind},
                "VMM": {"Role": "listen"}, "Backend": {"Role": "dial", "Path": backend_path}}
    for setting in settings:
        name, _, value = setting.partition("=")
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    return "".join(f"[{section}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())
                   for section, keys in sections.items())


class Daemon:
    """One vringd without a bus, for the cases of a file."""

    def __init__(self, settings, cases):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vc.", dir="/tmp"))
        os.chmod(self.directory, 0o755)
        devices = self.directory / "etc/vringd/devices.d"
        devices.mkdir(parents=True)
        (self.directory / "run").mkdir()
        (self.directory / "b").mkdir()
        for case in cases:
            text = device_text(case.device, case.directives.get("kind", "generic"),
                               self.backend_path(case.device), settings + case.settings)
            text = text.replace("@DIR@", str(self.directory))
            (devices / f"{case.device}.conf").write_text(text)
        (devices / "victim.conf").write_text(
            device_text("victim", "net", self.backend_path("victim"), []))
        with open(VRINGD, "rb") as binary:
            self.sanitized = b"__asan_init" in binary.read()
        self.process = Process("vringd", [VRINGD, "--bus=none", f"--root={self.directory}",
                                          f"--runtime-directory={self.directory}/run"],
                               env={"VRINGD_LOG": "stderr", **SANITIZER_OPTIONS})
        self.pid = self.process.pid

    def vmm_path(self, device):
        return f"{self.directory}/run/vmm/{device}.sock"

    def backend_path(self, device):
        return f"{self.directory}/b/{device}"

    def wait_ready(self, device):
        wait_for("the sockets of vringd", lambda: not self.process.running() or
                 os.path.exists(self.vmm_path(device)), 20)

    def descriptors(self):
        """Their number once it stands still."""
        last, since = self.process.descriptors(), time.monotonic()
        end = since + 3
        while time.monotonic() < end and time.monotonic() - since < 0.06:
            now = self.process.descriptors()
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.01)
        return last

    def rss_kib(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"^VmRSS:\s+(\d+)", text, re.M).group(1))

    def warnings(self, device, since):
        """Lines at warning or worse about a device."""
        return [line for _, line in self.process.lines[since:]
                if re.match(rf"<[0-4]>({re.escape(device)}/|\S*/{re.escape(device)}\.sock: )",
                            line)]

    def end(self):
        """Whether it ended as told; the directory goes."""
        alive = self.process.running()
        self.process.signal(signal.SIGTERM)
        try:
            status = self.process.join(10)
        finally:
            self.process.kill()
            if not os.environ.get("VRINGD_TEST_KEEP"):
                shutil.rmtree(self.directory, ignore_errors=True)
        if not alive or status != 0:
            raise Failure(f"vringd ended with status {status}\n{self.process.tail(40)}")


class Runner:
    """The cases of one file, one after the other."""

    def __init__(self, daemon, victim, many):
        self.daemon = daemon
        self.victim = victim
        self.many = many
        self.common = (HERE / "common.peer").read_text(encoding="utf-8")

    def world(self, case):
        world = World({"many": self.many, "dir": self.daemon.directory,
                       "backend": self.daemon.backend_path(case.device)})
        world.run_text(self.common, "common.peer")
        path = self.daemon.vmm_path(case.device)
        world.add_peer(Peer("vmm", path))
        world.add_peer(Peer("vmm2", path))
        world.current = world.peers["vmm"]
        world.backend_socket = self.daemon.backend_path(case.device)
        return world

    def play(self, case):
        """Runs the script once and checks what was logged meanwhile."""
        world = self.world(case)
        mark = self.daemon.process.mark()
        try:
            if "backend-later" not in case.directives:
                world.run_text("backend auto\nbackend connections 1", "start")
            world.run_text(case.script(), case.origin)
            world.end_peers()
            # before the backend goes, which is a warning of its own
            self.check_log(case, mark, world.n_refused)
        finally:
            world.end()

    def run(self, case):
        needs = case.directives.get("needs")
        if needs:
            fdkinds.close(fdkinds.make(needs))
            fdkinds.release()
        daemon = self.daemon
        before = daemon.descriptors()
        victim_mark = self.victim.mark()
        self.play(case)
        self.check_process(before)
        if "flat" in case.directives:
            rss = daemon.rss_kib()
            self.play(case)
            self.check_process(before)
            grown = daemon.rss_kib() - rss
            if not daemon.sanitized and grown > RSS_SLACK_KIB:
                raise Failure(f"memory grew by {grown} KiB, allowed are {RSS_SLACK_KIB}")
        self.victim.check(victim_mark)

    def check_process(self, before):
        daemon = self.daemon
        if not daemon.process.running():
            raise Failure("vringd is not there any more\n" + daemon.process.tail(40))
        if daemon.process.find(SANITIZER.pattern):
            raise Failure("sanitizer report\n" + daemon.process.tail(60))
        try:
            wait_for("descriptors", lambda: daemon.descriptors() == before, 4, 0.01)
        except RigFailure:
            raise Failure(f"vringd has {daemon.process.descriptors()} descriptors, had {before}"
                          f"\n{daemon.process.tail(12)}") from None

    def check_log(self, case, mark, refused):
        """One line for each refusal, with all that a reader needs to act on it."""
        wanted = case.directives.get("log-lines", str(max(refused, 1)))
        pattern = case.directives.get("log")
        if wanted == "any":
            self.check_some_line(case, mark, pattern)
            return
        count = 0 if pattern is None else int(wanted)
        least = min(count, LOG_BUDGET) if "flat" not in case.directives else min(count, 1)
        warnings = self.daemon.warnings
        try:
            wait_for("log lines", lambda: len(warnings(case.device, mark)) >= least, 2)
        except RigFailure:
            pass
        lines = self.daemon.warnings(case.device, mark)
        said = "\n".join(lines) or "nothing"
        if not least <= len(lines) <= count:
            raise Failure(f"{len(lines)} warnings, expected {count}:\n{said}")
        for line in lines:
            if not re.search(pattern, line):
                raise Failure(f"no /{pattern}/ in\n{line}")
            # an end of a backend channel has no process of its own
            if not re.search(r"\buid \d+|\[(vmm|backend)\]$", line):
                raise Failure(f"no peer in\n{line}")

    def check_some_line(self, case, mark, pattern):
        """Of many lines, as of one that tries again and again, one says it all."""
        def said():
            return pattern is None or any(re.search(pattern, line) for line in
                                          self.daemon.warnings(case.device, mark))
        try:
            wait_for("log lines", said, 2)
        except RigFailure:
            raise Failure(f"no line with /{pattern}/") from None


def run_case(runner, case):
    """(passed, what follows the name, diagnostics)"""
    def too_long(number, frame):
        raise TimeoutError(f"not done after {limit} s")
    limit = int(case.directives.get("limit", "40"))
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit)
    try:
        runner.run(case)
        return True, "", ""
    except fdkinds.Unavailable as why:
        return True, f" # SKIP {why}", ""
    except (Failure, ScriptError, RigFailure, WireError, TimeoutError, OSError) as failure:
        return False, "", f"{failure}\n{runner.daemon.process.tail(12)}"
    finally:
        signal.alarm(0)


def run_file(path, chosen, first, options):
    """Runs the chosen cases of a file; returns how many failed."""
    settings, cases = read_cases(path)
    cases = [case for case in cases if case.device in chosen]
    daemon = Daemon(settings, cases)
    victim = None
    failed = 0
    try:
        daemon.wait_ready("victim")
        victim = Victim(daemon.vmm_path("victim"), daemon.backend_path("victim"))
        runner = Runner(daemon, victim, options.many or
                        (MANY_SANITIZED if daemon.sanitized else MANY))
        for number, case in enumerate(cases, first):
            begin = time.monotonic()
            passed, rest, diagnostics = run_case(runner, case)
            failed += not passed
            print(f"{'ok' if passed else 'not ok'} {number} - {case.ident}: {case.title}{rest}")
            print(f"# time {time.monotonic() - begin:.1f} s")
            for line in diagnostics.splitlines():
                print(f"#   {line}")
            sys.stdout.flush()
    finally:
        if victim is not None:
            victim.end()
        number = first + len(cases)
        try:
            daemon.end()
            print(f"ok {number} - {path.name}: vringd ends well")
        except (Failure, RigFailure) as failure:
            failed += 1
            print(f"not ok {number} - {path.name}: vringd ends well")
            for line in str(failure).splitlines():
                print(f"#   {line}")
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", metavar="TEXT", default="", help="only cases with TEXT in them")
    parser.add_argument("-l", action="store_true", help="list the cases")
    parser.add_argument("--quick", action="store_true", help="fewer turns of the long cases")
    parser.add_argument("--many", type=int, help="turns of the repeated cases; default "
                        f"{MANY}, {MANY_SANITIZED} for a sanitized vringd")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    if options.quick:
        options.many = MANY_QUICK
    files = options.files or sorted(HERE.glob("*.cases"))
    chosen = {}
    for path in files:
        text = options.k.lower()
        wanted = [case for case in read_cases(path)[1]
                  if text in f"{path.name} {case.ident}: {case.title}".lower()]
        if wanted:
            chosen[path] = wanted
    if options.l:
        for path, cases in chosen.items():
            for case in cases:
                print(f"{path.name} {case.ident}: {case.title}")
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    print(f"1..{sum(len(cases) + 1 for cases in chosen.values())}", flush=True)
    failed = 0
    first = 1
    for path, cases in chosen.items():
        failed += run_file(path, {case.device for case in cases}, first, options)
        first += len(cases) + 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

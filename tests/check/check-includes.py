#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Includes of daemon/ go one way, and each library stays in its room.

check-includes.py SOURCE_ROOT: TAP, one point for each file.
"""

import pathlib
import re
import sys

# What each folder may include besides itself (docs/architecture.md).
ALLOWED = {
    "base": set(),
    "wire": {"base"},
    "link": {"wire", "base"},
    "model": {"wire", "base"},
    "vmm": {"link", "model", "wire", "base"},
    "backend": {"link", "model", "wire", "base"},
    "guest": {"link", "model", "wire", "base"},
    "host": {"base"},
    "settings": {"wire", "base"},
    "ctl": {"base"},
}
ALLOWED["flow"] = {"vmm", "backend", "guest", "link", "model", "wire", "base", "host",
                   "settings"}
ALLOWED["bus"] = ALLOWED["flow"] | {"flow"}
ALLOWED["main"] = ALLOWED["bus"] | {"bus"}

# Headers of a library and the folders that are its room; None: nobody's.
ROOMS = [
    (r"systemd/sd-bus", {"bus", "main"}),
    (r"systemd/sd-journal\.h", {"base"}),
    (r"systemd/sd-daemon\.h", {"base", "host", "main"}),
    (r"ini\.h", {"settings"}),
    (r"gio/", {"ctl"}),
    (r"json-glib/", {"ctl"}),
    (r"libvirt/", None),
]
# The loop of vringd is sd-event; GLib's is for the programs that use GDBus.
LOOP = re.compile(r"\bg_(main_loop|main_context|timeout_add|idle_add|io_add_watch|unix_fd_add)")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def folder_of(path, daemon):
    parts = path.relative_to(daemon).parts
    return parts[0] if len(parts) > 1 else "main"


def problems_of(path, daemon):
    folder = folder_of(path, daemon)
    text = path.read_text(encoding="utf-8")
    if folder not in ALLOWED:
        yield f"folder '{folder}' has no line in the list of who may include whom"
        return
    for kind, name in INCLUDE.findall(text):
        if kind == '"':
            target = name.split("/")[0] if "/" in name else "main"
            if not (daemon / name).exists() and not (path.parent / name).exists():
                continue  # generated
            if "/" not in name and folder != "main":
                yield f'"{name}" has to be written with its folder'
            elif target not in ALLOWED[folder] | {folder}:
                yield f'"{name}": {folder} may not include {target}'
        for pattern, rooms in ROOMS:
            if re.match(pattern, name) and (rooms is None or folder not in rooms):
                where = "nobody" if rooms is None else ", ".join(sorted(rooms))
                yield f"<{name}> belongs to {where}"
    if folder != "ctl" and LOOP.search(text):
        yield f"{LOOP.search(text).group(0)}: the loop here is sd-event"


def main():
    daemon = pathlib.Path(sys.argv[1]) / "daemon"
    files = sorted(path for path in daemon.rglob("*") if path.suffix in (".c", ".h", ".inc"))
    failed = 0
    print(f"1..{len(files)}")
    for number, path in enumerate(files, 1):
        problems = list(problems_of(path, daemon))
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {path.relative_to(daemon)}")
        for problem in problems:
            print(f"#   {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

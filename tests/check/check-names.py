#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A symbol names its file: names, prefixes, licence lines and header guards.

check-names.py SOURCE_ROOT: TAP, one point for each file, and one for unique names.
"""

import collections
import pathlib
import re
import subprocess
import sys

SPDX = "SPDX-License-Identifier: LGPL-2.1-or-later"
CHECKED = {".c", ".h", ".inc", ".py", ".sh", ".S", ".build"}
# Names that a folder's build or package file must have.
COMMON_NAMES = {"meson.build", "__init__.py", "README.md"}


def tracked(root):
    output = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    names = [name for name in output.decode().split("\0") if name]
    if not names:  # an unpacked archive
        names = [str(path.relative_to(root)) for folder in ("daemon", "tests")
                 for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(pathlib.PurePath(name) for name in names if (root / name).is_file())


def exported(text):
    """Names of functions and variables that a C file defines and does not keep static."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for match in re.finditer(r"^([A-Za-z_][^\n;{}()=#]*)\n?([A-Za-z_]\w*)\(", text, re.M):
        before, name = match.groups()
        first = before.split()[0] if before.split() else ""
        if first in ("static", "typedef", "return", "else", "extern", "G_DEFINE_QUARK",
                     "_Static_assert", "static_assert"):
            continue
        # A definition has its name at the start of a line, after the type's own line.
        if text[match.start(2) - 1] == "\n":
            yield name
    for match in re.finditer(r"^(?!static|typedef|extern|struct \w+ \{)(?:const )?\w[\w \*]*?"
                             r"\b(\w+)(?:\[[^\]\n]*\])* = ", text, re.M):
        yield match.group(1)
    for match in re.finditer(r"^G_DEFINE_QUARK\(\s*[\w-]+,\s*(\w+)\)", text, re.M):
        yield match.group(1) + "_quark"


def problems_of(root, path):
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    head = "\n".join(text.split("\n")[:2])
    stem = path.stem.replace("-", "_")

    if SPDX not in head:
        yield f"no '{SPDX}' in the first line"
    if path.suffix == ".h" and "#pragma once" not in text:
        yield "no '#pragma once'"
    if path.suffix == ".c" and path.parts[0] == "daemon" and path.name != "main.c":
        prefixes = [f"vrd_{stem}_"]
        if path.parts[1] == "ctl":
            prefixes += ["ctl_", f"{stem}_"]
        for name in exported(text):
            if name != "main" and not any(name.startswith(prefix) for prefix in prefixes):
                yield f"{name}: exported names of this file start with {prefixes[0]}"


def main():
    root = pathlib.Path(sys.argv[1])
    files = tracked(root)
    by_name = collections.defaultdict(list)
    for path in files:
        if path.parts[0] in ("daemon", "tests") and path.name not in COMMON_NAMES and \
                "corpus" not in path.parts:
            by_name[path.name].append(path)
    twins = {name: paths for name, paths in by_name.items() if len(paths) > 1}
    checked = [path for path in files if path.parts[0] in ("daemon", "tests") and
               path.suffix in CHECKED]
    failed = bool(twins)
    print(f"1..{len(checked) + 1}")
    print(f"{'not ok' if twins else 'ok'} 1 - file names are unique")
    for name, paths in twins.items():
        print(f"#   {name}: {', '.join(map(str, paths))}")
    for number, path in enumerate(checked, 2):
        problems = list(problems_of(root, path))
        failed |= bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {path}")
        for problem in problems:
            print(f"#   {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

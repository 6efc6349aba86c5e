#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""clang-format has nothing to change.

check-format.py SOURCE_ROOT: TAP, one point that names the files that differ. Only version
14 decides: others break lines elsewhere.
"""

import pathlib
import shutil
import subprocess
import sys


def formatter():
    for name in ("clang-format-14", "clang-format"):
        path = shutil.which(name)
        if path and " 14." in subprocess.run([path, "--version"], stdout=subprocess.PIPE,
                                             check=True).stdout.decode():
            return path
    return None


def main():
    root = pathlib.Path(sys.argv[1])
    program = formatter()
    print("1..1")
    if program is None:
        print("not ok 1 - format: clang-format 14 is not installed")
        return 1
    files = sorted(str(path) for folder in ("daemon", "tests")
                   for path in (root / folder).rglob("*") if path.suffix in (".c", ".h"))
    done = subprocess.run([program, "--dry-run", "-Werror", *files], stderr=subprocess.PIPE,
                          check=False)
    wrong = sorted({line.split(":")[0] for line in done.stderr.decode().splitlines()
                    if "clang-format-violations" in line})
    print(f"{'not ok' if done.returncode else 'ok'} 1 - format of {len(files)} files")
    for path in wrong:
        print(f"#   {pathlib.Path(path).relative_to(root)} differs")
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())

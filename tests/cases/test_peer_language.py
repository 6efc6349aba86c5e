#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scripted peers against each other: a test tool that accepts everything proves nothing."""

import argparse
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from peer import World  # noqa: E402
from script import Failure, ScriptError  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", metavar="TEXT", default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    scripts = [path for path in sorted((HERE / "selftest").glob("*.peer"))
               if options.k in path.name]
    failed = 0
    print(f"1..{len(scripts)}")
    for number, path in enumerate(scripts, 1):
        with tempfile.TemporaryDirectory(prefix="vc.") as directory:
            world = World({"socket": f"{directory}/s"})
            trouble = ""
            try:
                world.run_text(path.read_text(encoding="utf-8"), path.name)
            except (Failure, ScriptError) as error:
                trouble = str(error)
            finally:
                world.end()
        failed += bool(trouble)
        print(f"{'not ok' if trouble else 'ok'} {number} - {path.name}")
        for line in trouble.splitlines():
            print(f"#   {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

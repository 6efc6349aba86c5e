#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No file over 600 lines, no function over 60.

check-length.py SOURCE_ROOT: TAP, one point for each C and Python file, and one for each
line of length-exceptions.txt, a list that may only shrink: an entry that is not needed any
more, or whose file or function grew, fails.
"""

import ast
import pathlib
import sys

FILE_LINES = 600
FUNCTION_LINES = 60


def c_functions(text):
    """(name, lines) of each function: from its type's line to the brace in column one."""
    lines = text.split("\n")
    start = None
    name = ""
    for i, line in enumerate(lines):
        if start is None and line == "{" and i > 0 and lines[i - 1].rstrip().endswith(")"):
            head = i - 1
            while head > 0 and lines[head - 1].strip() and \
                    not lines[head - 1].startswith(("}", "#", " */")) and \
                    not lines[head - 1].rstrip().endswith((";", "*/")):
                head -= 1
            opening = next((text for text in lines[head:i] if "(" in text), "?")
            name = opening.split("(")[0].split()[-1].lstrip("*")
            start = head
        elif start is not None and line == "}":
            yield name, i - start + 1
            start = None


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


def measure(path):
    """{"": lines of the file, NAME: lines of the longest function of that name}"""
    text = path.read_text(encoding="utf-8")
    found = {"": text.count("\n")}
    functions = c_functions(text) if path.suffix in (".c", ".h") else python_functions(text)
    for name, lines in functions:
        found[name] = max(found.get(name, 0), lines)
    return found


def read_exceptions(path):
    """{"daemon/x.c" or "daemon/x.c:function": lines}"""
    exceptions = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split("#")[0].split()
            if words:
                exceptions[words[0]] = int(words[1])
    return exceptions


def main():
    root = pathlib.Path(sys.argv[1])
    exceptions = read_exceptions(root / "tests/check/length-exceptions.txt")
    measured = {}
    points = []
    for folder in ("daemon", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".c", ".h", ".py") or not path.is_file():
                continue
            problems = []
            for function, lines in measure(path).items():
                key = str(path.relative_to(root)) + (f":{function}" if function else "")
                limit = FUNCTION_LINES if function else FILE_LINES
                measured[key] = (lines, limit)
                if lines > exceptions.get(key, limit):
                    problems.append(f"{key}: {lines} lines, allowed are "
                                    f"{exceptions.get(key, limit)}")
            points.append((str(path.relative_to(root)), problems))
    for key, allowed in exceptions.items():
        lines, limit = measured.get(key, (0, 0))
        needed = allowed == lines and lines > limit
        points.append((f"exception {key}", [] if needed else
                       [f"has {lines} lines now, the list says {allowed}: shorten the list"]))
    print(f"1..{len(points)}")
    for number, (name, problems) in enumerate(points, 1):
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for problem in problems:
            print(f"#   {problem}")
    return 1 if any(problems for _, problems in points) else 0


if __name__ == "__main__":
    sys.exit(main())

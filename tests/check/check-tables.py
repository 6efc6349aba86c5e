#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the daemon's message and feature tables against docs/protocol.md.

usage: check-tables.py SOURCE_ROOT

The document's tables are found by their headings. A row that is missing on one side, or
that has another number, name, size, gate or bit, is named. Output is TAP.
"""

import pathlib
import re
import sys


def read_macro(path, macro, columns):
    """Rows of an X-macro file: a list of tuples of strings."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    rows = []
    for inside in re.findall(rf"^{macro}\((.*)\)\s*$", text, flags=re.M):
        fields = tuple(field.strip().strip('"') for field in inside.split(",", columns - 1))
        if len(fields) != columns:
            raise SystemExit(f"{path.name}: {len(fields)} fields, expected {columns}: {inside}")
        rows.append(fields)
    return rows


def read_table(document, heading):
    """Rows of the first table below a heading: a list of dictionaries by column title."""
    lines = iter(document.splitlines())
    for line in lines:
        if line.startswith("#") and line.lstrip("# ") == heading:
            break
    titles, rows = None, []
    for line in lines:
        if line.startswith("#") or (titles and not line.startswith("|")):
            break
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if titles is None:
            titles = cells
        elif not set(line) <= set("|-: "):
            rows.append(dict(zip(titles, cells)))
    return rows


def span(low, high):
    """As the document writes a range: '8', or '0-1'."""
    return low if low == high else f"{low}-{high}"


def answer(fields):
    """The Answer column, from answer, reply_min, reply_max and reply_fds_max."""
    kind, low, high, fds = fields
    if kind == "NONE":
        return "ack"
    text = span(low, high) + (f" + 0-{fds} fd" if fds != "0" else "")
    return text if kind == "VALUE" else f"{text} with LOG_SHMFD, else ack"


def gate(needs, stage):
    parts = [] if needs == "ANY" else [needs]
    parts += ["owner"] if stage == "OWNER" else []
    return ", ".join(parts) or "-"


def message_rows(path):
    rows = {}
    for (name, number, pmin, pmax, fmin, fmax, kind, rmin, rmax, rfds, stage, needs,
         _section) in read_macro(path, "REQUEST", 13):
        rows[number] = {
            "Name": name,
            "Payload": span(pmin, pmax),
            "fds": span(fmin, fmax),
            "Answer": answer((kind, rmin, rmax, rfds)),
            "Gate": gate(needs, stage),
        }
    return rows


def protocol_rows(path):
    offer = {"1": "yes", "0": "masked"}
    return {bit: {"Name": name, "To the VMM": offer[vmm], "To a backend": offer[backend]}
            for name, bit, vmm, backend in read_macro(path, "PROTOCOL_FEATURE", 4)}


def virtio_rows(path):
    return {bit: {"Name": name, "Offered": "yes" if allow == "1" else "masked"}
            for kind, name, bit, allow in read_macro(path, "VIRTIO_FEATURE", 4)
            if kind == "TRANSPORT"}


def compare(source, expected, documented, key):
    """Differences, one sentence each."""
    faults = []
    seen = {}
    for row in documented:
        number = row.get(key, "")
        if number in seen:
            faults.append(f"row {number} is in the document twice")
        seen[number] = row
    for number, columns in expected.items():
        if number not in seen:
            faults.append(f"row {number} ({columns['Name']}) is not in the document")
            continue
        for title, value in columns.items():
            told = seen[number].get(title)
            if told != value:
                faults.append(f"row {number} ({columns['Name']}): {title} is '{told}' in the "
                              f"document, '{value}' in {source}")
        stand = seen[number].get("vringd")
        if not stand:
            faults.append(f"row {number} ({columns['Name']}): the document has no stand on it")
    for number, row in seen.items():
        if number not in expected:
            faults.append(f"row {number} ({row.get('Name')}) is not in {source}")
    return faults


def check_duplicates(path, macro, columns, number_at, kind_at=None):
    faults, seen = [], {}
    for fields in read_macro(path, macro, columns):
        key = (fields[kind_at] if kind_at is not None else "", fields[number_at])
        if key in seen:
            faults.append(f"{path.name}: {fields} has the number of {seen[key]}")
        seen[key] = fields
    return faults


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    root = pathlib.Path(sys.argv[1])
    wire = root / "daemon" / "wire"
    document = (root / "docs" / "protocol.md").read_text()
    checks = []
    for name, heading, rows, key in (
            ("requests.inc", "Front-end messages", message_rows, "Id"),
            ("backend-requests.inc", "Back-end messages", message_rows, "Id"),
            ("protocol-features.inc", "Protocol feature bits", protocol_rows, "Bit"),
            ("virtio-features.inc", "virtio transport bits", virtio_rows, "Bit")):
        expected = rows(wire / name)
        table = read_table(document, heading)
        faults = compare(name, expected, table, key)
        if not table:
            faults = [f"docs/protocol.md has no table below '{heading}'"]
        checks.append((f"{name} is what docs/protocol.md says", faults))
    checks.append(("no number is used twice", [
        *check_duplicates(wire / "requests.inc", "REQUEST", 13, 1),
        *check_duplicates(wire / "backend-requests.inc", "REQUEST", 13, 1),
        *check_duplicates(wire / "protocol-features.inc", "PROTOCOL_FEATURE", 4, 1),
        *check_duplicates(wire / "virtio-features.inc", "VIRTIO_FEATURE", 4, 2, 0)]))

    print(f"1..{len(checks)}")
    for number, (name, faults) in enumerate(checks, 1):
        for fault in faults:
            print(f"# {fault}")
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
    return 1 if any(faults for _, faults in checks) else 0


if __name__ == "__main__":
    sys.exit(main())

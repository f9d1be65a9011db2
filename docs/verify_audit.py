#!/usr/bin/env python3
"""Verify an exported audit trail, with nothing of the portal and nothing but Python 3.11 or later.

    python3 verify_audit.py acme-corp-activity-2026-11-25.jsonl [--head HASH]

The file is what the portal gives as JSON lines, without filters, or the events of its feed, a line
each. Events that were changed, dropped or moved are found, and the first is named. That the last
ones were not dropped is known only by the hash of a later one: the last line of a file tells that
of the head, but who cut the file may have written it again. So keep the hash that the activity page
shows elsewhere, and give it as --head; events of the feed need it, since they have no last line.

Exit status: 0 the trail is whole, 1 it is not, 2 it can't be read.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

SCHEMA = 1
# What the hash is made of: always, where it is given, and in a form of its own.
ALWAYS = ("chain", "seq", "action", "actor", "request_id", "details")
WHERE_GIVEN = ("actor_kind", "actor_name", "target", "session")
EVENT = {"schema", "kind", *ALWAYS, *WHERE_GIVEN, "at", "personal", "hash"}
END = {"schema", "kind", "chain", "filters", "head"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Any]


class Broken(Exception):
    """A fault of the trail."""


class Unreadable(Exception):
    """The reason why this is no trail that can be verified."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Verify an exported audit trail.")
    parser.add_argument("file", help="JSON lines; - reads standard input")
    parser.add_argument("--head", metavar="HASH", help="hash of an event that must be there")
    arguments = parser.parse_args()
    try:
        told, status = verify_file(arguments.file, arguments.head), 0
    except Broken as broken:
        told, status = f"Broken: {broken}", 1
    except (OSError, Unreadable) as unreadable:
        told, status = f"Can't be verified: {unreadable}", 2
    print(told)
    sys.exit(status)


def verify_file(name: str, head: str | None) -> str:
    if name == "-":
        return verify(sys.stdin.buffer, head)
    with open(name, "rb") as file:
        return verify(file, head)


def verify(lines: Iterable[bytes], head: str | None) -> str:
    """Describe a trail that is whole. Raises Broken or Unreadable."""
    seq, previous, chain, end, head_seen = 0, "", None, None, False
    for number, line in enumerate(lines, 1):
        row = read(line, number)
        if end:
            raise Broken(f"line {number} stands after the last line")
        if row["kind"] == "end":
            end = row
            continue
        chain = chain or row["chain"]
        check_place(row, chain, seq)
        check_content(row, previous)
        seq, previous = row["seq"], row["hash"]
        head_seen = head_seen or previous == head
    if end:
        check_end(end, chain, seq, previous)
    if head and not head_seen:
        raise Broken(f"no event has the hash {head}: those after event {seq} are missing")
    if not end and not head:
        raise Broken(f"the last line is missing, perhaps with events after event {seq}")
    return f"Whole: {seq} events of {chain}, the last with hash {previous}"


def read(line: bytes, number: int) -> Row:
    """The line, its time in milliseconds and its personal values as pairs. Raises Unreadable."""
    try:
        row = json.loads(line)
        if row["schema"] != SCHEMA:
            raise ValueError(f"schema {row['schema']}, not {SCHEMA}")
        if set(row) != (END if row["kind"] == "end" else EVENT):
            raise ValueError("other fields than it should have")
        if row["kind"] == "event":
            row["at"] = milliseconds(row["at"])
            row["personal"] = {name: unsealed(sealed) for name, sealed in row["personal"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"line {number} is no line of an export ({error!r})") from error
    return row


def milliseconds(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def unsealed(sealed: Row) -> tuple[str, bool]:
    """The digest of a personal value, and whether it is that of the value, if it wasn't erased."""
    if sealed.get("value") is None:
        return sealed["digest"], True
    return sealed["digest"], sha256(sealed["salt"] + sealed["value"]) == sealed["digest"]


def check_place(row: Row, chain: str, seq: int) -> None:
    if row["chain"] != chain:
        raise Broken(f"event {row['seq']} is of another chain, {row['chain']}")
    if row["seq"] <= seq:
        raise Broken(f"event {row['seq']} stands after event {seq}: moved, or there twice")
    if row["seq"] > seq + 1:
        raise Broken(f"event {seq + 1} is missing: dropped, moved, or filtered out")


def check_content(row: Row, previous: str) -> None:
    content = {name: row[name] for name in (*ALWAYS, "at")}
    content |= {name: row[name] for name in WHERE_GIVEN if row[name] is not None}
    content["personal"] = {name: digest for name, (digest, _) in row["personal"].items()}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    untouched = all(matches for _, matches in row["personal"].values())
    if not untouched or sha256(previous + canonical) != row["hash"]:
        raise Broken(f"event {row['seq']} was changed")


def check_end(end: Row, chain: str | None, seq: int, previous: str) -> None:
    head = end["head"]
    if end["filters"]:
        raise Unreadable("the export was filtered: only a whole one can be verified")
    if head["seq"] > seq:
        raise Broken(f"event {seq + 1} of {head['seq']} is missing")
    if (end["chain"], head["seq"], head["hash"]) != (chain, seq, previous):
        raise Broken(f"the last line is not that of event {seq}")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()

"""The trail of an organization as a file: CSV for spreadsheets, JSON lines for programs.

A line of JSON is an event with all that its hash is made of, so that ``docs/verify_audit.py`` can
verify a whole trail without the portal; the last one is no event and tells the head. What the
lines are stands in ``docs/audit-event.schema.json``.

However long a trail is, its file is read in pages while it is sent; ``streamed`` does that for
whatever file is made of events.
"""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from defusedcsv import csv

from portal.audit.filters import Filters
from portal.audit.trail import ListedEvent, events_after
from portal.documents.audit import Head
from portal.web.streaming import File, Render, Row, streamed

SCHEMA = 1

_IDS = ("actor", "target", "session")
_TEXTS = ("actor_kind", "actor_name", "request_id")
COLUMNS = (
    "seq", "at_utc", "who", "what", "action", "target", "address", "session", "request_id",
    "details", "hash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported: the events of a ``chain`` up to its ``head``, as it was when it began."""

    chain: ObjectId
    head: Head
    filters: Filters
    request_id: str


def as_csv(export: Export) -> Iterator[str]:
    """Rows as ``defusedcsv`` writes them, so that no spreadsheet takes a cell for a formula."""
    header = _csv_lines([COLUMNS])
    return streamed(_file_of(export, lambda rows: _csv_lines(map(_csv_row, rows)), header, ""))


def as_json_lines(export: Export) -> Iterator[str]:
    """Events, and a last line that tells the head. A file without that is not whole."""
    end = {
        "schema": SCHEMA,
        "kind": "end",
        "chain": str(export.chain),
        "filters": export.filters.query,
        "head": {"seq": export.head.seq, "hash": export.head.hash},
    }
    return streamed(
        _file_of(export, lambda rows: _json_lines(map(as_json, rows)), "", _json_lines([end]))
    )


def as_json(event: Row) -> Row:
    """An event as programs get it: what its hash is made of, and its hash."""
    ids = {name: str(event[name]) if event.get(name) else None for name in _IDS}
    return {
        "schema": SCHEMA,
        "kind": "event",
        "chain": str(event["chain"]),
        "seq": event["seq"],
        "at": f"{event['at']:%Y-%m-%dT%H:%M:%S}.{event['at'].microsecond // 1000:03}Z",
        "action": event["action"],
        **ids,
        **{name: event.get(name) for name in _TEXTS},
        "details": event.get("details", {}),
        "personal": event.get("personal", {}),
        "hash": event["hash"],
    }


def _file_of(export: Export, render: Render, begin: str, end: str) -> File:
    def read(last: Row | None, most: int) -> list[Row]:
        seq = last["seq"] if last else 0
        return events_after(export.chain, seq, most, export.filters, last=export.head.seq)

    told = {"request_id": export.request_id, "organization": str(export.chain)}
    return File("audit", lambda: begin, read, render, end, told=told)


def _json_lines(lines: Iterable[Row]) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def _csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _csv_row(event: Row) -> tuple[Any, ...]:
    line = ListedEvent.of(event)
    return (
        line.seq,
        f"{line.at:%Y-%m-%d %H:%M:%S}",
        line.actor_shown,
        line.words,
        line.action,
        line.target_email or line.target,
        line.address,
        line.session,
        line.request_id,
        json.dumps(line.details, ensure_ascii=False) if line.details else None,
        line.hash,
    )

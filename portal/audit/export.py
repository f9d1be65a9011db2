"""The audit trail of an organization as a file: CSV for spreadsheets, JSON lines for programs.

Each line of JSON is an event with all input of its hash, so that ``docs/verify_audit.py`` can
verify a complete trail without the portal; the last line is the head instead of an event. Their
schema is ``docs/audit-event.schema.json``. Files are streamed.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from portal.audit.filters import Filters
from portal.audit.trail import ListedEvent, events_after
from portal.documents.audit import Head
from portal.web.csv_lines import BYTE_ORDER_MARK, csv_lines
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
    """An export of the events of a ``chain`` up to its ``head`` at the beginning of the export."""

    chain: ObjectId
    head: Head
    filters: Filters
    request_id: str


def as_csv(export: Export) -> Iterator[str]:
    """Events as CSV, in which no spreadsheet reads a cell as a formula."""
    header = BYTE_ORDER_MARK + csv_lines([COLUMNS])
    return streamed(_file_of(export, lambda rows: csv_lines(map(_csv_row, rows)), header, ""))


def as_json_lines(export: Export) -> Iterator[str]:
    """Events, and a last line with the head. A file without that is incomplete."""
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
    """An event for programs: its hash, and all input of that."""
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

    log_context = {"request_id": export.request_id, "organization": str(export.chain)}
    return File("audit", lambda: begin, read, render, end, log_context=log_context)


def _json_lines(lines: Iterable[Row]) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in lines)


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

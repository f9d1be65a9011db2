"""The trail of an organization as a file: CSV for spreadsheets, JSON lines for programs.

A line of JSON is an event with all that its hash is made of, so that ``docs/verify_audit.py`` can
verify a whole trail without the portal; the last one is no event and tells the head. What the
lines are stands in ``docs/audit-event.schema.json``.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from defusedcsv import csv

from portal.audit.documents import Head
from portal.audit.filters import Filters
from portal.audit.trail import EventLine, events_after
from portal.errors import Overloaded

SCHEMA = 1
ROWS_AT_ONCE = 500
# For each page of them: the answer is under way, and the request's own limit is over.
READ_SECONDS = 4
EXPORTS_AT_ONCE = 2  # of the four threads of a worker

log = structlog.get_logger()

Row = dict[str, Any]
Render = Callable[[Iterable[Row]], str]

_places = BoundedSemaphore(EXPORTS_AT_ONCE)
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
    return _streamed(export, lambda rows: _csv_lines(map(_csv_row, rows)), header, "")


def as_json_lines(export: Export) -> Iterator[str]:
    """Events, and a last line that tells the head. A file without that is not whole."""
    end = {
        "schema": SCHEMA,
        "kind": "end",
        "chain": str(export.chain),
        "filters": export.filters.query,
        "head": {"seq": export.head.seq, "hash": export.head.hash},
    }
    return _streamed(export, lambda rows: _json_lines(map(as_json, rows)), "", _json_lines([end]))


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


def _streamed(export: Export, render: Render, begin: str, end: str) -> Iterator[str]:
    """The parts of a file. The first page is read now, so that a database that is away is told as
    ever; one that goes away later ends the answer in the middle. Raises Overloaded."""
    parts = _parts(export, render, begin, end)
    next(parts)  # begun, it gives back what it took however the answer ends
    return parts


def _parts(export: Export, render: Render, begin: str, end: str) -> Iterator[str]:
    with _place():
        page, events = _page_after(0, export), 0
        yield ""
        try:
            yield begin
            while page:
                yield render(page)
                events += len(page)
                page = _page_after(page[-1]["seq"], export) if len(page) == ROWS_AT_ONCE else []
            yield end
        except Exception as error:
            # Nothing more is sent, not even that this is the end, which tells the client.
            log.warning("audit.export_broken", error=str(error)[:300], **_told(export, events))
            raise
        log.info("audit.exported", **_told(export, events))


@contextmanager
def _place() -> Iterator[None]:
    """Leaves threads to others, however slowly some take their files."""
    if not _places.acquire(blocking=False):
        raise Overloaded
    try:
        yield
    finally:
        _places.release()


def _told(export: Export, events: int) -> dict[str, Any]:
    return {
        "request_id": export.request_id, "organization": str(export.chain), "events": events
    }  # fmt: skip


def _page_after(seq: int, export: Export) -> list[Row]:
    # The limit may not outlast the read: between two parts the thread does other things.
    with pymongo.timeout(READ_SECONDS):
        return events_after(export.chain, seq, ROWS_AT_ONCE, export.filters, last=export.head.seq)


def _json_lines(lines: Iterable[Row]) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def _csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _csv_row(event: Row) -> tuple[Any, ...]:
    line = EventLine.of(event)
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

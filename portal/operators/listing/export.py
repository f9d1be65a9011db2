"""All organizations that match as CSV, streamed."""

import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from defusedcsv import csv

from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.sorting import Order
from portal.web.streaming import File, Row, streamed

COLUMNS = (
    "id", "name", "slug", "state", "plan", "region", "strategy", "cluster", "documents", "bytes",
    "used_at", "created_at", "external_id", "owners",
)  # fmt: skip
_BYTE_ORDER_MARK = "\ufeff"


def as_csv(wanted: OrganizationFilter, order: Order, request_id: str) -> Iterator[str]:
    """The organizations as CSV by ``defusedcsv``, so that no spreadsheet reads a cell as a formula.
    A byte order mark tells spreadsheets that it is UTF-8."""
    rows = wanted.matching_rows(list(COLUMNS[1:]), order)

    def read(_: Row | None, most: int) -> list[Row]:
        return list(islice(rows, most))

    def render(page: Iterable[Row]) -> str:
        return _lines([_cell(row, name) for name in COLUMNS] for row in page)

    header = _BYTE_ORDER_MARK + _lines([COLUMNS])
    log_context = {"request_id": request_id}
    return streamed(File("listing", lambda: header, read, render, "", log_context=log_context))


def _lines(rows: Iterable[Iterable[Any]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _cell(row: Row, name: str) -> Any:
    value = row.get("_id" if name == "id" else name)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return ", ".join(value) if isinstance(value, list) else value

"""All organizations that match as CSV, streamed."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.sorting import Order
from portal.web.csv_lines import BYTE_ORDER_MARK, csv_lines
from portal.web.streaming import File, Row, streamed

COLUMNS = (
    "id", "name", "slug", "state", "plan", "region", "strategy", "cluster", "documents", "bytes",
    "used_at", "created_at", "external_id", "owners",
)  # fmt: skip


def as_csv(wanted: OrganizationFilter, order: Order, request_id: str) -> Iterator[str]:
    """The organizations as CSV, in which no spreadsheet reads a cell as a formula."""
    rows = wanted.matching_rows(list(COLUMNS[1:]), order)

    def read(_: Row | None, most: int) -> list[Row]:
        return list(islice(rows, most))

    def render(page: Iterable[Row]) -> str:
        return csv_lines([_cell(row, name) for name in COLUMNS] for row in page)

    header = BYTE_ORDER_MARK + csv_lines([COLUMNS])
    log_context = {"request_id": request_id}
    return streamed(File("listing", lambda: header, read, render, "", log_context=log_context))


def _cell(row: Row, name: str) -> Any:
    value = row.get("_id" if name == "id" else name)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return ", ".join(value) if isinstance(value, list) else value

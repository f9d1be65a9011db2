"""Lines of CSV for people, who open them in a spreadsheet."""

import io
import re
from collections.abc import Iterable
from typing import Any

from defusedcsv import csv

BYTE_ORDER_MARK = "\ufeff"
"""The beginning of a file by which spreadsheets know that it is UTF-8."""

# Besides what ``defusedcsv`` knows: what is passed over before a formula, and what a spreadsheet in
# Chinese or Japanese takes for its signs.
_BEFORE_FORMULA = re.compile(r"[\t\r\n＝＋－＠]")


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    """The rows as lines of CSV, in which no spreadsheet reads a cell as a formula."""
    written = io.StringIO()
    csv.writer(written).writerows([_guarded(cell) for cell in row] for row in rows)
    return written.getvalue()


def _guarded(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _BEFORE_FORMULA.match(cell) else cell

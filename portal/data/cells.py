"""Values of documents in the cells of a table."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import humanize
from bson import ObjectId

from portal.data.bson_types import (
    DATE,
    DOUBLE,
    INT32,
    LIST,
    NULL,
    NUMBERS,
    OBJECT,
    OBJECT_ID,
    TEXT,
)  # fmt: skip
from portal.data.masks.masks import MASKED
from portal.data.nodes import Node
from portal.data.shown import Reader, value_tokens
from portal.data.texts import (
    hex_of,
    int_of,
    moment_of,
    number_text,
    text_of,
    type_words,
    utc_text,
    visible,
    year_of,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A value in a cell: its ``text``, its ``look`` (text, code, number, date, absent, masked), a
    ``title`` with what is stored, a ``moment`` where it is one, and what it says of its type."""

    text: str
    look: str
    title: str = ""
    moment: datetime | None = None
    type: str = ""


MISSING = Shown("missing", "missing")
HIDDEN = Shown(MASKED, "masked")


def cell(node: Node | None, reader: Reader, usual: int | None = None) -> Shown:
    """The value in a cell of a table; ``usual`` is the type of others in its column, beside which
    another is told."""
    if node is None:
        return MISSING
    shown = _cell(node, reader)
    if usual is None or _family(node.kind) == _family(usual) or shown.look in ("absent", "masked"):
        return shown
    text = f'"{shown.text}"' if node.kind == TEXT else shown.text
    return Shown(text, shown.look, shown.title, shown.moment, type_words(node))


def _family(kind: int) -> int:
    return DOUBLE if kind == INT32 else kind


def _cell(node: Node, reader: Reader) -> Shown:
    if node.is_masked:
        return Shown(text_of(node), "masked")
    if node.kind in _CELLS:
        return _CELLS[node.kind](node, reader)
    text = "".join(token.text for token in value_tokens(node, reader, ()))
    return Shown(_folded(text, reader), "code", text if len(text) > reader.longest else "")


def _number_cell(node: Node, reader: Reader) -> Shown:
    return Shown(number_text(node), "number")


def _null_cell(node: Node, reader: Reader) -> Shown:
    return Shown("null", "absent")


def _object_id_cell(node: Node, reader: Reader) -> Shown:
    text = hex_of(node)
    made = ObjectId(text).generation_time.astimezone(reader.zone)
    return Shown(f"{text[:4]}…{text[-4:]}", "code", f"{text}, made {made:%-d %b %Y %H:%M:%S}")


def _document_cell(node: Node, reader: Reader) -> Shown:
    names = [
        f"{visible(name)}: {MASKED}" if inner.is_masked else visible(name) or '""'
        for name, inner in node.members[:4]
    ]
    if not names:
        return Shown("{ … }" if node.is_cut else "{ }", "inner")
    more = len(node.members) + node.more > len(names)
    text = _folded("{ " + ", ".join(names), reader)
    return Shown(text + (", … }" if more else " }"), "inner")


def _list_cell(node: Node, reader: Reader) -> Shown:
    count = len(node.members) + node.more
    return Shown(f"[ {humanize.intcomma(count)} ]" if count else "[ ]", "inner")


def _text_cell(node: Node, reader: Reader) -> Shown:
    text = text_of(node)
    if not text:
        return Shown("empty text", "absent")
    title = f"{humanize.intcomma(node.size_bytes)} bytes" if node.size_bytes is not None else ""
    if not title and len(text) > reader.longest:
        title = visible(text)
    return Shown(_folded(visible(text), reader, cut=node.is_cut), "text", title)


def _folded(text: str, reader: Reader, *, cut: bool = False) -> str:
    if len(text) > reader.longest:
        return text[: reader.longest] + "…"
    return text + "…" if cut else text


def _date_cell(node: Node, reader: Reader) -> Shown:
    milliseconds = int_of(node)
    moment = moment_of(milliseconds)
    if moment is None:
        return Shown(f"in the year {year_of(milliseconds)}", "date", f"{milliseconds:,} ms")
    return Shown(_local(moment, reader), "date", utc_text(moment), moment)


def _local(moment: datetime, reader: Reader) -> str:
    try:
        local = moment.astimezone(reader.zone)
    except OverflowError:
        local = moment
    text = f"{local.day} {local:%b} {local.year:04} {local:%H:%M}"
    if local.microsecond:
        return f"{text}:{local:%S}.{local.microsecond // 1000:03}"
    return f"{text}:{local:%S}" if local.second else text


_CELLS: dict[int, Callable[[Node, Reader], Shown]] = {
    TEXT: _text_cell,
    DATE: _date_cell,
    NULL: _null_cell,
    OBJECT_ID: _object_id_cell,
    OBJECT: _document_cell,
    LIST: _list_cell,
    **dict.fromkeys(NUMBERS, _number_cell),
}

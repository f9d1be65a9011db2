"""Filters, sorts, projections and cursors, as programs send them.

They are Extended JSON too, decoded to what PyMongo encodes to the same bytes; what it can't carry
is refused.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from portal.data import extended_json
from portal.data.errors import InvalidQuery, NoCursor
from portal.data.patching import DOCUMENT, Element, elements
from portal.data.server_errors import reading
from portal.tenants.arguments import flag_of, includes_fields
from portal.tenants.elements import field_of, framed
from portal.tenants.queries import check_filter, stands_once

LARGEST_PAGE = 1000
USUAL_PAGE = 25
_MAX_SORTED = 32  # fields of an index

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_ARRAY, _UNDEFINED, _DB_POINTER = 0x04, 0x06, 0x0C
NULL = b"\x07\0\0\0\x0a\0\0"
"""The BSON of ``{"": null}``."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Query:
    """A request for a page of documents. ``after`` is the ``next`` of the page before."""

    filter: dict[str, Any] = field(default_factory=dict)
    sort: dict[str, int] = field(default_factory=dict)
    projection: dict[str, Any] | None = None
    limit: int = USUAL_PAGE
    after: str | None = None


def decode(document: bytes) -> dict[str, Any]:
    """A document that is part of a query. Raises InvalidQuery where it has a type that a query
    can't carry."""
    decoded = bson.decode(document, CODEC)
    if _encodes_to(decoded, document):
        return decoded
    # A DBRef has its fields in one order, and not all that look like one are.
    plain = _without_references(document)
    if not _encodes_to(plain, document):
        raise InvalidQuery("A symbol, undefined or DBPointer can’t be part of a query.")
    return plain


def _encodes_to(decoded: Mapping[str, Any], document: bytes) -> bool:
    # Inside of another: by itself a document's _id would be moved to its front.
    return bson.encode({"": decoded}, codec_options=CODEC) == framed(b"\x03\0" + document)


def _without_references(document: bytes) -> dict[str, Any]:
    """The document, with a document in place of each DBRef."""
    return {each.name: _plain(each) for each in elements(document)}


def _plain(element: Element) -> Any:
    if element.inner is None:
        return bson.decode(element.value, CODEC)[""]
    if element.kind == DOCUMENT:
        return _without_references(element.inner)
    return [_plain(each) for each in elements(element.inner)]


def parse_query(text: str | bytes) -> dict[str, Any]:
    """A document of a query from its text. Raises InvalidExtendedJson, InvalidQuery."""
    return decode(extended_json.parse(text))


def check_sort(sort: Mapping[str, Any]) -> dict[str, int]:
    """The sort with ``_id`` at its end, so that no two documents are equal. Raises InvalidQuery."""
    checked: dict[str, int] = {}
    for name, direction in sort.items():
        if type(direction) is not int or direction not in (1, -1):
            raise InvalidQuery("A sort has 1 or -1 for each field.")
        if not name or name.startswith("$") or "_id" in checked:
            raise InvalidQuery("A sort ends with _id, and has names of fields.")
        checked[name] = direction
    if len(checked) >= _MAX_SORTED:
        raise InvalidQuery("A sort has 31 fields at most.")
    if "_id" not in checked:
        checked["_id"] = next(reversed(checked.values()), 1)
    return checked


def check_projection(projection: Mapping[str, Any] | None, sort: Mapping[str, int]) -> None:
    """Raise InvalidQuery for a projection that runs code, or that drops or changes a field that
    pages are read on by."""
    if projection is None:
        return
    with reading():
        check_filter(projection)
    paths, inclusive = dict(_paths(projection)), includes_fields(projection)
    for name in sort:
        around = [path for path in paths if name == path or name.startswith(f"{path}.")]
        within = any(path.startswith(f"{name}.") for path in paths)
        there = bool(around) or name == "_id" or not inclusive
        if within or not there or any(flag_of(paths[path]) is not True for path in around):
            raise InvalidQuery(f"A projection keeps what is sorted by: {name}.")


def _paths(projection: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, Any]]:
    """The paths in a projection, those in nested documents too, and what is said of each."""
    for name, value in projection.items():
        if isinstance(value, Mapping) and value and not next(iter(value)).startswith("$"):
            yield from _paths(value, f"{parent}{name}.")
        else:
            yield f"{parent}{name}", value


def cursor_of(document: bytes, sort: Mapping[str, int]) -> str:
    """The cursor of the page after this document. Raises NoCursor, and InvalidQuery where it can't
    be told what comes after: its value is an array, undefined, or a DBPointer, which decodes to
    another type."""
    return cursor_of_values({name: _value_at(document, name) for name in sort})


def cursor_of_values(values: Mapping[str, bytes]) -> str:
    """The cursor behind these values of what is sorted by, each the BSON of ``{"": value}``. Raises
    NoCursor, and InvalidQuery as ``cursor_of``."""
    parts = []
    for index, (name, value) in enumerate(values.items()):
        kind = value[4]
        if kind in (_ARRAY, _UNDEFINED, _DB_POINTER):
            raise unsortable(name)
        parts.append(value[4:5] + str(index).encode() + b"\0" + value[6:-1])
    encoded = framed(b"".join(parts))
    try:
        bson.decode(encoded, CODEC)
    except BSONError as error:
        raise NoCursor from error
    return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


def lists_on(sort: Mapping[str, int]) -> dict[str, Any]:
    """The filter of documents with a list in a field that is sorted by, or on the way to it; empty
    where there are none, as in ``_id``."""
    ways = [name.split(".") for name in sort if name != "_id"]
    paths = [".".join(way[:depth]) for way in ways for depth in range(1, len(way) + 1)]
    either = [{path: {"$type": "array"}} for path in dict.fromkeys(paths)]
    return {"$or": either} if either else {}


def unsortable(name: str) -> InvalidQuery:
    """The refusal of a sort by a field of this name."""
    return InvalidQuery(f"Documents with a list or DBPointer in {name} can’t be sorted by it.")


def first_page(
    rows: list[Row], limit: int, cursor: Callable[[Row], str]
) -> tuple[list[Row], str | None]:
    """The first ``limit`` of the rows, and the cursor of the page behind them if there are more.
    Where no page can begin behind a row, this one ends before it. Raises NoCursor if that is so of
    all of them, and what ``cursor`` raises."""
    if len(rows) <= limit:
        return rows, None
    for end in range(limit, 0, -1):
        try:
            return rows[:end], cursor(rows[end - 1])
        except NoCursor:
            continue
    raise NoCursor


def beyond(query: dict[str, Any], sort: Mapping[str, int], after: str | None) -> dict[str, Any]:
    """The filter, narrowed to documents after the cursor. Raises InvalidQuery.

    An alternative for each field in which a document may come after: so the server reads an index
    of the sort from there on, and merges them in its order. Expressions compare values of all
    types, as indexes do; ``$gt`` matches only the same type. A filter that may stand only once is
    beside the alternatives: what it finds is sorted in memory anyway.
    """
    if after is None:
        return query
    values = _values_of(after, len(sort))
    keys = list(zip(sort.items(), values, strict=True))
    within, beside = ([], [query]) if stands_once(query) else ([query] if query else [], [])
    either = []
    for position, ((name, direction), value) in enumerate(keys):
        same = [(each, equal) for (each, _), equal in keys[:position]]
        compare = "$gt" if direction > 0 else "$lt"
        exact = [{"$eq": _sides(*each)} for each in same]
        # What the index is read by: it has missing fields as null, which compares higher here.
        bounds = [_equal(*each) for each in same] + [_compared(compare, name, value)]
        exactly = {"$expr": {"$and": [*exact, {compare: _sides(name, value)}]}}
        either.append({"$and": [*within, *bounds, exactly]})
    behind = either[0] if len(either) == 1 else {"$or": either}
    return {"$and": [*beside, behind]} if beside else behind


def _equal(name: str, value: Any) -> dict[str, Any]:
    return {name: {"$eq": None}} if value is None else _compared("$eq", name, value)


def _compared(compare: str, name: str, value: Any) -> dict[str, Any]:
    return {"$expr": {compare: [f"${name}", {"$literal": value}]}}


def _sides(name: str, value: Any) -> list[Any]:
    return [{"$ifNull": [f"${name}", None]}, {"$literal": value}]


def _value_at(document: bytes, path: str) -> bytes:
    value = None
    for part in path.split("."):
        value = field_of(document, part)
        if value is None:
            return NULL
        if value[4] == _ARRAY:
            return value
        document = value[6:-1] if value[4] == 0x03 else framed(b"")
    return value or NULL


def _values_of(cursor: str, count: int) -> list[Any]:
    try:
        encoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        extended_json.render(encoded)  # checks what is inside
        values = list(bson.decode(encoded, CODEC).values())
    except (ValueError, binascii.Error, BSONError) as error:
        raise InvalidQuery("Send as after what an answer had as next.") from error
    if len(values) != count:
        raise InvalidQuery("Send a cursor with the sort that it came with.")
    return values

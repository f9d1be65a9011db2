"""Documents that stand in the way of an index, or would be deleted by it, found before it is
built."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from portal import clock
from portal.data import extended_json
from portal.data.access import DocumentAccess
from portal.data.document_ids import address_of
from portal.data.errors import QueryTooSlow
from portal.data.handles import documents_of
from portal.data.indexes.listing import IndexSpec
from portal.data.reading import MOST_COUNTED, Count
from portal.data.server_errors import reading
from portal.data.shape.words import value_in_words
from portal.tenants.elements import elements_of, field_of, framed

CHECKING_SECONDS = 1.5
MOST_TOLD = 10
_NULL = 0x0A
# In place of an empty list, which is a key of its own, and not that of a missing field.
_EMPTY_LIST = {"": "an empty list"}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Documents with one key of a unique index: how many, two of them by their addresses, and the
    filter of all of them as Extended JSON, where there is one. ``missing`` are those without the
    fields."""

    values: str
    documents: int
    addresses: tuple[str, str]
    missing: bool
    filter: str | None


@dataclass(frozen=True, slots=True)
class Conflicts:
    """Documents that a unique index can't have together: their number, and the largest groups of
    one key."""

    documents: int
    groups: int
    largest: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class Expiring:
    """Documents that an index which deletes by a date would delete at once, and those that stay
    since they have none there."""

    at_once: Count
    without_date: Count


def conflicts_of(
    access: DocumentAccess,
    spec: IndexSpec,
    seconds: float = CHECKING_SECONDS,
    comment: str | None = None,
) -> Conflicts | None:
    """The documents that stand in the way of a unique index; ``None`` where that can't be told
    within the time. An index that isn't unique has none."""
    if not spec.unique:
        return Conflicts(0, 0, ())
    try:
        with pymongo.timeout(seconds), reading():
            found = documents_of(access.organization).aggregate(
                _duplicates(spec), allowDiskUse=True, comment=comment
            )
            [row] = [bytes(each.raw) for each in found]
    except QueryTooSlow:
        return None
    except PyMongoError as error:
        if not error.timeout:
            raise
        return None
    return _conflicts(spec, row)


def expiring_by(
    access: DocumentAccess, spec: IndexSpec, comment: str | None = None
) -> Expiring | None:
    """The documents that would be deleted at once; ``None`` where the index deletes none, or where
    that can't be told within CHECKING_SECONDS."""
    if spec.expire_after_seconds is None:
        return None
    [name] = spec.keys
    before = clock.now() - timedelta(seconds=spec.expire_after_seconds)
    within = [spec.partial_filter] if spec.partial_filter is not None else []
    try:
        with pymongo.timeout(CHECKING_SECONDS):
            return Expiring(
                _count(access, {"$and": [{name: {"$lt": before}}, *within]}, comment),
                _count(access, {"$and": [{name: {"$not": {"$type": "date"}}}, *within]}, comment),
            )
    except QueryTooSlow:
        return None
    except PyMongoError as error:
        if not error.timeout:
            raise
        return None


def _count(access: DocumentAccess, query: dict[str, Any], comment: str | None) -> Count:
    with reading():
        handle = documents_of(access.organization)
        found = handle.count_documents(query, limit=MOST_COUNTED + 1, comment=comment)
    return Count(min(found, MOST_COUNTED), more=found > MOST_COUNTED)


def _duplicates(spec: IndexSpec) -> list[dict[str, Any]]:
    """The stages that find keys which several documents have, the commonest first."""
    keys = {f"k{number}": name for number, name in enumerate(spec.keys)}
    match: list[Any] = [spec.partial_filter] if spec.partial_filter is not None else []
    if spec.sparse:
        match.append({"$or": [{name: {"$exists": True}} for name in spec.keys]})
    projected = {
        key: {
            "$cond": [
                {"$eq": [f"${name}", []]},
                {"$literal": _EMPTY_LIST},
                {"$ifNull": [f"${name}", None]},
            ]
        }
        for key, name in keys.items()
    }
    return [
        *([{"$match": {"$and": match}}] if match else []),
        {"$project": projected},
        # Elements of a list are keys, each by itself.
        *(
            {"$unwind": {"path": f"${key}", "preserveNullAndEmptyArrays": True}} for key in keys
        ),
        {
            "$group": {
                "_id": {key: {"$ifNull": [f"${key}", None]} for key in keys},
                "n": {"$sum": 1},
                "first": {"$min": "$_id"},
                "last": {"$max": "$_id"},
            }
        },
        # One document may have a key twice.
        {"$match": {"$expr": {"$ne": ["$first", "$last"]}}},
        {"$sort": {"n": -1}},
        {
            "$facet": {
                "all": [
                    {"$group": {"_id": 1, "documents": {"$sum": "$n"}, "groups": {"$sum": 1}}}
                ],
                "largest": [{"$limit": MOST_TOLD}],
            }
        },
    ]  # fmt: skip


def _conflicts(spec: IndexSpec, row: bytes) -> Conflicts:
    totals = next(_documents_in(row, "all"), None)
    if totals is None:
        return Conflicts(0, 0, ())
    largest = tuple(_conflict(spec, group) for group in _documents_in(row, "largest"))
    return Conflicts(_number(totals, "documents"), _number(totals, "groups"), largest)


def _conflict(spec: IndexSpec, group: bytes) -> Conflict:
    key = field_of(group, "_id")
    first, last = field_of(group, "first"), field_of(group, "last")
    if key is None or first is None or last is None:
        raise ValueError("a group has a key and two documents")
    values = list(elements_of(key[6:-1]))
    words = (value_in_words(kind, key[6:-1], start, end) for kind, _, start, end in values)
    return Conflict(
        values=", ".join(words),
        documents=_number(group, "n"),
        addresses=(address_of(first), address_of(last)),
        missing=all(kind == _NULL for kind, *_ in values),
        filter=_filter(spec, key[6:-1]),
    )


def _filter(spec: IndexSpec, key: bytes) -> str | None:
    """The filter of the documents with a key, as text: not all values can be decoded."""
    parts = []
    for name, (kind, _, start, end) in zip(spec.keys, elements_of(key), strict=True):
        value = extended_json.render_value(framed(bytes((kind, 0)) + key[start:end]))
        if value.startswith('{ "" :'):
            return None
        equal = "null" if kind == _NULL else f'{{"$eq": {value}}}'
        parts.append(f"{json.dumps(name)}: {equal}")
    return "{" + ", ".join(parts) + "}"


def _documents_in(row: bytes, name: str) -> Iterator[bytes]:
    found = field_of(row, name)
    if found is not None:
        rows = found[6:-1]
        for _, _, start, end in elements_of(rows):
            yield rows[start:end]


def _number(document: bytes, name: str) -> int:
    found = field_of(document, name)
    return int.from_bytes(found[6:-1], "little") if found else 0

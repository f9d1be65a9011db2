"""Documents that stand in the way of an index, or would be deleted by it, found before it is
built."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from portal import clock
from portal.data import extended_json
from portal.data.access import DocumentAccess
from portal.data.document_ids import address_of
from portal.data.errors import MightExpire, QueryTooSlow, WouldExpire
from portal.data.handles import documents_of
from portal.data.indexes.listing import IndexSpec
from portal.data.reading import MOST_COUNTED, Count
from portal.data.server_errors import reading, within
from portal.data.shape.words import value_in_words
from portal.tenants.elements import elements_of, field_of, framed
from portal.web.counting import counted

CHECKING_SECONDS = 1.5
MOST_TOLD = 10
_NULL = 0x0A
# In place of an empty list, which is a key of its own, and not that of a missing field.
_EMPTY_LIST = {"": "an empty list"}

Way = tuple[str, ...]
"""The names that lead to a field."""


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
    """The documents that stand in the way of a unique index; ``None`` where that can't be told, or
    not within the time. An index that isn't unique has none."""
    if not spec.unique:
        return Conflicts(0, 0, ())
    if any(part.isdecimal() for name in spec.keys for part in name.split(".")):
        return None  # a position in a list, or a name: each document decides
    try:
        with within(seconds), reading():
            found = documents_of(access.organization).aggregate(
                _duplicates(spec), allowDiskUse=True, comment=comment
            )
            [row] = [bytes(each.raw) for each in found]
    except QueryTooSlow:
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
    covered = [spec.partial_filter] if spec.partial_filter is not None else []
    try:
        with within(CHECKING_SECONDS):
            return Expiring(
                _count(access, {"$and": [{name: {"$lt": before}}, *covered]}, comment),
                _count(access, {"$and": [{name: {"$not": {"$type": "date"}}}, *covered]}, comment),
            )
    except QueryTooSlow:
        return None


def check_expiring(spec: IndexSpec, expiring: Expiring | None) -> None:
    """Raise WouldExpire where the index would delete documents at once, or nobody knows how
    many."""
    if spec.expire_after_seconds is None:
        return
    if expiring is None:
        raise MightExpire
    if expiring.at_once.count:
        more = "More than " if expiring.at_once.more else ""
        raise WouldExpire(f"{more}{counted(expiring.at_once.count, 'document')}")


def _count(access: DocumentAccess, query: dict[str, Any], comment: str | None) -> Count:
    with reading():
        handle = documents_of(access.organization)
        found = handle.count_documents(query, limit=MOST_COUNTED + 1, comment=comment)
    return Count(min(found, MOST_COUNTED), more=found > MOST_COUNTED)


def _duplicates(spec: IndexSpec) -> list[dict[str, Any]]:
    """The stages that find keys which several documents have, the commonest first."""
    keys, stages = _keys(spec)
    match = [{"$match": spec.partial_filter}] if spec.partial_filter is not None else []
    if spec.sparse:  # has no key of which nothing is there
        stages.append({"$match": {"$or": [{name: {"$exists": True}} for name in keys]}})
    return [
        *match,
        *stages,
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
                "all": [{"$group": {"_id": 1, "documents": {"$sum": "$n"}, "groups": {"$sum": 1}}}],
                "largest": [{"$limit": MOST_TOLD}],
            }
        },
    ]


def _keys(spec: IndexSpec) -> tuple[list[str], list[dict[str, Any]]]:
    """The stages that make of each document its keys, as MongoDB does, and what the parts of a key
    are called there.

    Each element of a list has a key of its own: what several fields have of one list is of the
    same element. In an element that is no document, as a list is none, they are missing.
    """
    wanted = [tuple(name.split(".")) for name in spec.keys]
    ways = [way[:depth] for way in wanted for depth in range(1, len(way) + 1)]
    names = {way: f"k{number}" for number, way in enumerate(dict.fromkeys(ways))}
    roots = {names[way]: _part(f"${way[0]}", way in wanted) for way in names if len(way) == 1}
    stages: list[dict[str, Any]] = [{"$project": roots}]
    for way, name in names.items():
        stages.append({"$unwind": {"path": f"${name}", "preserveNullAndEmptyArrays": True}})
        is_document = {"$eq": [{"$type": f"${name}"}, "object"]}
        below = {
            names[each]: {
                "$cond": [is_document, _part(f"${name}.{each[-1]}", each in wanted), "$$REMOVE"]
            }
            for each in names
            if each[:-1] == way
        }
        stages += [{"$set": below}] if below else []
    return [names[way] for way in wanted], stages


def _part(value: str, is_key: bool) -> Any:
    return {"$cond": [{"$eq": [value, []]}, {"$literal": _EMPTY_LIST}, value]} if is_key else value


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
    equal: dict[Way, str] = {}
    for name, (kind, _, start, end) in zip(spec.keys, elements_of(key), strict=True):
        value = extended_json.render_value(framed(bytes((kind, 0)) + key[start:end]))
        if value.startswith('{ "" :'):
            return None
        equal[tuple(name.split("."))] = "null" if kind == _NULL else f'{{"$eq": {value}}}'
    return _matching(equal, ())


def _matching(equal: Mapping[Way, str], within: Way) -> str | None:
    """The filter of documents that have all of these values below ``within``, of one list in one
    element; ``None`` where no filter finds those alone."""
    parts = []
    for first in dict.fromkeys(way[0] for way in equal):
        below = {way[1:]: value for way, value in equal.items() if way[0] == first}
        name = json.dumps(".".join((*within, first)))
        if len(below) == 1:
            [(way, value)] = below.items()
            parts.append(f"{json.dumps('.'.join((*within, first, *way)))}: {value}")
            continue
        if () in below or "null" in below.values():
            return None
        in_one, in_document = _matching(below, ()), _matching(below, (*within, first))
        if in_one is None or in_document is None:
            return None
        no_list = f'{{{name}: {{"$not": {{"$type": "array"}}}}}}'
        either = f'{{{name}: {{"$elemMatch": {in_one}}}}}, {{"$and": [{in_document}, {no_list}]}}'
        parts.append(f'"$or": [{either}]')
    if sum(part.startswith('"$or"') for part in parts) > 1:
        return f'{{"$and": [{", ".join(f"{{{part}}}" for part in parts)}]}}'
    return f"{{{', '.join(parts)}}}"


def _documents_in(row: bytes, name: str) -> Iterator[bytes]:
    found = field_of(row, name)
    if found is not None:
        rows = found[6:-1]
        for _, _, start, end in elements_of(rows):
            yield rows[start:end]


def _number(document: bytes, name: str) -> int:
    found = field_of(document, name)
    return int.from_bytes(found[6:-1], "little") if found else 0

"""Documents for a page: the server sends what a page can show of them, however large they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymongo.errors import OperationFailure

from portal.data import first_bytes, nodes, plans
from portal.data.access import DocumentAccess
from portal.data.document_ids import decoded, is_readable
from portal.data.errors import InvalidQuery, NoCursor, QueryTooSlow, UnreadableForCursor
from portal.data.handles import documents_of
from portal.data.nodes import Node
from portal.data.queries import (
    NULL,
    beyond,
    check_sort,
    cursor_of_values,
    first_page,
)
from portal.data.reading import text_paths
from portal.data.server_errors import reading
from portal.tenants.elements import field_of, framed, framed_id, id_of

WHOLE_BYTES = 1024
"""The largest value that is sent whole."""
LONGEST_TEXT = 200
MOST_FIELDS = 300
MOST_INNER_FIELDS = 20
MOST_ELEMENTS = 3
_LEVELS = 2


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A document as far as a page shows it: ``document_id`` is the BSON of ``{"": _id}``, ``node``
    its fields, ``None`` where they can't be read."""

    document_id: bytes
    node: Node | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CutPage:
    """Documents in their order, the cursors of the pages around them if there are any, and the
    ``index`` that was read, where there are many."""

    documents: list[CutDocument]
    before: str | None
    after: str | None
    index: str | None

    def first(self, limit: int) -> "CutPage":
        """The page of the first ``limit`` documents of this one, which is sorted by ``_id``."""
        if len(self.documents) <= limit:
            return self
        shown, after = first_page(
            self.documents, limit, lambda each: cursor_of_values({"_id": each.document_id})
        )
        return CutPage(shown, self.before, after, self.index)


def list_cut(
    access: DocumentAccess,
    query: Mapping[str, Any],
    sort: Mapping[str, int],
    *,
    after: str | None = None,
    before: str | None = None,
    limit: int,
    comment: str | None = None,
) -> CutPage:
    """A page of the documents that match, behind or before a cursor. Raises InvalidQuery,
    IndexNeeded, NeedsOwnPlacement, QueryTooSlow, FieldMasked."""
    ordered = check_sort(sort)
    access.mask.check_sort(ordered)
    handle = documents_of(access.organization)
    cursor, backwards = (before, True) if before else (after, False)
    way = {name: -each for name, each in ordered.items()} if backwards else ordered
    with plans.noting_slow(access.organization, query, ordered), reading():
        access.mask.check_filter(query, lambda: text_paths(handle))
        index = plans.check_find(access.organization, handle, dict(query), ordered)
        stages: list[dict[str, Any]] = [
            {"$match": beyond(dict(query), way, cursor)},
            {"$sort": way},
            {"$limit": limit + 1},
        ]
        found = _read(access, handle, stages, way, comment)
        more = len(found) > limit
        if more and not cursor:
            plans.check_sortable(access.organization, handle, query, ordered, comment)
    found = found[:limit]
    if backwards:
        found.reverse()
    return CutPage(
        [_document(access, row) for row in found],
        _cursor(found, ordered) if found and (more if backwards else bool(after)) else None,
        _cursor(found[::-1], ordered) if found and (backwards or more) else None,
        index,
    )


def with_first_bytes(access: DocumentAccess, page: CutPage, comment: str) -> CutPage:
    """The page with the first bytes of binaries, as ``first_bytes`` reads them; without them where
    the server can't tell them in time."""
    cut = {each.document_id: each.node for each in page.documents if each.node}
    try:
        with reading():
            found = first_bytes.read(access, documents_of(access.organization), cut, comment)
    except (QueryTooSlow, InvalidQuery):
        return page
    documents = [replace(each, node=found.get(each.document_id)) for each in page.documents]
    return replace(page, documents=documents)


def entry(name: Any, value: Any, levels: int) -> dict[str, Any]:
    """The expression of a value as ``nodes.node_of_row`` reads it: whole, or its beginning."""
    kind = {"$type": value}
    named = {} if name is None else {"k": name}
    inner: dict[str, Any] = {"s": {"$bsonSize": {"v": value}}}
    fields, items = inner, inner
    if levels:
        fields = {
            **inner,
            "n": {"$size": {"$objectToArray": value}},
            "f": _members({"$objectToArray": value}, MOST_INNER_FIELDS, levels - 1),
        }
        items = {**inner, "n": {"$size": value}, "f": _elements(value, levels - 1)}
    branches = [
        ({"$lte": [{"$bsonSize": {"v": value}}, WHOLE_BYTES]}, {"v": value}),
        (
            {"$eq": [kind, "string"]},
            {"v": {"$substrCP": [value, 0, LONGEST_TEXT]}, "s": {"$strLenBytes": value}},
        ),
        ({"$eq": [kind, "binData"]}, {"s": {"$binarySize": value}}),
        ({"$eq": [kind, "object"]}, fields),
        ({"$eq": [kind, "array"]}, items),
    ]
    cut = {
        "$switch": {
            "branches": [{"case": case, "then": then} for case, then in branches],
            "default": inner,
        }
    }
    return {"$mergeObjects": [{**named, "t": kind}, cut]}


def _members(pairs: Any, most: int, levels: int) -> dict[str, Any]:
    one = f"each{levels}"
    inner = entry(f"$${one}.k", f"$${one}.v", levels)
    return {"$map": {"input": {"$slice": [pairs, most]}, "as": one, "in": inner}}


def _elements(value: Any, levels: int) -> dict[str, Any]:
    one = f"item{levels}"
    first = {"$slice": [value, MOST_ELEMENTS]}
    return {"$map": {"input": first, "as": one, "in": entry(None, f"$${one}", levels)}}


def _cut(sort: Mapping[str, int]) -> dict[str, Any]:
    """The stage after which a document is what a page shows of it: whole, or its beginning."""
    pairs, size = {"$objectToArray": "$$ROOT"}, {"$bsonSize": "$$ROOT"}
    is_whole = {"$lte": [size, WHOLE_BYTES]}
    members = _members(pairs, MOST_FIELDS, _LEVELS)
    return {
        "_id": "$_id",
        "s": size,
        "v": {"$cond": [is_whole, "$$ROOT", "$$REMOVE"]},
        "n": {"$cond": [is_whole, "$$REMOVE", {"$size": pairs}]},
        "f": {"$cond": [is_whole, "$$REMOVE", members]},
        "o": {str(index): f"${name}" for index, name in enumerate(sort)},
    }


def _read(
    access: DocumentAccess,
    handle: Any,
    stages: list[dict[str, Any]],
    sort: Mapping[str, int],
    comment: str | None,
) -> list[bytes]:
    """The rows, each as ``_cut`` makes it of what the mask shows, so that sizes and numbers don't
    tell more. One that the server can't cut is read whole."""
    cut = access.mask.visible([*stages, {"$replaceWith": _cut(sort)}], lambda: text_paths(handle))
    try:
        found = handle.aggregate(cut, comment=comment)
        return [bytes(row.raw) for row in found]
    except OperationFailure as error:
        if error.code not in _UNCUTTABLE:
            raise
    ids = handle.aggregate([*stages, {"$project": {"_id": 1}}], comment=comment)
    return [_read_one(access, handle, id_of(bytes(row.raw)), sort, comment) for row in ids]


def _read_one(
    access: DocumentAccess,
    handle: Any,
    document_id: bytes,
    sort: Mapping[str, int],
    comment: str | None,
) -> bytes:
    """A row, of a document that perhaps can't be cut: without fields where that is so."""
    if not is_readable(document_id):
        return framed_id(document_id)
    by_id = {"$match": {"_id": {"$eq": decoded(document_id)}}}
    cut = access.mask.visible([by_id, {"$replaceWith": _cut(sort)}])
    try:
        found = handle.aggregate(cut, comment=comment)
        for row in found:
            return bytes(row.raw)
    except OperationFailure as error:
        if error.code not in _UNCUTTABLE:
            raise
    return framed_id(document_id)


# Errors of $substrCP, such as for invalid UTF-8 in a text that would be cut.
_UNCUTTABLE = range(34450, 34460)


def _document(access: DocumentAccess, row: bytes) -> CutDocument:
    document_id = id_of(row)
    size = field_of(row, "s")
    if size is None:
        return CutDocument(document_id, None, 0)
    if whole := field_of(row, "v"):
        node = nodes.node_of(whole)
    else:
        node = nodes.node_of_row(framed(b"\x02t\0\x07\0\0\0object\0" + row[4:-1]))
    if access.mask.paths:
        masked = access.mask.hide(node.value[6:-1])
        node = nodes.hidden(node, framed(b"\x03\0" + masked))
    return CutDocument(document_id, node, int.from_bytes(size[6:-1], "little"))


def _cursor(rows: Sequence[bytes], sort: Mapping[str, int]) -> str:
    """The cursor of the first row that has one: those before it are on the next page too. Raises
    NoCursor if none has one."""
    for row in rows:
        try:
            return _cursor_of(row, sort)
        except NoCursor:
            continue
    raise NoCursor


def _cursor_of(row: bytes, sort: Mapping[str, int]) -> str:
    order = field_of(row, "o")
    if order is None:
        raise UnreadableForCursor
    values = (field_of(order[6:-1], str(index)) for index in range(len(sort)))
    return cursor_of_values({name: value or NULL for name, value in zip(sort, values, strict=True)})

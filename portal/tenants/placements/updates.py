"""Updates of an organization that shares a collection.

Operators name what is stored: one that sets a whole ``_id`` sets a stored one, all others act on
``_id.i``; the server refuses to change either (66). A pipeline begins with the document as it was
given, and ends with the organization written again as a literal, so that what it makes of that
field ends in the same refusal. An upsert never leaves its ``_id`` to the server, which would make a
bare one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import bson
from bson import ObjectId, Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from ..elements import with_wrapped_id
from ..errors import NeedsOwnPlacement
from .filters import Filters, fixed, is_unstorable, stored

UNWRAP = {"$set": {"_id": "$_id.i"}}
"""The stage after which documents are as they were given."""

_ID_MISSING = {"$eq": [{"$type": "$_id"}, "missing"]}
_ID_UNSTORABLE = {"$in": [{"$type": "$_id"}, ["array", "regex", "undefined"]]}
_SETTING = frozenset({"$set", "$setOnInsert", "$min", "$max"})
_REPLACING = frozenset({"$replaceRoot", "$replaceWith"})


def changing(
    filters: Filters,
    query: Mapping[str, Any],
    update: Any,
    upsert: bool,
    codec_options: CodecOptions,
) -> tuple[dict[str, Any], Any]:
    """The filter and the update of stored documents. Raises NeedsOwnPlacement."""
    paths = fixed(query) if upsert else set()
    if paths - {"_id"}:
        raise NeedsOwnPlacement("an upsert that finds by a part of _id")
    makes_id = upsert and not paths
    changed: Any
    if isinstance(update, list | tuple):
        changed = _pipeline(filters, update, makes_id)
    elif next(iter(update), "").startswith("$"):
        changed = _operators(filters, update, makes_id)
    else:
        changed = _replacement(filters, update, makes_id, codec_options)
        if isinstance(changed, list):  # a replacement takes no fields from the filter
            return filters.within({"$nor": [{"$nor": [query]}]}, upsert=True), changed
    return filters.within(query, upsert=upsert), changed


def _pipeline(filters: Filters, stages: Sequence[Any], makes_id: bool) -> list[Any]:
    if makes_id and any(_may_drop_id(stage) for stage in stages):
        raise NeedsOwnPlacement("an upsert by a pipeline that replaces the document")
    # Without an _id the server keeps the one that the document has.
    missing = {"$literal": filters.wrap(ObjectId())} if makes_id else "$$REMOVE"
    wrapped = {"o": {"$literal": filters.organization}, "i": "$_id"}
    # One of a type that the server refuses stays, so that it does.
    present = {"$cond": [_ID_UNSTORABLE, "$_id", wrapped]}
    return [UNWRAP, *stages, {"$set": {"_id": {"$cond": [_ID_MISSING, missing, present]}}}]


def _may_drop_id(stage: Mapping[str, Any]) -> bool:
    [(name, body)] = stage.items()
    if name == "$unset":
        return "_id" in ([body] if isinstance(body, str) else body)
    return name in _REPLACING or (name == "$project" and not body.get("_id", True))


def _operators(filters: Filters, update: Mapping[str, Any], makes_id: bool) -> dict[str, Any]:
    sets_id = False
    operators: dict[str, Any] = {}
    for operator, body in update.items():
        if not isinstance(body, Mapping):
            operators[operator] = body
            continue
        changes: dict[str, Any] = {}
        for path, value in body.items():
            if path == "_id" and operator in _SETTING:
                sets_id = True
                changes[path] = value if is_unstorable(value) else filters.wrap(value)
                continue
            renamed = operator == "$rename" and isinstance(value, str)
            changes[stored(path)] = stored(value) if renamed else value
            if makes_id and "_id" in (_head(path), _head(value) if renamed else ""):
                raise NeedsOwnPlacement(f"an upsert that makes its _id by {operator}")
        operators[operator] = changes
    if makes_id and not sets_id:
        inserted = operators.get("$setOnInsert", {})
        if isinstance(inserted, Mapping):  # else the server refuses it
            operators["$setOnInsert"] = {"_id": filters.wrap(ObjectId()), **inserted}
    return operators


def _replacement(
    filters: Filters, document: Mapping[str, Any], makes_id: bool, codec_options: CodecOptions
) -> Any:
    encoded = bson.encode(document, codec_options=codec_options)
    wrapped = with_wrapped_id(encoded, filters.organization)
    if wrapped is not None:
        return RawBSONDocument(wrapped)
    if not makes_id:
        return document
    if Timestamp(0, 0) in document.values():  # for which the server puts its time
        raise NeedsOwnPlacement("an upsert of an empty timestamp")
    # A replacement with an _id would be refused where it replaces a document with another one.
    kept = {"o": {"$literal": filters.organization}, "i": "$_id.i"}
    made = {"$cond": [_ID_MISSING, {"$literal": filters.wrap(ObjectId())}, kept]}
    given = {"$literal": RawBSONDocument(encoded)}
    return [{"$replaceWith": {"$mergeObjects": [{"_id": made}, given]}}]


def _head(path: str) -> str:
    return path.partition(".")[0]

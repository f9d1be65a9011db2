"""Checks that filters, updates and pipelines stay inside their tenant collection.

MongoDB's query language can run JavaScript on the server, and pipelines can reach other
collections; untrusted queries must do neither. Stages and update operators have an allow-list, so
that those of later servers are rejected until reviewed.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import DBRef, ObjectId
from bson.raw_bson import RawBSONDocument

from .errors import QueryRefused

# Read-only stages that see only their input documents.
STAGES = frozenset(
    {
        "$addFields", "$bucket", "$bucketAuto", "$count", "$facet", "$group", "$limit", "$match",
        "$project", "$redact", "$replaceRoot", "$replaceWith", "$sample", "$set",
        "$setWindowFields", "$skip", "$sort", "$sortByCount", "$unset", "$unwind",
    }
)  # fmt: skip
UPDATE_STAGES = frozenset(
    {"$addFields", "$project", "$replaceRoot", "$replaceWith", "$set", "$unset"}
)
UPDATE_OPERATORS = frozenset(
    {
        "$addToSet", "$bit", "$currentDate", "$inc", "$max", "$min", "$mul", "$pop", "$pull",
        "$pullAll", "$push", "$rename", "$set", "$setOnInsert", "$unset",
    }
)  # fmt: skip
# The stage that counts whatever comes, and looks at none of it.
COUNTING = {"$group": {"_id": 1, "n": {"$sum": 1}}}
# The server takes no deeper ones either; what Python could nest without end is refused here.
MAX_DEPTH = 100

# Run JavaScript, or read other collections; the server's internal ones begin with "$_".
_REFUSED = frozenset(
    {
        "$accumulator", "$function", "$graphLookup", "$lookup", "$merge", "$out", "$unionWith",
        "$where",
    }
)  # fmt: skip

_BY_DISTANCE = frozenset({"$near", "$nearSphere"})
_ONCE = frozenset({"$text", *_BY_DISTANCE})

# Nothing is in them.
_SCALARS = frozenset({str, int, float, bool, type(None), bytes, ObjectId, datetime})


def check_filter(query: object) -> None:
    """Raise QueryRefused unless ``query`` is a filter that runs no code, at any depth."""
    if not isinstance(query, Mapping):
        raise QueryRefused("a filter is a document")
    check_expressions(query)


def check_update(update: object) -> None:
    """Raise QueryRefused unless ``update`` consists of update operators, or is a pipeline of update
    stages; an accidental replacement is neither."""
    if isinstance(update, list | tuple):
        _check_stages(update, UPDATE_STAGES)
        return
    if not isinstance(update, Mapping) or not update:
        raise QueryRefused("an update is a document of operators, or a pipeline")
    _refuse_encoded(update)
    for operator in update:
        if operator not in UPDATE_OPERATORS:
            raise QueryRefused(f"an update has no operator {operator}")
    if "$pull" in update:  # the only operator that takes a filter; all others take data
        check_expressions(update["$pull"])


def check_replacement(document: object) -> None:
    """Raise QueryRefused unless ``document`` is a complete document, not an accidental update."""
    if not isinstance(document, Mapping):
        raise QueryRefused("a replacement is a document")
    for field in document:
        if str(field).startswith("$"):
            raise QueryRefused(f"a replacement has no operators: {field}")


def check_pipeline(pipeline: object) -> None:
    """Raise QueryRefused unless all stages are among STAGES, those inside ``$facet`` too, and no
    expression in them runs code."""
    _check_stages(pipeline, STAGES)


def orders_itself(query: Mapping[str, Any]) -> bool:
    """Tell whether the filter gives an order by itself, by distance."""
    return _has_operator(query, _BY_DISTANCE)


def stands_once(query: Mapping[str, Any]) -> bool:
    """Tell whether the filter has what the server takes once in a filter, and in no alternative: a
    search for words, or by distance."""
    return _has_operator(query, _ONCE)


def _has_operator(query: Mapping[str, Any], operators: frozenset[str]) -> bool:
    """Tell whether one of the operators is in the filter, at any depth."""
    unseen: list[Any] = [query]
    while unseen:
        seen = unseen.pop()
        if isinstance(seen, Mapping):
            if not operators.isdisjoint(seen):
                return True
            unseen += seen.values()
        elif isinstance(seen, list | tuple):
            unseen += seen
    return False


def check_expressions(value: object) -> None:
    """Raise QueryRefused if ``value`` runs code or reaches another collection, at any depth."""
    level, depth = [value], 1
    while level:
        if depth > MAX_DEPTH:
            raise QueryRefused(f"nothing may be nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for seen in level:
            if type(seen) not in _SCALARS:
                below += _inside(seen)
        level, depth = below, depth + 1


def _inside(value: Any) -> Iterable[Any]:
    """The values in a document or a list, whose names are allowed. Raises QueryRefused."""
    if isinstance(value, DBRef):
        value = value.as_doc()  # its encoded form
    _refuse_encoded(value)
    if isinstance(value, Mapping):
        for name in value:
            if name in _REFUSED or str(name).startswith("$_"):
                raise QueryRefused(f"{name} is not allowed")
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _check_stages(pipeline: object, allowed: frozenset[str]) -> None:
    if not isinstance(pipeline, list | tuple):
        raise QueryRefused("a pipeline is a list of stages")
    for stage in pipeline:
        _refuse_encoded(stage)
        if not isinstance(stage, Mapping) or len(stage) != 1:
            raise QueryRefused("a stage is a document with one field, its name")
        [(name, body)] = stage.items()
        if name not in allowed:
            raise QueryRefused(f"no stage {name} is allowed here")
        if name == "$facet" and isinstance(body, Mapping):
            _refuse_encoded(body)
            for part in body.values():
                # The server allows no nested facets, so the recursion ends.
                _check_stages(part, allowed - {"$facet"})
        else:
            check_expressions(body)


def _refuse_encoded(value: object) -> None:
    # It may contain a field twice, and shows only one of the two.
    if getattr(value, "_type_marker", None) == RawBSONDocument._type_marker:
        raise QueryRefused("what is encoded already can't be checked")

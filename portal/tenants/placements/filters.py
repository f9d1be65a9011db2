"""Filters, sorts, projections and expressions of an organization that shares a collection.

What a caller says of ``_id`` is said of ``_id.i``, so that it means the same. Beside that, what it
says of a whole ``_id`` bounds the stored one as a whole, since only such bounds use the index. In
expressions, ``CURRENT`` is the document with the caller's ``_id``.
"""

import re
from collections.abc import Mapping
from typing import Any

import bson
from bson import MaxKey, ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.regex import Regex

from ..errors import NeedsOwnPlacement

UNWRAPPED = {"$mergeObjects": ["$$ROOT", {"_id": "$_id.i"}]}
"""The expression for a stored document as it was given."""

_ROOT = "documentAsGiven"
_STANDARD: CodecOptions = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
_PATTERNS = (re.Pattern, Regex)
_EXACT = frozenset({"$eq", "$ne", "$in", "$nin"})
_BOUNDS = frozenset({"$gt", "$gte", "$lt", "$lte"})
_OF_ARRAYS = frozenset({"$elemMatch", "$slice"})
_FIND_OPERATORS = _OF_ARRAYS | {"$meta"}
_LOGICAL = frozenset({"$and", "$or", "$nor"})
# Each says something of fields one by one, or of their number.
_PLAIN_SCHEMA = frozenset(
    {"bsonType", "type", "required", "minProperties", "maxProperties", "title", "description"}
)
_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf"})


class Filters:
    """Filters and what belongs to them, for one organization."""

    __slots__ = ("_range", "organization")

    def __init__(self, organization: ObjectId) -> None:
        self.organization = organization
        self._range = {
            "$gt": {"o": organization},
            "$lt": {"o": organization, "i": MaxKey(), "x": 0},
        }

    @property
    def range(self) -> dict[str, Any]:
        """The bounds of the organization's stored ``_id``s."""
        return dict(self._range)

    def wrap(self, document_id: Any) -> dict[str, Any]:
        """The stored ``_id``."""
        return {"o": self.organization, "i": document_id}

    def within(self, query: Mapping[str, Any], *, upsert: bool = False) -> dict[str, Any]:
        """The filter for those of the organization's documents that match ``query``.

        For an upsert, nothing but a whole stored ``_id`` is left in it from which the server would
        make one.
        """
        conditions = self._conditions(query, upsert)
        own = conditions.get("_id")
        if own is None:
            return {"_id": self.range, **conditions}
        if not is_operators(own):
            return conditions
        bounds = self.range
        if not own.keys().isdisjoint(("$gt", "$gte")):
            del bounds["$gt"]
        if not own.keys().isdisjoint(("$lt", "$lte")):
            del bounds["$lt"]
        conditions["_id"] = {**own, **bounds}
        return conditions

    def sort(self, order: Mapping[str, Any], *, visible: bool = False) -> dict[str, Any]:
        """The sort. The stored ``_id`` has the same order, unless its value is ``visible``."""
        sort: dict[str, Any] = {}
        for path, direction in order.items():
            if path == "$natural":  # the collection's, which has others' documents in between
                sort["_id"] = direction
            else:
                sort[path if path == "_id" and not visible else stored(path)] = direction
        return sort

    def projection(self, projection: Mapping[str, Any]) -> dict[str, Any]:
        """The projection of ``find``, in the result of which ``_id`` is wrapped too."""
        return {
            "_id" if path == "_id" and _is_whole(value) else stored(path): self._projected(value)
            for path, value in projection.items()
        }

    def expression(self, expression: Any) -> dict[str, Any]:
        """The expression over documents as they were given."""
        given = {"CURRENT": UNWRAPPED, _ROOT: UNWRAPPED}
        return {"$let": {"vars": given, "in": _rooted(expression)}}

    def _projected(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            if not is_operators(value):
                return {name: self._projected(part) for name, part in value.items()}
            if not _FIND_OPERATORS.isdisjoint(value):
                return value
            return self.expression(value)
        return self.expression(value) if isinstance(value, str | list | tuple) else value

    def _conditions(self, query: Mapping[str, Any], upsert: bool) -> dict[str, Any]:
        conditions: dict[str, Any] = {}
        parts: list[dict[str, Any]] = []
        for name, value in query.items():
            if name == "_id":
                whole, part = self._of_id(value)
                if whole is not None:
                    conditions["_id"] = whole
                if part is not None:
                    parts.append({"_id.i": part})
            elif name.startswith("_id."):
                parts.append({stored(name): value})
            elif name in _LOGICAL and isinstance(value, list | tuple):
                conditions[name] = [
                    self._conditions(each, upsert) if isinstance(each, Mapping) else each
                    for each in value
                ]
            elif name == "$expr":
                bound = None if upsert or len(query) > 1 else self._compared(value)
                conditions |= bound or {name: self.expression(value)}
            elif name == "$jsonSchema":
                conditions[name] = _schema(value)
            else:
                conditions[name] = value
        if upsert and parts:
            # Negated twice, since the server makes fields from nothing that is negated.
            hidden = [{"$nor": [{"$nor": [each]}]} for each in parts]
            return {"$and": [conditions, *hidden]} if conditions else {"$and": hidden}
        for each in parts:
            conditions |= each
        return conditions

    def _of_id(self, value: Any) -> tuple[Any, Any]:
        """The conditions on a whole stored ``_id``, and on what the caller gave as such."""
        if isinstance(value, _PATTERNS):
            return None, value
        if not is_operators(value):
            return ({"$eq": value} if is_unstorable(value) else self.wrap(value)), None
        whole: dict[str, Any] = {}
        exact = True
        for operator, operand in value.items():
            bound = self._bound(operator, operand)
            exact = exact and operator in _EXACT and bound is not None
            whole |= bound or {}
        if exact and whole.keys() == {"$eq"} and not is_unstorable(whole["$eq"]):
            return whole["$eq"], None
        return whole or None, None if exact and whole else value

    def _bound(self, operator: str, operand: Any) -> dict[str, Any] | None:
        """The bound of stored ``_id``s by one operator, if it is one."""
        if operator in ("$in", "$nin"):
            if not isinstance(operand, list | tuple) or any(map(_is_no_value, operand)):
                return None
            return {operator: [self._storable(each) for each in operand]}
        if operator == "$all" and (values := _values_of(operand)):
            wanted = [self._storable(each) for each in values]
            return {"$eq": wanted[0]} if len(operand) == 1 else {"$all": wanted}
        if operator in ("$eq", "$ne"):
            return {operator: self._storable(operand)}
        if operator in _BOUNDS and not isinstance(operand, _PATTERNS):
            return {operator: self.wrap(operand)}
        return None

    def _storable(self, document_id: Any) -> Any:
        """The stored ``_id``, but for what the server refuses as long as it isn't wrapped."""
        return document_id if is_unstorable(document_id) else self.wrap(document_id)

    def _compared(self, expression: Any) -> dict[str, Any] | None:
        """The bound that an expression is that compares the ``_id`` with a value."""
        if not isinstance(expression, Mapping) or len(expression) != 1:
            return None
        [(operator, operands)] = expression.items()
        if operator not in _BOUNDS or not isinstance(operands, list | tuple) or len(operands) != 2:
            return None
        path, value = operands
        if path != "$_id" or not isinstance(value, Mapping) or value.keys() != {"$literal"}:
            return None
        return {"_id": {operator: self.wrap(value["$literal"])}}


def stored(path: str) -> str:
    """The path of a stored document for one of a document as it was given."""
    if path == "_id":
        return "_id.i"
    return f"_id.i.{path[4:]}" if path.startswith("_id.") else path


def is_operators(value: Any) -> bool:
    """Tell whether a condition consists of operators, and is no value to be equal to."""
    if not isinstance(value, Mapping):
        return False
    first = next(iter(value), "")
    return first.startswith("$") and first not in ("$ref", "$id", "$db")


def is_unstorable(document_id: Any) -> bool:
    """Tell whether the server refuses an ``_id`` of this type."""
    return isinstance(document_id, (list, tuple, *_PATTERNS))


def fixed(query: Mapping[str, Any]) -> set[str]:
    """The paths, ``_id`` or in it, of which an upsert gets values from a filter."""
    paths: set[str] = set()
    for name, value in query.items():
        if name == "_id" or name.startswith("_id."):
            if _is_equality(value):
                paths.add(name)
        elif name in ("$and", "$or") and isinstance(value, list | tuple):
            for each in value if name == "$and" or len(value) == 1 else ():
                paths |= fixed(each) if isinstance(each, Mapping) else set()
    return paths


def check_meta(part: Any, *kinds: str) -> None:
    """Raise NeedsOwnPlacement where ``$meta`` asks for a kind that would show what is stored, or
    how much others store."""
    for kind in kinds:
        if asks_meta(part, kind):
            raise NeedsOwnPlacement(f"the meta value {kind}")


def asks_meta(value: Any, kind: str) -> bool:
    """Tell whether ``$meta`` asks for this, at any depth."""
    unseen = [value]
    while unseen:
        seen = unseen.pop()
        if isinstance(seen, Mapping):
            if seen.get("$meta") == kind:
                return True
            unseen += seen.values()
        elif isinstance(seen, list | tuple):
            unseen += seen
    return False


def _rooted(expression: Any) -> Any:
    """The expression with another name for ``$$ROOT``, which can't be bound."""
    if isinstance(expression, str):
        root, dot, rest = expression.partition(".")
        return f"$${_ROOT}{dot}{rest}" if root == "$$ROOT" else expression
    if isinstance(expression, Mapping):
        if "$literal" in expression:
            return expression
        return {name: _rooted(value) for name, value in expression.items()}
    if isinstance(expression, list | tuple):
        return [_rooted(each) for each in expression]
    return expression


def _schema(schema: Any) -> Any:
    """A schema of documents as they were given, for stored ones. Raises NeedsOwnPlacement."""
    if not isinstance(schema, Mapping):
        return schema
    rewritten: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _PLAIN_SCHEMA or (keyword == "additionalProperties" and _is_flag(value)):
            rewritten[keyword] = value
        elif keyword in _SCHEMAS and isinstance(value, list | tuple):
            rewritten[keyword] = [_schema(each) for each in value]
        elif keyword == "not":
            rewritten[keyword] = _schema(value)
        elif keyword == "properties" and isinstance(value, Mapping):
            rewritten[keyword] = {
                name: {"properties": {"i": part}} if name == "_id" else part
                for name, part in value.items()
            }
        else:
            raise NeedsOwnPlacement(f"$jsonSchema with {keyword}")
    return rewritten


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _is_whole(value: Any) -> bool:
    """Tell whether a projection says the same of a stored ``_id`` and of one as it was given: both
    are there, and neither is an array."""
    return _is_flag(value) or (isinstance(value, Mapping) and not _OF_ARRAYS.isdisjoint(value))


def _is_no_value(value: Any) -> bool:
    return isinstance(value, _PATTERNS) or is_operators(value)


def _values_of(operand: Any) -> list[Any]:
    """The values among what ``$all`` asks for; an upsert takes one of them for the ``_id``, and is
    refused where there are more."""
    if not isinstance(operand, list | tuple):
        return []
    return [each for each in operand if not _is_no_value(each)]


def _is_single(value: Any) -> bool:
    """Tell whether these are one value, which the server looks for as it does by ``$eq``."""
    if not isinstance(value, list | tuple) or not value:
        return False
    first = bson.encode({"": value[0]}, codec_options=_STANDARD)
    return all(bson.encode({"": each}, codec_options=_STANDARD) == first for each in value[1:])


def _is_equality(condition: Any) -> bool:
    """Tell whether an upsert gets a value from this condition."""
    if not is_operators(condition):
        return not isinstance(condition, _PATTERNS)
    by_all = _values_of(condition.get("$all"))
    return "$eq" in condition or bool(by_all) or _is_single(condition.get("$in"))

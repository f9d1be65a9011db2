"""Fields that no dotted path names, such as ``a.b``, ``$x`` and an empty name: as conditions have
them, and as expressions, in which the server finds them.

A field is written as the JSON list of the names that lead to it: ``["a.b"]``, ``["a","$x"]``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson import Decimal128, ObjectId

MOST_NAMES = 5


def names_in(field: str) -> tuple[str, ...] | None:
    """The names that a list of them has; ``None`` for another text, and for half of a surrogate
    pair, which no name has."""
    if not (field.startswith('["') and field.endswith('"]')):
        return None
    try:
        names = json.loads(field)
        "".join(names).encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return tuple(names)


def is_plain(name: str) -> bool:
    """Tell whether a dotted path can have this name in it."""
    return bool(name) and not name.startswith("$") and "." not in name


def field_of(names: Sequence[str]) -> str:
    """The field that these names lead to, as conditions have it."""
    if all(is_plain(name) for name in names):
        return ".".join(names)
    return json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))


def words_of_field(field: str) -> str:
    """The field for people: a literal name stands in quotes."""
    names = names_in(field)
    return field if names is None else ".".join(f"“{name}”" for name in names)


def value_of(names: Sequence[str]) -> Any:
    """The expression of the value that the names lead to, through documents alone."""
    value: Any = {"$getField": {"$literal": names[0]}}
    for name in names[1:]:
        inside = {"$cond": [{"$eq": [{"$type": value}, "object"]}, value, {}]}
        value = {"$getField": {"field": {"$literal": name}, "input": inside}}
    return value


def filter_at(names: Sequence[str], query: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The filter that finds by the value that the names lead to what ``query``, a filter on the
    ``field`` alone, finds by that. It has the operators of conditions."""
    test = _holds(query, field)
    return {"$expr": {"$let": {"vars": {"value": value_of(names)}, "in": test}}}


_VALUE = "$$value"
_TYPE = {"$type": _VALUE}
_EACH = "$$each"
_KIND = {"$type": _EACH}
_BRACKETS: Mapping[type, str] = {str: "string", ObjectId: "objectId"}


def _holds(query: Mapping[str, Any], field: str) -> dict[str, Any]:
    tests = []
    for name, given in query.items():
        if name == field:
            tests.append(_fulfils(given))
        else:
            inner = [_holds(each, field) for each in given]
            tests.append({"$not": {"$or": inner}} if name == "$nor" else {name: inner})
    return {"$and": tests}


def _fulfils(condition: Mapping[str, Any]) -> dict[str, Any]:
    options = condition.get("$options", "")
    tests = [_operator(name, given, options) for name, given in condition.items()
             if name != "$options"]  # fmt: skip
    return {"$and": tests}


def _operator(name: str, given: Any, options: str) -> dict[str, Any]:
    if name in _OF_WHOLE:
        return _OF_WHOLE[name](given)
    if name == "$type" and given == "array":
        return {"$isArray": _VALUE}
    return _itself_or_element(_of(name, given, options))


_OF_WHOLE: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "$exists": lambda given: {"$ne" if given else "$eq": [_TYPE, "missing"]},
    "$size": lambda _none: {"$eq": [_VALUE, []]},
    "$not": lambda given: {"$not": _fulfils(given)},
    "$ne": lambda given: {"$not": _operator("$eq", given, "")},
    "$nin": lambda given: {"$not": _operator("$in", given, "")},
    "$elemMatch": lambda given: _in_elements(
        {"$and": [_of(name, bound, "") for name, bound in given.items()]}
    ),
}
"""Operators that are about the value itself, and not about its elements alike."""


def _of(name: str, given: Any, options: str) -> Any:
    """The test of one operator on ``$$each``."""
    if name == "$regex":
        text = {"$cond": [{"$eq": [_KIND, "string"]}, _EACH, None]}
        return {"$regexMatch": {"input": text, "regex": given, "options": options}}
    if name == "$type":
        return {"$in": [_KIND, given if isinstance(given, list) else [given]]}
    if given is None:
        return {"$in": [_KIND, ["null", "missing", "undefined"]]}
    compared = {name: [_EACH, {"$literal": given}]}
    # Expressions compare values of all types; a filter those of one.
    return compared if name in ("$eq", "$in") else {"$and": [_bracket(given), compared]}


def _bracket(given: Any) -> dict[str, Any]:
    if isinstance(given, int | float | Decimal128):
        return {"$isNumber": _EACH}
    return {"$eq": [_KIND, _BRACKETS.get(type(given), "date")]}


def _itself_or_element(test: Any) -> dict[str, Any]:
    own = {"$let": {"vars": {"each": _VALUE}, "in": test}}
    return {"$or": [own, _in_elements(test)]}


def _in_elements(test: Any) -> dict[str, Any]:
    elements = {"$cond": [{"$isArray": _VALUE}, _VALUE, []]}
    return {"$anyElementTrue": {"$map": {"input": elements, "as": "each", "in": test}}}

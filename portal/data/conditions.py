"""Conditions on documents, without operators from strings: as a filter, in words.

A condition is ``["due", "before", "date", "2026-11-25[Europe/Berlin]"]``: the field, an operator,
the kinds of value that are meant (``objectid+text`` compares with both), and what was typed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson.datetime_ms import DatetimeMS

from portal.bidi import isolated
from portal.data import bson_types, literal_fields
from portal.data.condition_values import (
    KINDS,
    Interval,
    candidates,
    interval_of,
    intervals_of,
    read_as,
    without_zone,
)
from portal.data.errors import InvalidQuery

MOST_VALUES = 100
LONGEST_VALUE = 2000
_STAND_IN = "value"
_HALF_PAIR = re.compile("[\ud800-\udfff]").search
_MOST_LEVELS = 5  # of a path: each doubles the branches of a filter on one element


@dataclass(frozen=True, slots=True)
class Operator:
    """A comparison: its ``words``, the kinds of value it takes, and how many values
    (``None`` for any number)."""

    words: str
    kinds: tuple[str, ...] = ()
    values: int | None = 1


_ORDERED = ("number", "date", "text", "objectid")
OPERATORS: dict[str, Operator] = {
    "is": Operator("is", KINDS),
    "is_not": Operator("is not", KINDS),
    "is_not_present": Operator("is there and is not", KINDS),
    "one_of": Operator("is one of", KINDS, values=None),
    "contains": Operator("contains", ("text",)),
    "contains_any_case": Operator("contains, in any case,", ("text",)),
    "begins_with": Operator("begins with", ("text",)),
    "more_than": Operator("is more than", _ORDERED),
    "at_least": Operator("is at least", _ORDERED),
    "less_than": Operator("is less than", _ORDERED),
    "at_most": Operator("is at most", _ORDERED),
    "between": Operator("is between", _ORDERED, values=2),
    "present": Operator("is there", values=0),
    "missing": Operator("is missing", values=0),
    "null": Operator("is null", values=0),
    "missing_or_null": Operator("is missing or null", values=0),
    "empty_text": Operator("is empty text", values=0),
    "empty_list": Operator("is an empty list", values=0),
    "of_type": Operator("is of type", ("type",), values=None),
}
"""The operators by their names in a URL."""

TYPE_WORDS = {alias: bson_types.WORDS[kind] for kind, alias in bson_types.ALIASES.items()}
"""The types of BSON by MongoDB's aliases, in words."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a field, checked: ``values`` are as typed, each of the ``kinds`` meant."""

    field: str
    operator: str
    kinds: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(map(_HALF_PAIR, (self.field, self.operator, *self.kinds, *self.values))):
            raise InvalidQuery("A condition has half of a surrogate pair, which is no character.")
        operator = OPERATORS.get(self.operator)
        if operator is None:
            raise InvalidQuery(f"No condition is called {self.operator[:40]}.")
        check_field(self.field)
        if operator.values is None:
            right = 1 <= len(self.values) <= MOST_VALUES
        else:
            right = len(self.values) == operator.values
        if not right or any(len(value) > LONGEST_VALUE for value in self.values):
            raise InvalidQuery(f"“{operator.words}” has another number of values.")
        if bool(self.kinds) != bool(self.values) or not set(self.kinds) <= set(operator.kinds):
            raise InvalidQuery(f"“{operator.words}” takes another kind of value.")

    @property
    def filter(self) -> dict[str, Any]:
        """The filter that finds the documents that fulfil it. Raises InvalidQuery for a value that
        isn't of its kind."""
        names = literal_fields.names_in(self.field)
        if names is None:
            return _FILTERS[self.operator](self)
        query = _FILTERS[self.operator](replace(self, field=_STAND_IN))
        return literal_fields.filter_at(names, query, _STAND_IN)

    @property
    def is_reversed(self) -> bool:
        """True where nothing is between the bounds, since the first is above the second."""
        if self.operator != "between":
            return False
        [kind], (low, high) = _single(self), self.values
        match kind:
            case "date":
                first, last = interval_of(low).start, interval_of(high).end
                return _milliseconds(first) >= _milliseconds(last)
            case "number":
                return Decimal(low.strip()) > Decimal(high.strip())
            case "objectid":
                return low.strip().lower() > high.strip().lower()
        return low > high

    @property
    def words(self) -> str:
        """The condition as a sentence without its capital."""
        told = self._told
        field = isolated(literal_fields.words_of_field(self.field))
        return f"{field}{'' if told.startswith(',') else ' '}{told}"

    @property
    def _told(self) -> str:
        words = OPERATORS[self.operator].words
        if self.operator == "of_type":
            return f"{words} {' or '.join(TYPE_WORDS.get(each, each) for each in self.values)}"
        if self.kinds == ("address",):
            count = len(self.values)
            return f"is {'that' if count == 1 else f'one of the {count}'} chosen"
        told = [read_as(self.kinds, value) for value in self.values]
        match self.operator:
            case "is_not":
                return f"{words} {told[0]}, missing counts"
            case "between":
                inside = ", in one element," if "." in self.field else "is"
                return f"{inside} {told[0]} to {told[1]}"
        return " ".join([words, ", ".join(told)]) if told else words

    def as_list(self) -> list[str]:
        """The condition as it stands in a URL."""
        if not self.values:
            return [self.field, self.operator]
        return [self.field, self.operator, "+".join(self.kinds), *self.values]


def check_field(name: str) -> None:
    """Raise InvalidQuery for the name of a field that no condition can have."""
    names = literal_fields.names_in(name)
    if names is not None:
        _check_names(names)
        return
    if not name or "\0" in name or len(name) > LONGEST_VALUE or _HALF_PAIR(name):
        raise InvalidQuery("Name a field.")
    if not all(map(literal_fields.is_plain, name.split("."))):
        raise InvalidQuery(
            f"No path leads to the field {isolated(name)}. One with such a name is written as "
            f"{isolated(literal_fields.field_of([name]))}."
        )


def check_sort_field(name: str) -> None:
    """Raise InvalidQuery for the name of a field that nothing is sorted by."""
    check_field(name)
    if literal_fields.names_in(name):
        raise InvalidQuery(
            f"MongoDB doesn’t sort by the field {isolated(literal_fields.words_of_field(name))}: a "
            "dot, a dollar or nothing in a name is for paths alone."
        )


def _check_names(names: Sequence[str]) -> None:
    if len(names) > literal_fields.MOST_NAMES:
        raise InvalidQuery(f"A field is at most {literal_fields.MOST_NAMES} levels deep.")
    if any("\0" in name or len(name) > LONGEST_VALUE for name in names):
        raise InvalidQuery("Name a field.")
    if all(map(literal_fields.is_plain, names)):
        raise InvalidQuery(f"Write the field as {isolated('.'.join(names))}.")


def any_of(filters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The filter that finds what any of the ``filters`` finds."""
    return filters[0] if len(filters) == 1 else {"$or": list(filters)}


# Filters of the operators.


def _is(condition: Condition) -> dict[str, Any]:
    """Any of the values, each as any of the kinds meant."""
    if "date" in condition.kinds:
        intervals = [each for value in condition.values for each in intervals_of(value)]
        ranges = [_within(condition.field, each) for each in intervals]
        others = tuple(kind for kind in condition.kinds if kind != "date")
        texts = [without_zone(value) for value in condition.values]
        equal = [_equal(condition.field, others, texts)] if others else []
        return any_of([*ranges, *equal])
    return _equal(condition.field, condition.kinds, condition.values)


def _equal(name: str, kinds: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    if "json" in kinds:  # a pattern in $in would match, instead of being equal
        return any_of([{name: {"$eq": each}} for each in _all_candidates(("json",), values)])
    found = list(_all_candidates(kinds, values))
    return {name: {"$eq": found[0]}} if len(found) == 1 else {name: {"$in": found}}


def _is_not(condition: Condition) -> dict[str, Any]:
    if "date" in condition.kinds or "json" in condition.kinds:
        return {"$nor": [_is(condition)]}
    found = list(_all_candidates(condition.kinds, condition.values))
    return {condition.field: {"$ne": found[0]} if len(found) == 1 else {"$nin": found}}


def _is_not_present(condition: Condition) -> dict[str, Any]:
    return {"$and": [_is_not(condition), {condition.field: {"$exists": True}}]}


def _matches(before: str, options: str) -> Callable[[Condition], dict[str, Any]]:
    def matches(condition: Condition) -> dict[str, Any]:
        pattern = before + "".join(map(_literal, condition.values[0]))
        return {condition.field: {"$regex": pattern, "$options": options}}

    return matches


def _literal(character: str) -> str:
    """The pattern of one character; PCRE takes no letter or digit behind a backslash for itself."""
    if character == "\0":
        return "\\x00"
    return character if character.isalnum() or not character.isascii() else f"\\{character}"


def _compared(operator: str, *, end: bool) -> Callable[[Condition], dict[str, Any]]:
    """One bound; with ``end`` the end of what a date says, such as that of a day."""

    def compared(condition: Condition) -> dict[str, Any]:
        [kind], value = _single(condition), condition.values[0]
        if kind == "date":
            interval = interval_of(value)
            bound = interval.end if end else interval.start
            at = {"$gt": "$gte", "$lte": "$lt"}.get(operator, operator)
            return {condition.field: {at: bound}}
        return {condition.field: {operator: _bound(kind, value, operator)}}

    return compared


def _between(condition: Condition) -> dict[str, Any]:
    [kind], (low, high) = _single(condition), condition.values
    if kind == "date":
        first, last = interval_of(low), interval_of(high)
        return _within(condition.field, Interval(first.start, last.end))
    bounds = {"$gte": _bound(kind, low, "$gte"), "$lte": _bound(kind, high, "$lte")}
    return _in_one_value(condition.field, bounds)


def _milliseconds(moment: datetime | DatetimeMS) -> int:
    return int(DatetimeMS(moment) if isinstance(moment, datetime) else moment)


def _within(name: str, interval: Interval) -> dict[str, Any]:
    return _in_one_value(name, {"$gte": interval.start, "$lt": interval.end})


def _in_one_value(name: str, bounds: Mapping[str, Any]) -> dict[str, Any]:
    """Both bounds kept by one element of a list, or by a value that is none.

    MongoDB by itself lets two elements of a list keep a bound each.
    """
    parts = name.split(".")
    if len(parts) > _MOST_LEVELS:
        raise InvalidQuery(f"A range is of a field at most {_MOST_LEVELS} levels deep.")
    return any_of(list(_branches("", parts, dict(bounds))))


def _branches(
    before: str, parts: Sequence[str], bounds: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The ways in which lists may be on the path: in each a part is a list or isn't."""
    name, rest = before + parts[0], parts[1:]
    no_list = {name: {"$not": {"$type": "array"}}}
    if not rest:
        yield {name: {"$elemMatch": bounds}}
        yield {"$and": [{name: bounds}, no_list]}
        return
    yield {name: {"$elemMatch": any_of(list(_branches("", rest, bounds)))}}
    for each in _branches(f"{name}.", rest, bounds):
        yield {"$and": [each, no_list]}


def _plain(test: Mapping[str, Any]) -> Callable[[Condition], dict[str, Any]]:
    return lambda condition: {condition.field: dict(test)}


def _itself(test: Mapping[str, Any]) -> Callable[[Condition], dict[str, Any]]:
    """The value itself, not an element of a list."""
    return lambda condition: {
        "$and": [{condition.field: dict(test)}, {condition.field: {"$not": {"$type": "array"}}}]
    }


def _missing_or_null(condition: Condition) -> dict[str, Any]:
    return any_of([_FILTERS["missing"](condition), _FILTERS["null"](condition)])


def _of_type(condition: Condition) -> dict[str, Any]:
    for name in condition.values:
        if name not in TYPE_WORDS:
            raise InvalidQuery(f"No type is called {name[:40]}.")
    others = [name for name in condition.values if name != "array"]
    filters = [{condition.field: {"$type": "array"}}] if "array" in condition.values else []
    filters += [_itself({"$type": others})(condition)] if others else []
    return any_of(filters)


def _single(condition: Condition) -> tuple[str]:
    if len(condition.kinds) != 1:
        raise InvalidQuery(f"“{OPERATORS[condition.operator].words}” is about one kind of value.")
    return (condition.kinds[0],)


def _bound(kind: str, value: str, operator: str) -> Any:
    """The bound among what the value may stand for that takes in all of it, or none."""
    found = candidates(kind, value)
    return found[0] if len(found) == 1 else found[0 if operator in ("$gte", "$lt") else -1]


def _all_candidates(kinds: Sequence[str], values: Sequence[str]) -> Iterator[Any]:
    for value in values:
        for kind in kinds:
            yield from candidates(kind, value)


_FILTERS: dict[str, Callable[[Condition], dict[str, Any]]] = {
    "is": _is,
    "is_not": _is_not,
    "is_not_present": _is_not_present,
    "one_of": _is,
    "contains": _matches("", ""),
    "contains_any_case": _matches("", "i"),
    "begins_with": _matches("^", ""),
    "more_than": _compared("$gt", end=True),
    "at_least": _compared("$gte", end=False),
    "less_than": _compared("$lt", end=False),
    "at_most": _compared("$lte", end=True),
    "between": _between,
    "present": _plain({"$exists": True}),
    "missing": _plain({"$exists": False}),
    "null": _itself({"$type": "null"}),
    "missing_or_null": _missing_or_null,
    "empty_text": _itself({"$eq": ""}),
    "empty_list": _plain({"$size": 0}),
    "of_type": _of_type,
}

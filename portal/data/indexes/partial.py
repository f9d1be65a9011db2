"""Filters of partial indexes, in which MongoDB takes fewer operators than elsewhere."""

import re
from collections.abc import Mapping
from typing import Any

from bson.regex import Regex

from portal.data.errors import NotInPartialFilter

_JOINING = ("$and", "$or")
_OPERATORS = frozenset(
    {"$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$type", "$exists", "$geoWithin"}
)
_OF_REFERENCES = ("$ref", "$id", "$db")


def check_partial(query: Mapping[str, Any]) -> None:
    """Raise InvalidIndex, with the operator, for a filter that no partial index can have."""
    for name, value in query.items():
        if name in _JOINING and isinstance(value, list | tuple):
            for each in value:
                if isinstance(each, Mapping):
                    check_partial(each)
        elif name.startswith("$"):
            _check_operator(name, value)
        elif isinstance(value, re.Pattern | Regex):
            raise NotInPartialFilter("$regex")
        elif isinstance(value, Mapping) and str(next(iter(value), "")).startswith("$"):
            for operator, argument in value.items():
                if operator not in _OF_REFERENCES:
                    _check_operator(operator, argument)


def _check_operator(name: str, argument: object) -> None:
    if name == "$exists" and not argument:
        raise NotInPartialFilter("$exists: false")
    if name not in _OPERATORS and name != "$comment":
        raise NotInPartialFilter(name)

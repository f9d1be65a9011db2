"""The types of Extended JSON: the form that the value of each has to have."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from portal.data.errors import InvalidExtendedJson

WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_UINT32 = re.compile(r"[0-9]{1,10}")
DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DOUBLE = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
OID = re.compile(r"[0-9a-fA-F]{24}")
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_SUBTYPE = re.compile(r"[0-9a-fA-F]{1,2}")
_OPTIONS = "ilmsux"
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})"
)
UTC_DATE = re.compile(
    r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:[01][0-9]|2[0-8])T[01][0-9]:[0-5][0-9]:[0-5][0-9]Z"
)
BITS_32, BITS_64 = 2**31, 2**63
_LONGEST_NUMBER = 400  # no double has as many digits before its point


class Pairs(list[tuple[str, Any]]):
    """The keys and values of an object as written."""


class Number(str):
    """A number as written."""


class Constant(str):
    """NaN or Infinity, which JSON hasn't."""


def finite(text: str, where: str) -> float:
    """The number, which is a double. Raises InvalidExtendedJson where it is too large, or too near
    to zero."""
    number = float(text)
    lost = number == 0 and re.search("[1-9]", re.split("[eE]", text)[0])
    if math.isinf(number) or lost:
        raise InvalidExtendedJson.at(where, "out of the range of a double")
    return number


def _is_string(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number | Constant)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: _is_string(value) and pattern.fullmatch(value) is not None


def _whole_below(limit: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        digits = _is_string(value) and len(value) <= 20 and WHOLE.fullmatch(value)
        return bool(digits) and -limit <= int(value) < limit

    return fits


def _is_double(value: Any) -> bool:
    if not _is_string(value) or len(value) > _LONGEST_NUMBER:
        return False
    if value in _NOT_FINITE:
        return True
    if not _DOUBLE.fullmatch(value):
        return False
    try:
        finite(value, "")
    except InvalidExtendedJson:
        return False
    return True


def _is_decimal(value: Any) -> bool:
    return _is_string(value) and (
        value.removeprefix("-").removeprefix("+").lower() in ("nan", "inf", "infinity")
        or DECIMAL.fullmatch(value) is not None
    )


def _is_date(value: Any) -> bool:
    found = _fields(value)
    if found is not None:
        return set(found) == {"$numberLong"} and _whole_below(BITS_64)(found["$numberLong"])
    if not _matches(_DATE)(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of an object; ``None`` for something else, or with a key twice."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, Pairs):
        return None
    found = dict(value)
    return found if len(found) == len(value) else None


def _object_of(**checks: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A check of an object that has exactly these fields."""
    named = {name.replace("dollar_", "$"): check for name, check in checks.items()}

    def fits(value: Any) -> bool:
        found = _fields(value)
        return (
            found is not None
            and found.keys() == named.keys()
            and all(check(found[name]) for name, check in named.items())
        )

    return fits


def _is_uint32(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Number):
        return False
    return _UINT32.fullmatch(str(value)) is not None and int(value) < 2**32


def _is_one(value: Any) -> bool:
    return not isinstance(value, bool) and str(value) == "1" and not _is_string(value)


def _is_pattern(value: Any) -> bool:
    return _is_string(value) and "\0" not in value


def _is_options(value: Any) -> bool:
    if not _is_string(value) or len(value) > len(_OPTIONS):
        return False
    return len(set(value)) == len(value) and set(value) <= set(_OPTIONS)


TYPES: dict[str, Callable[[Any], bool]] = {
    "$oid": _matches(OID),
    "$symbol": _is_string,
    "$numberInt": _whole_below(BITS_32),
    "$numberLong": _whole_below(BITS_64),
    "$numberDouble": _is_double,
    "$numberDecimal": _is_decimal,
    "$binary": _object_of(base64=_matches(_BASE64), subType=_matches(_SUBTYPE)),
    "$uuid": _matches(UUID),
    "$code": _is_string,
    "$timestamp": _object_of(t=_is_uint32, i=_is_uint32),
    "$regularExpression": _object_of(pattern=_is_pattern, options=_is_options),
    "$dbPointer": _object_of(
        dollar_ref=_is_pattern, dollar_id=_object_of(dollar_oid=_matches(OID))
    ),
    "$date": _is_date,
    "$minKey": _is_one,
    "$maxKey": _is_one,
    "$undefined": lambda value: value is True,
}
"""The types of Extended JSON, and a check of the value of each."""

# Plain keys that libbson takes for legacy types, or checks by itself.
PLAIN_KEYS = frozenset({"$regex", "$options", "$type", "$ref", "$id", "$db"})
SPECIAL_KEYS = frozenset(TYPES) | PLAIN_KEYS | {"$scope"}


def is_type(pairs: Pairs | dict[str, Any], where: str) -> bool:
    """Tell whether an object has the form of a type. Raises InvalidExtendedJson where it has a
    type's key and another form."""
    content = _fields(pairs)
    if content is None:
        return False  # a key twice is refused where the object is read
    named = [key for key in content if key in TYPES]
    if not named:
        if "$scope" in content:
            raise InvalidExtendedJson.at(where, "$scope without $code")
        return False
    [kind, *others] = named
    beside = content.keys() - {kind} - ({"$scope"} if kind == "$code" else set())
    if others or beside:
        raise InvalidExtendedJson.at(where, f"{kind} beside another key")
    if not TYPES[kind](content[kind]):
        raise InvalidExtendedJson.at(where, f"not a {kind}, or out of its range")
    if "$scope" in content and not isinstance(content["$scope"], dict | Pairs):
        raise InvalidExtendedJson.at(where, "a $scope is an object")
    return True

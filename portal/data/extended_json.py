"""Extended JSON v2, read strictly, to and from the bytes of BSON.

libbson (``bsonjs``) converts, to the byte for every BSON type. What it lets pass is refused before:
a key twice, legacy forms of types, numbers that lose their value. So a text is first read by the
standard library, whose hook sees the keys of each object; and only where that, or libbson, refuses
it, is it read again piece by piece, which finds the place, and writes what libbson can't.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import bson
import bsonjs

from portal.data.errors import InvalidExtendedJson

MAX_DEPTH = 100
"""The deepest nesting that MongoDB documents for a document."""
LARGEST_TEXT_BYTES = 16 * 1024 * 1024
"""The largest text of one document that is read."""

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_UINT32 = re.compile(r"[0-9]{1,10}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DOUBLE = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_OID = re.compile(r"[0-9a-fA-F]{24}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_SUBTYPE = re.compile(r"[0-9a-fA-F]{1,2}")
_OPTIONS = re.compile(r"(?!.*(.).*\1)[ilmsux]*")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})"
)
_UTC_DATE = re.compile(
    r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:[01][0-9]|2[0-8])T[01][0-9]:[0-5][0-9]:[0-5][0-9]Z"
)
_BITS_32, _BITS_64 = 2**31, 2**63
# A type, then a key that begins with a dollar; rarely anything else looks like it.
_DOLLAR_KEY = re.compile(rb"[\x01-\x13\x7f\xff]\$")
_LONGEST_NUMBER = 400  # no double has as many digits before its point


class _Piecewise(Exception):
    """The text has to be read piece by piece."""


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of an object as written."""


class _Number(str):
    """A number as written."""


class _Constant(str):
    """NaN or Infinity, which JSON hasn't."""


def parse(text: bytes | str, where: str = "") -> bytes:
    """The BSON of the document that ``text`` stands for, canonical or relaxed.

    Raises InvalidExtendedJson with the place: a JSON pointer below ``where``, or the line and
    column where it is no JSON.
    """
    decoded = _decode(text, where)
    if _may_need_pieces(decoded):
        return _read_piecewise(decoded, where)
    try:
        if _FAST.decode(decoded) is not _SOMETHING:
            raise _Piecewise
        return bsonjs.loads(decoded)
    except (_Piecewise, ValueError, RecursionError):
        return _read_piecewise(decoded, where)


def parse_array(text: bytes | str) -> list[bytes]:
    """The BSON of each document in a JSON array, or of the one document that ``text`` is.

    Raises InvalidExtendedJson like ``parse``.
    """
    decoded = _decode(text, "")
    if not decoded.lstrip().startswith("["):
        return [parse(decoded)]
    parsed = _read_pieces(decoded, "")
    return [_document(each, f"/{index}") for index, each in enumerate(parsed)]


def parse_value(text: str) -> bytes:
    """The BSON of ``{"": value}`` for the ``text`` of any value. Raises InvalidExtendedJson."""
    value = _read_pieces(_decode(text, ""), "")
    kind, encoded = _element(value, "", 1)
    return _framed(kind + b"\0" + encoded)


def render(document: bytes, *, relaxed: bool = False) -> str:
    """The text of a document: canonical, from which ``parse`` makes the same bytes where
    ``is_exact``; or ``relaxed``. Raises ValueError for bytes that aren't BSON."""
    return bsonjs.dumps(document, mode=bsonjs.RELAXED if relaxed else bsonjs.CANONICAL)


def render_value(element: bytes, *, relaxed: bool = False) -> str:
    """The text of the value in the BSON of ``{"": value}``."""
    return render(element, relaxed=relaxed).removeprefix('{ "" : ').removesuffix(" }")


def is_exact(document: bytes, text: str) -> bool:
    """Tell whether ``text``, rendered of ``document``, is read as the same bytes again.

    Not so where a key is there twice, or a stored sub-document looks like a type of Extended JSON.
    """
    if len(text) > LARGEST_TEXT_BYTES:
        return False
    try:
        plain = not _DOLLAR_KEY.search(document) and '"NaN"' not in text
        if plain and text.count("{") + text.count("[") <= MAX_DEPTH:
            _KEYS.decode(text)
            return True
        return parse(text) == document
    except (_Piecewise, InvalidExtendedJson):
        return False


def _decode(text: bytes | str, where: str) -> str:
    try:
        return text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        raise _invalid(where, f"byte {error.start + 1} is not valid UTF-8") from error


def _may_need_pieces(text: str) -> bool:
    """Tell whether it may have U+0000, which libbson cuts some strings off at, or a surrogate."""
    return "\\u0000" in text or "\\ud" in text or "\\uD" in text


def _read_piecewise(text: str, where: str) -> bytes:
    return _document(_read_pieces(text, where), where)


def _read_pieces(text: str, where: str) -> Any:
    try:
        return _SLOW.decode(text)
    except json.JSONDecodeError as error:
        place = f"{where or f'line {error.lineno}'}, column {error.colno}"
        raise _invalid(place, f"not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise _invalid(where, f"nested deeper than {MAX_DEPTH} levels") from error


def _document(value: Any, where: str) -> bytes:
    if not isinstance(value, _Pairs):
        raise _invalid(where, "not an object")
    if _is_type(value, where):
        raise _invalid(where, "a type instead of a document")
    return _object(value, where, 1)


def _object(pairs: _Pairs, where: str, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise _invalid(where, f"nested deeper than {MAX_DEPTH} levels")
    seen: set[str] = set()
    parts = []
    for key, value in pairs:
        place = f"{where}/{key.replace('~', '~0').replace('/', '~1')}"
        if key in seen:
            raise _invalid(place, "this key is there twice")
        if "\0" in key:
            raise _invalid(place.replace("\0", "\\u0000"), "a key has no U+0000")
        seen.add(key)
        name = _utf8(key, where)
        kind, encoded = _element(value, place, depth)
        parts.append(kind + name + b"\0" + encoded)
    return _framed(b"".join(parts))


def _element(value: Any, where: str, depth: int) -> tuple[bytes, bytes]:
    """The type and the encoded value of an element."""
    if isinstance(value, _Pairs):
        if _is_type(value, where):
            return _typed(value, where, depth)
        return b"\x03", _object(value, where, depth + 1)
    if isinstance(value, list):
        numbered = _Pairs((str(index), each) for index, each in enumerate(value))
        return b"\x04", _object(numbered, where, depth + 1)
    if isinstance(value, str) and not isinstance(value, _Number | _Constant):
        _utf8(value, where)
    return _split(bson.encode({"": _plain(value, where)}))


def _typed(pairs: _Pairs, where: str, depth: int) -> tuple[bytes, bytes]:
    """A value in the form of a type, which ``_is_type`` has checked."""
    content = dict(pairs)
    if "$code" in content:  # libbson would cut it off at U+0000
        code = _utf8(content["$code"], where) + b"\0"
        sized = len(code).to_bytes(4, "little") + code
        if "$scope" not in content:
            return b"\x0d", sized
        sized += _object(content["$scope"], f"{where}/$scope", depth + 1)
        return b"\x0f", (len(sized) + 4).to_bytes(4, "little") + sized
    text = json.dumps({"": _as_plain_json(pairs)})
    try:
        return _split(bsonjs.loads(text))
    except ValueError as error:
        raise _invalid(where, f"not a {pairs[0][0]}") from error


def _as_plain_json(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _as_plain_json(each) for key, each in value}
    return int(value) if isinstance(value, _Number) else value


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, _Constant):
        raise _invalid(where, f'JSON has no {value}: send {{"$numberDouble": "{value}"}}')
    if not isinstance(value, _Number):
        return value
    if _WHOLE.fullmatch(value):
        if len(value) > 20 or not -_BITS_64 <= int(value) < _BITS_64:
            raise _invalid(where, "a whole number has 64 bits at most")
        return int(value)
    return _finite(value, where)


def _finite(text: str, where: str) -> float:
    number = float(text)
    lost = number == 0 and re.search("[1-9]", re.split("[eE]", text)[0])
    if math.isinf(number) or lost:
        raise _invalid(where, "out of the range of a double")
    return number


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _invalid(where, "half of a surrogate pair") from error


def _framed(elements: bytes) -> bytes:
    return (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"


def _split(document: bytes) -> tuple[bytes, bytes]:
    """The type and the value of the only element, whose key is empty."""
    return document[4:5], document[6:-1]


def _invalid(where: str, reason: str) -> InvalidExtendedJson:
    return InvalidExtendedJson.at(where, reason)


def _is_string(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, _Number | _Constant)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: _is_string(value) and pattern.fullmatch(value) is not None


def _whole_below(limit: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        digits = _is_string(value) and len(value) <= 20 and _WHOLE.fullmatch(value)
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
        _finite(value, "")
    except InvalidExtendedJson:
        return False
    return True


def _is_decimal(value: Any) -> bool:
    return _is_string(value) and (
        value.removeprefix("-").removeprefix("+").lower() in ("nan", "inf", "infinity")
        or _DECIMAL.fullmatch(value) is not None
    )


def _is_date(value: Any) -> bool:
    found = _fields(value)
    if found is not None:
        return set(found) == {"$numberLong"} and _whole_below(_BITS_64)(found["$numberLong"])
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
    if not isinstance(value, _Pairs):
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
    if isinstance(value, bool) or not isinstance(value, int | _Number):
        return False
    return _UINT32.fullmatch(str(value)) is not None and int(value) < 2**32


def _is_one(value: Any) -> bool:
    return not isinstance(value, bool) and str(value) == "1" and not _is_string(value)


def _is_pattern(value: Any) -> bool:
    return _is_string(value) and "\0" not in value


_TYPES: dict[str, Callable[[Any], bool]] = {
    "$oid": _matches(_OID),
    "$symbol": _is_string,
    "$numberInt": _whole_below(_BITS_32),
    "$numberLong": _whole_below(_BITS_64),
    "$numberDouble": _is_double,
    "$numberDecimal": _is_decimal,
    "$binary": _object_of(base64=_matches(_BASE64), subType=_matches(_SUBTYPE)),
    "$uuid": _matches(_UUID),
    "$code": _is_string,
    "$timestamp": _object_of(t=_is_uint32, i=_is_uint32),
    "$regularExpression": _object_of(pattern=_is_pattern, options=_matches(_OPTIONS)),
    "$dbPointer": _object_of(
        dollar_ref=_is_pattern, dollar_id=_object_of(dollar_oid=_matches(_OID))
    ),
    "$date": _is_date,
    "$minKey": _is_one,
    "$maxKey": _is_one,
    "$undefined": lambda value: value is True,
}
"""The types of Extended JSON, and a check of the value of each."""

# Plain keys that libbson takes for legacy types, or checks by itself.
_PLAIN = frozenset({"$regex", "$options", "$type", "$ref", "$id", "$db"})
_SPECIAL = frozenset(_TYPES) | _PLAIN | {"$scope"}


def _is_type(pairs: _Pairs | dict[str, Any], where: str) -> bool:
    """Tell whether an object has the form of a type. Raises InvalidExtendedJson where it has a
    type's key and another form."""
    content = _fields(pairs)
    if content is None:
        return False  # a key twice is refused where the object is read
    named = [key for key in content if key in _TYPES]
    if not named:
        if "$scope" in content:
            raise _invalid(where, "$scope without $code")
        return False
    [kind, *others] = named
    beside = content.keys() - {kind} - ({"$scope"} if kind == "$code" else set())
    if others or beside:
        raise _invalid(where, f"{kind} beside another key")
    if not _TYPES[kind](content[kind]):
        raise _invalid(where, f"not a {kind}, or out of its range")
    if "$scope" in content and not isinstance(content["$scope"], dict | _Pairs):
        raise _invalid(where, "a $scope is an object")
    return True


def _hook(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1:
        [(key, value)] = pairs
        if key[:1] == "$" and key in _SPECIAL:
            # What a pattern can't tell, such as a range, libbson refuses.
            plain = _QUICK.get(key)
            dated = key == "$date" and value is _INT64
            if not dated and (type(value) is not str or plain is None or not plain(value)):
                raise _Piecewise
            return _INT64 if key == "$numberLong" else value
        return _SOMETHING
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _Piecewise
    if not _SPECIAL.isdisjoint(content):
        raise _Piecewise
    return _SOMETHING


def _check_float(text: str) -> object:
    if "e" in text or "E" in text:  # perhaps out of range, or too near to zero
        raise _Piecewise
    return _SOMETHING


def _check_keys(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _Piecewise


_SOMETHING, _INT64 = object(), object()
_QUICK: dict[str, Callable[[str], Any]] = {
    "$oid": _OID.fullmatch,
    "$numberInt": _WHOLE.fullmatch,
    "$numberLong": _WHOLE.fullmatch,
    "$numberDouble": re.compile(r"-?[0-9]{1,300}\.[0-9]{1,20}").fullmatch,
    "$numberDecimal": _DECIMAL.fullmatch,
    "$uuid": _UUID.fullmatch,
    "$date": _UTC_DATE.fullmatch,
}
_FAST = json.JSONDecoder(object_pairs_hook=_hook, parse_float=_check_float)
_KEYS = json.JSONDecoder(object_pairs_hook=_check_keys)
_SLOW = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Constant
)

"""Extended JSON v2, read strictly, to and from the bytes of BSON.

libbson (``bsonjs``) converts, to the byte for every BSON type. What it lets pass is refused before:
a key twice, legacy forms of types, numbers that lose their value. So a text is first read by the
standard library, whose hook sees the keys of each object; and only where that, or libbson, refuses
it, is it read again piece by piece, which finds the place, and writes what libbson can't.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import bson
import bsonjs

from portal.data.errors import InvalidExtendedJson
from portal.data.json_types import (
    BITS_64,
    DECIMAL,
    OID,
    SPECIAL_KEYS,
    UTC_DATE,
    UUID,
    WHOLE,
    Constant,
    Number,
    Pairs,
    finite,
    is_type,
)

MAX_DEPTH = 100
"""The deepest nesting that MongoDB documents for a document."""
LARGEST_TEXT_BYTES = 16 * 1024 * 1024
"""The largest text of one document that is read."""

# A type, then a key that begins with a dollar; rarely anything else looks like it.
_DOLLAR_KEY = re.compile(rb"[\x01-\x13\x7f\xff]\$")


# More than 64 bits: libbson notices one overflow on the way, and stores another number after two.
_TOO_LONG = re.compile(r"[\s:,\[-]\d{20}")


class _Piecewise(Exception):
    """The text has to be read piece by piece."""


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


def parse_translated(
    text: bytes | str, translate: Callable[[Pairs], Any], where: str = ""
) -> bytes:
    """Like ``parse``, but each object of the text is what ``translate`` makes of it, from the inner
    ones outwards."""
    decoder = json.JSONDecoder(
        object_pairs_hook=lambda pairs: translate(Pairs(pairs)),
        parse_int=Number,
        parse_float=Number,
        parse_constant=Constant,
    )
    return _document(_read_pieces(_decode(text, where), where, decoder), where)


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


def reads_as(text: str, document: bytes) -> bool:
    """Tell whether the library reads the text as these bytes; it refuses what it renders of a
    decimal with a digit too many."""
    try:
        return bsonjs.loads(text) == document
    except ValueError:
        return False


def is_exact(document: bytes, text: str) -> bool:
    """Tell whether ``text``, rendered of ``document``, is read as the same bytes again.

    Not so where a key is there twice, a stored sub-document looks like a type of Extended JSON, or
    a value has another encoding than the usual one.
    """
    if len(text) > LARGEST_TEXT_BYTES:
        return False
    try:
        plain = not _DOLLAR_KEY.search(document) and '"NaN"' not in text
        plain = plain and not _may_need_pieces(text)
        if plain and text.count("{") + text.count("[") <= MAX_DEPTH:
            _KEYS.decode(text)
            return reads_as(text, document)
        return parse(text) == document
    except (_Piecewise, InvalidExtendedJson):
        return False


def _decode(text: bytes | str, where: str) -> str:
    try:
        decoded = text if isinstance(text, str) else text.decode()
        return decoded.removeprefix("\ufeff")  # RFC 8259, 8.1
    except UnicodeDecodeError as error:
        raise InvalidExtendedJson.at(where, f"byte {error.start + 1} is not valid UTF-8") from error


def _may_need_pieces(text: str) -> bool:
    """Tell whether it may have U+0000, which libbson cuts some strings off at, a surrogate, or a
    number that is too long."""
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text:
        return True
    return _TOO_LONG.search(text) is not None


def _read_piecewise(text: str, where: str) -> bytes:
    return _document(_read_pieces(text, where), where)


def _read_pieces(text: str, where: str, decoder: json.JSONDecoder | None = None) -> Any:
    try:
        return (decoder or _SLOW).decode(text)
    except json.JSONDecodeError as error:
        place = f"{where or f'line {error.lineno}'}, column {error.colno}"
        raise InvalidExtendedJson.at(place, f"not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise InvalidExtendedJson.at(where, f"nested deeper than {MAX_DEPTH} levels") from error


def _document(value: Any, where: str) -> bytes:
    if not isinstance(value, Pairs):
        raise InvalidExtendedJson.at(where, "not an object")
    if is_type(value, where):
        raise InvalidExtendedJson.at(where, "a type instead of a document")
    return _object(value, where, 1)


def _object(pairs: Pairs, where: str, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise InvalidExtendedJson.at(where, f"nested deeper than {MAX_DEPTH} levels")
    seen: set[str] = set()
    parts = []
    for key, value in pairs:
        place = f"{where}/{key.replace('~', '~0').replace('/', '~1')}"
        if key in seen:
            raise InvalidExtendedJson.at(place, "this key is there twice")
        if "\0" in key:
            raise InvalidExtendedJson.at(place.replace("\0", "\\u0000"), "a key has no U+0000")
        seen.add(key)
        name = _utf8(key, where)
        kind, encoded = _element(value, place, depth)
        parts.append(kind + name + b"\0" + encoded)
    return _framed(b"".join(parts))


def _element(value: Any, where: str, depth: int) -> tuple[bytes, bytes]:
    """The type and the encoded value of an element."""
    if isinstance(value, Pairs):
        if is_type(value, where):
            return _typed(value, where, depth)
        return b"\x03", _object(value, where, depth + 1)
    if isinstance(value, list):
        numbered = Pairs((str(index), each) for index, each in enumerate(value))
        return b"\x04", _object(numbered, where, depth + 1)
    if isinstance(value, str) and not isinstance(value, Number | Constant):
        _utf8(value, where)
    return _split(bson.encode({"": _plain(value, where)}))


def _typed(pairs: Pairs, where: str, depth: int) -> tuple[bytes, bytes]:
    """A value in the form of a type, which ``is_type`` has checked."""
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
        raise InvalidExtendedJson.at(where, f"not a {pairs[0][0]}") from error


def _as_plain_json(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {key: _as_plain_json(each) for key, each in value}
    return int(value) if isinstance(value, Number) else value


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, Constant):
        raise InvalidExtendedJson.at(
            where, f'JSON has no {value}: send {{"$numberDouble": "{value}"}}'
        )
    if not isinstance(value, Number):
        return value
    if WHOLE.fullmatch(value):
        if len(value) > 20 or not -BITS_64 <= int(value) < BITS_64:
            raise InvalidExtendedJson.at(where, "a whole number has 64 bits at most")
        return int(value)
    return finite(value, where)


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidExtendedJson.at(where, "half of a surrogate pair") from error


def _framed(elements: bytes) -> bytes:
    return (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"


def _split(document: bytes) -> tuple[bytes, bytes]:
    """The type and the value of the only element, whose key is empty."""
    return document[4:5], document[6:-1]


def _hook(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1:
        key, value = pairs[0]
        plain = _QUICK.get(key)
        if plain is None:
            if key in SPECIAL_KEYS:
                raise _Piecewise
            return _SOMETHING
        # What a pattern can't tell, such as a range, libbson refuses.
        if type(value) is str and plain(value):
            return _INT64 if key == "$numberLong" else value
        if key == "$date" and value is _INT64:
            return value
        raise _Piecewise
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _Piecewise
    if not SPECIAL_KEYS.isdisjoint(content):
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
    "$oid": OID.fullmatch,
    "$numberInt": WHOLE.fullmatch,
    "$numberLong": WHOLE.fullmatch,
    "$numberDouble": re.compile(r"-?[0-9]{1,300}\.[0-9]{1,20}").fullmatch,
    "$numberDecimal": DECIMAL.fullmatch,
    "$uuid": UUID.fullmatch,
    "$date": UTC_DATE.fullmatch,
}
_FAST = json.JSONDecoder(object_pairs_hook=_hook, parse_float=_check_float)
_KEYS = json.JSONDecoder(object_pairs_hook=_check_keys)
_SLOW = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=Constant
)

"""Decoding BSON without a change, and telling where that can't be."""

from collections.abc import Mapping, Sequence
from typing import Any

import bson
import bsonjs
from bson import CodecOptions
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError

from portal.tenants.elements import framed

EXACT: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
)
# What the driver raises for bytes that are no BSON, or whose values it can't make.
UNDECODABLE = (BSONError, ValueError, TypeError, OverflowError, RecursionError)
MAX_DEPTH = 180
"""The deepest nesting that MongoDB stores, by its source; Extended JSON is read to less."""
NOT_TEXT = "Holds a text that is no UTF-8"
_NESTING = (b"\x03", b"\x04", b"\x0f")  # document, array, code with scope
_LEVEL_BYTES = 7  # the least that a level takes: type, empty name, length, end


class Exact:
    """The BSON of ``{"": value}`` for a value that Python's types would change."""

    __slots__ = ("element",)

    def __init__(self, element: bytes) -> None:
        self.element = element


def decode_exactly(document: bytes) -> dict[str, Any] | None:
    """The document, whose encoding is the same bytes again; ``None`` where Python's types would
    change it: a key twice, a deprecated type."""
    try:
        decoded = bson.decode(document, EXACT)
        return decoded if bson.encode(decoded) == document else None
    except UNDECODABLE:
        return None


def decode_all_exactly(documents: Sequence[bytes]) -> list[dict[str, Any] | None]:
    """Each document as ``decode_exactly`` has it: fast where none is changed."""
    elements = b"".join(b"\x03%d\0%b" % each for each in enumerate(documents))
    encoded = framed(b"\x04\0" + framed(elements))
    try:
        decoded: dict[str, Any] = bson.decode(encoded, EXACT)
        if bson.encode(decoded) == encoded:
            return list(decoded[""])
    except UNDECODABLE:  # one of them is
        pass
    return [decode_exactly(document) for document in documents]


def encode_exactly(document: Mapping[str, Any]) -> bytes:
    """The BSON of a document that has Exact values in it."""
    return framed(b"".join(_element(name, value) for name, value in document.items()))


def fault_of(document: bytes) -> str | None:
    """The reason for which bytes aren't a document that MongoDB stores; ``None`` for one that is,
    but for its size."""
    try:
        bson.decode(document, EXACT)
    except UNDECODABLE as error:
        try:
            bsonjs.dumps(document)  # makes no values, so that it refuses none
        except ValueError:
            return NOT_TEXT if _lacks_utf8(document) else "Not valid BSON"
        if "unknown BSON type" in str(error):  # which it ends at in silence
            return "Not valid BSON"
    return _depth_fault(document)


def faults_of(documents: Sequence[bytes]) -> list[str | None]:
    """The fault of each, as ``fault_of`` tells it: fast where all are documents."""
    try:
        bson.decode_all(b"".join(documents), EXACT)
    except UNDECODABLE:
        return [fault_of(document) for document in documents]
    return [_depth_fault(document) for document in documents]


def _lacks_utf8(document: bytes) -> bool:
    """Tell whether nothing else is wrong with it."""
    try:
        bson.decode(document, EXACT.with_options(unicode_decode_error_handler="replace"))
    except UNDECODABLE:
        return False
    return True


def _depth_fault(document: bytes) -> str | None:
    # Only a document with many nested values can be deep.
    if len(document) <= _LEVEL_BYTES * MAX_DEPTH:
        return None
    if sum(document.count(kind) for kind in _NESTING) > MAX_DEPTH and _depth(document) > MAX_DEPTH:
        return f"Nested deeper than {MAX_DEPTH} levels"
    return None


def _element(name: str, value: Any) -> bytes:
    if isinstance(value, Exact):
        kind, encoded = value.element[4:5], value.element[6:-1]
    elif isinstance(value, dict):
        kind, encoded = b"\x03", encode_exactly(value)
    elif isinstance(value, list):
        numbered = {str(index): each for index, each in enumerate(value)}
        kind, encoded = b"\x04", encode_exactly(numbered)
    else:
        return bson.encode({name: value})[4:-1]
    return kind + name.encode() + b"\0" + encoded


def _depth(document: bytes) -> int:
    """The number of levels, by libbson's text."""
    text = bsonjs.dumps(document)
    deepest = depth = 0
    in_text = escaped = False
    for character in text:
        if in_text:
            in_text = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_text = True
        elif character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest

"""The ``_id`` of a document in a URL.

24 hexadecimal digits are an ObjectId. What is JSON is read as Extended JSON, so ``42`` is a number
and ``"42"`` a string; another bare word is a string, also ``12e4``, which in hexadecimal digits is
one of many. ``~`` and base64url is the BSON of
``{"": _id}``: exact for every type, and without anything that a proxy changes.
"""

import base64
import binascii
import re
from decimal import Decimal
from typing import Any

import bson
from bson import Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from portal.data import extended_json
from portal.data.bson_types import NUMBERS
from portal.data.errors import InvalidDocumentId, InvalidExtendedJson, UnreadableDocumentId
from portal.tenants.elements import field_of, framed

_ANY_DATE: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_OBJECT_ID_TYPE = 0x07
_EXPONENT = re.compile(r"[0-9]+[eE][0-9]+")
_WORD = re.compile(r"[\w.:@-]+")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def parse_document_id(text: str) -> bytes:
    """The BSON of ``{"": _id}`` for the last part of a document's path. Raises
    InvalidDocumentId."""
    if _OBJECT_ID.fullmatch(text):
        return framed(b"\x07\0" + ObjectId(text).binary)
    if text.startswith("~"):
        return _from_base64(text[1:])
    if _EXPONENT.fullmatch(text):
        return bson.encode({"": text})
    try:
        return extended_json.parse_value(text)
    except InvalidExtendedJson as error:
        if _WORD.fullmatch(text):
            return bson.encode({"": text})
        raise InvalidDocumentId from error


def address_of(document_id: bytes) -> str:
    """The exact address of the BSON of ``{"": _id}``."""
    return "~" + base64.urlsafe_b64encode(document_id).rstrip(b"=").decode()


def decoded(document_id: bytes) -> Any:
    """The value in the BSON of ``{"": _id}``, for a filter. Raises UnreadableDocumentId."""
    if document_id[4] == _OBJECT_ID_TYPE:  # as nearly all are, by the million
        return ObjectId(document_id[6:18])
    try:
        return bson.decode(document_id, _ANY_DATE)[""]
    except BSONError as error:
        raise UnreadableDocumentId from error


def is_same_id(one: bytes, other: bytes) -> bool:
    """Tell whether two values are one ``_id``: the same, or numbers of any type that are equal."""
    if one == other:
        return True
    number, another = _number_of(one), _number_of(other)
    if number is None or another is None:
        return False
    if number.is_nan() or another.is_nan():
        return number.is_nan() and another.is_nan()
    return number == another


def is_readable(document_id: bytes) -> bool:
    """Tell whether a query can name the document of this id."""
    try:
        decoded(document_id)
    except UnreadableDocumentId:
        return False
    return True


def _number_of(document_id: bytes) -> Decimal | None:
    """The number to its last digit; ``None`` for another type."""
    if document_id[4] not in NUMBERS:
        return None
    value = decoded(document_id)
    return value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)


def _from_base64(text: str) -> bytes:
    try:
        if not _BASE64URL.fullmatch(text):
            raise ValueError(text)
        encoded = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        found = field_of(encoded, "")
    except (ValueError, IndexError, binascii.Error) as error:
        raise InvalidDocumentId from error
    if found != encoded:
        raise InvalidDocumentId
    try:
        extended_json.render(encoded)  # checks what is inside
    except ValueError as error:
        raise UnreadableDocumentId from error
    return encoded

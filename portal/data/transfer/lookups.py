"""Documents that are there already, by the key that an import knows them by."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bson
from bson import ObjectId
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from portal.data.formats.records import Fault
from portal.data.queries import CODEC
from portal.tenants.elements import field_of, id_of

_DOCUMENT, _ARRAY, _UNDEFINED, _OBJECT_ID = 0x03, 0x04, 0x06, 0x07
_NULL, _REGEX = 0x0A, 0x0B
_NO_KEYS = {
    _ARRAY: "a list",
    _UNDEFINED: "undefined",
    _NULL: "null",
    _REGEX: "a pattern",
}


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A value of the key: equal where MongoDB holds them for equal, so 1 and 1.0 are one."""

    comparable: Any
    encoded: bytes

    @property
    def value(self) -> Any:
        """The value, for a filter."""
        if self.encoded[4] == _OBJECT_ID:
            return ObjectId(self.encoded[6:18])
        return bson.decode(self.encoded, CODEC)[""]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyValue) and self.comparable == other.comparable

    def __hash__(self) -> int:
        return hash(self.comparable)


def key_of(document: bytes, path: str) -> KeyValue | str:
    """The value of the key in a document, or in words why it has none."""
    encoded = _value_at(document, path)
    if encoded is None:
        return "missing"
    if encoded[4] == _OBJECT_ID:
        return KeyValue(encoded, encoded)
    if encoded[4] in _NO_KEYS:
        return _NO_KEYS[encoded[4]]
    value = KeyValue(None, encoded).value
    if isinstance(value, bool) or not isinstance(value, int | float | Int64 | Decimal128):
        return KeyValue(encoded, encoded)
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    return KeyValue(("number", number if number == number else "NaN"), encoded)  # noqa: PLR0124


def no_key(path: str, reason: str) -> Fault:
    """The fault of a record without key."""
    return Fault(f"The key {path} is {reason}", path)


def find_existing(
    handle: Any, path: str, keys: Iterable[KeyValue], *, whole: bool
) -> dict[KeyValue, list[bytes]]:
    """The documents that have one of these keys; with their key and ``_id`` alone unless they are
    wanted ``whole``."""
    query = {path: {"$in": [key.value for key in keys]}}
    projection = None if whole else {path: 1}
    found: dict[KeyValue, list[bytes]] = {}
    for document in handle.find(query, projection):
        encoded = bytes(document.raw)
        key = key_of(encoded, path)
        if isinstance(key, KeyValue):
            found.setdefault(key, []).append(encoded)
    return found


def _value_at(document: bytes, path: str) -> bytes | None:
    if path == "_id" and document[5:9] == b"_id\0":
        return id_of(document)
    value = None
    for part in path.split("."):
        value = field_of(document, part)
        if value is None:
            return None
        document = value[6:-1] if value[4] == _DOCUMENT else b"\5\0\0\0\0"
    return value

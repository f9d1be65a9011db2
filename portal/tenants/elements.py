"""Elements of encoded documents: the exact bytes of a field, which decoding may change."""

import re
from collections.abc import Iterator

from bson import ObjectId

_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8,
          0x13: 16, 0x7F: 0, 0xFF: 0}  # fmt: skip
_SIZED_STRING = (0x02, 0x0D, 0x0E)
_SIZED_WHOLE = (0x03, 0x04, 0x0F)
_BINARY, _REGEX, _DB_POINTER = 0x05, 0x0B, 0x0C
_DOCUMENT, _ARRAY, _UNDEFINED, _OBJECT_ID = 0x03, 0x04, 0x06, 0x07
_UNSTORABLE = frozenset({_ARRAY, _UNDEFINED, _REGEX})
_TIMESTAMP = 0x11
_EMPTY_TIMESTAMP = re.compile(rb"\x11[^\0]*\0{9}")
_ZEROS = bytes(9)
_OF = bytes((_OBJECT_ID,)) + b"o\0"
# For documents as nearly all are: with an _id of one of these types in front, by their sizes.
_SIMPLE = {kind: size for kind, size in _FIXED.items() if kind not in _UNSTORABLE}
_ID_HEADS = {
    kind: (size + 7).to_bytes(4, "little") + bytes((kind, 0)) for kind, size in _SIMPLE.items()
}
_WRAPPED_HEADS = {
    kind: b"\x03_id\0" + (size + 23).to_bytes(4, "little") + _OF for kind, size in _SIMPLE.items()
}
_WRAPPING_BYTES = 23


def field_of(document: bytes, name: str) -> bytes | None:
    """The BSON of ``{"": value}`` for the first top-level field of this name; ``None`` without
    one."""
    found = _find(document, name)
    if found is None:
        return None
    start, value, end = found
    return framed(bytes((document[start], 0)) + document[value:end])


def with_wrapped_id(document: bytes, organization: ObjectId) -> bytes | None:
    """The document with its ``_id`` in front, stored as ``{o: organization, i: _id}``; ``None``
    without one. One of a type that the server refuses stays, so that it does."""
    if document[5:9] == b"_id\0" and (head := _WRAPPED_HEADS.get(document[4])) is not None:
        end = 9 + _SIMPLE[document[4]]
        length = (len(document) + _WRAPPING_BYTES).to_bytes(4, "little")
        inner = document[4:5] + b"i\0" + document[9:end] + b"\0"
        return b"".join((length, head, organization.binary, inner, document[end:]))
    found = _find(document, "_id")
    if found is None:
        return None
    start, value, end = found
    kind = document[start]
    if kind in _UNSTORABLE:
        return document
    wrapped = framed(_OF + organization.binary + bytes((kind,)) + b"i\0" + document[value:end])
    rest = document[4:start] + document[end:-1]
    return framed(bytes((_DOCUMENT,)) + b"_id\0" + wrapped + rest)


def with_unwrapped_id(document: bytes) -> bytes:
    """The document with its ``_id`` as it was before it was wrapped. Where a projection left
    nothing of it, it has none."""
    if document[29:31] == b"i\0" and document[4:16] == _WRAPPED_HEADS.get(document[28]):
        end = 31 + _SIMPLE[document[28]]
        length = (len(document) - _WRAPPING_BYTES).to_bytes(4, "little")
        own_id = document[28:29] + b"_id\0" + document[31:end]
        return b"".join((length, own_id, document[end + 1 :]))
    found = _find(document, "_id")
    if found is None:
        return document
    start, value, end = found
    inner = _find(document[value:end], "i")
    if inner is None:
        return framed(document[4:start] + document[end:-1])
    kind_at, from_, to = (value + each for each in inner)
    kind = document[kind_at : kind_at + 1]
    own = kind + b"_id\0" + document[from_:to]
    return framed(document[4:start] + own + document[end:-1])


def id_of(document: bytes) -> bytes:
    """The BSON of ``{"": _id}`` of a stored document."""
    if document[5:9] == b"_id\0" and (head := _ID_HEADS.get(document[4])) is not None:
        return head + document[9 : 9 + _SIMPLE[document[4]]] + b"\0"
    found = field_of(document, "_id")
    if found is None:
        raise ValueError("a stored document has an _id")
    return found


def framed_id(document_id: bytes) -> bytes:
    """The document that has nothing but this ``_id``."""
    return framed(document_id[4:5] + b"_id\0" + document_id[6:-1])


def with_id(document: bytes) -> tuple[bytes, bytes]:
    """The document, with a new ObjectId in front where it has no ``_id``, and the BSON of
    ``{"": _id}``."""
    found = field_of(document, "_id")
    if found is not None:
        return document, found
    value = ObjectId().binary
    return framed(b"\x07_id\0" + value + document[4:-1]), framed(b"\x07\0" + value)


def with_id_in_front(document: bytes) -> bytes:
    """The document as the server stores it: its ``_id`` in front."""
    found = None if document[5:9] == b"_id\0" else _find(document, "_id")
    if found is None:
        return document
    start, _, end = found
    return framed(document[start:end] + document[4:start] + document[end:-1])


def has_empty_timestamp(document: bytes) -> bool:
    """Tell whether a top-level field but ``_id`` is ``Timestamp(0, 0)``, for which the server puts
    its time when it inserts."""
    # At whatever level, or what looks like one.
    if _ZEROS not in document or _EMPTY_TIMESTAMP.search(document) is None:
        return False
    position, end = 4, len(document) - 1
    while position < end:
        kind, key_end = document[position], document.index(0, position + 1)
        value_end = end_of_value(document, kind, key_end + 1)
        empty = kind == _TIMESTAMP and not any(document[key_end + 1 : value_end])
        if empty and document[position + 1 : key_end] != b"_id":
            return True
        position = value_end
    return False


def has_name_twice(document: bytes, start: int = 0) -> bool:
    """Tell whether two fields that stand beside each other have one name, at any depth."""
    names = set()
    for kind, name, value_start, _ in elements_of(document, start):
        if name in names:
            return True
        names.add(name)
        if kind in (_DOCUMENT, _ARRAY) and has_name_twice(document, value_start):
            return True
    return False


def elements_of(document: bytes, start: int = 0) -> Iterator[tuple[int, bytes, int, int]]:
    """The elements of the document that begins at ``start``, in their order: the type of each, its
    encoded name, and where its value begins and ends."""
    position = start + 4
    end = start + int.from_bytes(document[start:position], "little") - 1
    while position < end:
        key_end = document.index(0, position + 1)
        value_end = end_of_value(document, document[position], key_end + 1)
        yield document[position], document[position + 1 : key_end], key_end + 1, value_end
        position = value_end


def framed(elements: bytes) -> bytes:
    """The document of these encoded elements."""
    return (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"


def end_of_value(document: bytes, kind: int, start: int) -> int:
    """The end of the value of this type that begins at ``start``. Raises ValueError for a type that
    BSON hasn't."""
    if kind in _FIXED:
        return start + _FIXED[kind]
    if kind == _REGEX:
        return document.index(0, document.index(0, start) + 1) + 1
    size = int.from_bytes(document[start : start + 4], "little")
    if kind in _SIZED_STRING:
        return start + 4 + size
    if kind in _SIZED_WHOLE:
        return start + size
    if kind == _BINARY:
        return start + 5 + size
    if kind == _DB_POINTER:
        return start + 4 + size + 12
    raise ValueError(f"no type of BSON: {kind}")


def _find(document: bytes, name: str) -> tuple[int, int, int] | None:
    """The positions of the first top-level field of this name: its begin, its value's, its end."""
    wanted = name.encode()
    position, end = 4, len(document) - 1
    while position < end:
        key_end = document.index(0, position + 1)
        value_end = end_of_value(document, document[position], key_end + 1)
        if document[position + 1 : key_end] == wanted:
            return position, key_end + 1, value_end
        position = value_end
    return None

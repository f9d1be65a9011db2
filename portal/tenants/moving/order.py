"""The order of ids in an index on ``_id``, as far as it can be told without asking the server.

By the comparison order of BSON types in MongoDB's manual; values of one type as the server's
indexes compare them.
"""

import math
import struct
from collections.abc import Callable
from typing import Any

_NULL, _STRING, _BINARY = 0x0A, 0x02, 0x05
_OLD_BINARY = 2
# Numbers are of one rank, and so are strings and symbols.
_RANKS = {
    kind: rank
    for rank, kinds in enumerate(
        [
            (0xFF,), (_NULL,), (0x01, 0x10, 0x12, 0x13), (_STRING, 0x0E), (0x03,), (_BINARY,),
            (0x07,), (0x08,), (0x09,), (0x11,), (0x0C,), (0x0D,), (0x0F,), (0x7F,),
        ]
    )
    for kind in kinds
}  # fmt: skip


def _unpack(format_: str) -> Callable[[bytes], Any]:
    return lambda value: struct.unpack(format_, value)[0]


def _double_key(value: bytes) -> float | None:
    number: float = struct.unpack("<d", value)[0]
    return None if math.isnan(number) else number


def _binary_key(value: bytes) -> tuple[int, bytes] | None:
    # An index knows the older form without the second length in it.
    return None if value[4] == _OLD_BINARY else (len(value), value[4:])


# What compares two values of one rank; those of other types, as objects and decimals, can't be.
_KEYS: dict[int, Callable[[bytes], Any]] = {
    0x01: _double_key,
    0x10: _unpack("<i"),
    0x12: _unpack("<q"),
    _STRING: lambda value: value[4:-1],
    _BINARY: _binary_key,
    0x07: bytes,
    0x08: bytes,
    0x09: _unpack("<q"),
    0x11: _unpack("<Q"),
}


def is_behind(document_id: bytes, other: bytes, *, collated: bool) -> bool | None:
    """Tell whether the id comes behind the other one, both BSON of ``{"": _id}``; ``None`` where
    that can't be told here. In a ``collated`` collection strings have an order of their own."""
    kind, other_kind = document_id[4], other[4]
    rank, other_rank = _RANKS[kind], _RANKS[other_kind]
    if rank != other_rank:
        return rank > other_rank
    if kind not in _KEYS or other_kind not in _KEYS or (collated and kind == _STRING):
        return None
    key, other_key = (_KEYS[each[4]](each[6:-1]) for each in (document_id, other))
    return None if key is None or other_key is None else bool(key > other_key)

"""Documents as organizations may have them: what PyMongo makes no value of is among them."""

from datetime import UTC, datetime

import bson
from bson import (
    Binary,
    Code,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)

from portal.tenants.elements import framed, framed_id, id_of


def encoded(document):
    return bson.encode(document)


def elements(document):
    return bson.encode(document)[4:-1]


def an_id(value):
    return bson.encode({"": value})


def raw_id(kind, value):
    return framed(bytes([kind, 0]) + value)


VALUES = [
    MinKey(), None, float("nan"), -float("inf"), -1, 0.5, Int64(7), Decimal128("9.1"), 2**40, "",
    "B", "a", "ä", "a\0b", {}, {"": 1}, {"a": 1}, {"a": {"b": MaxKey()}}, {"o": 1, "i": 2},
    DBRef("x", 1), Binary(b"", 0), Binary(b"x", 0), Binary(b"x", 5), Binary(b"\0" * 16, 4),
    ObjectId(b"0" * 12), ObjectId(b"1" * 12), False, True,
    datetime(1960, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC), Timestamp(0, 0),
    Timestamp(1, 1), Code("f"), Code("f", {"a": 1}), MaxKey(),
]  # fmt: skip
UNDECODABLE = [
    raw_id(0x02, b"\4\0\0\0\xff\xfe\xfd\0"),  # a string that isn't UTF-8
    raw_id(0x09, (2**62).to_bytes(8, "little")),  # a date long after the last one of Python
    raw_id(0x0C, b"\2\0\0\0c\0" + b"0" * 12),  # DBPointer
    raw_id(0x0E, b"\2\0\0\0s\0"),  # Symbol
]
IDS = [*map(an_id, VALUES), *UNDECODABLE]
"""An id of each type that there may be, some several times."""


def nested(levels):
    inner = elements({"v": 1})
    for _ in range(levels):
        inner = b"\x03n\0" + framed(inner)
    return inner


FIELDS = [
    elements({"values": [*VALUES, Regex("a", "i")], "regex": Regex("^b", "x")}),
    b"".join(each[4:5] + b"f%d\0" % n + each[6:-1] for n, each in enumerate(UNDECODABLE)),
    b"\x06undefined\0",
    elements({"twice": 1}) + elements({"twice": "two"}),
    elements({"now": Timestamp(0, 0), "in": {"now": Timestamp(0, 0)}, "after": 1}),
    elements({"now": Timestamp(0, 0)}) + elements({"twice": 1}) + elements({"twice": 2}),
    elements({"$set": {"$inc": 1}, "a.b": {"c.d": 1}, "": {"": ""}}),
    elements({"$now": Timestamp(0, 0), "a.b": Timestamp(0, 0)}),
    nested(175),
    nested(175) + elements({"now": Timestamp(0, 0)}),
    elements({"b": 1, "a": 2, "c": []}),
]
"""What beside its id a document may have: deprecated types, two fields of one name, and what the
server puts its time for."""


def documents():
    """A document for each id and for each of those."""
    ids = [framed_id(each)[4:-1] + elements({"n": n}) for n, each in enumerate(IDS)]
    fields = [elements({"_id": f"fields {n}"}) + each for n, each in enumerate(FIELDS)]
    return {id_of(each): each for each in map(framed, [*ids, *fields])}


def of_size(document_id, size_bytes):
    """A document of exactly that size."""
    rest = size_bytes - len(encoded({"_id": document_id, "pad": ""}))
    return encoded({"_id": document_id, "pad": "x" * rest})

"""Documents of all types of BSON, as bytes: also those that Python's types would change."""

import struct

import bson
from hypothesis import strategies as st

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "", "01067", "=SUM(A1)", "'=x", "''-y", "-42", "+49 30", "@a", "\tb", "a\rb", "a\nb",
            'say "x"', "a,b;c", "ejson:1", "ejson:", "null", "NaN", "true", "\ufeffa", " a ",
            "6b0bfaa698c9c3e915f0b483", "a\0b", "\u2028", "$end", "{}", "\x0b\x1c",
        ]
    ),
)  # fmt: skip
NAMES = st.one_of(
    st.text(max_size=4).filter(lambda name: "\0" not in name),
    st.sampled_from(
        ["_id", "a", "b", "a.b", "$x", "", "0", "1", "\\", "a\\", "$oid", "$numberInt", "$ref",
         "$regex", "$bson", "$end", "$error", "__proto__", "a b", " a", "=a", "x.string()"]
    ),
)  # fmt: skip


def _string(text):
    encoded = text.encode() + b"\0"
    return struct.pack("<i", len(encoded)) + encoded


def _of(kind, payloads):
    return payloads.map(lambda payload: (kind, payload))


def _numbers(form, **bounds):
    return st.integers(**bounds).map(lambda value: struct.pack(form, value))


def _binary(content, subtype):
    if subtype == 2:
        content = struct.pack("<i", len(content)) + content
    return struct.pack("<i", len(content)) + bytes([subtype]) + content


TEXT_PAYLOADS = TEXTS.map(_string)
OBJECT_IDS = st.binary(min_size=12, max_size=12)
INT64 = {"min_value": -(2**63), "max_value": 2**63 - 1}
DATES = st.one_of(
    _numbers("<q", **INT64),
    _numbers("<q", min_value=-62135596800000, max_value=253402300799999),
)
DOUBLES = st.one_of(
    st.floats(allow_nan=True).map(lambda value: struct.pack("<d", value)),
    st.sampled_from([struct.pack("<Q", 0x7FF8000000000123), struct.pack("<d", -0.0)]),
)
DECIMALS = st.decimals(allow_nan=True, places=3, min_value=-(10**12), max_value=10**12).map(
    lambda value: bson.Decimal128(value).bid
)
SCALARS = st.one_of(
    _of(0x01, DOUBLES),
    _of(0x02, TEXT_PAYLOADS),
    _of(0x02, TEXT_PAYLOADS),
    _of(0x05, st.builds(_binary, st.binary(max_size=20), st.sampled_from([0, 2, 3, 4, 5, 128]))),
    _of(0x05, st.builds(_binary, st.binary(min_size=16, max_size=16), st.just(4))),
    _of(0x06, st.just(b"")),
    _of(0x07, OBJECT_IDS),
    _of(0x08, st.sampled_from([b"\0", b"\1"])),
    _of(0x09, DATES),
    _of(0x0A, st.just(b"")),
    _of(0x0B, st.sampled_from([b"a\0i\0", b"^x.*\0ims\0", b"\0\0"])),
    _of(0x0C, st.builds(lambda name, oid: _string(name) + oid, st.just("db.c"), OBJECT_IDS)),
    _of(0x0D, TEXT_PAYLOADS),
    _of(0x0E, TEXT_PAYLOADS),
    _of(0x10, _numbers("<i", min_value=-(2**31), max_value=2**31 - 1)),
    _of(0x11, st.binary(min_size=8, max_size=8)),
    _of(0x12, _numbers("<q", **INT64)),
    _of(0x12, _numbers("<q", min_value=-5, max_value=5)),
    _of(0x13, DECIMALS),
    _of(0x13, st.binary(min_size=16, max_size=16)),
    _of(0x7F, st.just(b"")),
    _of(0xFF, st.just(b"")),
)


def framed(elements):
    body = b"".join(bytes([kind]) + name.encode() + b"\0" + value for name, kind, value in elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _nested(values):
    fields = st.lists(st.tuples(NAMES, values), max_size=3).map(
        lambda pairs: (0x03, framed((name, *value) for name, value in pairs))
    )
    lists = st.lists(values, max_size=3).map(
        lambda found: (0x04, framed((str(at), *value) for at, value in enumerate(found)))
    )
    scoped = st.builds(lambda code, scope: (0x0F, _sized(_string(code) + scope[1])), TEXTS, fields)
    return st.one_of(fields, lists, scoped)


def _sized(content):
    return struct.pack("<i", len(content) + 4) + content


VALUES = st.recursive(SCALARS, _nested, max_leaves=6)
DOCUMENTS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(
    lambda pairs: framed((name, *value) for name, value in pairs)
)
"""Any document, also one with a name twice."""

_RECORD_NAMES = ["_id", "name", "n", "address", "price", "due", "note"]
RECORDS = st.lists(
    st.tuples(st.sampled_from(_RECORD_NAMES), VALUES), max_size=6, unique_by=lambda pair: pair[0]
).map(lambda pairs: framed((name, *value) for name, value in sorted(pairs)))
"""Documents alike: the same names in one order, with values of any type."""

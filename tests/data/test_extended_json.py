"""Extended JSON is read strictly, with the place of each fault, and written to the byte."""

import json
import time
from datetime import UTC, datetime

import bson
import pytest
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.data import json_types
from portal.data.errors import InvalidExtendedJson
from portal.data.extended_json import is_exact, parse, parse_array, parse_value, render
from portal.tenants.elements import field_of, with_id

ID = "6b0bfaa698c9c3e915f0b483"
REFUSED = {
    '{"a": 1, "a": 2}': "/a",
    '{"a": {"b": [1, {"c": 1, "c": 1}]}}': "/a/b/1/c",
    '{"a": NaN}': "/a",
    '{"a": [1, -Infinity]}': "/a/1",
    '{"a": 1e400}': "/a",
    '{"a": 1e-400}': "/a",
    '{"a": 9223372036854775808}': "/a",
    '{"a": ' + "9" * 5000 + "}": "/a",
    '{"a": 27096761719904980000}': "/a",
    '{"a":{"b":[1,-18446744073709551617]}}': "/a/b/1",
    '{"a": {"$timestamp": {"t": 18446744073709551617, "i": 0}}}': "/a",
    '{"a": {"$numberLong": "27096761719904980000"}}': "/a",
    '{"a": {"$numberInt": "2147483648"}}': "/a",
    '{"a": {"$numberInt": 5}}': "/a",
    '{"a": {"$numberInt": " 5"}}': "/a",
    '{"a": {"$numberLong": "9223372036854775808"}}': "/a",
    '{"a": {"$numberDouble": "1e400"}}': "/a",
    '{"a": {"$numberDouble": "0x1p3"}}': "/a",
    '{"a": {"$numberDecimal": "1E7000"}}': "/a",
    '{"a~/b": {"x\\u0000": 1}}': "/a~0~1b/x\\u0000",
    '{"a": "\\ud800"}': "/a",
    '{"a": "x\\udfff"}': "/a",
    '{"a": {"$date": 42}}': "/a",
    '{"a": {"$date": "2020-02-30T00:00:00Z"}}': "/a",
    '{"a": {"$date": "2020-01-01"}}': "/a",
    '{"a": {"$oid": "zz"}}': "/a",
    '{"a": {"$oid": "' + ID + '", "b": 1}}': "/a",
    '{"a": {"$binary": "AAAA", "$type": "00"}}': "/a",
    '{"a": {"$binary": {"base64": "AAA", "subType": "00"}}}': "/a",
    '{"a": {"$uuid": "not-one"}}': "/a",
    '{"a": {"$undefined": false}}': "/a",
    '{"a": {"$minKey": 2}}': "/a",
    '{"a": {"$timestamp": {"t": 4294967296, "i": 0}}}': "/a",
    '{"a": {"$regularExpression": {"pattern": "a", "options": "z"}}}': "/a",
    '{"a": {"$scope": {}}}': "/a",
    '{"$oid": "' + ID + '"}': "/",
    "[1]": "/",
    "5": "/",
    "": "line 1, column 1",
    '{"a": 1,}': "line 1, column 9",
    '{"a":\n 01}': "line 2, column 3",
    "{'a': 1}": "line 1, column 2",
    '{"a": 1} x': "line 1, column 10",
    "\ufeff\ufeff{}": "line 1, column 1",
    "[" * 5000: "/",
    '{"a":' * 101 + "1" + "}" * 101: "/a" * 100,
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_fault_is_told_with_its_place(text):
    with pytest.raises(InvalidExtendedJson) as refused:
        parse(text)
    place = REFUSED[text]
    assert [*refused.value.fields] == [place if len(place) <= 200 else f"…{place[-200:]}"]


def test_bytes_that_are_no_utf_8_are_refused():
    with pytest.raises(InvalidExtendedJson, match="Byte 8"):
        parse(b'{"a": "\xff"}')


@pytest.mark.parametrize(
    "document",
    [
        b"\x14\0\0\0\x04a\0\x0c\0\0\0\x10b\0\x0a\0\0\0\0\0",
        b"\x0d\0\0\0\x0ba\0x\0mi\0\0",
        b"\x18\0\0\0\x13a\0" + b"\xff" * 15 + b"\x6c\0",
    ],
    ids=["an array's index", "a pattern's options", "a decimal that is 0"],
)
def test_a_value_of_an_unusual_encoding_is_told_to_be_inexact(document):
    text = render(document)
    assert not is_exact(document, text)
    assert is_exact(parse(text), text)


EVERY_TYPE = {
    "_id": ObjectId(ID),
    "int": 5,
    "long": Int64(5),
    "double": 5.0,
    "negative zero": -0.0,
    "huge": 1.2345678921232e18,
    "nan": float("nan"),
    "decimal": Decimal128("12.50"),
    "date": datetime(2026, 1, 1, tzinfo=UTC),
    "binary": Binary(b"\0\1\2", 0x80),
    "uuid": Binary(b"0123456789abcdef", 4),
    "code": Code("f(\0)"),
    "scoped": Code("é\0", {"x": Int64(1)}),
    "regex": Regex("^a/", "im"),
    "timestamp": Timestamp(4294967295, 1),
    "least": MinKey(),
    "most": MaxKey(),
    "text": "🙂\0\u2028 $x",
    "nested": {"10": 1, "2": [True, None, {"a.b": {"": 1}}]},
    "plain": {"$regex": "a", "$options": "i"},
    "reference": {"$ref": "c", "$id": ObjectId(ID), "$db": "d"},
}


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_canonical_text_is_read_as_the_same_bytes(name):
    document = bson.encode({name: EVERY_TYPE[name]})
    text = render(document)
    assert parse(text) == document
    assert is_exact(document, text)
    assert parse(json.dumps(json.loads(text))) == document  # with everything escaped


# Written by hand, byte by byte: an error that reader and writer share with the driver would show.
VECTORS = {
    "a double": ("10000000 01 6100 000000000000f83f 00", '{"a": {"$numberDouble": "1.5"}}'),
    "minus zero": ("10000000 01 6100 0000000000000080 00", '{"a": {"$numberDouble": "-0.0"}}'),
    "infinity": ("10000000 01 6100 000000000000f07f 00", '{"a": {"$numberDouble": "Infinity"}}'),
    "not a number": ("10000000 01 6100 000000000000f87f 00", '{"a": {"$numberDouble": "NaN"}}'),
    "two bytes, a zero": ("11000000 02 6100 05000000 c3a90062 00 00", '{"a": "é\\u0000b"}'),
    "nested": ("14000000 03 6100 0c000000 03 00 0500000000 00 00", '{"a": {"": {}}}'),
    "an array": (
        "14000000 04 6100 0c000000 10 3000 ffffffff 00 00",
        '{"a": [{"$numberInt": "-1"}]}',
    ),
    "no bytes": (
        "0d000000 05 6100 00000000 00 00",
        '{"a": {"$binary": {"base64": "", "subType": "00"}}}',
    ),
    "two of a user's": (
        "0f000000 05 6100 02000000 80 ff01 00",
        '{"a": {"$binary": {"base64": "/wE=", "subType": "80"}}}',
    ),
    "an id": (
        "14000000 07 6100 000102030405060708090a0b 00",
        '{"a": {"$oid": "000102030405060708090a0b"}}',
    ),
    "false": ("09000000 08 6100 00 00", '{"a": false}'),
    "before 1970": (
        "10000000 09 6100 ffffffffffffffff 00",
        '{"a": {"$date": {"$numberLong": "-1"}}}',
    ),
    "nothing": ("08000000 0a 6100 00", '{"a": null}'),
    "a pattern": (
        "0e000000 0b 6100 622f00 696d00 00",
        '{"a": {"$regularExpression": {"pattern": "b/", "options": "im"}}}',
    ),
    "a reference": (
        "1a000000 0c 6100 02000000 6200 000102030405060708090a0b 00",
        '{"a": {"$dbPointer": {"$ref": "b", "$id": {"$oid": "000102030405060708090a0b"}}}}',
    ),
    "code": ("0e000000 0d 6100 02000000 7800 00", '{"a": {"$code": "x"}}'),
    "code in a scope": (
        "17000000 0f 6100 0f000000 02000000 7800 05000000 00 00",
        '{"a": {"$code": "x", "$scope": {}}}',
    ),
    "the least int": ("0c000000 10 6100 00000080 00", '{"a": {"$numberInt": "-2147483648"}}'),
    "a timestamp": (
        "10000000 11 6100 02000000 ffffffff 00",
        '{"a": {"$timestamp": {"t": 4294967295, "i": 2}}}',
    ),
    "the least long": (
        "10000000 12 6100 0000000000000080 00",
        '{"a": {"$numberLong": "-9223372036854775808"}}',
    ),
    "a decimal with zeros": (
        "18000000 13 6100 78000000000000000000000000003c30 00",
        '{"a": {"$numberDecimal": "1.20"}}',
    ),
    "the least key": ("08000000 ff 6100 00", '{"a": {"$minKey": 1}}'),
    "a name of dots": ("0d000000 0a 612e622e2463 00 00", '{"a.b.$c": null}'),
}


@pytest.mark.parametrize("name", VECTORS)
def test_bytes_and_text_are_each_others(name):
    document, text = bytes.fromhex(VECTORS[name][0]), VECTORS[name][1]
    assert len(document) == int.from_bytes(document[:4], "little")
    assert parse(text) == document
    assert json.loads(render(document)) == json.loads(text)
    assert is_exact(document, text)


BEYOND = {
    "year 10000": b"\x10\0\0\0\x09a\0\x00\xdc\x1f\xd2w\xe6\0\0\0",
    "symbol": b"\x0e\0\0\0\x0ea\0\x02\0\0\0x\0\0",
    "undefined": b"\x08\0\0\0\x06a\0\0",
    "dbPointer": b"\x1a\0\0\0\x0ca\0\x02\0\0\0b\0" + bytes(12) + b"\0",
}


@pytest.mark.parametrize("kind", BEYOND)
def test_what_the_driver_cannot_carry_stays_as_it_is(kind):
    assert parse(render(BEYOND[kind])) == BEYOND[kind]


def test_where_text_would_mean_something_else_it_is_told():
    twice = b"\x13\0\0\0\x10a\0\x01\0\0\0\x10a\0\x02\0\0\0\0"
    typed = bson.encode({"a": {"$oid": ID}})
    extra = bson.encode({"a": {"$numberInt": "5", "b": 1}})
    for document in (twice, typed, extra):
        assert not is_exact(document, render(document))
    plain = bson.encode({"a": "$oid"})
    assert is_exact(plain, render(plain))


def test_relaxed_text_of_a_small_int64_says_less_than_canonical():
    document = bson.encode({"a": Int64(5)})
    assert parse(render(document, relaxed=True)) == bson.encode({"a": 5})
    assert parse(render(document)) == document


def test_100_levels_are_read_and_deeper_documents_are_told():
    for levels in (98, 99, 100):
        assert parse('{"a":' * levels + "1" + "}" * levels)
    deep = {}
    for _ in range(150):
        deep = {"a": deep}
    document = bson.encode(deep)
    assert not is_exact(document, render(document))


@pytest.mark.attack("D1")
@pytest.mark.parametrize("name", sorted(json_types.TYPES.keys() - {"$symbol", "$code"}))
def test_no_value_takes_longer_to_be_refused_than_by_its_length(name):
    """A page's address, a path or a document held a worker for minutes, when a pattern went by the
    square."""
    for part in ("0", "1.", "1e", ".", "-", "i", "imx", "NaN", "A=", "f", " "):
        text = (part * 60_000)[:60_000] + "x"
        value = {"pattern": "a", "options": text} if name == "$regularExpression" else text
        begun = time.thread_time()
        with pytest.raises(InvalidExtendedJson):
            parse(json.dumps({"a": {name: value}}))
        assert time.thread_time() - begun < 1


def test_an_array_is_read_as_its_documents():
    first, second = bson.encode({"a": 1}), bson.encode({"a": Int64(1)})
    assert parse_array('[{"a": 1}, {"a": {"$numberLong": "1"}}]') == [first, second]
    assert parse_array(' {"a": 1}') == [first]
    with pytest.raises(InvalidExtendedJson) as refused:
        parse_array('[{"a": 1}, {"b": [NaN]}]')
    assert [*refused.value.fields] == ["/1/b/0"]


def test_a_byte_order_mark_in_front_is_no_part_of_the_text():
    document = bson.encode({"a": "\ufeff"})
    assert parse('\ufeff{"a": "\ufeff"}'.encode()) == document
    assert parse_array('\ufeff[{"a": "\ufeff"}]') == [document]


def test_a_missing_id_is_put_in_front():
    document, document_id = with_id(bson.encode({"a": 1}))
    assert [*bson.decode(document)] == ["_id", "a"]
    assert bson.decode(document_id)[""] == bson.decode(document)["_id"]
    given = bson.encode({"a": 1, "_id": {"b": 1, "a": 2}})
    assert with_id(given) == (given, bson.encode({"": {"b": 1, "a": 2}}))


def test_every_type_is_stepped_over_to_a_field():
    document = bson.encode({**EVERY_TYPE, "last": "here"})
    assert field_of(document, "last") == bson.encode({"": "here"})
    assert field_of(document, "missing") is None
    for kind, document in BEYOND.items():
        assert field_of(document, "a") is not None, kind


texts = st.text(st.characters(codec="utf-8"), max_size=8)
keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
numbers = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1).map(Int64), st.floats()
)
leaves = st.one_of(texts, numbers, st.booleans(), st.none(), st.binary(max_size=5))
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)


@settings(max_examples=100, deadline=None, database=None)
@given(st.dictionaries(keys, values, max_size=4))
@pytest.mark.slow
def test_any_document_comes_back_or_is_told(document):
    encoded = bson.encode(document)
    text = render(encoded)
    try:
        read = parse(text)
    except InvalidExtendedJson:
        read = None
    assert (read == encoded) == is_exact(encoded, text)


@settings(max_examples=100, deadline=None, database=None)
@given(values)
def test_any_value_comes_back(value):
    encoded = bson.encode({"": value})
    text = render(encoded).removeprefix('{ "" : ').removesuffix(" }")
    if is_exact(encoded, render(encoded)):
        assert parse_value(text) == encoded


def test_a_nan_with_a_payload_is_told():
    odd = b"\x10\0\0\0\x01a\0\x01\0\0\0\0\0\xf8\x7f\0"
    assert not is_exact(odd, render(odd))

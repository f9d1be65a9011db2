"""What people copy from a shell of MongoDB is read as what it says, and no code runs."""

import re
import time

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import BinaryVectorDtype
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

from portal.data import extended_json, nodes, shown
from portal.data.errors import InvalidExtendedJson
from portal.data.shell_syntax import LONGEST_TEXT, as_extended_json, normalized, read
from portal.tenants.elements import framed

OID = "65f0c2d4e8b7a913c0f55e10"


def value_of(text):
    encoded = read(extended_json.parse, f"{{v: {text}}}")
    options = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
    return bson.decode(encoded, options)["v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f'ObjectId("{OID}")', ObjectId(OID)),
        (f"new ObjectId('{OID}')", ObjectId(OID)),
        ('ISODate("2026-11-25T08:00:00.5Z")', DatetimeMS(1795593600500)),
        ('ISODate("2026-11-25T08:00:00")', DatetimeMS(1795593600000)),
        ('ISODate("20250225")', DatetimeMS(1740441600000)),
        ('ISODate("2025-02-25 04:57:00")', DatetimeMS(1740459420000)),
        ('ISODate("20250225T0457Z")', DatetimeMS(1740459420000)),
        ('ISODate("2025-02-25T04:57+01")', DatetimeMS(1740455820000)),
        ("ISODate('+012345-01-01T00:00:00.000Z')", DatetimeMS(327403382400000)),
        ("ISODate('-000001-12-31T00:00:00Z')", DatetimeMS(-62167305600000)),
        ('ISODate("0000-02-29")', DatetimeMS(-62162121600000)),
        ('ISODate("9999-12-31T23:59:59.999-05:00")', DatetimeMS(253402318799999)),
        ("ISODate(0)", DatetimeMS(0)),
        ("new Date('2026-11-25')", DatetimeMS(1795564800000)),
        ("new Date('2026-11-25T08:00:00.5+01:00')", DatetimeMS(1795590000500)),
        ('new Date("2025")', DatetimeMS(1735689600000)),
        ('Date("2025-02")', DatetimeMS(1738368000000)),
        ("new Date(-1)", DatetimeMS(-1)),
        ("Date(253402300800000)", DatetimeMS(253402300800000)),
        ("NumberInt(5)", 5),
        ('NumberLong("9223372036854775807")', Int64(2**63 - 1)),
        ("Long(5)", Int64(5)),
        ('Decimal128("1.10")', Decimal128("1.10")),
        ("Double(5)", 5.0),
        ('BinData(0, "AAEC")', b"\0\1\2"),
        ('UUID("00112233-4455-6677-8899-aabbccddeeff")',
         Binary(bytes.fromhex("00112233445566778899aabbccddeeff"), 4)),
        ('UUID("00112233445566778899AABBCCDDEEFF")',
         Binary(bytes.fromhex("00112233445566778899aabbccddeeff"), 4)),
        ('LUUID("00112233-4455-6677-8899-aabbccddeeff")',
         Binary(bytes.fromhex("00112233445566778899aabbccddeeff"), 3)),
        ('PYUUID("00112233-4455-6677-8899-aabbccddeeff")',
         Binary(bytes.fromhex("00112233445566778899aabbccddeeff"), 3)),
        ('JUUID("00112233-4455-6677-8899-aabbccddeeff")',
         Binary(bytes.fromhex("7766554433221100ffeeddccbbaa9988"), 3)),
        ('NUUID("00112233-4455-6677-8899-aabbccddeeff")',
         Binary(bytes.fromhex("33221100554477668899aabbccddeeff"), 3)),
        ('new CSUUID("00112233-4455-6677-8899-aabbccddeeff")',
         Binary(bytes.fromhex("33221100554477668899aabbccddeeff"), 3)),
        ("LegacyJavaUUID('00112233-4455-6677-8899-aabbccddeeff')",
         Binary(bytes.fromhex("7766554433221100ffeeddccbbaa9988"), 3)),
        ("Timestamp(7, 1)", Timestamp(7, 1)),
        ("Timestamp({ t: 1412180887, i: 1 })", Timestamp(1412180887, 1)),
        ("Binary.createFromBase64('AAEC', 0)", b"\0\1\2"),
        ("Binary.createFromBase64('AAEC')", b"\0\1\2"),
        ("Binary.createFromBase64('AAEC', 128)", Binary(b"\0\1\2", 128)),
        ("Binary.createFromHexString('0001ff', 6)", Binary(b"\0\1\xff", 6)),
        ('Binary(Buffer.from("0001ff", "hex"), 0)', b"\0\1\xff"),
        ('HexData(0, "0001ff")', b"\0\1\xff"),
        ("MD5('0123456789abcdef0123456789abcdef')",
         Binary(bytes.fromhex("0123456789abcdef0123456789abcdef"), 5)),
        ("Binary.fromInt8Array(new Int8Array([ 1, -2, 3 ]))", Binary(b"\3\0\1\xfe\3", 9)),
        ("Binary.fromPackedBits(new Uint8Array([\n 1, 255 ]))", Binary(b"\x10\0\1\xff", 9)),
        ("Binary.fromFloat32Array(new Float32Array([ 1.5, 1.100000023841858 ]))",
         Binary.from_vector([1.5, 1.100000023841858], BinaryVectorDtype.FLOAT32)),
        (f"DBRef('c', ObjectId('{OID}'), 'd')", DBRef("c", ObjectId(OID), "d")),
        ("DBRef('c', 'x(y)')", DBRef("c", "x(y)")),
        ("BSONRegExp('(?-i)AA_', 'im')", Regex("(?-i)AA_", "im")),
        ("BSONSymbol('abc')", "abc"),
        ("Code('f()')", Code("f()")),
        ("Code('f()', { a: Int32(1), b: 'x' })", Code("f()", {"a": 1, "b": "x"})),
        ("'one\\n' +\n    'two'", "one\ntwo"),
        ("`it's \"so\"`", 'it\'s "so"'),
        ("'\\x1B[0m \\x00'", "\x1b[0m \0"),
        ("-0", -0.0),
        ("MinKey()", MinKey()),
        ("MaxKey", MaxKey()),
        ("-Infinity", float("-inf")),
        ("/a\\/[b]+/i", Regex("a\\/[b]+", 2)),
        ("[1, 2.5, 'it\\'s \"so\"', ]", [1, 2.5, 'it\'s "so"']),
        ("{ /* one */ $in: null, 'a.b': true, // two\n 10: '' }", {"$in": None, "a.b": True, "10": ""}),
    ],
)  # fmt: skip
def test_types_are_read_in_the_shells_words(text, value):
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "db.c.find()",
        "{a: eval('1')}",
        "{a: function () { return 1 }}",
        "{a: 'x}",
        "{a: /* x}",
        "{a: 1 + 1}",
        "{a: `${x}`}",
        "{a: 'x' + y}",
        "{a: 'x' +}",
    ],
)
def test_what_is_no_value_is_refused_as_it_was_typed(text):
    with pytest.raises(InvalidExtendedJson) as as_typed:
        extended_json.parse(text)
    with pytest.raises(InvalidExtendedJson) as refused:
        read(extended_json.parse, text)
    assert refused.value.fields == as_typed.value.fields


@pytest.mark.parametrize(
    "text",
    [
        "{a: new Date()}",
        "{a: new Date('2026-11-25T08:00')}",  # where?
        "{a: ISODate(x)}",
        "{a: ISODate('2025')}",
        "{a: UUID('x')}",
        "{a: JUUID(5)}",
        "{a: ISODate('1740441600000')}",
        "{a: ISODate('2025-02-30')}",
        "{a: ISODate('2025-02-25T04:57:00.1234567Z')}",
        "{a: new Date('20250225')}",
        "{a: new Date('1740441600000')}",
        "{a: new Date('-1')}",
        "{a: new Date(2025, 1)}",
        "{a: Date(1.5)}",
        "{a: ObjectId()}",
        "{a: BinData('x', 'AAEC')}",
        "{a: Timestamp({ t: 1 })}",
        "{a: Timestamp({ t: 1, i: 1, x: 1 })}",
        "{a: Timestamp({ t: 1, i: f(1) })}",
        "{a: Binary.createFromBase64()}",
        "{a: Binary.createFromHexString('0')}",
        "{a: Binary.subtype_uuid(1)}",
        "{a: Binary.fromInt8Array(new Int8Array([ 128 ]))}",
        "{a: Binary.fromFloat32Array(new Float32Array([ 1e300 ]))}",
        "{a: Binary.fromFloat32Array(new Float32Array([ {} ]))}",
        "{a: DBRef('c')}",
        "{a: DBRef('c', {x: 1, x: 2})}",
        "{a: DBRef('c', 1, 'd', 'e')}",
        "{a: Code()}",
    ],
)
def test_a_type_that_says_no_value_is_named_at_its_place(text):
    with pytest.raises(InvalidExtendedJson) as refused:
        read(extended_json.parse, f"{{b: 1,\n{text[1:]}")
    name = re.match(r"\{a: (?:new )?([\w.]+)\(", text)[1]
    assert refused.value.fields == {"line 2, column 4": f"This {name}(…) is no value that is read."}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{a: ObjectId('65f0')}", "Not a $oid, or out of its range."),
        ("{a: 1, a: 2}", "This key is there twice."),
    ],
)
def test_a_value_that_is_none_is_told_at_its_field(text, reason):
    with pytest.raises(InvalidExtendedJson) as refused:
        read(extended_json.parse, text)
    assert refused.value.fields == {"/a": reason}


def test_json_stays_as_it_is():
    for text in ('{ "a" : 1 }', "{", '{"a": {"$oid": "x"}}'):
        assert normalized(text) == text
    assert normalized("{a: NaN}") == '{"a": {"$numberDouble": "NaN"}}'


def test_what_the_page_shows_as_json_is_read_as_the_same_bytes():
    document = bson.encode(
        {"_id": ObjectId(OID), "n": 5, "l": Int64(5), "d": 5.0, "e": Decimal128("1E+3"), "t": "a\n'\"\\",
         "w": DatetimeMS(1795593600500), "u": Binary(bytes(16), 4), "r": Regex("^x", "i"), "x": None,
         "nan": float("nan"), "s": Timestamp(7, 1), "min": MinKey(), "a.b": [{"c": True}, [], {}]}
    )  # fmt: skip
    lines = shown.lines(nodes.node_of(framed(b"\3\0" + document)), shown.Reader())
    text = "\n".join("".join(token.text for token in line) for line in lines)
    assert read(extended_json.parse, text) == document


@pytest.mark.parametrize("name", ["Timestamp", "Code", "Binary.fromInt8Array(Int8Array"])
def test_what_is_nested_without_end_is_no_value(name):
    text = f"{{a: {name}({'[' * 1500}{']' * 1500}{')' * (1 + name.count('('))}}}"
    assert as_extended_json(text) is None


@pytest.mark.parametrize(
    "part",
    ["/*", "//", "'", '"', "/", "ObjectId(", "{a:", "[", "a", "\\", "`", "''+", "'a' + ", "Code((",
     "Code()(", "DBRef(''", "Binary.", "Binary.a"],
)  # fmt: skip
def test_a_hostile_text_is_read_in_no_more_than_its_length(part):
    began = time.process_time()
    as_extended_json(part * (LONGEST_TEXT // 10 // len(part)))
    assert time.process_time() - began < 30  # days, if it went by the square

"""JSON, BSON and gzip are read strictly, with memory bounded by a document."""

import gzip
import json
import tracemalloc
import zlib

import bson
import pytest
from bson import Int64, Regex
from bson.binary import Binary

from portal.data.formats.detection import detect
from portal.data.formats.options import Format, ReadOptions
from portal.data.formats.reading import read

LINES, ARRAY = ReadOptions(Format.JSON_LINES), ReadOptions(Format.JSON_ARRAY)
BSON = ReadOptions(Format.BSON)
MEGABYTE = 1024 * 1024


def told(content, options):
    """The documents and the reasons, in order."""
    content = content.encode() if isinstance(content, str) else content
    return [
        bson.decode(record.document) if record.document else record.fault and record.fault.reason
        for record in read([content], options)
    ]


def test_lines_are_read_and_faults_have_line_record_place_and_reason():
    content = '\ufeff{"a": 1}\n\n{"a": {"b": NaN}}\r\n{"a": 1, "a": 2}\nx\n[]\n{"a": 2}'
    records = list(read([content.encode()], LINES))
    assert [(each.line, each.number, each.is_skipped) for each in records] == [
        (1, 1, False), (2, 1, True), (3, 2, False), (4, 3, False), (5, 4, False), (6, 5, False),
        (7, 6, False),
    ]  # fmt: skip
    faults = [each.fault[:2] for each in records if each.fault]
    assert faults[0][1] == "/a/b"
    assert faults[0][0].startswith('JSON has no NaN: send {"$numberDouble": "NaN"}')
    assert faults[1] == ("This key is there twice.", "/a")
    assert faults[2] == ("Not valid JSON: Expecting value (line 1, column 1).", None)
    assert faults[3] == ("Not an object.", None)
    assert records[2].fault.value == '{"a": {"b": NaN}}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1e400}', "Out of the range of a double."),
        ('{"a": {"$numberInt": "2147483648"}}', "Not a $numberInt, or out of its range."),
        ('{"a": 9223372036854775808}', "A whole number has 64 bits at most."),
        ('{"a": "\\ud800"}', "Half of a surrogate pair."),
        ('{"a":' * 200 + "1" + "}" * 200, "Nested deeper than 100 levels."),
        ("[" * 100_000, "Nested deeper than 100 levels."),
        (b'{"a": "\xff"}', "Byte 8 is not valid UTF-8."),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_no_document_is_refused_and_the_next_line_read(text, reason):
    content = (text if isinstance(text, bytes) else text.encode()) + b'\n{"b": 1}\n'
    assert told(content, LINES) == [reason, {"b": 1}]


def test_byte_order_marks_of_joined_files_are_passed_over():
    mark = "\ufeff"
    content = f'{mark}{mark}{{"a": 1}}\r\n\r\n{mark}{{"a": "{mark}"}}\n'
    assert told(content, LINES) == [{"a": 1}, None, {"a": mark}]
    assert told(content, ARRAY) == [{"a": 1}, {"a": mark}]
    at = [record.end for record in read([content.encode()], LINES)]
    assert told_after(content, LINES, at[0]) == [None, {"a": mark}]


@pytest.mark.parametrize(
    "content",
    [
        b'\x1e{"a": 1}\n\x1e\x1e{"a": 2}\n',
        b'\x1e{\n"a": 1\n}\n\x1e\n\x1e{"a": 2}\n',
    ],
    ids=["a line each", "several lines"],
)
def test_sequences_of_json_texts_are_read(content):
    """As of RFC 7464."""
    options = detect(content, "x.json").options
    assert [found for found in told(content, options) if found] == [{"a": 1}, {"a": 2}]


def told_after(content, options, at):
    rest = content.encode()[at.offset :]
    records = read([rest], options, at)
    return [record.document and bson.decode(record.document) for record in records]


def test_a_line_that_is_too_long_is_refused_and_the_next_one_read():
    long = '{"a": "' + "x" * (17 * MEGABYTE) + '"}'
    longer = '{"a": "' + "x" * (25 * MEGABYTE) + '"}'
    content = f'{long}\n{longer}\n{{"b": 1}}\n'.encode()
    pieces = [content[start : start + MEGABYTE] for start in range(0, len(content), MEGABYTE)]
    large, long_line, last = read(pieces, LINES)
    assert large.fault.reason == "The document is larger than 16 MiB"
    assert long_line.fault.reason == "The line is longer than 24 MiB"
    assert (last.line, bson.decode(last.document)) == (3, {"b": 1})
    assert next(iter(read([content[last.end.offset - 9 :]], LINES, last.end._replace(
        offset=last.end.offset - 9)))).document == last.document  # fmt: skip


def test_a_streams_end_is_checked_and_an_error_files_reasons_passed_over():
    content = '{"$error": {"line": 1}}\n{"a": 1}\n{"$end": {"documents": 1}}\n'
    assert told(content, LINES) == [None, {"a": 1}, None]
    [_, fault] = told('{"a": 1}\n{"$end": {"documents": 3}}\n', LINES)
    assert fault == "The file should have 3 documents, and 1 are here"


@pytest.mark.parametrize(
    ("wrapped", "reason"),
    [("x", "Not a document in base64"), ("AAAA", "Not valid BSON")],
)
def test_a_wrapper_that_holds_no_document_is_refused(wrapped, reason):
    assert told(json.dumps({"$bson": wrapped}) + "\n", LINES) == [reason]


@pytest.mark.parametrize(
    "content",
    [
        '[{"a": 1}, {"a": {"b": [1, "]}"]}}\n,{"a": 3}]',
        '{"a": 1}{"a": {"b": [1, "]}"]}}\n\n{\n"a": 3\n}',
        '\ufeff [ {"a": 1},{"a": {"b": [1, "]}"]}},\n{"a": 3} ] \n',
    ],
)
def test_elements_of_an_array_and_documents_over_several_lines_are_read(content):
    assert told(content, ARRAY) == [{"a": 1}, {"a": {"b": [1, "]}"]}}, {"a": 3}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[{"a": 1}, 5, {"a": NaN}, {"a": 2}]', ["Not an object.", {"a": 2}]),
        ('[{"a": 1}', ["The file ends before its array does."]),
        ('[{"a": 1}, {"a": ', ["The file ends in the middle of the document in line 1."]),
        ('[{"a": 1}]\n{"a": 2}', ["Something follows the end of the array, in line 2."]),
    ],
)
def test_a_fault_in_an_array_is_an_elements_or_ends_it(content, expected):
    first, *others = told(content, ARRAY)
    assert first == {"a": 1}
    assert [each for each in others if each in expected] == expected


def test_the_dialect_of_old_mongoexports_is_read_only_where_it_is_asked_for():
    content = (
        '{"d": {"$date": -5}, "l": {"$numberLong": 7}, "n": NaN, "r": [{"$regex": "a", "$options": '
        '"mi"}], "b": {"$binary": "AA==", "$type": "05"}, "e": {"$date": '
        '"2020-01-01T00:00:00.000+0100"}}\n'
    )
    [found] = read([content.encode()], ReadOptions(Format.JSON_LINES, old_json=True))
    document = bson.decode(found.document)
    assert document["d"].isoformat() == "1969-12-31T23:59:59.995000"
    assert (document["l"], document["r"][0]) == (Int64(7), Regex("a", "im"))
    assert document["b"] == Binary(b"\0", 5)
    assert str(document["n"]) == "nan"
    [refused] = told(content, LINES)
    assert refused.endswith("It is in the dialect of mongoexport before 4.2.")
    plain = '{"f": {"$regex": "a", "$options": "i"}}\n'
    assert told(plain, LINES) == [{"f": {"$regex": "a", "$options": "i"}}]


def test_bson_is_read_and_a_large_or_deep_document_passed_over():
    deep = bson.encode({})
    for _ in range(200):
        deep = bson.encode({"a": bson.raw_bson.RawBSONDocument(deep)})
    invalid = bytearray(bson.encode({"a": "é"}))
    invalid[11:13] = b"\xff\xff"
    large = bson.encode({"a": "x" * (17 * MEGABYTE)})
    content = b"".join([bson.encode({"a": 1}), large, deep, bytes(invalid), bson.encode({"a": 2})])
    pieces = [content[start : start + 100_000] for start in range(0, len(content), 100_000)]
    found = list(read(pieces, BSON))
    assert [each.fault and each.fault.reason for each in found] == [
        None, "The document is larger than 16 MiB", "Nested deeper than 180 levels",
        "Holds a text that is no UTF-8", None,
    ]  # fmt: skip
    assert bson.decode(found[4].document) == {"a": 2}
    after = list(read([content[found[1].end.offset :]], BSON, found[1].end))
    assert [each[:2] for each in after] == [each[:2] for each in found[2:]]


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"\x01", "The file ends in the middle of document 2."),
        (bson.encode({"a": 1})[:-3], "The file ends in the middle of document 2."),
        (bytes.fromhex("07000000000000"), "Not valid BSON"),
        (b"\x03\0\0\0", "No BSON document begins at byte 12."),
        (b"\xff\xff\xff\xff\xff", "No BSON document begins at byte 12."),
    ],
)
def test_bson_that_is_cut_or_has_a_wrong_length_ends_with_its_place(tail, reason):
    assert told(bson.encode({"a": 1}) + tail, BSON) == [{"a": 1}, reason]


PACKED = gzip.compress(b'{"a": 1}\n', mtime=0)
GZIP = ReadOptions(Format.JSON_LINES, gzip=True)


@pytest.mark.parametrize(
    ("content", "last"),
    [
        (PACKED + PACKED, {"a": 1}),
        (PACKED + b"\0" * 100, {"a": 1}),
        (PACKED[:-4], "The file ends in the middle of its gzip, after 9 bytes."),
        (PACKED + b"junk", "The gzip is damaged after 9 bytes."),
        (PACKED[:-8] + b"\0" * 8, "The gzip is damaged after 0 bytes."),
    ],
)
def test_gzips_are_unpacked_and_what_is_cut_or_damaged_is_told(content, last):
    assert told(content, GZIP)[-1] == last


@pytest.mark.parametrize(
    ("largest_mb", "reason"),
    [
        (1000, "The gzip is packed too densely for documents. Unpack it first."),
        (50, "The gzip unpacks to more than 52,428,800 bytes."),
    ],
)
def test_a_gzip_bomb_fills_no_memory_and_is_stopped(largest_mb, reason):
    packer = zlib.compressobj(wbits=31)
    line = b" " * MEGABYTE + b"\n"
    bomb = b"".join([*(packer.compress(line) for _ in range(100)), packer.flush()])
    options = ReadOptions(Format.JSON_LINES, gzip=True, largest_bytes=largest_mb * MEGABYTE)
    tracemalloc.start()
    for record in read([bomb], options):
        last = record.fault
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last.reason == reason
    assert peak < 40 * MEGABYTE


def test_a_text_of_another_encoding_is_never_replaced():
    content = '{"a": "Köln"}\n'
    options = ReadOptions(Format.JSON_LINES, encoding="windows-1252")
    assert told(content.encode("cp1252"), options) == [{"a": "Köln"}]
    [undefined] = told(b'{"a": "\x81"}\n', options)
    assert undefined == "Byte 8 is not valid UTF-8."
    cut = ReadOptions(Format.JSON_LINES, encoding="utf-16-le")
    assert told(content.encode("utf-16-le")[:-1], cut)[-1] == (
        "The file ends in the middle of a character."
    )

"""Files for people and programs: what they have, and what is told that they haven't."""

import csv
import io
from dataclasses import replace

import bson
import pytest
from bson import Int64

from portal.data.formats.detection import detect
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.exact import NOT_TEXT
from portal.data.formats.options import (
    Column,
    ColumnType,
    Dialect,
    Format,
    ReadOptions,
    WriteOptions,
)
from portal.data.formats.reading import read
from portal.data.formats.records import Fault
from portal.data.formats.surveying import Survey
from portal.data.formats.writing import Writer
from tests.data.formats.documents import framed
from tests.data.formats.whole_files import write

A_KEY_TWICE = framed([("a", 0x10, b"\1\0\0\0"), ("a", 0x10, b"\2\0\0\0")])
NO_UTF8 = framed([("note", 0x02, b"\2\0\0\0\xff\0")])
LOOKS_LIKE_A_TYPE = bson.encode({"a": {"$oid": "65f0c2d4e8b7a913c0f55e10"}})


def survey_of(*documents):
    survey = Survey()
    survey.add([each if isinstance(each, bytes) else bson.encode(each) for each in documents])
    return survey.columns()


def written(documents, format_=Format.CSV, **options):
    encoded = [each if isinstance(each, bytes) else bson.encode(each) for each in documents]
    columns = options.pop("columns", None) or survey_of(*encoded)
    writer = Writer(WriteOptions(format_, columns=columns, **options))
    content = writer.begin() + writer.encode(encoded) + writer.end()
    return content.decode(), writer.written


def rows_of(content, delimiter=","):
    return list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter))


def test_a_survey_finds_columns_in_the_documents_order_with_their_usual_types():
    columns = survey_of(
        {"_id": 1, "a": "x", "address": {"city": "K", "zip": "1"}, "z": 1},
        {"_id": 2, "b": Int64(5), "address": {"city": None}, "z": "y"},
        {"_id": 3, "a": "y", "b": Int64(6), "mixed": {}, "z": 2},
    )
    assert [(column.header, column.type.value, column.empty.value) for column in columns] == [
        ("_id", "int32", "missing"), ("b", "int64", "missing"), ("a", "string", "missing"),
        ("mixed", "ejson", "missing"), ("address.city", "string", "missing"),
        ("address.zip", "string", "missing"), ("z", "int32", "missing"), ("$bson", "document", "missing"),
    ]  # fmt: skip


def test_keys_that_are_values_stay_one_cell():
    document = {"_id": 1, "by_day": {f"day {number}": number for number in range(150)}}
    columns = survey_of(document)
    assert [(column.header, column.type.value) for column in columns[:-1]] == [
        ("_id", "int32"), ("by_day", "ejson"),
    ]  # fmt: skip
    many = survey_of({f"field {number}": number for number in range(10_000)})
    assert len(many) == 2001


def test_what_format_can_not_carry_is_wrapped_and_counted():
    documents = [{"a": 1}, A_KEY_TWICE, LOOKS_LIKE_A_TYPE, {"$end": {"documents": 5}}]
    lines, told = written(documents, Format.JSON_LINES)
    assert (told.documents, told.wrapped) == (4, 3)
    assert lines.splitlines()[1].startswith('{ "$bson" : "')
    found = read([lines.encode()], ReadOptions(Format.JSON_LINES))
    assert [record.document for record in found][1:3] == [A_KEY_TWICE, LOOKS_LIKE_A_TYPE]


@pytest.mark.parametrize("kind", [Format.JSON_LINES, Format.JSON_ARRAY])
def test_a_text_that_is_no_utf_8_goes_out_and_is_told_when_it_comes_back(kind):
    content, told = written([NO_UTF8, {"a": 1}], kind)
    assert (told.documents, told.wrapped) == (2, 1)
    found = [record.fault for record in read([content.encode()], ReadOptions(kind))]
    assert [fault and fault.reason for fault in found[:2]] == [NOT_TEXT, None]


def test_formulas_are_guarded_and_numbers_are_not():
    values = ["=1+1", "@x", "+49 (30)", "-42", "-4.5", "+49", "\tx", "'=x", "'x", "x"]
    plain, _ = written([{"a": value} for value in values], typed=False)
    assert [row[0] for row in rows_of(plain)[1:]] == [
        "'=1+1", "'@x", "'+49 (30)", "-42", "-4.5", "+49", "'\tx", "''=x", "'x", "x",
    ]  # fmt: skip
    off, _ = written([{"a": value} for value in values], typed=False, guarded=False)
    assert [row[0] for row in rows_of(off)[1:]] == values


def test_a_file_for_people_shows_values_and_counts_what_it_leaves_out():
    documents = [
        {"_id": 1, "a": {"b": True}, "list": [1, "x"], "none": None, "extra": 5},
        {"_id": "x", "a": 7, "list": "y", "other": {"x": 1}},
    ]
    columns = tuple(
        Column(".".join(path), path) for path in (("_id",), ("a", "b"), ("list",), ("none",))
    )
    content, told = written(documents, columns=columns, typed=False)
    assert rows_of(content) == [
        ["_id", "a.b", "list", "none"], ["1", "true", '[ 1, "x" ]', ""], ["x", "", "y", ""],
    ]  # fmt: skip
    assert told.left_out == {"extra": 1, "a": 1, "other": 1}


def test_a_file_for_a_spreadsheet_has_a_mark_quoted_headings_and_counts_long_cells():
    content, told = written(
        [{"ID": "x" * 40_000, "b": 1}], typed=False, spreadsheet=True, delimiter=";"
    )
    assert content.startswith('\ufeff"ID";"b"\r\n')
    assert told.long_cells == 1


def test_a_typed_file_is_recognized_and_read_though_a_spreadsheet_saved_it():
    documents = [
        {"_id": bson.ObjectId(), "n": Int64(2**53 + 1), "t": "01067", "empty": "", "f": "=1"},
        {"_id": bson.ObjectId(), "n": Int64(5), "t": "x", "none": None, "b": True},
    ]
    content, _ = written(documents)
    rows = rows_of(content)
    saved = io.StringIO(newline="")
    csv.writer(saved, delimiter=";").writerows(
        [cell.upper() if cell == "true" else cell for cell in row] for row in rows
    )
    encoded = saved.getvalue().encode("utf-16")
    found = detect(encoded, "saved.csv")
    assert found.typed
    records = read([encoded], found.options)
    assert [bson.decode(record.document) for record in records] == documents


@pytest.mark.parametrize("format_", Format)
def test_no_documents_make_a_file_that_is_read_as_none(format_):
    content = b"".join(write([], WriteOptions(format_, columns=survey_of({"a": 1}))))
    columns = survey_of({"a": 1})
    assert list(read([content], ReadOptions(format_, columns=columns))) == []


COLUMNS = (
    Column("name", ("name",)),
    Column("n", ("n",), ColumnType.INT32),
    Column("text", ("text",)),
)


def test_an_error_file_has_the_inputs_columns_and_is_imported_after_mending():
    text = 'name;n;text\nAnn;1;x\n"B;b";two;""\nC;3;"say ""x"""\nD;4;5;6\n"E"e;5;\n'
    options = ReadOptions(Format.CSV, dialect=Dialect(";"), columns=COLUMNS)
    refused = [(each, each.fault) for each in read([text.encode()], options) if each.fault]
    file = ErrorFile(options)
    assert file.format == Format.CSV
    content = file.begin() + file.encode(refused)
    assert content.decode().splitlines() == [
        "name;n;text;$line;$record;$reason",
        '"B;b";two;"";3;2;n: Not a whole number',
        "D;4;5;5;4;More cells than columns;6",
        '"""E""e;5;";;;6;5;Something follows the closing quote of a cell.',
    ]
    mended = content.replace(b"two", b"2")
    found = detect(mended, "errors.csv")
    left_out = tuple(Column(name, (), ColumnType.LEFT_OUT) for name in found.headers[3:])
    options = ReadOptions(Format.CSV, dialect=Dialect(";"), columns=(*COLUMNS, *left_out))
    first, many, *_ = read([mended], options)
    assert bson.decode(first.document) == {"name": "B;b", "n": 2, "text": ""}
    assert many.fault.reason == "More cells than columns"


@pytest.mark.parametrize("delimiter", ["^", "~", " ", "¦", ";"])
def test_an_error_file_of_a_file_that_says_its_separator_says_it_too(delimiter):
    text = "sep=;\r\nname;n;text\r\nAnn;1;x\r\nB^b;two;y~z\r\n".replace(";", delimiter)
    found = detect(text.encode(), "x.csv")
    assert found.options.dialect.delimiter == delimiter
    options = replace(found.options, columns=COLUMNS)
    refused = [(each, each.fault) for each in read([text.encode()], options) if each.fault]
    assert refused
    file = ErrorFile(options)
    mended = (file.begin() + file.encode(refused)).replace(b"two", b"2")
    again = detect(mended, "errors.csv")
    assert again.options.dialect == found.options.dialect
    assert again.headers == ("name", "n", "text", "$line", "$record", "$reason")
    assert again.dialects == ()


def test_an_error_file_of_a_typed_file_is_typed():
    content, _ = written([{"_id": 1, "n": 5}, {"_id": 2, "n": 6}])
    broken = content.replace("\r\n2,6,", "\r\n2,six,").encode()
    options = detect(broken, "x.csv").options
    refused = [(each, each.fault) for each in read([broken], options) if each.fault]
    file = ErrorFile(options)
    mended = (file.begin() + file.encode(refused)).replace(b"six", b"6")
    found = detect(mended, "errors.csv")
    assert found.typed
    [record] = read([mended], found.options)
    assert bson.decode(record.document) == {"_id": 2, "n": 6}


@pytest.mark.parametrize(
    ("content", "format_", "lines"),
    [
        (b'{"a": NaN}\r\n{"a": 1}\n', Format.JSON_LINES, [b'{"a": NaN}']),
        (b'[{"a":\n NaN}, {"a": 1}]', Format.JSON_ARRAY, [b'{"a":  NaN}']),
        (bson.encode({"a": 1}), Format.BSON, []),
    ],
)
def test_an_error_file_of_another_format_is_json_lines_with_reasons(content, format_, lines):
    options = ReadOptions(format_)
    file = ErrorFile(options)
    assert file.format == Format.JSON_LINES
    records = list(read([content], options))
    refused = [(each, each.fault) for each in records if each.fault]
    found = (file.begin() + file.encode(refused)).splitlines()
    assert found[1::2] == lines
    assert all(
        line.startswith(b'{"$error": {"line": 1, "record": 1, "reason": ') for line in found[::2]
    )


def test_a_document_that_the_database_refused_stands_in_the_error_file_too():
    options = ReadOptions(Format.BSON)
    [record] = read([A_KEY_TWICE], options)
    file = ErrorFile(options)
    content = file.encode([(record, Fault("Value is there already", "number"))])
    [_, again] = read([content], ReadOptions(file.format))
    assert again.document == A_KEY_TWICE

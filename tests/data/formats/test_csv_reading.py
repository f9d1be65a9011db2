"""Cells of CSV become values of their column's type, or a fault with line, column and reason."""

from contextlib import suppress
from dataclasses import replace

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

from portal.data.formats.cells import Unfit, converter
from portal.data.formats.options import Column, ColumnType, Dialect, Empty, Format, ReadOptions
from portal.data.formats.reading import read
from tests.stopwatch import work_seconds

T = ColumnType


def records_of(text, *columns, **dialect):
    content = text if isinstance(text, bytes) else text.encode()
    options = ReadOptions(Format.CSV, columns=columns, dialect=Dialect(**dialect))
    return list(read([content], options))


def documents_of(text, *columns, **dialect):
    return [
        bson.decode(record.document)
        for record in records_of(text, *columns, **dialect)
        if record.document
    ]


def value_of(cell, kind, **column):
    """The value of a single cell, or the reason for which it is none."""
    [record] = records_of(f'x\n"{cell}"\n', Column("x", ("x",), kind, **column))
    if record.fault:
        assert record.document is None
        assert record.fault.column == "x"
        return record.fault.reason
    return bson.decode(record.document).get("x", "missing")


def text_column(name, empty=Empty.MISSING):
    return Column(name, (name,), empty=empty)


VALUES = [
    ("01067", T.STRING, "01067"),
    ("NA", T.STRING, "NA"),
    ("null", T.STRING, "null"),
    (" a ", T.STRING, " a "),
    ("01067", T.INT32, 1067),
    (" -5 ", T.INT32, -5),
    ("2147483648", T.INT32, "A whole number of more than 32 bits"),
    ("9007199254740993", T.INT64, Int64(9007199254740993)),
    ("9223372036854775808", T.INT64, "A whole number of more than 64 bits"),
    ("1.0", T.INT64, "Not a whole number"),
    ("1_000", T.INT64, "Not a whole number"),
    ("٣", T.INT64, "Not a whole number"),
    ("1e3", T.INT64, "Not a whole number"),
    ("0.1", T.DOUBLE, 0.1),
    ("1e400", T.DOUBLE, "Out of the range of a Double"),
    ("1e-400", T.DOUBLE, "Out of the range of a Double"),
    ("0.1234567890123456789", T.DOUBLE, "More digits than a Double holds"),
    ("-Infinity", T.DOUBLE, float("-inf")),
    ("inf", T.DOUBLE, "Not a number"),
    ("1,5", T.DOUBLE, "Not a number"),
    ("12.50", T.DECIMAL, Decimal128("12.50")),
    ("1" * 35, T.DECIMAL, "More digits than a Decimal128 holds"),
    ("1E+7000", T.DECIMAL, "More digits than a Decimal128 holds"),
    ("TRUE", T.BOOLEAN, True),
    ("false", T.BOOLEAN, False),
    ("1", T.BOOLEAN, True),
    (" 0", T.BOOLEAN, False),
    ("2", T.BOOLEAN, "Neither true nor false"),
    ("10", T.BOOLEAN, "Neither true nor false"),
    ("yes", T.BOOLEAN, "Neither true nor false"),
    ("65f0c2d4e8b7a913c0f55e10", T.OBJECT_ID, ObjectId("65f0c2d4e8b7a913c0f55e10")),
    ("65f0", T.OBJECT_ID, "Not 24 hexadecimal digits"),
    ("00112233-4455-6677-8899-AABBCCDDEEFF", T.UUID,
     Binary(bytes.fromhex("00112233445566778899aabbccddeeff"), 4)),
    ("x", T.UUID, "Not a UUID"),
    ("AAE=", T.BINARY, b"\x00\x01"),
    ("AAE", T.BINARY, "Not base64"),
    ("AA E=", T.BINARY, "Not base64"),
    ('{""$numberLong"": ""5""}', T.EJSON, Int64(5)),
    ("[1, {}]", T.EJSON, [1, {}]),
    ("NaN", T.EJSON, "Not a value in Extended JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "kind", "expected"), VALUES)
def test_a_cell_is_read_by_its_columns_type_or_refused(cell, kind, expected):
    found = value_of(cell, kind)
    assert (found, type(found)) == (expected, type(expected))


STYLED = [
    ("1.250,00", ",", ".", Decimal128("1250.00")),
    ("1250,5", ",", ".", Decimal128("1250.5")),
    ("1.25,00", ",", ".", "Not a number"),
    ("1250.00", ",", "", "Not a number"),
    ("1 250,5", ",", " ", Decimal128("1250.5")),
    ("1,250.5", ".", ",", Decimal128("1250.5")),
    ("1,25", ".", ",", "Not a number"),
    ("-0,5", ",", "", Decimal128("-0.5")),
]


@pytest.mark.parametrize(("cell", "point", "group", "expected"), STYLED)
def test_a_number_has_the_signs_of_its_column_and_no_others(cell, point, group, expected):
    assert value_of(cell, T.DECIMAL, point=point, group=group) == expected


DATES = [
    ("2026-01-31", "", "", "2026-01-31T00:00:00"),
    ("2026-01-31T17:30:00+01:00", "", "", "2026-01-31T16:30:00"),
    ("2026-01-31 17:30:00.250", "", "Europe/Berlin", "2026-01-31T16:30:00.250000"),
    ("2026-07-31 17:30", "", "Europe/Berlin", "2026-07-31T15:30:00"),
    ("31/01/2026", "DD/MM/YYYY", "", "2026-01-31T00:00:00"),
    ("01/31/2026", "DD/MM/YYYY", "", "Not a date like 31/01/2026"),
    ("31/02/2026", "DD/MM/YYYY", "", "No day of the calendar"),
    ("1/2/2026 5:07 PM", "M/D/YYYY h:mm A", "", "2026-01-02T17:07:00"),
    ("91-01-02", "YY-MM-DD", "", "1991-01-02T00:00:00"),
    ("31-Jan-26", "DD-MMM-YY", "", "2026-01-31T00:00:00"),
    ("31-Foo-26", "DD-MMM-YY", "", "No day of the calendar"),
    ("2026-01-31T00:00:00.0001Z", "", "", "More digits than milliseconds, which a date has"),
    ("2026-01-31T25:00:00Z", "", "", "Not a date like 2026-01-31T17:30:00Z"),
    ("0000-01-01", "", "", "No day of the calendar"),
    ("2026-03-29 02:30", "", "Europe/Berlin",
     "Europe/Berlin has no such time: its clocks were put forward"),
    ("2026-10-25 02:30", "", "Europe/Berlin",
     "Europe/Berlin has this time twice: its clocks were put back"),
    ("2026-10-25 02:30+02:00", "", "Europe/Berlin", "2026-10-25T00:30:00"),
    ("2015-06-22 01:48:14+00", "", "Europe/Berlin", "2015-06-22T01:48:14"),
    ("2015-06-22 01:48:14 -0330", "", "", "2015-06-22T05:18:14"),
    ("2015-06-22 01:48:14.928 +0000 +0000", "", "Europe/Berlin", "2015-06-22T01:48:14.928000"),
    ("2015-06-22 01:48:14 +0000 UTC", "", "", "2015-06-22T01:48:14"),
    ("2015-06-22 01:48:14 UTC", "", "Europe/Berlin", "2015-06-22T01:48:14"),
    ("2015-06-22 01:48:14 +0100 UTC", "", "", "Not a date like 2026-01-31T17:30:00Z"),
    ("2015-06-22 01:48:14 +0100 +0000", "", "", "Not a date like 2026-01-31T17:30:00Z"),
    ("2015-06-22 01:48:14+02", "YYYY-MM-DD HH:mm:ssZ", "", "2015-06-21T23:48:14"),
    ("november 3, 2023", "MMMM D, YYYY", "", "2023-11-03T00:00:00"),
    ("Novembre 3, 2023", "MMMM D, YYYY", "", "Not a date like January 31, 2026"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "layout", "zone", "expected"), DATES)
def test_a_date_has_the_layout_of_its_column_and_the_offset_of_its_day(
    cell, layout, zone, expected
):
    found = value_of(cell, T.DATE, layout=layout, zone=zone)
    assert (found if isinstance(found, str) else found.isoformat()) == expected


@pytest.mark.parametrize(
    ("cell", "milliseconds"),
    [
        ("0001-01-01T00:00:00+01:00", -62135600400000),
        ("9999-12-31T23:59:59-05:00", 253402318799000),
        ("9999-12-31 23:59:59.999-23:59", 253402387139999),
    ],
)
def test_an_offset_leads_beyond_the_years_of_the_calendar(cell, milliseconds):
    """As JSON, the API and filters have it."""
    [record] = records_of(f"x\n{cell}\n", Column("x", ("x",), T.DATE))
    beyond = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
    assert bson.decode(record.document, beyond)["x"] == DatetimeMS(milliseconds)


NUMBERS_AND_DATES = (T.INT32, T.INT64, T.DOUBLE, T.DECIMAL, T.BOOLEAN, T.DATE)


@pytest.mark.parametrize("part", ["1", "1.", "1,1.", "1e", " ", "-", "1.111"])
def test_a_hostile_cell_is_read_in_no_more_than_its_length(part):
    plain = [Column("x", ("x",), kind) for kind in NUMBERS_AND_DATES]
    columns = plain + [replace(column, point=",", group=".") for column in plain]

    def read_it():
        for convert in map(converter, columns):
            with suppress(Unfit):
                convert(part * (30_000 // len(part)) + "x")

    assert work_seconds(read_it) < 10  # a minute, if it went by the square


def test_words_of_a_boolean_column_are_those_that_were_mapped():
    words = {"ja": "true", "nein": "false", "n/a": "null", "?": "missing", "x": "error"}
    found = [
        value_of(cell, T.BOOLEAN, words=words) for cell in ("ja", "nein", "n/a", "?", "x", "true")
    ]
    assert found == [True, False, None, "missing", "Neither ja nor nein", "Neither ja nor nein"]


def test_an_empty_cell_is_what_its_column_says_and_a_quoted_one_an_empty_text():
    columns = [text_column("a"), text_column("b", Empty.NULL), text_column("c", Empty.TEXT)]
    text = 'a,b,c\n,,\n"",,\n,"",\nx,,""\n'
    assert documents_of(text, *columns) == [
        {"a": "", "b": None, "c": ""},
        {"b": "", "c": ""},
        {"a": "x", "b": None, "c": ""},
    ]
    [record] = records_of("a,b\n,x\n", text_column("a", Empty.ERROR), text_column("b"))
    assert record.fault.reason == "Empty"


def test_two_quotes_inside_of_a_cell_are_no_empty_cell():
    columns = [text_column("a"), text_column("b"), text_column("c")]
    text = 'a,b,c\n"x,"",y",,1\n"""",,"\n"\n'
    assert documents_of(text, *columns) == [{"a": 'x,",y', "c": "1"}, {"a": '"', "c": "\n"}]


def test_lines_without_content_are_skipped_and_lines_and_records_counted_apart():
    columns = [text_column("a"), text_column("b")]
    records = records_of('a,b\n\n1,"x\ny"\n,\n2,z\n\n', *columns)
    assert [(record.line, record.number, record.is_skipped) for record in records] == [
        (2, 0, True), (3, 1, False), (5, 1, True), (6, 2, False), (7, 2, True),
    ]  # fmt: skip


def test_the_end_of_a_file_in_dos_is_no_record():
    columns = [text_column("a"), text_column("b")]
    for end in ("\x1a", "\x1a\x1a", "\0\0\0"):
        assert documents_of(f"a,b\r\n1,2\r\n{end}", *columns) == [{"a": "1", "b": "2"}]
    assert documents_of("a,b\n1,2\x1a", *columns) == [{"a": "1", "b": "2\x1a"}]


def test_a_row_of_too_few_cells_lacks_the_rest_and_one_of_too_many_is_refused():
    columns = [text_column("a"), text_column("b", Empty.NULL), text_column("c")]
    few, many, empty = records_of("a,b,c\n1\n1,2,3,4\n1,2,3,\n", *columns)
    assert bson.decode(few.document) == {"a": "1", "b": None}
    assert many.fault[:3] == ("More cells than columns", None, "4 cells, 3 columns")
    assert bson.decode(empty.document) == {"a": "1", "b": "2", "c": "3"}


def test_nested_fields_and_lists_are_made_of_paths_and_literal_dots_kept():
    columns = [
        Column("a.b", ("a", "b")), Column("x.y", ("x.y",)), Column("a.c", ("a", "c")),
        Column("t.0", ("t", 0)), Column("t.1", ("t", 1)), Column("$n", ("$n",)),
        Column("left", (), T.LEFT_OUT),
    ]  # fmt: skip
    text = "a.b,x.y,a.c,t.0,t.1,$n,left\n1,2,3,4,5,6,7\n,,,4,,,7\n,x,,,5,,\n"
    first, second, gap = records_of(text, *columns)
    assert bson.decode(first.document) == {
        "a": {"b": "1", "c": "3"}, "x.y": "2", "t": ["4", "5"], "$n": "6",
    }  # fmt: skip
    assert bson.decode(second.document) == {"t": ["4"]}
    assert gap.fault.reason == "Element 0 of a list is missing, and a later one isn’t"


def test_a_guard_is_taken_off_where_the_column_has_guards():
    cells = ["'=1+1", "'-x", "''=x", "'x", "-5", "x'"]
    found = [value_of(cell, T.STRING, guarded=True) for cell in cells]
    assert found == ["=1+1", "-x", "'=x", "'x", "-5", "x'"]
    assert value_of("'=1+1", T.STRING) == "'=1+1"
    assert value_of("'-5", T.INT32, guarded=True) == -5


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_cells_are_separated_by_the_dialects_delimiter(delimiter):
    text = f'a{delimiter}b\n"1{delimiter}2"{delimiter}3,4;5\n'.replace("3,4;5", "3")
    columns = [text_column("a"), text_column("b")]
    found = documents_of(text, *columns, delimiter=delimiter)
    assert found == [{"a": f"1{delimiter}2", "b": "3"}]


def test_backslashes_old_line_ends_and_a_separator_line_are_read():
    columns = [text_column("a"), text_column("b")]
    escaped = documents_of('a,b\n"say \\"x\\"",""\n', *columns, escape="\\")
    assert escaped == [{"a": 'say "x"', "b": ""}]
    assert documents_of("a,b\r1,2\r3,4\r", *columns, newline="\r") == [
        {"a": "1", "b": "2"}, {"a": "3", "b": "4"},
    ]  # fmt: skip
    told = documents_of("sep=;\r\na;b\r\n1;2\r\n", *columns, delimiter=";", separator_line=True)
    assert told == [{"a": "1", "b": "2"}]
    told = documents_of('\ufeff\ufeff"sep=;"\na;b\n1;2\n', *columns, delimiter=";",
                        separator_line=True)  # fmt: skip
    assert told == [{"a": "1", "b": "2"}]
    assert documents_of("1,2\n", *columns, header=False) == [{"a": "1", "b": "2"}]


def test_what_is_no_row_is_told_with_its_line_and_the_next_one_read():
    columns = [text_column("a"), text_column("b")]
    text = b'a,b\n1,2\n"x"y,3\n4,5\n\xe4,6\n7,8\n'
    records = records_of(text, *columns)
    assert [(each.line, each.fault and each.fault.reason) for each in records] == [
        (2, None),
        (3, "Something follows the closing quote of a cell."),
        (4, None),
        (5, "Byte E4 is no character in the file’s encoding."),
        (6, None),
    ]
    assert records[3].fault.value == "⟨E4⟩"


def test_lines_that_a_missing_quote_takes_with_it_are_told():
    columns = [text_column("a"), text_column("b")]
    first, broken, last = records_of('a,b\n"1","2"\n"3","4\n"5","6"\n"7","8"\n', *columns)
    assert broken.fault.reason == (
        "Something follows the closing quote of a cell. It takes lines 3 to 4 with it."
    )
    assert broken.source == ['"3","4\n"5","6"']
    assert (bson.decode(first.document)["a"], bson.decode(last.document)["a"]) == ("1", "7")


def test_a_quote_that_is_never_closed_ends_the_file_with_its_line():
    columns = [text_column("a"), text_column("b")]
    *before, last = records_of('a,b\n1,2\n3,"4\n5,6\n7,8\n', *columns)
    assert len(before) == 1
    assert last.fault.fatal
    assert last.fault.reason == "The quote opened in line 3 is never closed."


def test_a_quote_inside_of_a_cell_without_quotes_is_a_character():
    assert documents_of('a\n5" pipe\n', text_column("a")) == [{"a": '5" pipe'}]


def test_long_cells_are_read_and_a_document_over_16_mib_refused():
    column = text_column("a")
    assert len(documents_of(f"a\n{'x' * 200_000}\n", column)[0]["a"]) == 200_000
    half = "x" * (9 * 1024 * 1024)
    large, small = records_of(f"a,b\n{half},{half}\n1,2\n", column, text_column("b"))
    assert large.fault.reason == "The document is larger than 16 MiB"
    assert bson.decode(small.document) == {"a": "1", "b": "2"}

"""A file's format is told from its start, and asked where it fits two ways."""

import gzip
import io
import tarfile
from dataclasses import replace

import bson
import pytest

from portal.data.formats.csv_rows import rows_in_blocks
from portal.data.formats.detection import HEAD_BYTES, detect
from portal.data.formats.options import Column, Dialect, Format
from portal.data.formats.reading import START, read
from portal.data.transfer.plans import detected_as

JSON = b'{"_id": {"$oid": "65f0c2d4e8b7a913c0f55e10"}, "a": 1}'


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (JSON + b"\n" + JSON + b"\n", "x.json", Format.JSON_LINES),
        (JSON, "x", Format.JSON_LINES),
        (b'{"a": NaN}\n{"a": 1}\n', "x", Format.JSON_LINES),
        (b"[" + JSON + b"]", "x.jsonl", Format.JSON_ARRAY),
        (b"[]", "x.json", Format.JSON_ARRAY),
        (b" [\n  {\n", "x.json", Format.JSON_ARRAY),
        (b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n', "x.json", Format.JSON_ARRAY),
        (JSON + JSON, "x.json", Format.JSON_ARRAY),
        (b'{"a": "' + b"x" * HEAD_BYTES, "x.json", Format.JSON_ARRAY),
        (b"a,b\n1,2\n", "x.csv", Format.CSV),
        (b"[a],b\n1,2\n", "x.csv", Format.CSV),
        (b"a\n1\n", "x", Format.CSV),
        ("a\tb\r\n1\t2\r\n".encode("utf-16"), "x.txt", Format.CSV),
        ("id\tb\r\n1\t2\r\n".encode("utf-16-le"), "x.csv", Format.CSV),
        (b"a\n" + bytes(sorted({*range(1, 32)} - {10, 13})) + b"\n", "x", Format.CSV),
        (bson.encode({"a": 1}), "x", Format.BSON),
        (bson.encode({}), "x", Format.BSON),
        (bson.encode({"a": "x" * HEAD_BYTES})[:HEAD_BYTES], "x.bson", Format.BSON),
    ],
)  # fmt: skip
def test_a_format_is_told_by_the_content(head, name, expected):
    found = detect(head, name)
    assert (found.options.format, found.options.gzip) == (expected, False)
    packed = detect(gzip.compress(head), f"{name}.gz")
    assert (packed.options.format, packed.options.gzip) == (expected, True)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"PK\x03\x04rest", "Save a spreadsheet as CSV"),
        (b"\xd0\xcf\x11\xe0rest", "old spreadsheet"),
        (b"PAR1\x15\x04\x15\x10", "Parquet"),
        (b"BZh91AY&SY\x8c", "bzip2"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\x6d\xe2\x99\x81rest", "Dump without --archive"),
        (b"ID;PWXL;N;E\n", "SYLK"),
        (b"ID;PCALCOOO32\r\nB;X2;Y2\r\n", "SYLK"),
        (b'ID;PSCALC3\nC;X1;Y1;K"a"\nE\n', "SYLK"),
        (b"<html><table>", "HTML"),
        (b"<?xml version='1.0'?>", "XML"),
        (gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), "packed twice"),
        (b"\x1f\x8bjunk", "damaged gzip"),
        (bytes(range(256)) * 20, "nor text"),
        (b"\0" * 1000, "nor text"),
        (gzip.compress(b""), "empty"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_not_read_is_refused_with_what_to_do(head, words):
    found = detect(head, "x.csv")
    assert found.options is None
    assert words in found.refusal


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        (b"ID;PLZ;Ort\n1;10115;Berlin\n", ("ID", "PLZ", "Ort")),
        (b"ID;Product;Price\r\n7;Pump;1,50\r\n", ("ID", "Product", "Price")),
        (b"ID;Punkt;N;E\n1;a;52.5;13.4\n", ("ID", "Punkt", "N", "E")),
        (b"ID;Parent\nC;12\n", ("ID", "Parent")),
        (b"PAR1,PAR2\n1,2\n", ("PAR1", "PAR2")),
        (b"BZh,Kanton\n1,2\n", ("BZh", "Kanton")),
        (b"%PDF,%HTML\n1,2\n", ("%PDF", "%HTML")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_heading_that_begins_as_another_format_is_a_heading(head, headers):
    assert detect(head, "x.csv").headers == headers


@pytest.mark.parametrize("text", ["[1, 2]", "[[1]]", "{a: 1}", "// x\n{}", "a,b\n1,2\n", '"x"'])
def test_a_name_that_promises_json_is_held_to_it(text):
    for name in ("x.json", "x.ndjson", "X.JSONL"):
        found = detect(text.encode(), name)
        assert found.options is None
        assert "named as JSON" in found.refusal
    assert detect(text.encode(), "x.txt").options.format == Format.CSV


def test_the_first_of_joined_gzips_may_hold_nothing_or_little():
    heading, rows = gzip.compress(b"a;b\n"), gzip.compress(b"1;2,5\n" * 9)
    for head in (gzip.compress(b"") + heading + rows, heading + gzip.compress(b"") + rows):
        found = detect(head, "x.csv.gz")
        assert (found.options.dialect.delimiter, found.dialects) == (";", ())
        assert found.headers == ("a", "b")


def test_a_name_that_promises_bson_is_held_to_it():
    assert "named .bson" in detect(b"a,b\n", "x.bson").refusal
    assert "its indexes and options" in detect(b"{}", "x.metadata.json").refusal


def test_a_dump_that_begins_with_an_invalid_document_is_read_on_after_it():
    invalid = bson.encode({"a": True})
    invalid = invalid[:7] + b"\x05" + invalid[8:]
    content = invalid[:4] + b"\x13" + invalid[5:] + bson.encode({"a": 1})
    found = detect(content, "x.bson")
    reasons = [record.fault and record.fault.reason for record in read([content], found.options)]
    assert reasons == ["Not valid BSON", None]


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8"]
)
def test_marks_and_wide_encodings_are_recognized_and_read(encoding):
    content = "name\tcity\nJürgen\tKöln\n".encode(encoding)
    found = detect(content, "export.txt")
    assert (found.candidates, found.options.dialect.delimiter) == ((), "\t")
    assert found.headers == ("name", "city")
    [record] = read([content], found.options)
    assert record.source == ["Jürgen", "Köln"]


def test_a_character_that_the_head_cuts_is_no_fault():
    content = b"a\n" + "ä".encode() * HEAD_BYTES
    assert detect(content[:HEAD_BYTES - 1], "x.csv").options.encoding == "utf-8"  # fmt: skip


def test_a_text_that_is_no_utf_8_is_asked_for_with_its_lines_in_each_encoding():
    content = "a;b\nplain;1\nKöln;Größe 4\nCafé;“Am Markt” – €\n".encode("cp1252")
    found = detect(content, "x.csv").candidates
    first = {candidate.label: candidate.lines for candidate in found}
    assert found[0].label == "Windows-1252"
    assert first["Windows-1252"] == ("Köln;Größe 4", "Café;“Am Markt” – €")
    assert first["ISO 8859-15"][1] == "Café;⟨93⟩Am Markt⟨94⟩ ⟨96⟩ ⟨80⟩"
    assert all("\ufffd" not in line for lines in first.values() for line in lines)


@pytest.mark.parametrize(
    ("text", "encoding", "label"),
    [
        ("Größe;Köln\n", "mac_roman", "Mac Roman"),
        ("имя;город\n", "cp1251", "Windows-1251, Cyrillic"),
        ("名前,都市\n東京,大阪\n", "shift_jis", "Shift JIS, Japanese"),
    ],
)
def test_the_right_encoding_is_among_the_candidates(text, encoding, label):
    found = detect(text.encode(encoding), "x.csv").candidates
    [candidate] = [candidate for candidate in found if candidate.label == label]
    assert candidate.lines[0] == text.split("\n")[0]


@pytest.mark.parametrize(
    ("text", "delimiter", "others"),
    [
        ("Name;Preis\nA;1,5\nB;2,5\n", ";", ()),
        ("name\tprice\na, b\t1\n", "\t", ()),
        ("a|b\n1|2\n", "|", ()),
        ('name,text\na,"x;y;z"\n', ",", ()),
        ("sep=;\na;b\n1;2\n", ";", ()),
        ('"sep=;"\na;b\n1;2\n', ";", ()),
        ("\ufeffsep=;;\r\na;b;c\r\n1;2;3\r\n", ";", ()),
        ("a;b;c\n1;2,3;4;5\n1;2,3;4;5\n", ";", ()),
        ("note\nhello; world\nfoo; bar\n", ",", ()),
        ("one column\nx\n", ",", ()),
        ("a,b;c,d\n1,2;3,4\n", ",", (",", ";")),
    ],
)
def test_a_delimiter_that_fits_all_rows_is_told_and_several_are_asked_for(text, delimiter, others):
    found = detect(text.encode(), "x.csv")
    assert found.options.dialect.delimiter == delimiter
    assert sorted(found.dialects) == sorted(others)


def test_old_line_ends_backslashes_and_a_heading_of_values_are_told():
    assert detect(b"a,b\r1,2\r", "x.csv").options.dialect.newline == "\r"
    assert detect(b'a,b\n"say \\"x\\"",2\n', "x.csv").options.dialect.escape == "\\"
    assert detect(b"a,b\n\"say \"\"x\"\"\",2\n", "x.csv").options.dialect.escape == ""  # fmt: skip
    assert detect(b"1,2\n3,4\n", "x.csv").is_heading_doubtful
    assert not detect(b"a,b\n3,4\n", "x.csv").is_heading_doubtful


def test_the_dialect_of_old_mongoexports_is_told():
    found = detect(b'{"a": {"$date": 5}}\n', "x.json")
    assert found.options.old_json
    assert "mongoexport before 4.2" in found.notes[0]
    doubtful = detect(b'{"a": {"$regex": "x", "$options": "i"}}\n', "x.json")
    assert not doubtful.options.old_json
    assert "patterns" in doubtful.notes[0]


def test_headings_of_mongoimport_with_types_need_no_mapping():
    text = (
        b"_id.objectid(),age.int32(),born.date(2006-01-02),at.date_ms(yyyy-MM-dd HH:mm:ss),"
        b"who.name.string(),raw.binary(hex),tags.0.string(),ok.boolean(),paid.boolean()\n"
        b"65f0c2d4e8b7a913c0f55e10,7,2001-02-03,2001-02-03 04:05:06,Ann,00ff,x,1,0\n"
    )
    found = detect(text, "x.csv")
    assert found.typed
    [record] = read([text], found.options)
    document = bson.decode(record.document)
    assert {name: str(value) for name, value in document.items()} == {
        "_id": "65f0c2d4e8b7a913c0f55e10", "age": "7", "born": "2001-02-03 00:00:00",
        "at": "2001-02-03 04:05:06", "who": "{'name': 'Ann'}", "raw": "b'\\x00\\xff'",
        "tags": "['x']", "ok": "True", "paid": "False",
    }  # fmt: skip
    assert not detect(b"a.string(),b\n1,2\n", "x.csv").typed
    assert not detect(b"a.auto(),b.string()\n1,2\n", "x.csv").typed


def test_a_tar_is_a_dump():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("dump/"))
    found = detect(content.getvalue(), "dump.tar.gz")
    assert (found.is_dump, found.options.gzip) == (True, True)


TITLED = {
    "a report with its period, a blank line above the heading and a line of totals": (
        "\ufeffPer Transaction Report        \nReporting Period:   2014-01-01 to 2014-01-31\n\n"
        'Country, Transaction, Date, Name of App\nUsa, 24234jh24, 1/1/14, "App Name"\n'
        "Totals:,,,,,,,,,\n",
        ("Country", " Transaction", " Date", " Name of App"),
    ),
    "two lines of anything": ("nonsense1\nnonsense2\nh0,h1,h2\nr0,r1,r2\n", ("h0", "h1", "h2")),
    "titles that a spreadsheet filled up": ("Of May;;\n;;\nid;a;b\n1;x;y\n", ("id", "a", "b")),
}


@pytest.mark.parametrize("kind", TITLED)
def test_a_heading_below_titles_is_asked_for_and_records_begin_after_it(kind):
    text, heading = TITLED[kind]
    found = detect(text.encode(), "x.csv")
    assert (found.is_heading_doubtful, found.likely_heading) == (True, heading)
    [line] = [
        number
        for number, line in found.heading_lines("utf-8").items()
        if line.startswith(heading[0])
    ]
    options = detected_as(found, None, None, str(line))
    options = replace(options, columns=columns_of(heading))
    first, *others = read([text.encode()], options)
    assert (first.line, first.number, first.fault) == (line + 1, 1, None)
    resumed = read([text.encode()[first.end.offset :]], options, first.end)
    assert [each.line for each in resumed] == [each.line for each in others]


def test_lines_above_a_heading_may_be_longer_than_what_is_read_at_once():
    pieces = [b"\xef\xbb\xbftit", b'le "of', b'"\nmore\n', b"a,b\n1,2\n"]
    [block] = rows_in_blocks(iter(pieces), Dialect(skipped_lines=2), START)
    assert (block.heading, block.rows, block.lines) == (["a", "b"], [["1", "2"]], [4])
    assert block.end[:3] == (sum(map(len, pieces)), 4, 1)


def columns_of(heading):
    return tuple(Column(name, (name,)) for name in heading)


def test_what_only_looks_like_a_title_is_not_asked_about():
    for text in ("note\nhello; world\nfoo; bar\n", "a,b,c\n1,,\n2,x,y\n", "id,,\n1,,\n"):
        assert not detect(text.encode(), "x.csv").is_heading_doubtful, text


def test_a_pointer_to_a_file_is_no_file():
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    for name in ("puzzles.bson", "puzzles.csv", "puzzles.json"):
        assert "git lfs pull" in detect(pointer, name).refusal

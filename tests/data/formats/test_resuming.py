"""Reading goes on exactly after any record, whatever pieces the file comes in."""

import base64
import gzip

import bson
import pytest
from bson import Decimal128
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.data.formats.options import Column, ColumnType, Format, ReadOptions, WriteOptions
from portal.data.formats.reading import read
from portal.data.formats.records import Position
from tests.data.formats.documents import RECORDS
from tests.data.formats.test_round_trips import options_for
from tests.data.formats.whole_files import write

EXAMPLES = settings(max_examples=12, deadline=None)
COLUMNS = (Column("a", ("a",)), Column("b", ("b",)), Column("c", ("c",), ColumnType.INT32))
CSV = ReadOptions(Format.CSV, columns=COLUMNS)
LINES = st.lists(
    st.sampled_from(
        ["x,y,1\n", "\n", ",,\n", '"a\nb","",2\n', '"",x\n', "ä,ö,€\n", '"x"y,1,2\n', "1,2,3,4\n",
         "x,y,z\n", '"a""b",c,3\r\n', "\udce4,y,4\n", '"",""\n']
    ),
    max_size=12,
)  # fmt: skip


def pieces(content, size):
    return [content[start : start + size] for start in range(0, len(content), size)]


def check_every_position(content, options, size):
    records = list(read(pieces(content, size), options))
    for index, record in enumerate(records):
        if record.fault and record.fault.fatal:
            continue
        end = Position(*list(record.end))
        start = end.offset if options.is_seekable else 0
        rest = list(read(pieces(content[start:], size), options, end))
        assert [each[:2] + each[3:] for each in rest] == [
            each[:2] + each[3:] for each in records[index + 1 :]
        ]
    return records


@given(lines=LINES, mark=st.booleans(), unclosed=st.booleans(), size=st.integers(1, 40))
@EXAMPLES
def test_csv_goes_on_after_any_row(tiny_pieces, lines, mark, unclosed, size):
    text = ("\ufeff" if mark else "") + "a,b,c\n" + "".join(lines) + ('"x,y' if unclosed else "")
    check_every_position(text.encode(errors="surrogateescape"), CSV, size)


@given(lines=LINES, size=st.integers(1, 40))
@EXAMPLES
def test_a_text_of_another_encoding_goes_on_after_any_row(tiny_pieces, lines, size):
    text = "a,b,c\n" + "".join(lines).replace("\udce4", "ä")
    options = ReadOptions(Format.CSV, encoding="utf-16-le", columns=COLUMNS)
    records = check_every_position(("\ufeff" + text).encode("utf-16-le"), options, size)
    plain = read([text.encode()], CSV)
    assert [(each.line, each.document) for each in records] == [
        (each.line, each.document) for each in plain
    ]


@pytest.mark.parametrize("format_", [Format.JSON_LINES, Format.JSON_ARRAY, Format.BSON])
@given(documents=st.lists(RECORDS, max_size=5), packed=st.booleans(), size=st.integers(1, 60))
@EXAMPLES
def test_other_formats_go_on_after_any_document(tiny_pieces, format_, documents, packed, size):
    content = b"".join(write(documents, options_for(format_, documents)))
    options = ReadOptions(format_, gzip=packed)
    check_every_position(gzip.compress(content) if packed else content, options, size)


@given(
    texts=st.lists(
        st.sampled_from(
            ['{"a": 1}', "{}", '{"a": NaN}', "[1, [2]]", "5", '"x"', '{"a":\n{"b": [{}]}}', "{'a'}",
             '{"a": "}\\"]"}', '{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}']
        ),
        max_size=6,
    ),
    joined=st.sampled_from([",", ",\n", "\n", " , "]),
    closed=st.sampled_from(["]", "", "] x"]),
    size=st.integers(1, 30),
)  # fmt: skip
@EXAMPLES
def test_a_json_array_goes_on_after_any_element(tiny_pieces, texts, joined, closed, size):
    content = ("[" + joined.join(texts) + closed).encode()
    check_every_position(content, ReadOptions(Format.JSON_ARRAY), size)


@pytest.fixture(scope="module")
def tiny_pieces():
    """Pieces that are as small as they come, so that records lie across their borders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("portal.data.formats.unpacking.PIECE_BYTES", 1)
        yield


def test_a_decimal_whose_text_is_not_read_again_is_written_as_its_bytes():
    """It has a digit more than decimals have, which no driver writes."""
    decimal = Decimal128.from_bid((10**34 + 19589881851449).to_bytes(16, "little"))
    document = bson.encode({"_id": 1, "d": decimal})
    written = b"".join(write([document], WriteOptions(Format.JSON_LINES)))
    assert written == b'{ "$bson" : "' + base64.b64encode(document) + b'" }\n'

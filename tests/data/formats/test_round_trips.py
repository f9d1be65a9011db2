"""Exports in each format are imported again as the same bytes."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.data.formats.headings import typed_columns
from portal.data.formats.options import Format, ReadOptions, WriteOptions
from portal.data.formats.reading import read
from portal.data.formats.surveying import Survey
from portal.data.formats.writing import Writer
from tests.data.formats.documents import DOCUMENTS, RECORDS
from tests.data.formats.whole_files import write

ANY = st.one_of(st.lists(DOCUMENTS, max_size=6), st.lists(RECORDS, max_size=6))
EXAMPLES = settings(max_examples=25, deadline=None)
MANY = settings(max_examples=3000, deadline=None)


def options_for(format_, documents, **options):
    survey = Survey()
    survey.add(documents)
    columns = survey.columns() if format_ == Format.CSV else ()
    return WriteOptions(format_, columns=columns, **options)


def reading_of(options, content):
    if options.format != Format.CSV:
        return ReadOptions(options.format, options.gzip)
    heading = next(csv.reader(io.StringIO(content.decode(), newline="\n")))
    return ReadOptions(options.format, columns=typed_columns(heading))


def check(options, documents):
    content = b"".join(write(documents, options))
    records = list(read([content], reading_of(options, content)))
    assert [record.document for record in records] == documents


@given(documents=ANY, guarded=st.booleans())
@EXAMPLES
def test_a_typed_csv_file_is_read_as_the_same_documents(documents, guarded):
    check(options_for(Format.CSV, documents, guarded=guarded), documents)


@pytest.mark.parametrize("format_", [Format.JSON_LINES, Format.JSON_ARRAY, Format.BSON])
@given(documents=ANY, gzip=st.booleans())
@EXAMPLES
def test_any_other_file_is_read_as_the_same_documents(format_, documents, gzip):
    check(options_for(format_, documents, gzip=gzip), documents)


@pytest.mark.full
@given(documents=ANY, guarded=st.booleans(), format_=st.sampled_from(Format))
@MANY
def test_many_more_documents_come_out_and_go_in(documents, guarded, format_):
    check(options_for(format_, documents, guarded=guarded), documents)


@pytest.mark.parametrize(
    "format_",
    [
        Format.CSV,
        Format.BSON,
        pytest.param(Format.JSON_LINES, marks=pytest.mark.full),
        pytest.param(Format.JSON_ARRAY, marks=pytest.mark.full),
    ],
)
@given(documents=st.lists(RECORDS, min_size=2, max_size=6), cut=st.integers(0, 6))
@EXAMPLES
def test_a_writer_that_died_is_continued_from_what_it_kept(format_, documents, cut):
    options = options_for(format_, documents)
    whole = Writer(options)
    expected = whole.begin() + whole.encode(documents) + whole.end()

    first = Writer(WriteOptions.of(options.stored()))
    content = first.begin() + first.encode(documents[:cut])
    second = Writer(options, type(first.written).of(first.written.stored()))
    assert content + second.encode(documents[cut:]) + second.end() == expected
    assert second.written == whole.written

"""Reading a file: its records as BSON documents, one by one."""

from collections.abc import Iterable, Iterator

from portal.data.formats.bson_reading import read_bson
from portal.data.formats.csv_reading import read_csv
from portal.data.formats.errors import BrokenFile
from portal.data.formats.json_reading import read_json_array, read_json_lines
from portal.data.formats.options import Format, ReadOptions
from portal.data.formats.records import Fault, Position, Record
from portal.data.formats.unpacking import unpack

START = Position()


def read(
    parts: Iterable[bytes], options: ReadOptions, position: Position | None = None
) -> Iterator[Record]:
    """The records after ``position``.

    ``parts`` are the file's bytes in pieces of any size: from ``position.offset`` on where
    ``options.is_seekable``, otherwise from the start. Every record has an end, from which reading
    goes on exactly with the next. Memory is bounded by the largest record. Never raises for what
    the file has: what is no document is a record with a fault, after a fatal one nothing follows.
    """
    begin = position or START
    number, end = begin.number, begin
    try:
        for record in _read(unpack(parts, options, begin.offset), options, begin):
            number, end = record.number, record.end
            yield record
    except BrokenFile as error:
        fault = Fault(error.reason, fatal=True)
        yield Record(number + 1, 0, end, None, fault, b"")


def _read(content: Iterator[bytes], options: ReadOptions, begin: Position) -> Iterator[Record]:
    match options.format:
        case Format.CSV:
            return read_csv(content, options, begin)
        case Format.JSON_LINES:
            return read_json_lines(content, options, begin)
        case Format.JSON_ARRAY:
            return read_json_array(content, options, begin)
        case Format.BSON:
            return read_bson(content, begin)

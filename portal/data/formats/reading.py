"""Reading a file: its records as BSON documents, one by one."""

from collections.abc import Iterable, Iterator

from portal.data.formats.options import ReadOptions
from portal.data.formats.records import Position, Record


def read(
    parts: Iterable[bytes], options: ReadOptions, position: Position | None = None
) -> Iterator[Record]:
    """The records after ``position``.

    ``parts`` are the file's bytes in pieces of any size: from ``position.offset`` on where
    ``options.is_seekable``, otherwise from the start. Every record has an end, from which reading
    goes on exactly with the next. Memory is bounded by the largest record. Never raises for what
    the file has: what is no document is a record with a fault, after a fatal one nothing follows.
    """
    raise NotImplementedError

"""Records of a file: what a reader yields for each, and where it ends."""

from typing import Any, NamedTuple

LARGEST_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The largest document that MongoDB stores."""
TOO_LARGE = "The document is larger than 16 MiB"


class Position(NamedTuple):
    """The place after a record: ``skip`` records after byte ``offset`` of the unpacked file in
    UTF-8, before which there are ``lines`` lines and ``number`` records; ``inside`` of the brackets
    of a JSON array or not.

    A tuple of whole numbers: stored as a list, and made again by ``Position(*stored)``.
    """

    offset: int = 0
    lines: int = 0
    number: int = 0
    skip: int = 0
    inside: int = 0


class Fault(NamedTuple):
    """The reason for which a record is no document.

    ``value`` is the cell or the start of the line, cut for a table. Nothing can be read after a
    ``fatal`` one.
    """

    reason: str
    column: str | None = None
    value: str | None = None
    fatal: bool = False


class Record(NamedTuple):
    """A record: its document as BSON, or its fault; neither, for a blank or separators-only line.

    ``number`` counts records from 1, not the skipped ones. ``line`` is the line that it begins in;
    0 in a file without lines, or where nothing is read any more. ``source`` is what an error file
    repeats: the cells of a CSV record, the text of a JSON document, the bytes of a BSON document.
    """

    number: int
    line: int
    end: Position
    document: bytes | None
    fault: Fault | None
    source: Any

    @property
    def is_skipped(self) -> bool:
        """``True`` for a line without content."""
        return self.document is None and self.fault is None

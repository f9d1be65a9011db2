"""Error files: the records that were refused, as they were, with the reasons; imported again after
mending."""

from collections.abc import Iterable

from portal.data.formats.options import Format, ReadOptions
from portal.data.formats.records import Fault, Record


class ErrorFile:
    """Writes the error file of an import, in pieces: ``begin``, then any number of ``encode``.

    CSV has the input's columns and then ``$line``, ``$record`` and ``$reason``. Any other format
    becomes JSON lines, in which a line ``{"$error": …}`` stands before each refused document. The
    readers pass over both.
    """

    def __init__(self, options: ReadOptions) -> None:
        raise NotImplementedError

    @property
    def format(self) -> Format:
        """CSV, or JSON lines."""
        raise NotImplementedError

    def begin(self) -> bytes:
        """The start of the file."""
        raise NotImplementedError

    def encode(self, refused: Iterable[tuple[Record, Fault]]) -> bytes:
        """The refused records, by the reader's fault or by the caller's (a duplicate, a rule)."""
        raise NotImplementedError

"""Writing documents to a file, so that reading it gives the same documents."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from portal.data.formats.options import Column, WriteOptions


@dataclass(slots=True)
class Written:
    """What was written so far.

    ``wrapped`` documents stand as base64 of their BSON, since the format can't carry them.
    ``long_cells`` are longer than a spreadsheet takes. ``left_out`` counts, by field, the documents
    whose field has no column; ``changed`` those whose value another program reads otherwise (both
    in an untyped CSV file only).
    """

    documents: int = 0
    wrapped: int = 0
    long_cells: int = 0
    changed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """A document from which ``Written.of`` makes it again."""
        return {**asdict(self), "left_out": list(self.left_out.items())}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Written":
        """What was ``stored``."""
        return cls(**{**stored, "left_out": dict(stored["left_out"])})


class Writer:
    """Writes a file in pieces that may be made by different processes: ``begin``, any number of
    ``encode``, ``end``, joined in this order.

    Each piece depends only on the options, its documents and ``written``: kept beside each piece,
    a writer that died is continued exactly.
    """

    def __init__(self, options: WriteOptions, written: Written | None = None) -> None:
        raise NotImplementedError

    def begin(self) -> bytes:
        """The start of the file."""
        raise NotImplementedError

    def encode(self, documents: Iterable[bytes]) -> bytes:
        """The documents, added to ``written``."""
        raise NotImplementedError

    def end(self) -> bytes:
        """The end of the file."""
        raise NotImplementedError


def write(documents: Iterable[bytes], options: WriteOptions) -> Iterator[bytes]:
    """The whole file in pieces."""
    raise NotImplementedError


class Survey:
    """Finds the columns of a CSV file from documents: all of them, or a sample."""

    def add(self, document: bytes) -> None:
        """Take a document into account."""
        raise NotImplementedError

    def columns(self) -> tuple[Column, ...]:
        """The columns in the documents' order, with their types. Sub-documents are flattened."""
        raise NotImplementedError

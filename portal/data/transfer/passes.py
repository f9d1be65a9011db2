"""A pass over an uploaded file: its records in batches, from wherever the pass before ended, read
ahead while the batch before is worked on. An export reads pages of documents ahead, too."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from portal.data.formats.options import ReadOptions
from portal.data.formats.reading import read
from portal.data.formats.records import Fault, Position, Record
from portal.data.transfer.faults import Tally
from portal.data.transfer.files import StoredFile, content_of
from portal.documents.organizations import Organization

Batch = TypeVar("Batch")

BATCH_RECORDS = 10_000
BATCH_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class Reached:
    """The progress of a pass: ``at``, the end of the last record; how many ``records`` there were,
    without those that are skipped; what it counted; what failed, in ``pieces`` of an error file
    with ``error_bytes``."""

    at: Position = field(default_factory=Position)
    records: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    faults: Tally = field(default_factory=Tally)
    pieces: int = 0
    error_bytes: int = 0

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        if number:
            self.counts[name] = self.counts.get(name, 0) + number

    def advance(self, batch: Sequence[Record]) -> None:
        """Go on to the end of these records."""
        self.at = batch[-1].end
        self.records = max(self.records, batch[-1].number)
        self.count("blank", sum(each.document is None and each.is_skipped for each in batch))

    @property
    def errors(self) -> int:
        """The number of records that failed."""
        return self.counts.get("errors", 0)

    def stored(self) -> dict[str, Any]:
        """A document from which ``Reached.of`` makes it again."""
        return {
            "at": list(self.at),
            "records": self.records,
            "counts": self.counts,
            "faults": self.faults.stored(),
            "pieces": self.pieces,
            "error_bytes": self.error_bytes,
        }

    @classmethod
    def of(cls, stored: dict[str, Any] | None) -> Self:
        """The ``stored`` progress; the beginning, where there is none."""
        if not stored:
            return cls()
        return cls(
            Position(*stored["at"]),
            stored["records"],
            dict(stored["counts"]),
            Tally.of(stored["faults"]),
            stored["pieces"],
            stored["error_bytes"],
        )


class Consumed:
    """The parts of a file, and how many of its bytes were taken."""

    def __init__(self, parts: Iterable[bytes], first: int = 0) -> None:
        self._parts, self.bytes = parts, first

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self.bytes += len(part)
            yield part


def records_after(
    organization: Organization, file: StoredFile, options: ReadOptions, at: Position
) -> tuple[Iterator[Record], Consumed]:
    """The records of the file behind a position, and how much of it was taken for them."""
    first = at.offset if options.is_seekable else 0
    consumed = Consumed(content_of(organization, file, first), first)
    return read(consumed, options, at), consumed


def in_batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records in batches of BATCH_RECORDS or BATCH_BYTES."""
    batch: list[Record] = []
    size_bytes = 0
    for record in records:
        added = len(record.document or b"")
        if batch and (len(batch) >= BATCH_RECORDS or size_bytes + added > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(record)
        size_bytes += added
    if batch:
        yield batch


def fatal_fault(batch: Sequence[Record]) -> Fault | None:
    """The fault behind which nothing can be read: of the last record, if at all."""
    fault = batch[-1].fault
    return fault if fault and fault.fatal else None


def read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches, each of which is made while the caller works on the one before."""
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        waiting = thread.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = thread.submit(next, batches, None)
            yield batch

"""Reading BSON: documents one after another, as mongodump writes them."""

from collections.abc import Iterator, Sequence

from portal.data.formats.errors import DocumentCut, NoDocumentAt
from portal.data.formats.exact import faults_of
from portal.data.formats.records import LARGEST_DOCUMENT_BYTES, TOO_LARGE, Fault, Position, Record

_SMALLEST_BYTES = 5
_LARGEST_PASSED_BYTES = 64 * 1024 * 1024  # a longer one is a wrong length


def read_bson(content: Iterator[bytes], begin: Position) -> Iterator[Record]:
    """The records after ``begin``. One that is too large is passed over. Raises BrokenFile at a
    wrong length, after which nothing can be found, and at the end of a file that is cut."""
    offset, number = begin.offset, begin.number
    waiting: list[bytes] = []
    waiting_bytes, needed, passed = 0, 4, 0
    for piece in content:
        waiting.append(piece)
        waiting_bytes += len(piece)
        if waiting_bytes < needed:
            continue
        data = b"".join(waiting) if len(waiting) > 1 else piece
        position = min(passed, len(data))
        passed -= position
        size, needed = len(data), 4
        found: list[tuple[int, bytes]] = []
        is_wrong = False
        while position + 4 <= size:
            length = int.from_bytes(data[position : position + 4], "little")
            is_wrong = not _SMALLEST_BYTES <= length <= _LARGEST_PASSED_BYTES
            is_large = length > LARGEST_DOCUMENT_BYTES
            if is_wrong:
                break
            if position + length > size and not is_large:
                needed = length
                break
            found.append((length, b"" if is_large else data[position : position + length]))
            passed = max(0, position + length - size)
            position = min(position + length, size)
        for record in _records(found, offset, number):
            offset, _, number, *_ = record.end
            yield record
        if is_wrong:
            raise NoDocumentAt(offset)
        waiting = [data[position:]] if position < size else []
        waiting_bytes = size - position
    if waiting_bytes or passed:
        raise DocumentCut(number + 1)


def _records(found: Sequence[tuple[int, bytes]], offset: int, number: int) -> Iterator[Record]:
    """The records of documents with their lengths; one that is too large is empty here."""
    reasons = iter(faults_of([document for _, document in found if document]))
    for length, document in found:
        offset += length
        number += 1
        reason = next(reasons) if document else TOO_LARGE
        end = Position(offset, 0, number)
        if reason:
            yield Record(number, 0, end, None, Fault(reason), document)
        else:
            yield Record(number, 0, end, document, None, document)

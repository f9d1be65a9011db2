"""Files that are read in pages while they are sent, however long they are."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any

import pymongo
import structlog

from portal.web.errors import Overloaded

ROWS_AT_ONCE = 500
# For each page of them: the answer is under way, and the request's own limit is over.
READ_SECONDS = 4
EXPORTS_AT_ONCE = 2  # of the four threads of a worker

Row = dict[str, Any]
# Up to so many rows, those that follow one; the first ones where that is ``None``.
Read = Callable[[Row | None, int], list[Row]]
Render = Callable[[Iterable[Row]], str]

log = structlog.get_logger()
_places = BoundedSemaphore(EXPORTS_AT_ONCE)


@dataclass(frozen=True, slots=True)
class File:
    """What a file is made of: a ``begin``, which is made when it is sure that there will be one,
    pages of rows as they are rendered, with something ``between`` them, and an ``end``. The log
    calls it by ``kind`` and what else is ``told``."""

    kind: str
    begin: Callable[[], str]
    read: Read
    render: Render
    end: str
    between: str = ""
    told: Mapping[str, str | None] = field(default_factory=dict)


def streamed(file: File) -> Iterator[str]:
    """The parts of a file. Its first page is read now, so that a database that is away is told as
    ever; one that goes away later ends the answer in the middle. Raises Overloaded."""
    parts = _parts(file)
    next(parts)  # begun, it gives back what it took however the answer ends
    return parts


def _parts(file: File) -> Iterator[str]:
    with _place():
        begin, page, rows = file.begin(), _page_after(None, file), 0
        yield ""
        try:
            yield begin
            while page:
                yield (file.between if rows else "") + file.render(page)
                rows += len(page)
                page = _page_after(page[-1], file) if len(page) == ROWS_AT_ONCE else []
            yield file.end
        except Exception as error:
            # Nothing more is sent, not even that this is the end, which tells the client.
            broken = f"{file.kind}.export_broken"
            log.warning(broken, error=str(error)[:300], **file.told, events=rows)
            raise
        log.info(f"{file.kind}.exported", **file.told, events=rows)


@contextmanager
def _place() -> Iterator[None]:
    """Leaves threads to others, however slowly some take their files."""
    if not _places.acquire(blocking=False):
        raise Overloaded
    try:
        yield
    finally:
        _places.release()


def _page_after(last: Row | None, file: File) -> list[Row]:
    # The limit may not outlast the read: between two parts the thread does other things.
    with pymongo.timeout(READ_SECONDS):
        return file.read(last, ROWS_AT_ONCE)

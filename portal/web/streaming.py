"""Streamed files, read page by page while they are sent."""

import errno
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any, TypeVar

import pymongo
import structlog
from flask import copy_current_request_context
from structlog.contextvars import bound_contextvars

from portal.web.acting_operator import context_of_operator
from portal.web.errors import Overloaded

ROWS_AT_ONCE = 500
# For each page: while the response is streamed, the request's own limit no longer applies.
READ_SECONDS = 4
AT_ONCE = 2  # of the four threads of a worker, for bodies that are sent or received in parts
# The pace that bodies are received at, at least, too. Whoever reads nothing for as long as
# ``serving/worker.py`` has patience is cut off before; this is for who reads a bit now and then.
SLICE_BYTES = 128 * 1024
SLICE_SECONDS = 20

Row = dict[str, Any]
# Reads up to so many rows after a row, or from the beginning where that is ``None``.
Read = Callable[[Row | None, int], list[Row]]
Render = Callable[[Iterable[Row]], str]

Result = TypeVar("Result")
Part = TypeVar("Part", str, bytes)

log = structlog.get_logger()
_slots = BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class File:
    """The parts of a file: ``begin``, called once it is certain to be sent, the rendered pages of
    rows, with ``between`` as separator, and ``end``. Log lines say ``kind`` and ``log_context``."""

    kind: str
    begin: Callable[[], str]
    read: Read
    render: Render
    end: str
    between: str = ""
    log_context: Mapping[str, str | None] = field(default_factory=dict)


def streamed(file: File) -> Iterator[str]:
    """The parts of a file. Reads its first page now, so that an unavailable database is reported as
    usual; one that fails later breaks the response off. Raises Overloaded."""
    parts = _parts(file)
    next(parts)  # once started, it releases its slot however the response ends
    return parts


def _parts(file: File) -> Iterator[str]:
    with slot():
        begin, page, rows = file.begin(), _page_after(None, file), 0
        yield ""
        try:
            yield begin
            while page:
                yield from _paced((file.between if rows else "") + file.render(page))
                rows += len(page)
                page = _page_after(page[-1], file) if len(page) == ROWS_AT_ONCE else []
            yield file.end
        except Exception as error:
            # The response ends without its last chunk, so the client notices.
            log.warning(
                f"{file.kind}.export_broken",
                error=str(error)[:300],
                **file.log_context,
                events=rows,
            )
            raise
        log.info(f"{file.kind}.exported", **file.log_context, events=rows)


def in_parts(work: Callable[[], Result]) -> Result:
    """The result of ``work``, done in a slot and without the request's time limit: it limits each
    of its parts. Raises Overloaded."""
    logged = structlog.contextvars.get_contextvars()

    def run() -> Result:
        with bound_contextvars(**logged):
            return work()

    with slot():
        # A new context has no time limit, which an inner one could only shorten.
        return context_of_operator().run(copy_current_request_context(run))


def bytes_in_parts(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts of a file, each of which is read within READ_SECONDS while the one before is sent.
    Reads the first part now, so that refusals are answered as usual; one that fails later breaks
    the response off, as does a client that takes longer than SLICE_SECONDS for SLICE_BYTES. Raises
    Overloaded."""
    content = _slowly(iter(parts))
    next(content)  # once started, it releases its slot however the response ends
    return content


def _slowly(parts: Iterator[bytes]) -> Iterator[bytes]:
    with slot():
        part: bytes | None = _next_of(parts)
        yield b""
        while part is not None:
            yield from _paced(part)
            part = _next_of(parts)


def _paced(part: Part) -> Iterator[Part]:
    """The part in slices. Raises ConnectionResetError, as if the client had hung up, where one is
    not taken in its time."""
    for start in range(0, len(part), SLICE_BYTES):
        begun = time.monotonic()
        yield part[start : start + SLICE_BYTES]
        if time.monotonic() - begun > SLICE_SECONDS:
            log.warning("response.read_too_slowly")
            raise ConnectionResetError(errno.ECONNRESET, "the client reads too slowly")


def _next_of(parts: Iterator[bytes]) -> bytes | None:
    with pymongo.timeout(READ_SECONDS):
        return next(parts, None)


@contextmanager
def slot() -> Iterator[None]:
    """One of AT_ONCE slots, which keep threads free for other requests, however slowly clients send
    or receive. Raises Overloaded."""
    if not _slots.acquire(blocking=False):
        raise Overloaded
    try:
        yield
    finally:
        _slots.release()


def _page_after(last: Row | None, file: File) -> list[Row]:
    # The time limit may not outlast the read: the thread runs other code between two parts.
    with pymongo.timeout(READ_SECONDS):
        return file.read(last, ROWS_AT_ONCE)

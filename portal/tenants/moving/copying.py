"""Copying all documents from a source to a target while they are written.

Pages are read and written in rounds: in a round the next page is read while one is written, and
between rounds changes are taken in and applied. No page is read before changes are taken in and
written after they were applied: it would bring back what was deleted meanwhile.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..limits import BATCH_BYTES
from .applying import apply_dirty
from .errors import IdTooLarge
from .following import MAX_DIRTY, MAX_DIRTY_BYTES, MOST_ID_BYTES, Follower
from .order import is_behind
from .places import Page, Place, in_batches, read_page
from .structures import read_structure
from .writing import Target

ROUND_PAGES = 8
ROUND_SECONDS = 1
PAGE_DOCUMENTS = 2000
PAGE_BYTES = 2 * 1024 * 1024
"""The size of a page, as far as the one before tells how large documents are. It is written in one
transaction, with half as many documents of which a copy takes an eighth longer. Into a pool they
are: its fences wait for the transaction, and neighbours for those."""

# Of the first page, since nobody knows yet how large they are.
_FIRST_DOCUMENTS = 10


@dataclass(frozen=True, slots=True)
class Copied:
    """The progress of a copy: ``after`` and ``token`` are where another process goes on, and belong
    together. The numbers are those since the last call. It hasn't ``caught_up`` while more is
    written than it can apply; then nothing is copied."""

    after: bytes | None
    token: Mapping[str, Any]
    documents: int
    size_bytes: int
    applied: int
    caught_up: bool


def copy(
    source: Place,
    target: Target,
    follower: Follower,
    *,
    after: bytes | None,
    on_progress: Callable[[Copied], bool],
    throttle: Callable[[], int | None] = lambda: None,
) -> bool:
    """Copy the documents behind ``after``, and apply what changes meanwhile; ``True`` once all are
    copied, ``False`` where ``on_progress`` said so.

    The follower must have begun before the first document was read. What the target has behind
    ``after`` is deleted first. ``on_progress`` is called about each second and at the end, and
    returns whether to go on; ``throttle`` tells the documents per second that may be copied. Raises
    IdTooLarge, and what ``apply_dirty`` does.
    """
    with ThreadPoolExecutor(1, "copy") as reader:
        return _Copy(source, target, follower, after, throttle, reader).run(on_progress)


class _Copy:
    """One copy, and how far it is."""

    def __init__(
        self,
        source: Place,
        target: Target,
        follower: Follower,
        after: bytes | None,
        throttle: Callable[[], int | None],
        reader: ThreadPoolExecutor,
    ) -> None:
        self._source, self._target, self._follower = source, target, follower
        self._after, self._throttle, self._reader = after, throttle, reader
        self._collated = "collation" in read_structure(source).options
        self._most = PAGE_DOCUMENTS // 2 if target.place.shared else PAGE_DOCUMENTS
        self._average_bytes = PAGE_BYTES // _FIRST_DOCUMENTS
        self._documents = self._size_bytes = self._applied = 0
        # Applied, and perhaps not copied yet: the target has them as they are, or newer.
        self._early: set[bytes] = set()

    def run(self, on_progress: Callable[[Copied], bool]) -> bool:
        if self._after is None:  # all documents are read from here on
            self._follower.clean(list(self._follower.dirty), self._follower.position)
        for _ in self._target.clear(self._after):
            if not on_progress(self._copied(caught_up=True)):
                return False
        complete = False
        while True:
            caught_up = self._catch_up(complete)
            if not on_progress(self._copied(caught_up)):
                return False
            if complete and caught_up:
                return True
            if caught_up:
                complete = self._copy_round()

    def _catch_up(self, complete: bool) -> bool:
        """Apply what was written since; ``False`` if there is more."""
        will_read: Callable[[bytes], bool] = (lambda _: False) if complete else self._will_read
        caught_up = self._follower.pump(skips=will_read)
        self._early.update(each for each in self._follower.dirty if not self._was_read(each))
        if len(self._early) > MAX_DIRTY or sum(map(len, self._early)) > MAX_DIRTY_BYTES:
            self._early.clear()
        self._applied += apply_dirty(self._source, self._target, self._follower)
        return caught_up

    def _will_read(self, document_id: bytes) -> bool:
        """Tell whether the document will be read in a later page, as it is then, and written."""
        after = self._after
        if after is None:
            return True
        behind = is_behind(document_id, after, collated=self._collated)
        return behind is True and document_id not in self._early

    def _was_read(self, document_id: bytes) -> bool:
        after = self._after
        if after is None:
            return False
        return is_behind(document_id, after, collated=self._collated) is False

    def _copy_round(self) -> bool:
        """Copy some pages; ``True`` if there are no more."""
        until = time.monotonic() + ROUND_SECONDS
        following = self._read(self._after)
        for left in reversed(range(ROUND_PAGES)):
            page = following.result()
            if not page.ids:
                return True
            if max(map(len, page.ids)) > MOST_ID_BYTES:
                raise IdTooLarge(None)
            begun, size_bytes = time.monotonic(), sum(map(len, page.documents))
            self._average_bytes = size_bytes // len(page.documents)
            # Two large pages would be too much for memory.
            last = not left or begun > until or size_bytes > 2 * PAGE_BYTES
            if not last:
                following = self._read(page.ids[-1])
            written = self._write(page)
            self._after = page.ids[-1]
            self._rest(len(page.ids), begun)
            if last or not written:
                return False
        raise AssertionError("the last page of a round returns")

    def _read(self, after: bytes | None) -> Future[Page]:
        size, rate = min(self._most, PAGE_BYTES // self._average_bytes), self._throttle()
        size = max(1, size if rate is None else min(size, rate // 4))
        since = self._follower.position
        return self._reader.submit(read_page, self._source, after, size, since=since)

    def _write(self, page: Page) -> bool:
        """Insert the page; where some of it is there already, leave it to be applied."""
        pairs = zip(page.ids, page.documents, strict=True)
        fresh = [document for id_, document in pairs if id_ not in self._early]
        self._documents += len(page.ids)
        self._size_bytes += sum(map(len, page.documents))
        if all(
            self._target.replace((), some) for some in in_batches(fresh, self._most, BATCH_BYTES)
        ):
            return True
        self._follower.mark(page.ids)
        return False

    def _rest(self, documents: int, since: float) -> None:
        if rate := self._throttle():
            time.sleep(max(0, since + documents / rate - time.monotonic()))

    def _copied(self, caught_up: bool) -> Copied:
        copied = Copied(
            self._after,
            self._follower.token,
            self._documents,
            self._size_bytes,
            self._applied,
            caught_up,
        )
        self._documents = self._size_bytes = self._applied = 0
        return copied

"""Verifying that a target has each document of the source, byte for byte, while both change.

Documents are compared by ranges of ids. The source is read at one cluster time, and the target as
it is; nothing is applied in between. So each id that isn't dirty once the stream has passed that
time must be the same on both sides. What differs and isn't dirty is a difference: it is applied
again, counted, and compared once more. Dirty ids are applied and compared later, the last ones when
nobody writes any more.

All times are those of the source's cluster.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import bson
from bson import json_util
from bson.errors import BSONError
from pymongo.errors import OperationFailure

from ..elements import id_of
from .errors import NotReached, VerificationFailed
from .following import Follower
from .places import Page, Place, read_batches, read_ids, read_page, time_of

RANGE_DOCUMENTS, RANGE_BYTES = 1000, 2 * 1024 * 1024
GROUP_RANGES = 32
GROUP_SECONDS = 5
"""The longest time that ranges are read at one cluster time: servers keep it for 300 s, and what is
written meanwhile is dirty."""

REACH_SECONDS = 30
MOST_IDS = 100
MOST_UNSETTLED = 200_000
TRIES = 10

_FIRST_DOCUMENTS = 10
# Differences that an apply leaves are applied once more.
_MOST_TIMES = 3
_LARGE_PAGE_BYTES = 2 * RANGE_BYTES
# SnapshotTooOld; SnapshotUnavailable and QueryPlanKilled: renamed meanwhile.
_READ_AGAIN = (239, 246, 175)


@dataclass(slots=True)
class Verification:
    """The result of comparing documents: in how many ``ranges`` and of how many ``documents`` of
    the source, with a ``digest`` of those; how many were found to be different, of which the first
    ``ids``, and how many of them are the same since. ``unsettled`` are ids that were written
    whenever they were compared. ``complete`` is set once no range is left."""

    ranges: int = 0
    documents: int = 0
    differences: int = 0
    repaired: int = 0
    ids: list[bytes] = field(default_factory=list)
    digest: str = ""
    unsettled: set[bytes] = field(default_factory=set)
    complete: bool = False

    @property
    def shown_ids(self) -> list[str]:
        """The ids in words: Extended JSON, or BSON in hexadecimal for what isn't a value."""
        return [_shown(each) for each in self.ids]


def verify(
    source: Place,
    target: Place,
    follower: Follower,
    apply: Callable[[], object],
    *,
    on_progress: Callable[[Verification], bool] = lambda _: True,
    throttle: Callable[[], int | None] = lambda: None,
) -> Verification:
    """Compare all documents, and repair what differs. ``apply`` is called to have the target's
    documents of all dirty ids be as the source's; ``on_progress`` after each group of ranges, with
    the result so far, and it returns whether to go on; ``throttle`` tells the documents per second
    that may be compared.

    Raises VerificationFailed where documents differ however often they are applied, NotReached
    where the stream can't follow, and what ``apply`` does.
    """
    found, digest, after = Verification(), hashlib.sha256(), None
    size = _FIRST_DOCUMENTS
    times: Counter[bytes] = Counter()
    settle = partial(_settle, source, target, follower, apply, found, times)
    tries_left = TRIES
    with ThreadPoolExecutor(1, "move-verify") as reader:
        while not found.complete:
            differing: set[bytes] = set()
            ranges = found.ranges
            try:
                for each in _group(source, target, follower, after, size, reader, throttle):
                    digest.update(b"".join(each.mine.documents))
                    found.ranges += 1
                    found.documents += len(each.mine.ids)
                    dirty = follower.dirty.keys() & each.differing
                    found.unsettled |= dirty
                    differing |= each.differing - dirty
                    if each.mine.ids:
                        after = each.mine.ids[-1]
                        size = each.next_size
                    found.complete = each.is_last
            except (NotReached, OperationFailure) as error:
                tries_left = TRIES if found.ranges > ranges else tries_left - 1
                if not tries_left or not _is_transient(error):
                    raise
            apply()
            found.unsettled |= settle(set(), differing)
            found.digest = digest.hexdigest()
            if found.complete:
                found.unsettled = settle(found.unsettled, set())
            if not on_progress(found):
                break
    return found


def verify_ids(
    source: Place,
    target: Place,
    follower: Follower,
    apply: Callable[[], object],
    ids: Iterable[bytes],
    *,
    fenced: bool = False,
) -> Verification:
    """Compare the documents of these ids, and repair what differs; ``unsettled`` are those that
    were written whenever they were compared. With ``fenced`` nobody writes at the source, and the
    stream has seen all that was written: none is unsettled then. Raises like ``verify``."""
    suspects = set(ids)
    found = Verification(documents=len(suspects), complete=True)
    times: Counter[bytes] = Counter()
    found.unsettled = _settle(
        source, target, follower, apply, found, times, suspects, set(), fenced=fenced
    )
    return found


def digest_of(place: Place) -> str:
    """The digest of all documents at a place where nobody writes."""
    digest, after = hashlib.sha256(), None
    while (page := read_page(place, after, RANGE_DOCUMENTS)).ids:
        digest.update(b"".join(page.documents))
        after = page.ids[-1]
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Range:
    """The source's documents of a range, and the ids of all that are others at the target."""

    mine: Page
    differing: set[bytes]
    next_size: int
    is_last: bool


def _group(
    source: Place,
    target: Place,
    follower: Follower,
    after: bytes | None,
    size: int,
    reader: ThreadPoolExecutor,
    throttle: Callable[[], int | None],
) -> Iterator[_Range]:
    """Compare some ranges behind ``after`` at one time, once the stream has passed that; the first
    of them of ``size`` documents."""
    at, rate = time_of(source), throttle()
    follower.reach(at, REACH_SECONDS)
    begun = time.monotonic()
    until = begun + GROUP_SECONDS

    def read(behind: bytes | None) -> Page:
        nonlocal size
        page = read_page(source, behind, size if rate is None else _within(rate, size), at=at)
        size = _fitting(page.documents)
        return page

    page = read(after)
    following = read(page.ids[-1]) if page.ids else page
    for _ in range(GROUP_RANGES):
        bound = following.ids[0] if following.ids else None
        # Not where pages are large: those in memory are many already.
        ahead = reader.submit(read, following.ids[-1]) if bound and _is_small(following) else None
        differing = _differing(page, target, after, bound)
        if rate := throttle():
            time.sleep(max(0, begun + len(page.ids) / rate - time.monotonic()))
        yield _Range(page, differing, size, is_last=bound is None)
        begun = time.monotonic()
        if bound is None or begun > until:
            return
        after, page = page.ids[-1], following
        following = ahead.result() if ahead else read(page.ids[-1])


def _differing(mine: Page, target: Place, after: bytes | None, bound: bytes | None) -> set[bytes]:
    """The ids of a range whose documents aren't the same at the target. It is read in pages, since
    it may have more than the source."""
    size = len(mine.ids) + 1
    theirs = read_page(target, after, size, before=bound)
    ids, documents = list(theirs.ids), list(theirs.documents)
    while theirs.ids:
        theirs = read_page(target, theirs.ids[-1], size, before=bound)
        ids += theirs.ids
        documents += theirs.documents
    if ids == mine.ids and documents == mine.documents:
        return set()
    return _unequal(
        dict(zip(mine.ids, mine.documents, strict=True)), dict(zip(ids, documents, strict=True))
    )


def _settle(
    source: Place,
    target: Place,
    follower: Follower,
    apply: Callable[[], object],
    found: Verification,
    times: Counter[bytes],
    suspects: set[bytes],
    differing: set[bytes],
    *,
    fenced: bool = False,
) -> set[bytes]:
    """Compare suspects, and repair what differs, until nothing does; those that were dirty at each
    of some tries. How often each differed is counted in ``times``."""
    _count(found, times, differing)
    tries_left = TRIES
    while differing or (suspects and tries_left):
        tries_left -= 1
        follower.mark(differing)
        apply()
        differing, suspects = _compare(
            source, target, follower, suspects | differing, fenced=fenced
        )
        _count(found, times, differing)
        failed = [each for each in differing if times[each] == _MOST_TIMES]
        if failed:
            raise VerificationFailed([_shown(each) for each in failed[:MOST_IDS]], len(failed))
    if len(suspects) > MOST_UNSETTLED:
        raise NotReached("fewer documents that are written again and again", REACH_SECONDS)
    found.repaired = found.differences - sum(each in times for each in suspects)
    return suspects


def _count(found: Verification, times: Counter[bytes], differing: set[bytes]) -> None:
    new = sorted(each for each in differing if not times[each])
    times.update(differing)
    found.differences += len(new)
    found.ids += new[: MOST_IDS - len(found.ids)]


def _compare(
    source: Place, target: Place, follower: Follower, ids: set[bytes], *, fenced: bool
) -> tuple[set[bytes], set[bytes]]:
    """The ids whose documents differ, and those that do and are dirty."""
    differing: set[bytes] = set()
    left, tries_left = list(ids), TRIES
    while left:
        at = None if fenced else time_of(source)
        if at is not None:
            follower.reach(at, REACH_SECONDS)
        until = time.monotonic() + GROUP_SECONDS
        try:
            for some, documents in read_batches(source, left, at=at):
                mine = {id_of(document): document for document in documents}
                differing |= _unequal(mine, read_ids(target, some))
                left = left[len(some) :]
                if time.monotonic() > until:
                    break
        except OperationFailure as error:
            tries_left -= 1
            if not tries_left or not _is_transient(error):
                raise
    dirty = set() if fenced else differing & follower.dirty.keys()
    return differing - dirty, dirty


def _fitting(documents: Sequence[bytes]) -> int:
    """The number of documents, after some, that are read at once."""
    each = sum(map(len, documents)) // max(1, len(documents)) + 1
    return max(1, min(RANGE_BYTES // each, RANGE_DOCUMENTS))


def _within(rate: int, size: int) -> int:
    """The number of documents that are read at once where so many a second may be."""
    return max(1, min(size, rate // 4))


def _unequal(mine: dict[bytes, bytes], theirs: dict[bytes, bytes]) -> set[bytes]:
    return {each for each in mine.keys() | theirs.keys() if mine.get(each) != theirs.get(each)}


def _is_small(page: Page) -> bool:
    return sum(map(len, page.documents)) < _LARGE_PAGE_BYTES


def _is_transient(error: Exception) -> bool:
    return isinstance(error, NotReached) or getattr(error, "code", None) in _READ_AGAIN


def _shown(document_id: bytes) -> str:
    try:
        return json_util.dumps(bson.decode(document_id)[""])
    except (BSONError, ValueError, OverflowError):
        return document_id.hex()

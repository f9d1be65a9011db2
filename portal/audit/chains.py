"""Verifies the audit trail's chains, from the first event to the head in the subject's document.

Reads all events in one order, and keeps only the heads of one page of chains in memory. Rereads a
chain that seems broken: events are written together with the head and never change, so all events
up to a head that was read before them exist, and none is ahead of a head that is read after them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal.audit.trail import event_hash, personal_digest
from portal.database.paging import BATCH_SIZE, in_batches
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.installation import INSTALLATION, Installation
from portal.documents.organizations import Organization

CHANGED, MISSING, REORDERED = "changed", "missing", "reordered"
HEAD_DIFFERS, ORPHANED = "head_differs", "orphaned"
_WORDS = {
    CHANGED: "event {seq} was changed",
    MISSING: "event {seq} is missing",
    REORDERED: "event {seq} is out of order",
    HEAD_DIFFERS: "its head is not event {seq}",
    ORPHANED: "its subject does not exist",
}

Row = dict[str, Any]
_SUBJECTS = (Organization, Account, Installation)


@dataclass(frozen=True, slots=True)
class BrokenChain:
    """A broken chain with its subject, its first fault, and the number of the event at fault."""

    chain: ObjectId
    subject: str
    organization: ObjectId | None
    fault: str
    seq: int

    @property
    def words(self) -> str:
        """The fault in words."""
        return _WORDS[self.fault].format(seq=self.seq)


@dataclass(slots=True)
class Tally:
    """The number of chains and events read."""

    chains: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a chain, as stored in its subject."""

    chain: ObjectId
    seq: int
    hash: str

    @classmethod
    def of(cls, row: Row) -> "_Head":
        head = row.get("audit_head", {})
        return cls(row["_id"], head.get("seq", 0), head.get("hash", ""))


@dataclass(slots=True)
class _Walk:
    """The result of reading a chain up to its head: the last ``seq`` reached, and the first
    ``fault``, at ``seq``, after the hash ``previous``."""

    reached: int = 0
    fault: str | None = None
    seq: int = 0
    previous: str = ""

    def note(self, fault: str, seq: int) -> None:
        """Keep a fault, if it is the first."""
        if self.fault is None:
            self.fault, self.seq = fault, seq


def find_broken(tally: Tally | None = None) -> Iterator[BrokenChain]:
    """All chains with a changed, removed, moved or inserted event, or a different head. Raises
    PyMongoError where MongoDB can't be used."""
    tally = tally or Tally()
    heads = merge(*map(_heads, _SUBJECTS), key=attrgetter("chain"))
    after: Row = {}
    while page := list(islice(heads, BATCH_SIZE)):
        last = page[-1].chain
        yield from _confirmed(_suspects(page, {**after, "$lte": last}, tally))
        after = {"$gt": last}
    yield from _confirmed(_suspects([], after or {"$exists": True}, tally))


def verify_chain(chain: ObjectId, tally: Tally) -> BrokenChain | None:
    """The fault of one ``chain``, if it has one. Raises PyMongoError."""
    tally.chains += 1
    tally.events += AuditEvent.objects(chain=chain).count()
    return next(_confirmed([chain]), None)


def _heads(document: type[Document]) -> Iterator[_Head]:
    for page in in_batches(document, {}, "audit_head"):
        yield from map(_Head.of, page)


def _suspects(page: list[_Head], chains: Row, tally: Tally) -> Iterator[ObjectId]:
    """The ``chains`` that don't match their heads in the ``page``, or have none there."""
    heads = {head.chain: head for head in page}
    tally.chains += len(page)
    for chain, events in groupby(_events(chains), key=itemgetter("chain")):
        head = heads.pop(chain, None)
        walk = _walk(events, head) if head else _Walk()
        tally.events += walk.reached
        if head is None or walk.fault or walk.reached != head.seq:
            yield chain
    yield from (head.chain for head in heads.values() if head.seq)


def _events(chains: Any) -> Iterable[Row]:
    # Reads the index of chains and sequence numbers backwards.
    return AuditEvent._get_collection().find({"chain": chains}).sort([("chain", -1), ("seq", 1)])


def _walk(events: Iterable[Row], head: _Head) -> _Walk:
    """Read all ``events``."""
    walk = _Walk()
    for event in events:
        if walk.fault is None:
            _step(walk, event)
        walk.reached = event["seq"]
        if event["seq"] == head.seq and event["hash"] != head.hash:
            walk.note(HEAD_DIFFERS, head.seq)
    if walk.reached < head.seq:
        walk.note(MISSING, walk.reached + 1)
    return walk


def _step(walk: _Walk, event: Row) -> None:
    expected = walk.reached + 1
    if event["seq"] != expected:
        walk.note(MISSING, expected)
    elif event_hash(walk.previous, event) != event["hash"] or not _matches_digests(event):
        walk.note(CHANGED, expected)
    else:
        walk.previous = event["hash"]


def _matches_digests(event: Row) -> bool:
    """Tell whether the personal values that weren't erased match their digests."""
    return all(
        personal_digest(salted["value"], salted["salt"]) == salted["digest"]
        for salted in event.get("personal", {}).values()
        if salted.get("value") is not None
    )


def _confirmed(chains: Iterable[ObjectId]) -> Iterator[BrokenChain]:
    for chain in chains:
        before = _subject(chain)
        fault = _reread(chain, before) if before else _check_orphaned(chain)
        if fault:
            organization = chain if before and "slug" in before else None
            yield BrokenChain(chain, _title(before), organization, *fault)


def _reread(chain: ObjectId, before: Row) -> tuple[str, int] | None:
    walk = _walk(_events(chain), _Head.of(before))
    after = _subject(chain)
    if after is None:
        return None  # its creation was rolled back
    if walk.reached > _Head.of(after).seq:
        walk.note(HEAD_DIFFERS, walk.reached)
    if walk.fault in (CHANGED, MISSING) and _was_moved(chain, walk):
        return REORDERED, walk.seq
    return (walk.fault, walk.seq) if walk.fault else None


def _was_moved(chain: ObjectId, walk: _Walk) -> bool:
    """Tell whether the event that belongs at ``walk.seq`` has another number now."""
    return any(
        event_hash(walk.previous, {**event, "seq": walk.seq}) == event["hash"]
        for event in _events(chain)
        if event["seq"] != walk.seq
    )


@transactional
def _check_orphaned(chain: ObjectId) -> tuple[str, int] | None:
    orphaned = _subject(chain) is None and AuditEvent.objects(chain=chain).first() is not None
    return (ORPHANED, 0) if orphaned else None


def _subject(chain: ObjectId) -> Row | None:
    fields = {"name": 1, "slug": 1, "audit_head": 1}
    found = (kind._get_collection().find_one({"_id": chain}, fields) for kind in _SUBJECTS)
    return next((row for row in found if row), None)


def _title(subject: Row | None) -> str:
    if subject is None:
        return "a chain"
    if subject["_id"] == INSTALLATION:
        return "the installation"
    return f"organization {subject['slug']}" if "slug" in subject else "an account"

"""The audit trail's chains: whole from the first event to the head in the document they are of.

All events are read in one order, and of each page of chains no more than the heads is kept. A
chain that seems broken is read once more: events are written together with the head and never
change, so those up to the head that was read before are there, and none is ahead of the head
that is read after.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal.accounts.documents import Account
from portal.audit.documents import AuditEvent
from portal.audit.trail import personal_digest, stored_hash
from portal.database import transaction
from portal.doctor.findings import PAGE, Finding, Kind, Row, pages_of
from portal.organizations.documents import Organization

BROKEN = Kind(
    "broken_chain",
    "Audit chains that were changed",
    "Nothing mends them. Compare with a backup, and find out who writes to the master database.",
)

_SUBJECTS = (Organization, Account)


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a chain as its organization or account has it."""

    chain: ObjectId
    seq: int
    hash: str

    @classmethod
    def of(cls, row: Row) -> "_Head":
        head = row.get("audit_head", {})
        return cls(row["_id"], head.get("seq", 0), head.get("hash", ""))


def find_broken() -> Iterator[Finding]:
    """Chains with an event that was changed, removed or put in, or with another head."""
    heads = merge(*map(_heads, _SUBJECTS), key=attrgetter("chain"))
    after: dict[str, Any] = {}
    while page := list(islice(heads, PAGE)):
        last = page[-1].chain
        yield from _confirmed(_suspects(page, {**after, "$lte": last}))
        after = {"$gt": last}
    yield from _confirmed(_suspects([], after or {"$exists": True}))


def _heads(document: type[Document]) -> Iterator[_Head]:
    for page in pages_of(document, {}, "audit_head"):
        yield from map(_Head.of, page)


def _suspects(page: list[_Head], chains: dict[str, Any]) -> Iterator[ObjectId]:
    """Which of the ``chains`` don't match the heads of the ``page``, or have none there."""
    heads = {head.chain: head for head in page}
    for chain, events in groupby(_events(chains), key=itemgetter("chain")):
        head = heads.pop(chain, None)
        seq, reason = _fault(events, head) if head else (0, None)
        if head is None or reason or seq != head.seq:
            yield chain
    yield from (head.chain for head in heads.values() if head.seq)


def _events(chains: Any) -> Iterable[Row]:
    # The index of chains and sequence numbers, read backwards.
    return AuditEvent._get_collection().find({"chain": chains}).sort([("chain", -1), ("seq", 1)])


def _fault(events: Iterable[Row], head: _Head) -> tuple[int, str | None]:
    """How far the events go, and what breaks the chain up to the ``head``. All are read."""
    seq, previous, reason = 0, "", None
    for event in events:
        reason = reason or _fault_at(event, seq, previous)
        seq, previous = event["seq"], event["hash"]
        if seq == head.seq and previous != head.hash:
            reason = reason or f"its head is not event {seq}"
    if seq < head.seq:
        reason = reason or f"event {seq + 1} of {head.seq} is missing"
    return seq, reason


def _fault_at(event: Row, seq: int, previous: str) -> str | None:
    if event["seq"] != seq + 1:
        return f"event {seq + 1} is missing"
    if stored_hash(previous, event) != event["hash"] or not _is_sealed(event):
        return f"event {event['seq']} was changed"
    return None


def _is_sealed(event: Row) -> bool:
    """Whether the personal values that weren't erased are those that went into the hash."""
    return all(
        personal_digest(sealed["value"], sealed["salt"]) == sealed["digest"]
        for sealed in event.get("personal", {}).values()
        if sealed.get("value") is not None
    )


def _confirmed(chains: Iterable[ObjectId]) -> Iterator[Finding]:
    for chain in chains:
        before = _subject(chain)
        reason = _reread(chain, before) if before else _orphaned(chain)
        if reason:
            organization = chain if before and "slug" in before else None
            yield Finding(BROKEN, str(chain), f"{_title(before)}: {reason}", organization)


def _reread(chain: ObjectId, before: Row) -> str | None:
    seq, reason = _fault(_events(chain), _Head.of(before))
    after = _subject(chain)
    if after is None:
        return None  # what never came to be has no chain any more
    if seq > _Head.of(after).seq:
        reason = reason or f"its head is not event {seq}"
    return reason


def _orphaned(chain: ObjectId) -> str | None:
    def body() -> bool:
        return _subject(chain) is None and AuditEvent.objects(chain=chain).first() is not None

    return "it is of nothing that exists" if transaction(body) else None


def _subject(chain: ObjectId) -> Row | None:
    fields = {"name": 1, "slug": 1, "audit_head": 1}
    found = (kind._get_collection().find_one({"_id": chain}, fields) for kind in _SUBJECTS)
    return next((row for row in found if row), None)


def _title(subject: Row | None) -> str:
    if subject is None:
        return "a chain"
    return f"organization {subject['slug']}" if "slug" in subject else "an account"

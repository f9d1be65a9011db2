"""Writes and reads the audit trail."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from bson import ObjectId
from mongoengine import Document
from pymongo import ReturnDocument

from portal import clock
from portal.audit.filters import NO_FILTERS, PORTAL, Filters
from portal.audit.words import describe_event
from portal.database.paging import Page, page_from
from portal.database.transactions import within_transaction
from portal.documents.audit import AuditEvent, Head, Origin
from portal.documents.installation import INSTALLATION, Installation
from portal.documents.organizations import Organization
from portal.web.context import OPERATOR

EVENTS_PER_PAGE = 25
HIGHEST_SEQ = 2**53 - 1
REFUSED = "access.refused"
ERASED = "a closed account"
_BEFORE = "_before"
ERASED_AT_ONCE = 500
_PERSONAL = ("email", "address")
# Hashed only where an event has them: earlier versions wrote none.
_OPTIONAL = ("actor_kind", "actor_name", "target", "session")


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event for display. ``erased`` are the names of its erased personal values."""

    seq: int
    at: datetime
    action: str
    actor_email: str | None
    address: str | None
    details: dict[str, str] = field(default_factory=dict)
    actor_name: str | None = None
    target_email: str | None = None
    target: ObjectId | None = None
    session: ObjectId | None = None
    request_id: str | None = None
    hash: str = ""
    erased: frozenset[str] = frozenset()

    @property
    def actor_shown(self) -> str:
        """The actor in words."""
        erased = ERASED if "email" in self.erased else PORTAL
        return self.actor_email or self.actor_name or erased

    @property
    def words(self) -> str:
        """The action in words."""
        target = self.target_email or (ERASED if "target_email" in self.erased else None)
        return describe_event(self.action, self.details, target)

    @property
    def refused(self) -> bool:
        """Tell whether the action was refused."""
        return self.action == REFUSED

    @property
    def changes(self) -> list[tuple[str, str | None, str | None]]:
        """The details by name, each with its former value, if recorded, and its value."""
        names = dict.fromkeys(name.removesuffix(_BEFORE) for name in self.details)
        return [(name, self.details.get(name + _BEFORE), self.details.get(name)) for name in names]

    @classmethod
    def of(cls, event: dict[str, Any]) -> "ListedEvent":
        """From a stored event."""
        personal = {name: salted.get("value") for name, salted in event.get("personal", {}).items()}
        return cls(
            **{own.name: event[own.name] for own in fields(cls) if own.name in event},
            actor_email=personal.get("email"),
            address=personal.get("address"),
            target_email=personal.get("target_email"),
            erased=frozenset(name for name, value in personal.items() if value is None),
        )


class ChainMoved(Exception):
    """Another event was appended to the chain since its head was read."""


@within_transaction
def record(
    subject: Document,
    action: str,
    origin: Origin,
    *,
    target: ObjectId | None = None,
    target_email: str | None = None,
    **details: str | None,
) -> AuditEvent:
    """Append an event to the chain of ``subject``: an organization, an account, or the
    ``installation()`` for what concerns neither.

    ``details`` are new values by name, with the former ones as ``<name>_before``; no secrets. Call
    it inside the transaction of the change that it records, which must also have read
    ``subject.audit_head``. Raises ChainMoved where the head has changed since, which in a
    transaction is a bug.
    """
    event = next_event(
        subject.audit_head, subject.id, action, origin, details, target, target_email
    )
    current = type(subject).objects(id=subject.id, audit_head__seq=subject.audit_head.seq)
    changes = head_changes(subject, event)
    if not current.update_one(**changes):
        raise ChainMoved(str(subject.id))
    event.insert()
    subject.audit_head = changes["set__audit_head"]
    return event


def head_changes(subject: Document, event: AuditEvent) -> dict[str, Any]:
    """The changes of ``subject`` that go with its next ``event``, for a write that matches the
    ``seq`` of the head before it."""
    head = Head(seq=event.seq, hash=event.hash, at=event.at)
    # The listing follows an organization by it.
    listed = {"set__unlisted": ObjectId()} if isinstance(subject, Organization) else {}
    return {"set__audit_head": head, **listed}


@within_transaction
def installation() -> Installation:
    """The subject of events that concern no organization and no account, created if missing."""
    begun = {"$ifNull": ["$audit_head", Head().to_mongo()]}
    stored = Installation._get_collection().find_one_and_update(
        {"_id": INSTALLATION},
        [{"$set": {"audit_head": begun}}],
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return Installation._from_son(stored)


@within_transaction
def begin_chain(
    subject: Document, action: str, origin: Origin, **details: str | None
) -> AuditEvent:
    """Record the first event of ``subject``, which isn't stored yet: the caller stores it, with the
    head that it has then, in the same transaction."""
    event = next_event(subject.audit_head, subject.id, action, origin, details)
    event.insert()
    subject.audit_head = Head(seq=event.seq, hash=event.hash, at=event.at)
    if isinstance(subject, Organization):
        subject.unlisted = ObjectId()
    return event


def next_event(
    head: Head,
    chain: ObjectId,
    action: str,
    origin: Origin,
    details: dict[str, str | None],
    target: ObjectId | None = None,
    target_email: str | None = None,
) -> AuditEvent:
    """The unsaved event that follows ``head``."""
    personal = {name: origin[name] for name in _PERSONAL} | {"target_email": target_email}
    event = AuditEvent(
        chain=chain,
        seq=head.seq + 1,
        at=clock.now(),
        action=action,
        actor=origin.actor or origin.account,
        actor_kind=origin.actor_kind,
        actor_name=origin.actor_name,
        target=target,
        session=origin.session,
        request_id=origin.request_id,
        details={name: value for name, value in details.items() if value is not None},
        personal={name: _salted(value) for name, value in personal.items() if value},
    )
    event.hash = event_hash(head.hash, event.to_mongo())
    return event


def event_hash(previous_hash: str, event: dict[str, Any]) -> str:
    """SHA-256 (hex) of the previous hash and a stored event's canonical JSON, with digests in place
    of personal values."""
    actor = event.get("actor")
    content = {
        "chain": str(event["chain"]),
        "seq": event["seq"],
        "at": round(event["at"].timestamp() * 1000),  # milliseconds
        "action": event["action"],
        "actor": str(actor) if actor else None,
        "request_id": event.get("request_id"),
        "details": event.get("details", {}),
        "personal": {name: salted["digest"] for name, salted in event.get("personal", {}).items()},
    }
    content |= {name: str(event[name]) for name in _OPTIONAL if event.get(name)}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256((previous_hash + canonical).encode()).hexdigest()


def events_of(
    chain: ObjectId,
    filters: Filters = NO_FILTERS,
    *,
    before: int | None = None,
    after: int | None = None,
) -> Page:
    """A page of the chain's events, newest first; ``before`` and ``after`` are their ``seq``."""
    seq, direction = None, -1
    if before is not None:
        seq, direction = {"$gt": before}, 1
    elif after is not None:
        seq = {"$lt": after}
    found = AuditEvent._get_collection().find(filters.match(chain, seq))
    rows = list(found.sort("seq", direction).limit(EVENTS_PER_PAGE + 1))
    page = page_from(rows, key="seq", size=EVENTS_PER_PAGE, before=before, after=after)
    return Page([ListedEvent.of(row) for row in page.rows], page.before, page.after)


def events_after(
    chain: ObjectId,
    after: int,
    most: int,
    filters: Filters = NO_FILTERS,
    *,
    last: int = HIGHEST_SEQ,
) -> list[dict[str, Any]]:
    """Up to ``most`` stored events of the chain, oldest first: those whose ``seq`` is greater than
    ``after`` and at most ``last``."""
    match = filters.match(chain, {"$gt": after, "$lte": last})
    return list(AuditEvent._get_collection().find(match).sort("seq", 1).limit(most))


def events_about(account: ObjectId, after: ObjectId | None, most: int) -> list[dict[str, Any]]:
    """Up to ``most`` stored events of any chain that name the person of this account, oldest first,
    starting after the one with the id ``after``."""
    newer = {"_id": {"$gt": after}} if after else {}
    found: dict[ObjectId, dict[str, Any]] = {}
    for name in ("chain", "actor", "target"):
        events = AuditEvent._get_collection().find({name: account, **newer}).sort("_id", 1)
        # Without the hint MongoDB may scan the index of ids, with everybody's events.
        page = events.hint([(name, 1), ("_id", 1)]).limit(most)
        found |= {event["_id"]: event for event in page}
    return [found[event_id] for event_id in sorted(found)[:most]]


def latest_events_lookup(most: int) -> dict[str, Any]:
    """The part of a ``$lookup`` that joins the ``most`` newest events of a chain."""
    return {
        "from": AuditEvent._get_collection_name(),
        "foreignField": "chain",
        "pipeline": [{"$sort": {"seq": -1}}, {"$limit": most}],
    }


def _salted(value: str) -> dict[str, Any]:
    salt = secrets.token_hex(16)
    return {"value": value, "salt": salt, "digest": personal_digest(value, salt)}


def personal_digest(value: str, salt: str) -> str:
    """SHA-256 (hex) of a personal value and its salt, which goes into the event's hash."""
    return hashlib.sha256((salt + value).encode()).hexdigest()


Erase = Callable[[ObjectId, Callable[[], object]], bool]
"""Carries an erasure in the chain with this id out, or tells that it may not be now."""


def erase_person(account: ObjectId, targets: list[ObjectId], erase: Erase) -> bool:
    """Erase the person of this account from the whole audit trail, also from events whose target is
    among ``targets``, as far as ``erase`` carries it out; tell whether that is all.

    The events stay under the account's id, and the digests keep the chains intact. Works in batches
    and is idempotent: another call resumes an interrupted one.
    """
    done_by = {"actor": account, "actor_kind": {"$in": [None, OPERATOR.kind]}}
    done_to = {"target": {"$in": targets}}
    complete = True
    for found, names in ((done_by, _PERSONAL), (done_to, ("target_email",))):
        erased = {f"personal.{name}.{part}": "" for name in names for part in ("value", "salt")}
        events = AuditEvent._get_collection().find(found, {"chain": 1})
        while batch := list(islice(events, ERASED_AT_ONCE)):
            for chain in {event["chain"] for event in batch}:
                ids = [event["_id"] for event in batch if event["chain"] == chain]
                complete = erase(chain, partial(_unset, ids, erased)) and complete
    return complete


def _unset(ids: list[ObjectId], erased: dict[str, str]) -> None:
    AuditEvent._get_collection().update_many({"_id": {"$in": ids}}, {"$unset": erased})


@within_transaction
def delete_chain(chain: ObjectId) -> None:
    """Delete the chain of a subject whose creation is rolled back."""
    AuditEvent._get_collection().delete_many({"chain": chain})

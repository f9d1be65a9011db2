"""Deletions for good of what is an organization's, and the legal hold that forbids them.

``DELETIONS`` names every way in which the portal deletes for good. A purge is an operation, whose
intent is written by compare-and-set of an organization without a hold. All else is ``deleting``:
each part of it is registered in the organization's document by the write that finds no hold there,
and ends before its registration does. Setting a hold writes the same document, and then waits until
no registration is left. So of a hold and a deletion one comes first, in whatever cluster that is:
once a hold is set, nothing is deleted any more.

What a hold refused stands in the organization's trail, once for each way and who wanted it.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import pymongo
from bson import ObjectId

from portal.audit.errors import UnderHold
from portal.audit.trail import record
from portal.database.leases import seconds_from_now
from portal.database.transactions import transactional
from portal.documents.audit import Origin
from portal.documents.organizations import Organization
from portal.documents.restrictions import Hold

DELETION_SECONDS = 30
"""The longest time for which a deletion is registered; its commands end in two thirds of it."""

_RUNNING = {
    "$filter": {
        "input": {"$ifNull": ["$deletions", []]},
        "cond": {"$gt": ["$$this.until", "$$NOW"]},
    }
}
Part = TypeVar("Part")


class Deletion(StrEnum):
    """A way of deleting for good, in words."""

    PURGE = "purge"
    DUE_PURGE = "purge at the end of the time in the trash"
    COPY = "removal of a copy after a move"
    EXPIRY = "expiry of edits and files"
    ROOM = "removal of the oldest edits to make room"
    ERASURE = "erasure of a document"
    ACCOUNT = "erasure of a closed account"


DELETIONS = tuple(Deletion)
"""Every way of deleting for good; a test walks it, and finds each refused under a hold."""


@contextmanager
def deleting(
    organization_id: ObjectId, deletion: Deletion, origin: Origin | None = None
) -> Iterator[None]:
    """Delete something of the organization's in the body, which ends within 20 seconds.

    Raises UnderHold, with the body not run, while a hold is open; and while one is being set it
    waits for the body. Where the body fails it may still run in a server: then the registration
    stays until it ends by itself.
    """
    registration = _register(organization_id)
    if registration is None:
        refuse(organization_id, deletion, origin)
        raise UnderHold(_name_of(organization_id))
    with pymongo.timeout(DELETION_SECONDS * 2 / 3):
        yield
    Organization._get_collection().update_one(
        {"_id": organization_id}, {"$pull": {"deletions": {"id": registration}}}
    )


def deleting_each(
    organization_id: ObjectId, deletion: Deletion, parts: Iterator[Part]
) -> Generator[Part, None, None]:
    """The ``parts`` of a deletion, each of which is deleted when it is asked for. Raises as
    ``deleting``, before any of them."""
    while True:
        with deleting(organization_id, deletion):
            try:
                part = next(parts)
            except StopIteration:
                return
        yield part


def deletions_end_at(organization_id: ObjectId) -> datetime | None:
    """The time at which all deletions of the organization's that began before are over, at the
    latest; ``None`` where none is left."""
    found = Organization._get_collection().aggregate(
        [
            {"$match": {"_id": organization_id}},
            {"$project": {"until": {"$max": {"$map": {"input": _RUNNING, "in": "$$this.until"}}}}},
        ]
    )
    row = next(iter(found), None)
    return row["until"] if row else None


@transactional
def refuse(organization_id: ObjectId, deletion: Deletion, origin: Origin | None = None) -> None:
    """Record that a hold refused the deletion, unless it stands there for the same actor; without
    ``origin`` the portal itself."""
    origin = origin or Origin()
    actor = origin.actor or origin.account
    told = f"{deletion} by {actor}" if actor else str(deletion)
    hold = Hold.objects(organization=organization_id, open=True, refused__ne=told).order_by("id")
    if hold.modify(push__refused=told) is None:
        return
    organization = Organization.objects.get(id=organization_id)
    record(organization, "organization.deletion_refused", origin, deletion=deletion)


def _register(organization_id: ObjectId) -> ObjectId | None:
    """The id under which a deletion is registered; ``None`` under a hold."""
    registration = ObjectId()
    added = {"id": registration, "until": seconds_from_now(DELETION_SECONDS)}
    written = Organization._get_collection().update_one(
        {"_id": organization_id, "held": None},
        [{"$set": {"deletions": {"$concatArrays": [_RUNNING, [added]]}}}],
    )
    if written.matched_count or not Organization.objects(id=organization_id, held=True).first():
        return registration  # nothing can hold what isn't there
    return None


def _name_of(organization_id: ObjectId) -> str:
    organization = Organization.objects(id=organization_id).only("name").first()
    return organization.name if organization else ""

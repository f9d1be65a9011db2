"""Size of an organization, counted now: by the server's figures or one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from bson.raw_bson import RawBSONDocument
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, PyMongoError

from portal import clock
from portal.database.clusters import database_of
from portal.database.errors import ClusterUnavailable
from portal.documents.figures import OrganizationFigures
from portal.documents.organizations import Organization, Placement, Strategy
from portal.organizations.lifecycle import pools
from portal.organizations.lifecycle.errors import TenantCollectionMissing
from portal.tenants import collections
from portal.tenants.collections import CollectionMissing

Result = TypeVar("Result")

COUNTING_SECONDS = 2.5
_ONE_BY_ONE = (
    {
        "$group": {
            "_id": None,
            "documents": {"$sum": 1},
            "bytes": {"$sum": {"$bsonSize": "$$ROOT"}},
        }
    },
)


@dataclass(frozen=True, slots=True)
class Kept:
    """The documents of an organization, and their size as they are given. ``exact`` if they were
    counted one by one: after a crash the server's own figures may be off. ``measured_at`` is set
    where that isn't now: its cluster is away, refuses, or takes too long."""

    documents: int
    bytes: int
    exact: bool
    measured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recount:
    """The size that was known before, if any was, and the one that was counted."""

    before: Kept | None
    now: Kept


def measure(organization: Organization) -> Kept | None:
    """The organization's size: as it was last measured, if it was, where its cluster is away,
    refuses, or takes longer than COUNTING_SECONDS; ``None`` while its collection isn't where it
    should be."""
    try:
        return _measure(organization)
    except collections.CollectionError:
        return None
    except (ClusterUnavailable, PyMongoError):
        last = OrganizationFigures.objects(id=organization.id).first()
        return last and Kept(last.documents, last.bytes, exact=False, measured_at=last.measured_at)


def count_anew(organization: Organization, seconds: float = COUNTING_SECONDS) -> Recount:
    """Count the documents one by one, within ``seconds``, else by the server's figures; store what
    was counted, and tell the difference. Raises TenantCollectionMissing, PyMongoError."""
    stored = OrganizationFigures.objects(id=organization.id).first()
    before = stored and Kept(stored.documents, stored.bytes, exact=False)
    try:
        now = _count(organization, seconds)
    except CollectionMissing as missing:
        raise TenantCollectionMissing(organization.name) from missing
    figures = OrganizationFigures.objects(id=organization.id)
    at = clock.now()
    figures.update_one(
        set__documents=now.documents,
        set__bytes=now.bytes,
        set__measured_at=at,
        set_on_insert__indexes=1,
        set_on_insert__used_at=at,
        upsert=True,
    )
    return Recount(before, now)


def _measure(organization: Organization) -> Kept | None:
    placement = organization.placement
    if placement.strategy == Strategy.SHARED:
        return _count(organization, COUNTING_SECONDS)
    if placement.uuid is None:
        return None
    figures = _followed(placement, collections.collection_figures)
    return Kept(figures.documents, figures.size_bytes, exact=False)


def _count(organization: Organization, seconds: float) -> Kept:
    placement = organization.placement
    max_time_ms = round(seconds * 1000)

    def read(database: Database, uuid: UUID, name: str) -> list[RawBSONDocument]:
        return collections.read_documents(database, uuid, name, _ONE_BY_ONE, max_time_ms)

    try:
        if placement.strategy == Strategy.SHARED:
            found = pools.read_documents(placement.pool, organization.id, _ONE_BY_ONE, max_time_ms)
        else:
            found = _followed(placement, read)
    except ExecutionTimeout:
        measured = None if placement.strategy == Strategy.SHARED else _measure(organization)
        if measured is None:
            raise
        return measured
    if not found:
        return Kept(0, 0, exact=True)
    return Kept(found[0]["documents"], found[0]["bytes"], exact=True)


def _followed(placement: Placement, read: Callable[[Database, UUID, str], Result]) -> Result:
    """The result of a read of the collection, under whichever name it has there."""
    database = database_of(placement)
    return collections.at_its_name(
        placement.collection, lambda name: read(database, placement.uuid, name)
    )

"""Size of an organization, counted now: by the server's figures or one by one."""

from dataclasses import dataclass

from pymongo.errors import ExecutionTimeout, PyMongoError

from portal import clock
from portal.database.clusters import database_of
from portal.documents.figures import OrganizationFigures
from portal.documents.organizations import Organization, Strategy
from portal.organizations.lifecycle import pools
from portal.tenants import collections

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
    counted one by one: after a crash the server's own figures may be off."""

    documents: int
    bytes: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Recount:
    """The size that was known before, if any was, and the one that was counted."""

    before: Kept | None
    now: Kept


def measure(organization: Organization) -> Kept | None:
    """The organization's size; ``None`` while its collection can't be read."""
    try:
        return _measure(organization)
    except (collections.CollectionError, PyMongoError):
        return None


def count_anew(organization: Organization, seconds: float = COUNTING_SECONDS) -> Recount:
    """Count the documents one by one, within ``seconds``, else by the server's figures; store what
    was counted, and tell the difference. Raises CollectionError, PyMongoError."""
    stored = OrganizationFigures.objects(id=organization.id).first()
    before = stored and Kept(stored.documents, stored.bytes, exact=False)
    now = _count(organization, seconds)
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
    figures = collections.collection_figures(
        database_of(placement), placement.uuid, placement.collection
    )
    return Kept(figures.documents, figures.size_bytes, exact=False)


def _count(organization: Organization, seconds: float) -> Kept:
    placement = organization.placement
    max_time_ms = round(seconds * 1000)
    try:
        if placement.strategy == Strategy.SHARED:
            found = pools.read_documents(placement.pool, organization.id, _ONE_BY_ONE, max_time_ms)
        else:
            found = collections.read_documents(
                database_of(placement),
                placement.uuid,
                placement.collection,
                _ONE_BY_ONE,
                max_time_ms,
            )
    except ExecutionTimeout:
        measured = None if placement.strategy == Strategy.SHARED else _measure(organization)
        if measured is None:
            raise
        return measured
    if not found:
        return Kept(0, 0, exact=True)
    return Kept(found[0]["documents"], found[0]["bytes"], exact=True)

"""Access to an organization's tenant collection, whatever its current name."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import ExecutionTimeout, PyMongoError

from portal import clock
from portal.database.clusters import client_of, database_of, is_lost
from portal.database.connection import client
from portal.database.transactions import forbid_in_transaction
from portal.documents.organizations import (
    OperationKind,
    Organization,
    OrganizationState,
    Strategy,
)
from portal.documents.pools import Pool
from portal.errors import NotFound, PortalError
from portal.organizations.access.errors import (
    LooksOnly,
    OrganizationHidden,
    OrganizationMoving,
    OrganizationPurged,
    OrganizationRenamed,
    OrganizationTrashed,
)
from portal.organizations.access.errors import UnknownStrategy as NewerStrategy
from portal.organizations.access.restrictions import suspended
from portal.organizations.adopting import Replacement, find_replacement
from portal.organizations.lifecycle import errors, pools
from portal.organizations.lifecycle.engine import in_progress, repair_organization
from portal.organizations.support import reading as support
from portal.organizations.support.errors import DocumentsNotGranted
from portal.organizations.usage import metering as usage
from portal.tenants import Tenant, collections
from portal.tenants._sync.connections import Connection
from portal.tenants._sync.metering import Metering
from portal.tenants.collections import CollectionElsewhere, CollectionMissing, Figures
from portal.tenants.directory import Entry, Located, PoolEntry, follow
from portal.tenants.errors import CollectionMissing as Missing
from portal.tenants.errors import (
    Hidden,
    Locked,
    Misplaced,
    Moving,
    NotReady,
    Purged,
    Trashed,
    UnknownStrategy,
)
from portal.tenants.fence import polls
from portal.tenants.runtime import remaining
from portal.web.acting_operator import acting_operator
from portal.web.context import RequestContext

log = structlog.get_logger()

MAX_COUNTED = 10_000
"""The number of documents in a pool that are counted for a page."""

COUNTING_MS = 500
_COUNT: tuple[dict[str, Any], ...] = (
    {"$limit": MAX_COUNTED + 1},
    {"$group": {
        "_id": None,
        "documents": {"$sum": 1},
        "bytes": {"$sum": {"$bsonSize": "$$ROOT"}},
    }},
)  # fmt: skip

FIGURES_SECONDS = 2

MAX_FOLLOWED = 8
"""The number of renames that a read follows; the next takes longer than the read."""

MOVING_SECONDS = 3
"""The longest wait for an organization that is between two places; requests have a second more."""

_SHOWN_MOVING_SECONDS = 1
_SPARE_SECONDS = 0.3
"""The time that a request needs to say that this was too short."""

PAUSE_BETWEEN_REPAIRS = timedelta(seconds=10)


class CollectionState(StrEnum):
    """Whereabouts of a tenant collection."""

    PRESENT = "present"
    MISSING = "missing"
    REPLACED = "replaced"
    MISNAMED = "misnamed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Stored:
    """The figures of an organization's documents, and some of them if they were asked for. Without
    figures the collection can't be read now: it may be ``missing`` from the database, or
    ``elsewhere``, under a name that can't be repaired; ``lost`` with its cluster; or counting took
    too long, ``uncounted``. In place of one that is missing another may stand, its
    ``replacement``."""

    figures: Figures | None = None
    documents: list[RawBSONDocument] = field(default_factory=list)
    missing: bool = False
    elsewhere: str | None = None
    replacement: Replacement | None = None
    uncounted: bool = False
    lost: bool = False

    @property
    def state(self) -> CollectionState | None:
        """The collection in a word; ``None`` while it is being created."""
        if self.lost:
            return CollectionState.LOST
        if self.missing:
            return CollectionState.REPLACED if self.replacement else CollectionState.MISSING
        if self.elsewhere:
            return CollectionState.MISNAMED
        return CollectionState.PRESENT if self.figures or self.uncounted else None


def stored_by(organization: Organization, *pipeline: Mapping[str, Any]) -> Stored:
    """The figures of the organization's documents, and those that result from a ``pipeline``, whose
    first batch is all.

    Follows the collection through renames. One of its own with another name than recorded is
    repaired, unless an operation runs. In a pool MAX_COUNTED documents are counted at most, and
    none where that takes long, or where the organization is between two places of a move for more
    than a second. Raises NotFound or OrganizationPurged where the organization was purged since it
    was read, OperationInProgress while it is, ClusterUnavailable where its cluster doesn't answer.
    Operators get figures alone: for them a pipeline raises DocumentsNotGranted.
    """
    if pipeline and acting_operator():
        raise DocumentsNotGranted
    deadline = time.monotonic() + _SHOWN_MOVING_SECONDS
    for pause_seconds in polls():
        stored = _stored_at(organization, pipeline)
        if not (stored.missing or stored.elsewhere):
            return stored
        current = Organization.objects(id=organization.id).first()
        if current is None or not _moves(organization, current):
            return stored
        if time.monotonic() > deadline:
            return Stored(uncounted=True)
        organization = current
        time.sleep(pause_seconds)
    raise AssertionError("there are always more pauses")


def figures_of(organization: Organization) -> Figures | None:
    """The figures of the organization's documents, as ``stored_by`` has them; ``None`` where they
    can't be read within FIGURES_SECONDS: for a page that is about more."""
    try:
        with pymongo.timeout(FIGURES_SECONDS):
            return stored_by(organization).figures
    except (PortalError, PyMongoError) as error:
        log.info("figures.not_read", organization=str(organization.id), error=repr(error))
        return None


def _stored_at(organization: Organization, pipeline: Sequence[Mapping[str, Any]]) -> Stored:
    if is_lost(organization.placement.cluster):
        return Stored(lost=True)
    if organization.placement.strategy == Strategy.SHARED:
        return _stored_in_pool(organization, pipeline)
    return _stored_in_own(organization, pipeline)


def _moves(organization: Organization, current: Organization) -> bool:
    """Tell whether the organization has moved since it was read, or is being moved."""
    before, now = organization.placement, current.placement
    moved = (before.uuid, before.pool) != (now.uuid, now.pool)
    return moved or bool(current.operation and current.operation.kind == OperationKind.MOVE)


def _stored_in_pool(organization: Organization, pipeline: Sequence[Mapping[str, Any]]) -> Stored:
    place = organization.placement.pool, organization.id
    documents: list[RawBSONDocument] = []
    try:
        if pipeline:
            documents = pools.read_documents(*place, pipeline)
        counted = pools.read_documents(*place, _COUNT, COUNTING_MS)
    except CollectionMissing:
        return Stored(missing=True)
    except ExecutionTimeout:
        return Stored(documents=documents, uncounted=True)
    number, size = (counted[0]["documents"], counted[0]["bytes"]) if counted else (0, 0)
    figures = Figures(min(number, MAX_COUNTED), size, partial=number > MAX_COUNTED)
    return Stored(figures, documents)


def _stored_in_own(organization: Organization, pipeline: Sequence[Mapping[str, Any]]) -> Stored:
    uuid, name = organization.placement.uuid, organization.placement.collection
    if uuid is None:
        return Stored()
    database = database_of(organization.placement)
    for _ in range(MAX_FOLLOWED):
        try:
            return Stored(*collections.figures_and_documents(database, uuid, name, pipeline))
        except CollectionElsewhere as found:
            actual = found.actual_name
            current = Organization.objects(id=organization.id).first()
            if current is not None and _moves(organization, current):
                return Stored(elsewhere=actual)
        except CollectionMissing:
            _check_not_purged(organization)
            return Stored(missing=True, replacement=find_replacement(organization))
        try:
            name = _recorded_name(organization, actual)
        except (collections.CollectionError, PortalError) as error:
            reason = repr(error)
            break
    else:
        reason = "an operation runs"
    log.warning("collection.not_here", found=actual, error=reason)
    return Stored(elsewhere=actual)


def tenant_of(organization: Organization) -> Tenant:
    """The organization's documents, which are followed through renames while it is active.

    Raises OrganizationTrashed; OrganizationLocked; NotFound after a purge, or while it is hidden;
    OperationInProgress while its collection is being created. Operations also raise the former
    three; those that write OrganizationReadOnly; TenantCollectionMissing where somebody
    dropped the collection in the database, and CollectionNameConflict where somebody renamed it and
    another one has its name. This and they wait while the organization is between two places of a
    move, for MOVING_SECONDS at most: then they raise OrganizationMoving, with nothing done.

    An operator reads by a support grant that includes documents, and its MongoDB user: else this
    and operations raise DocumentsNotGranted or GrantOver.
    """
    if operator := acting_operator():
        support.check_reads(operator, organization.id)
    if organization.placement.strategy != Strategy.SHARED:
        return Tenant(_Place(organization.id, _located(organization)))

    def locate() -> Located:
        return _located(*_read(organization.id, organization.placement.pool))

    return Tenant(_Place(organization.id, _awaiting_move(locate)))


@dataclass
class _Place:
    """An organization's collection, as the master data record it."""

    id: ObjectId
    located: Located

    @property
    def codec_options(self) -> CodecOptions:
        return client().codec_options

    def resolve(self) -> ObjectId:
        return self.id

    def known(self) -> Located:
        return self.locate()

    def locate(self) -> Located:
        forbid_in_transaction()
        return self.located

    def follow(self, used: Located, found: str | None) -> Located:
        """The place to go on at, where the server ``found`` the collection under another name.

        One that isn't recorded, while no operation runs, is repaired. Raises as ``tenant_of``.
        """
        return _awaiting_move(lambda: self._follow(used, found))

    def _follow(self, used: Located, found: str | None) -> Located:
        organization, pool = _read(self.id, used.entry.pool)
        try:
            with _refusals(organization):
                return follow(_entry(organization), used, found, pool)
        except NotReady as gone:
            raise NotFound(organization.slug) from gone
        except Misplaced:
            if pool is not None:
                pools.fence(pool.number)
                return _located(*_read(self.id, pool.number))
            return _located(_repaired(organization))

    def renew(self, located: Located) -> Located:
        """The same: it was read with the request."""
        return located

    def check_writable(self, located: Located) -> None:
        """Raise OrganizationReadOnly where documents may only be read, and LooksOnly for an
        operator, by whatever grant."""
        if acting_operator():
            raise LooksOnly
        if located.entry.read_only:
            raise suspended(Organization.objects.get(id=self.id))

    def confirm(self, used: Located) -> None:
        self.located = replace(used, doubted=None)

    def connection(self, located: Located) -> Connection:
        operator = acting_operator()
        if operator is None:
            return _connections.get(located.entry.cluster)
        if located.pool is not None:  # where the store binds each command to the organization
            support.check_reads(operator, self.id)
            return _connections.get(located.entry.cluster)
        home = located.entry.cluster, located.entry.database
        return support.connection_to(operator, self.id, home)

    @property
    def metering(self) -> Metering:
        return usage.metering()


class _Connections:
    """The connections of this process's clients, which are others after a reconfiguration."""

    def __init__(self) -> None:
        self._made: dict[str, Connection] = {}

    def get(self, cluster: str) -> Connection:
        made, current = self._made.get(cluster), client_of(cluster)
        if made is None or made.client is not current:
            made = self._made[cluster] = Connection(current)
        return made


_connections = _Connections()


def _entry(organization: Organization) -> Entry:
    placement, operation = organization.placement, organization.operation
    return Entry(
        id=organization.id,
        slug=organization.slug,
        state=_state_of(organization),
        order=(0, organization.version),
        strategy=placement.strategy,
        cluster=placement.cluster,
        database=database_of(placement).name,
        collection=placement.collection or "",
        uuid=placement.uuid,
        operation=operation and operation.kind,
        target=operation and operation.collection,
        pool=placement.pool,
        entitled=usage.entitled(organization),
    )


def _state_of(organization: Organization) -> str:
    """The state as the directory tells it: a suspension is one."""
    active = organization.state == OrganizationState.ACTIVE
    return organization.restricted or organization.state if active else organization.state


def _read(organization_id: ObjectId, number: int | None) -> tuple[Organization, PoolEntry | None]:
    """The organization, and its pool as that was *before*: so no fence lies between them that the
    organization's record doesn't know of. ``number`` is that of the pool where it was last."""
    while True:
        pool = None if number is None else Pool.objects(id=number).first()
        organization = Organization.objects(id=organization_id).first()
        if organization is None:
            raise NotFound
        if organization.placement.pool in (None, number):
            return organization, pool and _pool_entry(pool)
        number = organization.placement.pool


def _awaiting_move(locate: Callable[[], Located]) -> Located:
    """The place that ``locate`` tells, once the organization isn't between two of them. Raises
    OrganizationMoving where that takes too long."""
    left = remaining()
    seconds = MOVING_SECONDS if left is None else min(MOVING_SECONDS, left - _SPARE_SECONDS)
    deadline = time.monotonic() + seconds
    for pause_seconds in polls():
        try:
            return locate()
        except Moving as moving:
            if time.monotonic() > deadline:
                organization = Organization.objects(id=moving.organization).only("name").first()
                raise OrganizationMoving(organization.name if organization else "") from moving
        time.sleep(pause_seconds)
    raise AssertionError("there are always more pauses")


def _pool_entry(pool: Pool) -> PoolEntry:
    return PoolEntry(
        number=pool.id,
        cluster=pool.cluster,
        database=database_of(pool).name,
        uuid=pool.uuid,
        generation=pool.generation,
        next_generation=pool.next_generation,
    )


def _located(organization: Organization, pool: PoolEntry | None = None) -> Located:
    try:
        with _refusals(organization):
            return Located.of(_entry(organization), pool)
    except UnknownStrategy as unknown:
        raise NewerStrategy(organization.name, organization.placement.strategy) from unknown
    except NotReady as created:
        raise in_progress(organization) from created


@contextmanager
def _refusals(organization: Organization) -> Iterator[None]:
    """Turn what the store says of the organization's state into the portal's errors."""
    try:
        yield
    except Trashed as trashed:
        raise OrganizationTrashed(organization.name) from trashed
    except Locked as locked:
        raise suspended(organization) from locked
    except Hidden as hidden:
        raise OrganizationHidden(organization.slug) from hidden
    except Purged as purged:
        raise NotFound(organization.slug) from purged
    except Missing as missing:
        raise errors.TenantCollectionMissing(organization.name) from missing


def _repaired(organization: Organization) -> Organization:
    """The organization after its collection got its recorded name back, or as it was where that
    changed meanwhile."""
    try:
        return _repair(organization)
    except (
        errors.OperationInProgress,
        errors.RestrictionChanged,
        OrganizationRenamed,
        NotFound,
    ):
        return organization


def _check_not_purged(organization: Organization) -> None:
    """Raise the reason why a collection is missing, where that is a purge."""
    current = Organization.objects(id=organization.id).first()
    if current is None:  # its creation was just rolled back
        raise NotFound(organization.slug)
    if current.state == OrganizationState.PURGED:
        if organization.state == OrganizationState.ACTIVE:
            raise NotFound(organization.slug)
        raise OrganizationPurged(current.name, current.purged_at)
    if current.operation and current.operation.kind == OperationKind.PURGE:
        raise in_progress(current)


def _recorded_name(organization: Organization, actual: str) -> str:
    """The recorded name of a collection that was found as ``actual``, repaired if need be."""
    if actual in organization.collections:
        return actual
    # It may have been renamed since the organization was read.
    current = Organization.objects(id=organization.id).first() or organization
    if actual in current.collections:
        return actual
    if current.operation or current.state == OrganizationState.PURGED:
        return current.placement.collection
    return _repair(current).placement.collection


def _repair(organization: Organization) -> Organization:
    """Give the collection its recorded name back. Raises what ``repair_organization`` raises.

    Where another collection had that name, repairs pause for PAUSE_BETWEEN_REPAIRS.
    """
    failed = organization.rolled_back
    was_repair = failed and failed.kind == OperationKind.REPAIR
    if was_repair and clock.now() - failed.at < PAUSE_BETWEEN_REPAIRS:
        raise errors.CollectionNameConflict(organization.name, organization.placement.collection)
    return repair_organization(organization, RequestContext())

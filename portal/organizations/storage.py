"""Access to an organization's tenant collection, whatever its current name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

import structlog
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from portal import clock
from portal.database.clusters import client_of, database_of
from portal.database.connection import client
from portal.database.transactions import forbid_in_transaction
from portal.documents.organizations import OperationKind, Organization, OrganizationState
from portal.errors import NotFound, PortalError
from portal.organizations.access.errors import (
    OrganizationPurged,
    OrganizationRenamed,
    OrganizationTrashed,
)
from portal.organizations.adopting import Replacement, find_replacement
from portal.organizations.lifecycle import errors
from portal.organizations.lifecycle.engine import in_progress, repair_organization
from portal.tenants import Tenant, collections
from portal.tenants._sync.connections import Connection
from portal.tenants.collections import CollectionElsewhere, CollectionMissing, Figures
from portal.tenants.directory import Entry, Located, follow
from portal.tenants.errors import CollectionMissing as Missing
from portal.tenants.errors import Misplaced, NotReady, Purged, Trashed
from portal.web.context import RequestContext

log = structlog.get_logger()

MAX_FOLLOWED = 8
"""The number of renames that a read follows; the next takes longer than the read."""

PAUSE_BETWEEN_REPAIRS = timedelta(seconds=10)


class CollectionState(StrEnum):
    """Whereabouts of a tenant collection."""

    PRESENT = "present"
    MISSING = "missing"
    REPLACED = "replaced"
    MISNAMED = "misnamed"


@dataclass(frozen=True, slots=True)
class Stored:
    """The figures of a tenant collection, and documents if they were asked for. Without figures it
    can't be read now: it may be ``missing`` from the database, or ``elsewhere``, under a name that
    can't be repaired. In place of one that is missing another may stand, its ``replacement``."""

    figures: Figures | None = None
    documents: list[RawBSONDocument] = field(default_factory=list)
    missing: bool = False
    elsewhere: str | None = None
    replacement: Replacement | None = None

    @property
    def state(self) -> CollectionState | None:
        """The collection in a word; ``None`` while it is being created."""
        if self.missing:
            return CollectionState.REPLACED if self.replacement else CollectionState.MISSING
        if self.elsewhere:
            return CollectionState.MISNAMED
        return CollectionState.PRESENT if self.figures else None


def stored_by(organization: Organization, *pipeline: Mapping[str, Any]) -> Stored:
    """The figures of the tenant collection, and the documents that result from a ``pipeline``.

    Follows the collection through renames. One with another name than recorded is repaired, unless
    an operation runs. Raises NotFound or OrganizationPurged where the organization was purged since
    it was read, OperationInProgress while it is.
    """
    uuid, name = organization.placement.uuid, organization.placement.collection
    if uuid is None:
        return Stored()
    given, database = (pipeline,) if pipeline else (), database_of(organization.placement)
    for _ in range(MAX_FOLLOWED):
        try:
            return Stored(*collections.figures_and_documents(database, uuid, name, *given))
        except CollectionElsewhere as found:
            actual = found.actual_name
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

    Raises OrganizationTrashed; NotFound after a purge; OperationInProgress while its collection is
    being created. Operations also raise the former two; TenantCollectionMissing where somebody
    dropped the collection in the database, and CollectionNameConflict where somebody renamed it and
    another one has its name.
    """
    return Tenant(_Place(organization.id, _located(organization)))


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

    def locate(self) -> Located:
        forbid_in_transaction()
        return self.located

    def follow(self, used: Located, found: str | None) -> Located:
        """The place to go on at, where the server ``found`` the collection under another name.

        One that isn't recorded, while no operation runs, is repaired. Raises as ``tenant_of``.
        """
        organization = Organization.objects(id=self.id).first()
        if organization is None:
            raise NotFound
        try:
            return follow(_entry(organization), used, found)
        except Trashed as trashed:
            raise OrganizationTrashed(organization.name) from trashed
        except (Purged, NotReady) as gone:
            raise NotFound(organization.slug) from gone
        except Missing as missing:
            raise errors.TenantCollectionMissing(organization.name) from missing
        except Misplaced:
            return _located(_repaired(organization))

    def confirm(self, used: Located) -> None:
        self.located = replace(used, doubted=None)

    def connection(self, located: Located) -> Connection:
        return _connections.get(located.entry.cluster)


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
        state=organization.state,
        order=(0, organization.version),
        strategy=placement.strategy,
        cluster=placement.cluster,
        database=database_of(placement).name,
        collection=placement.collection,
        uuid=placement.uuid,
        operation=operation and operation.kind,
        target=operation and operation.collection,
    )


def _located(organization: Organization) -> Located:
    try:
        return Located.of(_entry(organization))
    except Trashed as trashed:
        raise OrganizationTrashed(organization.name) from trashed
    except Purged as purged:
        raise NotFound(organization.slug) from purged
    except NotReady as created:
        raise in_progress(organization) from created


def _repaired(organization: Organization) -> Organization:
    """The organization after its collection got its recorded name back, or as it was where that
    changed meanwhile."""
    try:
        return _repair(organization)
    except (errors.OperationInProgress, OrganizationRenamed, NotFound):
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

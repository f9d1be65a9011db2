"""Access to an organization's tenant collection, whatever its current name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

import structlog
from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from portal import clock
from portal.database.connection import client, retryable_write_client, tenant_database
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
from portal.tenants import collections
from portal.tenants.collections import CollectionElsewhere, CollectionMissing, Figures
from portal.tenants.store import Placement, TenantStore
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
    given = (pipeline,) if pipeline else ()
    for _ in range(MAX_FOLLOWED):
        try:
            return Stored(*collections.figures_and_documents(tenant_database(), uuid, name, *given))
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


def store_of(organization: Organization) -> TenantStore:
    """The store of the organization's documents, which follows its collection through renames while
    the organization is active.

    Raises OrganizationTrashed; NotFound after a purge; OperationInProgress while its collection is
    being created. The store's operations also raise the former two; TenantCollectionMissing where
    somebody dropped the collection in the database, and CollectionNameConflict where somebody
    renamed it and another one has its name.
    """
    _check_active(organization)
    placement = organization.placement
    if placement.uuid is None:
        raise in_progress(organization)
    return TenantStore(
        client(),
        retryable_write_client(),
        Placement(tenant_database().name, placement.collection, placement.uuid),
        _Locator(organization.id),
        guard=forbid_in_transaction,
    )


@dataclass
class _Locator:
    """Locates a store's collection after a rename."""

    organization_id: ObjectId
    suspected: tuple[str, str] | None = None

    def __call__(self, found: str | None) -> str:
        """The name to continue under, where the server ``found`` the collection under another.

        It is one that the organization's document records. Where that isn't the one found, the
        store retries there, until its timeout.
        """
        organization = Organization.objects(id=self.organization_id).first()
        if organization is None:
            raise NotFound
        _check_active(organization)
        operation = organization.operation
        removing = operation and operation.kind in (OperationKind.TRASH, OperationKind.PURGE)
        if removing and found == operation.collection:
            raise OrganizationTrashed(organization.name)
        if found is None and operation and operation.kind == OperationKind.PURGE:
            raise NotFound(organization.slug)
        if found is None:
            raise errors.TenantCollectionMissing(organization.name)
        if found in organization.collections:
            return found
        return organization.placement.collection if operation else self._repair(organization, found)

    def _repair(self, organization: Organization, found: str) -> str:
        """Give the collection its recorded name back, and return that."""
        recorded = organization.placement.collection
        if self.suspected != (found, recorded):
            # It may have been renamed twice since the server reported its name; a retry under the
            # recorded name decides.
            self.suspected = found, recorded
            return recorded
        self.suspected = None
        try:
            return _repair(organization).placement.collection
        except (errors.OperationInProgress, OrganizationRenamed, NotFound):  # changed meanwhile
            return recorded


def _check_active(organization: Organization) -> None:
    if organization.state == OrganizationState.TRASHED:
        raise OrganizationTrashed(organization.name)
    if organization.state == OrganizationState.PURGED:
        raise NotFound(organization.slug)


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

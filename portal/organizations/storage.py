"""Access to an organization's tenant collection, whatever its current name."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from bson import ObjectId

from portal import clock
from portal.database.connection import client, retryable_write_client, tenant_database
from portal.database.transactions import forbid_in_transaction
from portal.documents.organizations import OperationKind, Organization, OrganizationState
from portal.errors import NotFound, PortalError
from portal.organizations.access.errors import OrganizationRenamed, OrganizationTrashed
from portal.organizations.lifecycle import errors
from portal.organizations.lifecycle.engine import in_progress, repair_organization
from portal.tenants import collections
from portal.tenants.collections import CollectionElsewhere, CollectionMissing, Figures
from portal.tenants.store import Placement, TenantStore
from portal.web.context import RequestContext

log = structlog.get_logger()

PAUSE_BETWEEN_REPAIRS = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Stored:
    """The figures of a tenant collection. Without them it can't be read now: it may be ``missing``
    from the database, or ``elsewhere``, under a name that can't be repaired."""

    figures: Figures | None = None
    missing: bool = False
    elsewhere: str | None = None


def stored_by(organization: Organization) -> Stored:
    """The figures of the tenant collection.

    A collection with another name than recorded is repaired, unless an operation runs.
    """
    if organization.placement.uuid is None:
        return Stored()
    try:
        return Stored(_count(organization, organization.placement.collection))
    except CollectionElsewhere as found:
        actual = found.actual_name
    except CollectionMissing:
        return Stored(missing=True)
    try:
        return Stored(_count(organization, _recorded_name(organization, actual)))
    except (collections.CollectionError, PortalError) as error:
        log.warning("collection.not_here", found=actual, error=repr(error))
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


def _count(organization: Organization, name: str) -> Figures:
    return collections.collection_figures(tenant_database(), organization.placement.uuid, name)

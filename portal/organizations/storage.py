"""The way to what an organization has stored, wherever its collection is."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from bson import ObjectId

from portal import clock
from portal.database.connection import client, retryable_write_client, tenant_database
from portal.database.transactions import refuse_in_transaction
from portal.documents.organizations import OperationKind, Organization, OrganizationState
from portal.errors import NotFound, PortalError
from portal.organizations.access.errors import OrganizationRenamed, OrganizationTrashed
from portal.organizations.lifecycle.engine import in_progress, repair_organization
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    OperationInProgress,
    TenantCollectionMissing,
)
from portal.tenants import collections
from portal.tenants.collections import (
    CollectionElsewhere,
    CollectionError,
    CollectionMissing,
    Figures,
)
from portal.tenants.store import Placement, TenantStore
from portal.web.context import RequestContext

log = structlog.get_logger()

PAUSE_BETWEEN_REPAIRS = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Stored:
    """What is in a tenant collection. Without figures it can't be read now: it may be
    ``missing`` from the database, or ``elsewhere``, under a name that it can't be moved from."""

    figures: Figures | None = None
    missing: bool = False
    elsewhere: str | None = None


def stored_by(organization: Organization) -> Stored:
    """What is in the tenant collection.

    A collection that has another name than recorded, while no operation runs, gets it back.
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
    except (CollectionError, PortalError) as error:
        log.warning("collection.not_here", found=actual, error=repr(error))
        return Stored(elsewhere=actual)


def store_of(organization: Organization) -> TenantStore:
    """The store of the organization's documents, which finds its collection again after each
    rename for as long as the organization is active.

    Raises OrganizationTrashed; NotFound for one that is purged; OperationInProgress while its
    collection isn't made yet. The store's operations raise the former two once it is so;
    TenantCollectionMissing where the collection was dropped behind the portal's back, and
    CollectionNameConflict where it was renamed and another has its name.
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
        guard=refuse_in_transaction,
    )


class _Locator:
    """Says to a store where to go on when its collection is not where it was."""

    def __init__(self, organization_id: ObjectId) -> None:
        self._organization_id = organization_id
        self._suspected: tuple[str, str] | None = None

    def __call__(self, found: str | None) -> str:
        """The name to go on under, where the collection was ``found`` under another.

        It is one that the organization's document records. Where that isn't the one found, the
        store asks again there, until its time is up.
        """
        organization = Organization.objects(id=self._organization_id).first()
        if organization is None:
            raise NotFound
        _check_active(organization)
        operation = organization.operation
        if (
            operation
            and operation.kind in (OperationKind.TRASH, OperationKind.PURGE)
            and found == operation.collection
        ):
            raise OrganizationTrashed(organization.name)
        if found is None:
            raise _why_gone(organization)
        if found in organization.collections:
            return found
        return organization.placement.collection if operation else self._repair(organization, found)

    def _repair(self, organization: Organization, found: str) -> str:
        """Give the collection its recorded name back, and return that."""
        recorded = organization.placement.collection
        if self._suspected != (found, recorded):
            # It may have been renamed twice since the server said where it is; a second look
            # under the name that is recorded now tells.
            self._suspected = found, recorded
            return recorded
        self._suspected = None
        try:
            return _repair(organization).placement.collection
        except (OperationInProgress, OrganizationRenamed, NotFound):  # others were faster
            return recorded


def _why_gone(organization: Organization) -> PortalError:
    purging = organization.operation and organization.operation.kind == OperationKind.PURGE
    return NotFound(organization.slug) if purging else TenantCollectionMissing(organization.name)


def _check_active(organization: Organization) -> None:
    if organization.state == OrganizationState.TRASHED:
        raise OrganizationTrashed(organization.name)
    if organization.state == OrganizationState.PURGED:
        raise NotFound(organization.slug)


def _recorded_name(organization: Organization, actual: str) -> str:
    """The name to look under for a collection that was found as ``actual``."""
    if actual in organization.collections:
        return actual
    # It may have been renamed since the organization was read.
    current = Organization.objects(id=organization.id).first() or organization
    if (
        actual in current.collections
        or current.operation
        or current.state == OrganizationState.PURGED
    ):
        return actual if actual in current.collections else current.placement.collection
    return _repair(current).placement.collection


def _repair(organization: Organization) -> Organization:
    """Give the collection its recorded name back. Raises what ``repair_organization`` raises.

    Where another collection has that name, not every look is worth a try.
    """
    turned_back = organization.turned_back
    if (
        turned_back
        and turned_back.kind == OperationKind.REPAIR
        and clock.now() - turned_back.at < PAUSE_BETWEEN_REPAIRS
    ):
        raise CollectionNameConflict(organization.name, organization.placement.collection)
    return repair_organization(organization, RequestContext())


def _count(organization: Organization, name: str) -> Figures:
    return collections.collection_figures(tenant_database(), organization.placement.uuid, name)

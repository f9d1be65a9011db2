"""The way to what an organization has stored, wherever its collection is."""

from dataclasses import dataclass

import structlog

from portal.audit.documents import Origin
from portal.database import tenant_database
from portal.errors import PortalError
from portal.organizations.documents import PURGED, Organization
from portal.organizations.lifecycle import repair_organization
from portal.tenants import collections
from portal.tenants.collections import (
    CollectionElsewhere,
    CollectionError,
    CollectionMissing,
    Figures,
)

log = structlog.get_logger()


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


def _recorded_name(organization: Organization, actual: str) -> str:
    """The name to look under for a collection that was found as ``actual``."""
    if actual in organization.collections:
        return actual
    # It may have been renamed since the organization was read.
    current = Organization.objects(id=organization.id).first() or organization
    if actual in current.collections or current.operation or current.state == PURGED:
        return actual if actual in current.collections else current.placement.collection
    return repair_organization(current, Origin()).placement.collection


def _count(organization: Organization, name: str) -> Figures:
    return collections.collection_figures(tenant_database(), organization.placement.uuid, name)

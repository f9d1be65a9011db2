"""The way to what an organization has stored, wherever its collection is."""

import structlog

from portal.audit.documents import Origin
from portal.database import tenant_database
from portal.errors import PortalError
from portal.organizations.documents import PURGED, Organization
from portal.organizations.lifecycle import repair_organization
from portal.tenants import collections
from portal.tenants.collections import CollectionElsewhere, CollectionError, Figures

log = structlog.get_logger()


def figures_of(organization: Organization) -> Figures | None:
    """What is in the tenant collection; ``None`` while it isn't under a recorded name.

    A collection that has another name than recorded, while no operation runs, gets it back.
    """
    try:
        return _count(organization, organization.placement.collection)
    except CollectionElsewhere as found:
        actual = found.actual_name
    except CollectionError:
        return None
    try:
        return _count(organization, _recorded_name(organization, actual))
    except (CollectionError, PortalError) as error:
        log.warning("collection.not_here", found=actual, error=repr(error))
        return None


def _recorded_name(organization: Organization, actual: str) -> str:
    """The name to look under for a collection that was found as ``actual``."""
    if actual in organization.collections:
        return actual
    # It may have been renamed since the organization was read.
    current = Organization.objects(id=organization.id).first() or organization
    if actual in current.collections or current.operation or current.state == PURGED:
        return actual if actual in current.collections else current.placement.collection
    return repair_organization(current, Origin()).placement.collection


def _count(organization: Organization, name: str) -> Figures | None:
    if organization.placement.uuid is None:
        return None
    return collections.collection_figures(tenant_database(), organization.placement.uuid, name)

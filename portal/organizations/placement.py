"""Where an organization's tenant collection is: the step that moves it, and its figures."""

import structlog

from portal.database import tenant_database
from portal.organizations.documents import COLLECTION_MISSING, NAME_TAKEN, Organization
from portal.organizations.lifecycle import ForwardImpossible
from portal.tenants import collections
from portal.tenants.collections import (
    CollectionElsewhere,
    CollectionError,
    CollectionMissing,
    CollectionNameTaken,
    Figures,
)

log = structlog.get_logger()


def move_collection(organization: Organization) -> Organization:
    """Give the collection the name that the operation intends, wherever it was found."""
    placement, name = organization.placement, organization.operation.collection
    try:
        try:
            collections.rename_collection(
                tenant_database(), placement.uuid, placement.collection, name
            )
        except CollectionElsewhere as found:
            # Renamed behind our back. The UUID is the truth, so the name is repaired.
            collections.rename_collection(
                tenant_database(), placement.uuid, found.actual_name, name
            )
    except CollectionNameTaken as error:
        raise ForwardImpossible(NAME_TAKEN) from error
    except CollectionMissing as error:
        raise ForwardImpossible(COLLECTION_MISSING) from error
    return organization


def figures_of(organization: Organization) -> Figures | None:
    """What is in the tenant collection; ``None`` while it isn't under a recorded name."""
    if organization.placement.uuid is None:
        return None
    for name in organization.collections:
        try:
            return collections.collection_figures(
                tenant_database(), organization.placement.uuid, name
            )
        except CollectionError as error:
            log.warning("collection.not_here", collection=name, error=repr(error))
    return None

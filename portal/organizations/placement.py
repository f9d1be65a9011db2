"""Where an organization's tenant collection is: the step that moves it, and its figures."""

import structlog

from portal.database import tenant_database
from portal.organizations.documents import COLLECTION_MISSING, NAME_TAKEN, Organization
from portal.organizations.lifecycle import ForwardImpossible, LeaseLost, labels, mine
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
    try:
        _rename(organization, organization.placement.collection, organization.operation.collection)
    except CollectionNameTaken as error:
        raise ForwardImpossible(NAME_TAKEN) from error
    except CollectionMissing as error:
        raise ForwardImpossible(COLLECTION_MISSING) from error
    return organization


def move_back(organization: Organization) -> Organization:
    """Give the collection the name that is recorded for it, in case an attempt moved it."""
    try:
        _rename(organization, organization.operation.collection, organization.placement.collection)
    except (CollectionNameTaken, CollectionMissing) as error:
        # There is nothing to move, or no place to move it to: the record is all that can be kept.
        log.error("collection.not_moved_back", error=repr(error), **labels(organization))
    return organization


def figures_of(organization: Organization) -> Figures | None:
    """What is in the tenant collection; ``None`` while it isn't under a recorded name."""
    figures = _count(organization)
    if figures is None and not organization.operation:
        # It may have been renamed since the organization was read.
        current = Organization.objects(id=organization.id).first()
        figures = _count(current) if current else None
    return figures


def _rename(organization: Organization, name: str, new_name: str) -> None:
    uuid = organization.placement.uuid
    try:
        collections.rename_collection(tenant_database(), uuid, name, new_name)
    except CollectionElsewhere as found:
        # An attempt before this one was interrupted, or somebody renamed it behind our back: the
        # UUID is the truth. But whoever was overtaken meanwhile must not drag it away again.
        if not mine(organization):
            raise LeaseLost(str(organization.id)) from found
        collections.rename_collection(tenant_database(), uuid, found.actual_name, new_name)


def _count(organization: Organization) -> Figures | None:
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

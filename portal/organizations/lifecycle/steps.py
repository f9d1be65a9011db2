"""The steps that move an organization's tenant collection, and the one that drops it."""

import structlog

from portal.database.connection import tenant_database
from portal.documents.organizations import Failure, Organization
from portal.organizations.lifecycle.engine import LeaseLost, RollBack, current_attempt, log_context
from portal.tenants import collections
from portal.tenants.collections import CollectionElsewhere, CollectionMissing, CollectionNameTaken

log = structlog.get_logger()


def rename_collection(organization: Organization) -> Organization:
    """Give the collection the name that the operation intends, wherever it was found."""
    try:
        _rename(organization, organization.placement.collection, organization.operation.collection)
    except CollectionNameTaken as error:
        raise RollBack(Failure.NAME_TAKEN) from error
    except CollectionMissing as error:
        raise RollBack(Failure.COLLECTION_MISSING) from error
    return organization


def rename_collection_back(organization: Organization) -> Organization:
    """Give the collection the name that is recorded for it, in case an attempt moved it."""
    try:
        _rename(organization, organization.operation.collection, organization.placement.collection)
    except (CollectionNameTaken, CollectionMissing) as error:
        # There is nothing to move, or no place to move it to: the record is all that can be kept.
        log.error("collection.not_moved_back", error=repr(error), **log_context(organization))
    return organization


def drop_collection(organization: Organization) -> Organization:
    """Drop the collection, wherever it is found."""
    uuid, name = organization.placement.uuid, organization.placement.collection
    if uuid is None:
        return organization
    try:
        collections.drop_collection(tenant_database(), uuid, name)
    except CollectionElsewhere as found:
        # An attempt before this one moved it, or somebody did behind our back; the UUID is the
        # truth. But whoever was overtaken meanwhile has nothing to drop any more.
        if not current_attempt(organization):
            raise LeaseLost(str(organization.id)) from found
        collections.drop_collection(tenant_database(), uuid, found.actual_name)
    return organization


def _rename(organization: Organization, name: str, new_name: str) -> None:
    uuid = organization.placement.uuid
    try:
        collections.rename_collection(tenant_database(), uuid, name, new_name)
    except CollectionElsewhere as found:
        # An attempt before this one was interrupted, or somebody renamed it behind our back: the
        # UUID is the truth. But whoever was overtaken meanwhile must not drag it away again.
        if not current_attempt(organization):
            raise LeaseLost(str(organization.id)) from found
        collections.rename_collection(tenant_database(), uuid, found.actual_name, new_name)

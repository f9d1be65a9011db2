"""Steps that rename or drop an organization's tenant collection, and its repair.

A repair gives it its recorded name back: somebody renamed it in the database, or an attempt that
had lost its lease did.
"""

import structlog

from portal.database.clusters import database_of
from portal.documents.organizations import Failure, OperationKind, Organization, Strategy
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.privileges import give_privileges_back, take_privileges_again
from portal.tenants import collections
from portal.tenants.collections import (
    AT_ONCE,
    CollectionElsewhere,
    CollectionMissing,
    CollectionNameTaken,
    Tries,
)

log = structlog.get_logger()


def rename_collection(organization: Organization) -> Organization:
    """Rename the collection to the operation's target, whatever it is called now."""
    placement = organization.placement
    try:
        rename_by_uuid(organization, placement.collection, organization.operation.collection)
    except CollectionNameTaken as error:
        raise engine.RollBack(Failure.NAME_TAKEN) from error
    except CollectionMissing as error:
        raise engine.RollBack(Failure.COLLECTION_MISSING) from error
    return organization


def rename_collection_if_there(organization: Organization) -> Organization:
    """Rename it likewise, and go on without where it was dropped: that needs no fence."""
    try:
        return rename_collection(organization)
    except engine.RollBack as rollback:
        if rollback.failure != Failure.COLLECTION_MISSING:
            raise
        log.error("collection.missing", **engine.log_context(organization))
        return organization


def rename_collection_back(organization: Organization) -> Organization:
    """Rename the collection to its recorded name, in case an attempt renamed it."""
    try:
        name = organization.operation.collection
        rename_by_uuid(organization, name, organization.placement.collection)
    except (CollectionNameTaken, CollectionMissing) as error:
        # It is gone, or its name is taken: only the record can be rolled back.
        log.error(
            "collection.not_moved_back", error=repr(error), **engine.log_context(organization)
        )
    return organization


def drop_collection(organization: Organization) -> Organization:
    """Drop the collection, whatever it is called now."""
    uuid, name = organization.placement.uuid, organization.placement.collection
    if uuid is None:
        return organization
    try:
        collections.drop_collection(database_of(organization.placement), uuid, name)
    except CollectionElsewhere as found:
        _check_current(organization, found)
        collections.drop_collection(database_of(organization.placement), uuid, found.actual_name)
    return organization


def rename_by_uuid(
    organization: Organization, name: str, new_name: str, tries: Tries = AT_ONCE
) -> None:
    """Rename the organization's collection, which is probably called ``name``. Raises what
    ``rename_collection`` raises but CollectionElsewhere, and LeaseLost."""
    uuid, database = organization.placement.uuid, database_of(organization.placement)
    try:
        collections.rename_collection(database, uuid, name, new_name, tries)
    except CollectionElsewhere as found:
        _check_current(organization, found)
        collections.rename_collection(database, uuid, found.actual_name, new_name, tries)


def _check_current(organization: Organization, found: CollectionElsewhere) -> None:
    """Raise LeaseLost unless this attempt is still the last.

    An earlier attempt renamed the collection, or somebody did in the database: the UUID is the
    truth. But an attempt that lost its lease must not touch it again.
    """
    if not engine.current_attempt(organization):
        raise engine.LeaseLost(str(organization.id)) from found


def _finish_repair(organization: Organization) -> Organization:
    # No audit event: no master data changes.
    repaired = engine.update_if_held(organization, unset__operation=True)
    name = repaired.placement.collection
    log.warning("collection.name_repaired", organization=str(repaired.id), collection=name)
    return repaired


def _undo_repair(organization: Organization) -> Organization:
    return engine.update_if_held(organization, unset__operation=True)


_REPAIR_WAY = engine.Way(
    forward=(take_privileges_again, rename_collection, give_privileges_back, _finish_repair),
    back=(_undo_repair,),
)
REPAIR = engine.Plan(
    kind=OperationKind.REPAIR,
    title="Giving the collection its name back",
    doing="being repaired",
    ways={Strategy.COLLECTION: _REPAIR_WAY, Strategy.DATABASE: _REPAIR_WAY},
)

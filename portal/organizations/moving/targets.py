"""The target of a move, made before its first document is copied."""

from typing import Protocol

from portal.database.clusters import database_of
from portal.documents.moves import Move
from portal.documents.organizations import Organization, Strategy
from portal.organizations.lifecycle.moves import internal_of, is_at, place_of
from portal.organizations.lifecycle.moving import FENCE_TRIES
from portal.organizations.lifecycle.naming import name_as_target
from portal.organizations.moving.stopping import Stopped
from portal.tenants.collections import CollectionMissing, CollectionNameTaken, rename_collection
from portal.tenants.moving.structures import create_target, read_structure


class Changing(Protocol):
    """An attempt at a move, which changes its record."""

    move: Move

    def change(self, **changes: object) -> Move: ...


def check_source(organization: Organization, move: Move) -> None:
    """Raise Stopped unless the organization lives at the move's source."""
    if not is_at(organization, move.source):
        raise Stopped(
            "the organization lives elsewhere now: its collection was replaced", at_once=True
        )


def ensure_target(organization: Organization, run: Changing) -> None:
    """Create the target's collection, if it has one of its own and that isn't recorded yet.

    It is born once, for a token, so whoever does this late creates nothing. Raises Stopped where a
    stranger's collection has its name.
    """
    move = run.move
    if move.target.strategy == Strategy.SHARED or move.target.uuid:
        return
    name = name_as_target(move.target, move.id) or ""
    database = database_of(move.target)
    structure = read_structure(place_of(organization.id, organization.placement))
    try:
        uuid = create_target(
            database, internal_of(move.target.cluster), name, structure, move.birth
        )
    except CollectionNameTaken as error:
        raise Stopped(
            f"a collection {database.name}.{name} is in the way that the portal did not make",
            at_once=True,
        ) from error
    except CollectionMissing as error:
        raise Stopped("somebody dropped the target in the database: abort the move") from error
    run.change(set__target__uuid=uuid, set__target__collection=name)


def rename_target(run: Changing) -> None:
    """Have the old copy be called as a move's target, before a way back is gone: applications have
    a right to that name. May be run again; a process that was suspended here finds no collection
    under the name that it knows."""
    move = run.move
    name = name_as_target(move.target, move.id)
    if name is None or move.target.collection == name:
        return
    try:
        database = database_of(move.target)
        rename_collection(database, move.target.uuid, move.target.collection, name, FENCE_TRIES)
    except CollectionNameTaken as error:
        words = f"a collection {database.name}.{name} is in the way that the portal did not make"
        raise Stopped(words) from error
    run.change(set__target__collection=name)

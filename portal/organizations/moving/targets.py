"""The target of a move, made before its first document is copied."""

from typing import Protocol

from portal.database.clusters import database_of
from portal.documents.moves import Move
from portal.documents.organizations import Organization, Strategy
from portal.organizations.lifecycle.moves import internal_of, is_at, place_of
from portal.organizations.lifecycle.naming import name_as_target
from portal.organizations.moving.stopping import Stopped
from portal.tenants.collections import CollectionMissing, CollectionNameTaken
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

"""The names that an organization's own collection has, by strategy. Shared ones are pools'."""

from collections.abc import Callable
from dataclasses import dataclass

from bson import ObjectId

from portal.database.portal_role import (
    LOCKED_COLLECTION,
    MOVED_COLLECTIONS,
    MOVING_COLLECTION,
    OWN_COLLECTION,
    READ_ONLY_COLLECTION,
    TRASHED_COLLECTION,
)
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Placement,
    Restriction,
    Strategy,
)
from portal.organizations.lifecycle.names import OrganizationName


@dataclass(frozen=True, slots=True)
class Naming:
    """The name ``at_birth``, unique by construction, which nobody else has; those while the
    organization is ``active``, also ``read_only`` or ``locked`` by a suspension, and while it is
    ``in_trash``; those by a move: of a ``target`` until it is done, and of a ``source`` from the
    fence of this number on."""

    at_birth: Callable[[ObjectId], str]
    active: Callable[[OrganizationName], str]
    read_only: Callable[[ObjectId], str]
    locked: Callable[[ObjectId], str]
    in_trash: Callable[[ObjectId], str]
    target: Callable[[ObjectId], str]
    source: Callable[[ObjectId, int], str]


NAMINGS: dict[str, Naming] = {
    Strategy.COLLECTION: Naming(
        at_birth=lambda organization_id: f"new_{organization_id}",
        active=lambda name: name.collection,
        read_only=lambda organization_id: f"readonly_{organization_id}",
        locked=lambda organization_id: f"locked_{organization_id}",
        in_trash=lambda organization_id: f"trash_{organization_id}",
        target=lambda move_id: f"move_{move_id}",
        source=lambda move_id, fence: f"moving_{move_id}_{fence}",
    ),
    Strategy.DATABASE: Naming(
        at_birth=lambda _: OWN_COLLECTION,
        active=lambda _: OWN_COLLECTION,
        read_only=lambda _: READ_ONLY_COLLECTION,
        locked=lambda _: LOCKED_COLLECTION,
        in_trash=lambda _: TRASHED_COLLECTION,
        target=lambda _: MOVING_COLLECTION,
        source=lambda _, fence: MOVED_COLLECTIONS[fence % len(MOVED_COLLECTIONS)],
    ),
}


def place_at_birth(organization_id: ObjectId, chosen: Placement) -> Placement:
    """The ``chosen`` placement with the names that are made of the organization's id."""
    naming = NAMINGS.get(chosen.strategy)
    return Placement(
        strategy=chosen.strategy,
        cluster=chosen.cluster,
        database=database_name(organization_id)
        if chosen.strategy == Strategy.DATABASE
        else chosen.database,
        collection=naming and naming.at_birth(organization_id),
        pool=chosen.pool,
    )


def active_name(placement: Placement, name: OrganizationName) -> str | None:
    """The name of its own collection while an organization is active, with this ``name``."""
    naming = NAMINGS.get(placement.strategy)
    return naming.active(name) if naming else None


def name_restricted(
    organization: Organization, restricted: str | None, name: OrganizationName | None = None
) -> str | None:
    """The name of its own collection while the organization is active and ``restricted`` to this,
    or to nothing; with another ``name``, or with the one it has."""
    naming = NAMINGS.get(organization.placement.strategy)
    if naming is None:
        return None
    return _active(naming, organization, restricted, name)


def _active(
    naming: Naming,
    organization: Organization,
    restricted: str | None,
    name: OrganizationName | None = None,
) -> str:
    if restricted is None:
        return naming.active(name or OrganizationName(organization.name, organization.slug))
    if restricted == Restriction.READ_ONLY:
        return naming.read_only(organization.id)
    return naming.locked(organization.id)


def name_in_trash(organization: Organization) -> str | None:
    """The name of its own collection while the organization is in the trash."""
    naming = NAMINGS.get(organization.placement.strategy)
    return naming.in_trash(organization.id) if naming else None


def name_after_move(organization: Organization, target: Placement) -> str | None:
    """The name of its own collection at the ``target`` of a move, once it is there."""
    naming = NAMINGS.get(target.strategy)
    if naming is None:
        return None
    if organization.state == OrganizationState.TRASHED:
        return naming.in_trash(organization.id)
    return _active(naming, organization, organization.restricted)


def name_as_target(target: Placement, move_id: ObjectId) -> str | None:
    """The name of the target's own collection until the move is done."""
    naming = NAMINGS.get(target.strategy)
    return naming.target(move_id) if naming else None


def name_as_source(source: Placement, move_id: ObjectId, fence: int) -> str | None:
    """The name of the source's own collection from the move's fence of this number on."""
    naming = NAMINGS.get(source.strategy)
    return naming.source(move_id, fence) if naming else None


def database_name(organization_id: ObjectId) -> str:
    """The name of a database of an organization's own. In lower case, since names of databases fold
    case on some file systems."""
    return f"t_{organization_id}"

"""The names that an organization's own collection has, by strategy. Shared ones are pools'."""

from collections.abc import Callable
from dataclasses import dataclass

from bson import ObjectId

from portal.database.portal_role import OWN_COLLECTION, TRASHED_COLLECTION
from portal.documents.organizations import Organization, Placement, Strategy
from portal.organizations.lifecycle.names import OrganizationName


@dataclass(frozen=True, slots=True)
class Naming:
    """The name ``at_birth``, unique by construction, which nobody else has; those while the
    organization is ``active``, and while it is ``in_trash``."""

    at_birth: Callable[[ObjectId], str]
    active: Callable[[OrganizationName], str]
    in_trash: Callable[[ObjectId], str]


NAMINGS: dict[str, Naming] = {
    Strategy.COLLECTION: Naming(
        at_birth=lambda organization_id: f"new_{organization_id}",
        active=lambda name: name.collection,
        in_trash=lambda organization_id: f"trash_{organization_id}",
    ),
    Strategy.DATABASE: Naming(
        at_birth=lambda _: OWN_COLLECTION,
        active=lambda _: OWN_COLLECTION,
        in_trash=lambda _: TRASHED_COLLECTION,
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


def name_in_trash(organization: Organization) -> str | None:
    """The name of its own collection while the organization is in the trash."""
    naming = NAMINGS.get(organization.placement.strategy)
    return naming.in_trash(organization.id) if naming else None


def database_name(organization_id: ObjectId) -> str:
    """The name of a database of an organization's own. In lower case, since names of databases fold
    case on some file systems."""
    return f"t_{organization_id}"

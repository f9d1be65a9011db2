"""The access to an organization that a suspension leaves, whoever the principal is.

An organization that is read-only can be looked at, exported and left, and who and what gets into it
can be changed, so that a credential that leaked is revoked; its documents, its name and its place
can't. One that is locked can only be left: whoever would see it sees that it is locked, and whom to
write to. One that is hidden is not there. What a newer version restricts in a way that this one
doesn't know counts as locked.
"""

from typing import Any

from portal.documents.organizations import Organization, Restriction
from portal.documents.restrictions import Suspension
from portal.organizations.access.errors import (
    OrganizationHidden,
    OrganizationLocked,
    OrganizationReadOnly,
)
from portal.permissions import ALL

WITHHELD = frozenset(
    {
        "organization.rename",
        "organization.delete",
        "organization.restore",
        "organization.purge",
        "organization.adopt",
        "organization.move",
        "documents.write",
        "documents.mask",
        "documents.record",
        "documents.share",
        "documents.erase",
        "indexes.manage",
    }
)
"""The permissions that nobody has while an organization is read-only."""

_WHILE_LOCKED = frozenset({"organization.leave"})
_STRICTEST_FIRST = {kind: number for number, kind in enumerate(reversed(Restriction))}

REACHED: dict[str, Any] = {"restricted": {"$in": [None, Restriction.READ_ONLY]}}
"""The filter for organizations that are not locked or hidden."""

NOT_HIDDEN: dict[str, Any] = {"restricted": {"$ne": Restriction.HIDDEN}}
"""The filter for organizations that their members see, if only that they are locked."""


def withheld_permissions(restricted: str | None) -> frozenset[str]:
    """The permissions that nobody has while an organization is ``restricted`` to this."""
    if restricted is None:
        return frozenset()
    return WITHHELD if restricted == Restriction.READ_ONLY else ALL - _WHILE_LOCKED


def check_restriction(organization: Organization, permission: str | None) -> None:
    """Raise what a suspension makes of a request that needs the ``permission``, or only to see the
    organization: OrganizationHidden, which is NotFound, OrganizationLocked, OrganizationReadOnly.
    """
    restricted = organization.restricted
    if restricted is None:
        return
    if restricted == Restriction.HIDDEN:
        raise OrganizationHidden(organization.slug)
    if (permission or "organization.view") in withheld_permissions(restricted):
        raise suspended(organization)


def suspended(organization: Organization) -> OrganizationReadOnly | OrganizationLocked:
    """The error that tells members and programs of the organization's suspensions."""
    read_only = organization.restricted == Restriction.READ_ONLY
    kind = OrganizationReadOnly if read_only else OrganizationLocked
    # What is told of several in the same words is told once.
    told = tuple(dict.fromkeys((one.message, one.contact) for one in suspensions_of(organization)))
    return kind(organization.name, organization.restricted, told)


def suspensions_of(organization: Organization) -> tuple[Suspension, ...]:
    """The open suspensions of a restricted organization, the strictest first: each has to be lifted
    until nothing is withheld. None where they were lifted just now."""
    if organization.restricted is None:
        return ()
    found = Suspension.objects(organization=organization.id, open=True).order_by("id")
    return tuple(sorted(found, key=lambda one: _STRICTEST_FIRST.get(one.kind, -1)))

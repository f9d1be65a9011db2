"""What each role and key may do: the one table that views, the API and templates ask.

A role is a set of permissions, so an organization's own roles could become rows beside these.
"""

from collections.abc import Iterable

from portal.documents.memberships import Role

_VIEWER = frozenset(
    {
        "organization.view",
        "organization.leave",
        "members.view",
        "audit.view",
    }
)
_ADMIN = _VIEWER | {
    "organization.rename",
    "members.manage",
    "invitations.manage",
    "keys.manage",
    "audit.export",
}
_OWNER = _ADMIN | {
    "organization.delete",
    "organization.restore",
    "organization.purge",
    "organization.require_second_factor",
    "owners.manage",
}

ROLES: dict[str, frozenset[str]] = {Role.VIEWER: _VIEWER, Role.ADMIN: _ADMIN, Role.OWNER: _OWNER}
"""The permissions of each role. ``members.manage`` is over viewers and admins,
``owners.manage`` over owners: offering ownership, and taking it."""

ALL = _OWNER

WORDS = {
    "organization.view": "see the organization",
    "members.view": "see its members",
    "audit.view": "see its activity",
    "organization.rename": "rename it",
    "members.manage": "manage viewers and admins",
    "audit.export": "export its activity",
    "invitations.manage": "invite to it",
    "keys.manage": "manage its API keys",
    "organization.leave": "leave it",
    "owners.manage": "manage owners",
    "organization.require_second_factor": "require a second factor",
    "organization.delete": "delete it",
    "organization.restore": "restore it",
    "organization.purge": "purge it",
}
"""What people read for each permission."""

WITHOUT_FACTOR = frozenset({"organization.leave"})
"""What a member may do still whom the organization holds out for want of a second factor."""

FOR_KEYS = _ADMIN - {"keys.manage", "invitations.manage", "organization.leave"}
"""What a key may have at most: a key makes no keys; an invitation is a person's word, and ends with
their right to give it; and it is no member who could leave. Nor does it give what it may not have:
with ``members.manage`` it makes admins viewers, and nobody an admin."""


def in_words(permissions: Iterable[str]) -> str:
    """What people read for the ``permissions``; one that only a newer version knows by its name."""
    return ", ".join(WORDS.get(name, name) for name in permissions)


def of_key(role: str | None, permissions: Iterable[str] = ()) -> frozenset[str]:
    """What a key with this role, or else with these ``permissions``, may do."""
    wanted = ROLES[role] if role else frozenset(permissions)
    return wanted & FOR_KEYS

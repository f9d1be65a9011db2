"""The permissions of roles and API keys: the one table that views, the API and templates consult.

A role is a set of permissions, so organizations' custom roles could be added to these.
"""

from collections.abc import Iterable

from portal.documents.accounts import OperatorRole
from portal.documents.memberships import Role

_VIEWER = frozenset(
    {
        "organization.view",
        "organization.leave",
        "members.view",
        "audit.view",
    }
)
_DOCUMENTS = frozenset(
    {
        "documents.read",
        "documents.write",
        "documents.unmask",
        "documents.mask",
        "documents.record",
        "indexes.manage",
    }
)
_ADMIN = (
    _VIEWER
    | _DOCUMENTS
    | {
        "organization.rename",
        "members.manage",
        "invitations.manage",
        "keys.manage",
        "credentials.manage",
        "audit.export",
    }
)
_OWNER = _ADMIN | {
    "support.grant",
    "organization.delete",
    "organization.restore",
    "organization.purge",
    "organization.adopt",
    "organization.move",
    "organization.require_second_factor",
    "documents.share",
    "documents.erase",
    "owners.manage",
}

ROLES: dict[str, frozenset[str]] = {Role.VIEWER: _VIEWER, Role.ADMIN: _ADMIN, Role.OWNER: _OWNER}
"""The permissions of each role. ``members.manage`` is for viewers and admins, ``owners.manage`` for
owners: to offer ownership, and to end it. Viewers have ``documents.read`` as well where an owner
allows it: see ``of_member``."""

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
    "credentials.manage": "manage its credentials for MongoDB",
    "documents.read": "read its documents",
    "documents.write": "write its documents",
    "documents.unmask": "see its sensitive fields",
    "documents.mask": "say which of its fields are sensitive",
    "documents.record": "say whether its history keeps what programs write",
    "indexes.manage": "manage its indexes",
    "organization.leave": "leave it",
    "owners.manage": "manage owners",
    "documents.share": "let viewers read its documents",
    "documents.erase": "erase documents for good, from their history too",
    "support.grant": "let an operator of the portal see it",
    "organization.require_second_factor": "require a second factor",
    "organization.delete": "delete it",
    "organization.restore": "restore it",
    "organization.purge": "purge it",
    "organization.adopt": "take over a collection that stands in place of its own",
    "organization.move": "ask for its move to another place, and go back",
}
"""Each permission in words."""

WITHOUT_SECOND_FACTOR = frozenset({"organization.leave"})
"""The permissions of a member who is locked out for lack of a second factor."""

FOR_API_KEYS = _ADMIN - {
    "keys.manage",
    "credentials.manage",
    "invitations.manage",
    "organization.leave",
}
"""The most that an API key may have: it can't create API keys or credentials, invite, since an
invitation depends on its inviter's permission, or leave. Nor can it grant what it may not have:
with ``members.manage`` it makes admins viewers, but nobody an admin."""


def in_words(permissions: Iterable[str]) -> str:
    """The ``permissions`` in words; the bare name where only a newer version knows one."""
    return ", ".join(WORDS.get(name, name) for name in permissions)


def of_member(role: str, *, viewers_read_documents: bool) -> frozenset[str]:
    """The permissions of a member with this role."""
    shared = {"documents.read"} if viewers_read_documents else set()
    return ROLES[role] | shared


def of_support(*, with_documents: bool) -> frozenset[str]:
    """The permissions of an operator by a support grant: to look, at documents only ``with`` them.
    Sensitive fields stay hidden."""
    read = {"documents.read"} if with_documents else set()
    return (_VIEWER - {"organization.leave"}) | read


def of_api_key(role: str | None, permissions: Iterable[str] = ()) -> frozenset[str]:
    """The permissions of an API key with this role, or else with these ``permissions``.

    A role gives a key none on documents and indexes, so that keys made before there were any have
    gained none: they are chosen one by one.
    """
    wanted = ROLES[role] - _DOCUMENTS if role else frozenset(permissions)
    return wanted & FOR_API_KEYS


_SUPPORT = frozenset({"console.view"})
_OPERATOR = _SUPPORT | {"console.act"}
OPERATOR_ROLES: dict[str, frozenset[str]] = {
    OperatorRole.SUPPORT: _SUPPORT,
    OperatorRole.OPERATOR: _OPERATOR,
    OperatorRole.ADMIN: _OPERATOR | {"operators.manage"},
}
"""The permissions of each role in the operators' console. None of them reaches tenants' data."""

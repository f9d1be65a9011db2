"""Principals: an account by a session, an organization by its key, a provisioning program."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NoReturn

from bson import ObjectId
from flask_login import UserMixin

from portal.documents.accounts import Account
from portal.identity.sessions.errors import AccountRequired, AddressNotVerified
from portal.web.context import AuditActor


@dataclass(frozen=True)
class AccountPrincipal(UserMixin):
    """Who asks: an account, by a session whose random id only its browser or program knows.

    ``session`` is the id by which others may call it. ``authenticated_at`` is when the person last
    proved who they are: by a second factor, where they have one. ``name``, ``theme`` and
    ``time_zone`` are empty where the person said nothing of them. ``verified`` is whether the
    account's address is.
    """

    account_id: ObjectId
    email: str
    session_id: str
    session_expires_at: datetime
    session: ObjectId | None
    authenticated_at: datetime | None = None
    name: str = ""
    theme: str = ""
    time_zone: str = ""
    verified: bool = False

    @property
    def shown(self) -> str:
        """What pages call the person."""
        return self.name or self.email

    def get_id(self) -> str:
        """What Flask-Login keeps in the cookie."""
        return self.session_id

    @property
    def idempotency_scope(self) -> str:
        return str(self.account_id)

    @property
    def log_context(self) -> dict[str, str]:
        return {"account": str(self.account_id)}

    @property
    def audit_actor(self) -> AuditActor:
        return AuditActor(self.account_id, self.email, self.session)


def require_verified_address(who: Account | AccountPrincipal) -> None:
    """Raise AddressNotVerified unless the address is verified.

    A service asks this of an account that was read in the transaction which writes; a page asks it
    of who is logged in, so as to offer nothing that is refused then.
    """
    if not who.verified:
        raise AddressNotVerified(who.email)


@dataclass(frozen=True, slots=True)
class PendingLogIn:
    """A log-in whose password was right, known by a random id that only its browser has."""

    session_id: str


@dataclass(frozen=True)
class _KeyPrincipal(UserMixin):
    """By the key of this ``id``, which is no secret, and name."""

    id: ObjectId
    name: str
    kind: ClassVar[str]

    @property
    def account_id(self) -> NoReturn:
        """Of a person only: whatever is done for an account is refused. Raises AccountRequired."""
        raise AccountRequired

    @property
    def idempotency_scope(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def log_context(self) -> dict[str, str]:
        return {"api_key": str(self.id)}

    @property
    def audit_actor(self) -> AuditActor:
        return AuditActor(kind=self.kind, id=self.id, name=f"{self.kind} “{self.name}”")


@dataclass(frozen=True)
class OrganizationKey(_KeyPrincipal):
    """A program by a key of an organization, with a role or just some permissions."""

    organization_id: ObjectId
    role: str | None
    permissions: frozenset[str]
    expires_at: datetime | None
    kind: ClassVar[str] = "key"


@dataclass(frozen=True)
class ProvisioningPrincipal(_KeyPrincipal):
    """A program that signs organizations up for people, and does nothing else."""

    kind: ClassVar[str] = "provisioning key"

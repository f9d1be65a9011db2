"""Principals: an account by a session, an organization by its API key, a provisioning program."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, NoReturn, Protocol

from bson import ObjectId
from flask_login import UserMixin

from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.identity.sessions.errors import AccountRequired, AddressNotVerified
from portal.web.context import AuditActor


class PrincipalKind(StrEnum):
    """What a principal is; the audit trail stores it of API keys."""

    ACCOUNT = "account"
    ORGANIZATION_KEY = "key"
    PROVISIONING_KEY = "provisioning key"


class Principal(Protocol):
    """What a request is authenticated as."""

    @property
    def kind(self) -> PrincipalKind: ...

    @property
    def is_authenticated(self) -> bool:
        """True; Flask-Login's anonymous user has False."""

    @property
    def account_id(self) -> ObjectId:
        """The principal's account. Raises AccountRequired where it has none."""

    @property
    def idempotency_scope(self) -> str:
        """The scope in which an idempotency key is unique."""

    @property
    def log_context(self) -> Mapping[str, str]:
        """What each line of the log says of the principal."""

    @property
    def audit_actor(self) -> AuditActor: ...


@dataclass(frozen=True)
class AccountPrincipal(UserMixin):
    """An account, by a session whose random id only its browser or program knows.

    ``session`` is the session's public id. ``authenticated_at`` is the last authentication of the
    person: by a second factor, where they have one. ``name``, ``theme`` and ``time_zone`` are empty
    where unset. ``verified`` says whether the account's address is.
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
    kind: ClassVar = PrincipalKind.ACCOUNT

    @property
    def shown(self) -> str:
        """The person's name on pages."""
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


def require_verified_address(account: Account | AccountPrincipal) -> None:
    """Raise AddressNotVerified unless the account's address is verified.

    Services check the account that they read in the transaction of their write; pages check the
    principal, to offer nothing that the service refuses.
    """
    if not account.verified:
        raise AddressNotVerified(account.email)


@dataclass(frozen=True, slots=True)
class PendingLogIn:
    """A log-in with the right password, known by a random id that only its browser has."""

    session_id: str


@dataclass(frozen=True)
class _KeyPrincipal:
    """A program, by the API key of this ``id``, which is no secret, and name."""

    id: ObjectId
    name: str
    kind: ClassVar[PrincipalKind]
    is_authenticated: ClassVar = True

    @property
    def account_id(self) -> NoReturn:
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
    """A program by an API key of an organization, with a role or else single permissions."""

    organization_id: ObjectId
    role: Role | None
    permissions: frozenset[str]
    expires_at: datetime | None
    kind = PrincipalKind.ORGANIZATION_KEY


@dataclass(frozen=True)
class ProvisioningPrincipal(_KeyPrincipal):
    """A program that signs organizations up for people, and does nothing else."""

    kind = PrincipalKind.PROVISIONING_KEY

"""Principals: an account by a session, an organization by its API key, a provisioning program, a
program of the operators, an operator by a support grant."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, NoReturn

from bson import ObjectId

from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.identity.sessions.errors import AccountRequired, ActingBySupport, AddressNotVerified
from portal.web.context import OPERATOR, AuditActor


class KeyKind(StrEnum):
    """The kind of an API key, as the audit trail stores it."""

    ORGANIZATION = "key"
    PROVISIONING = "provisioning key"
    OPERATOR = "operators’ key"


@dataclass(frozen=True)
class AccountPrincipal:
    """An account, by a session whose random id only its browser or program knows.

    ``authenticated_at`` is the last authentication of the person: by a second factor, where they
    have one. ``name``, ``theme`` and ``time_zone`` are empty where unset. ``verified`` says whether
    the account's address is. ``operator_role`` is that in the operators' console, empty for anybody
    else. ``factors_reset_at`` is when their second factors are to be reset, unless they stop it.
    """

    account_id: ObjectId
    email: str
    session_id: str
    session_expires_at: datetime
    public_session_id: ObjectId
    authenticated_at: datetime | None = None
    name: str = ""
    theme: str = ""
    time_zone: str = ""
    verified: bool = False
    has_second_factor: bool = False
    operator_role: str = ""
    factors_reset_at: datetime | None = None
    # For Flask-Login, whose anonymous user has False.
    is_authenticated: ClassVar = True
    is_active: ClassVar = True

    @property
    def display_name(self) -> str:
        """The person's name on pages."""
        return self.name or self.email

    @property
    def person_id(self) -> ObjectId:
        """The account of the person at the browser."""
        return self.account_id

    def is_account(self, account_id: ObjectId) -> bool:
        """True for their own account."""
        return account_id == self.account_id

    def get_id(self) -> str:
        """The id that Flask-Login keeps in the cookie."""
        return self.session_id

    @property
    def idempotency_scope(self) -> str:
        """The scope in which an idempotency key is unique."""
        return str(self.account_id)

    @property
    def log_context(self) -> dict[str, str]:
        """The principal in each line of the log."""
        return {"account": str(self.account_id)}

    @property
    def audit_actor(self) -> AuditActor:
        return AuditActor(self.account_id, self.email, self.public_session_id)


def require_verified_address(account: Account | AccountPrincipal) -> None:
    """Raise AddressNotVerified unless the account's address is verified. Services check the account
    that they read in the transaction of their write; pages check the principal, to offer nothing
    that the service refuses."""
    if not account.verified:
        raise AddressNotVerified(account.email)


@dataclass(frozen=True)
class SupportPrincipal:
    """An operator in one organization by a support grant, by a session that does nothing else.

    They have an account (``person_id``), by which they log out, and don't act by it: so what it is
    a member of doesn't count. Where the grant ended, expired, or isn't theirs any more, it is
    ``over``: all that is left is to leave.
    """

    person_id: ObjectId
    email: str
    session_id: str
    session_expires_at: datetime
    public_session_id: ObjectId
    grant_id: ObjectId
    organization_id: ObjectId
    with_documents: bool
    ends_at: datetime | None
    over: bool
    name: str = ""
    theme: str = ""
    time_zone: str = ""
    verified: ClassVar = False
    authenticated_at: ClassVar[datetime | None] = None
    operator_role: ClassVar = ""
    is_authenticated: ClassVar = True
    is_active: ClassVar = True

    @property
    def account_id(self) -> NoReturn:
        """No account. Raises ActingBySupport."""
        raise ActingBySupport

    @property
    def display_name(self) -> str:
        """The operator's name on pages."""
        return self.name or self.email

    def is_account(self, account_id: ObjectId) -> bool:
        """False: a member of the same account is somebody else here."""
        return False

    def get_id(self) -> str:
        """The id that Flask-Login keeps in the cookie."""
        return self.session_id

    @property
    def idempotency_scope(self) -> str:
        """The scope in which an idempotency key is unique."""
        return f"support {self.grant_id}"

    @property
    def log_context(self) -> dict[str, str]:
        """The principal in each line of the log."""
        return {"operator": str(self.person_id), "support_grant": str(self.grant_id)}

    @property
    def audit_actor(self) -> AuditActor:
        """The operator, as the organization's audit trail names every one."""
        return replace(OPERATOR, id=self.person_id, session=self.public_session_id)


@dataclass(frozen=True, slots=True)
class PendingLogIn:
    """A log-in with the right password, known by a random id that only its browser has."""

    session_id: str


@dataclass(frozen=True)
class _KeyPrincipal:
    """A program, by the API key of this ``id``, which is no secret, and name."""

    id: ObjectId
    name: str
    kind: ClassVar[KeyKind]
    is_authenticated: ClassVar = True

    @property
    def account_id(self) -> NoReturn:
        """No account. Raises AccountRequired."""
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
    kind = KeyKind.ORGANIZATION


@dataclass(frozen=True)
class ProvisioningPrincipal(_KeyPrincipal):
    """A program that signs organizations up for people, and does nothing else."""

    kind = KeyKind.PROVISIONING


@dataclass(frozen=True)
class OperatorPrincipal(_KeyPrincipal):
    """A program of the operators, with a ``role`` in the console. The audit trail says “by the
    operator”, as of a person there."""

    role: str
    kind = KeyKind.OPERATOR

    @property
    def audit_actor(self) -> AuditActor:
        return replace(OPERATOR, id=self.id)


Principal = (
    AccountPrincipal
    | OrganizationKey
    | ProvisioningPrincipal
    | OperatorPrincipal
    | SupportPrincipal
)
"""A request is authenticated as one of these."""

"""The context of a request: its actor, its origin, its idempotency key."""

from dataclasses import dataclass, field, replace

from bson import ObjectId

from portal.documents.audit import Origin


@dataclass(frozen=True, slots=True)
class AuditActor:
    """The actor of an audit event: an account with its session; else something of a ``kind`` with
    id and name; else the portal itself."""

    account: ObjectId | None = None
    email: str | None = None
    session: ObjectId | None = None
    kind: str | None = None
    id: ObjectId | None = None
    name: str | None = None


OPERATOR = AuditActor(kind="operator", name="the operator")
"""The actor of commands on the portal's machine."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A request's idempotency key. ``id`` is its hash with scope, method and path; ``macs``, one
    for each secret in use, stand for the content, which may hold a password."""

    id: str
    macs: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The origin of a request, as services need to know it; the default is the portal itself.
    ``browser_id`` is the id in the browser's cookie. The stored part of a context is its
    ``origin``."""

    actor: AuditActor = AuditActor()
    ip_address: str | None = None
    request_id: str | None = None
    browser_id: str | None = None
    idempotency_key: IdempotencyKey | None = None

    @property
    def account(self) -> ObjectId | None:
        """The acting account, if the actor is one."""
        return self.actor.account

    @property
    def session(self) -> ObjectId | None:
        """The public id of the acting session."""
        return self.actor.session

    @property
    def origin(self) -> Origin:
        """The form that audit events and operations store."""
        return Origin(
            account=self.actor.account,
            email=self.actor.email,
            session=self.actor.session,
            actor_kind=self.actor.kind,
            actor=self.actor.id,
            actor_name=self.actor.name,
            address=self.ip_address,
            request_id=self.request_id,
        )

    def acting_as(self, actor: AuditActor) -> "RequestContext":
        """The same request with ``actor``, whom it just authenticated."""
        return replace(self, actor=actor)

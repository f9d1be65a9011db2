"""Who does something, from where, and by which request."""

from dataclasses import dataclass, field, replace

from bson import ObjectId

from portal.documents.audit import Origin


@dataclass(frozen=True, slots=True)
class AuditActor:
    """Who does something, as the audit trail names them: an account, by one of its sessions; else
    what acts, by its ``kind``, id and name; else the portal itself."""

    account: ObjectId | None = None
    email: str | None = None
    session: ObjectId | None = None
    kind: str | None = None
    id: ObjectId | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key that a request carries. ``id`` stands for its sender, method and path; ``macs`` for
    the content, which may hold a password: one for each secret in use."""

    id: str
    macs: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a service needs to know of the request that it works for; without one the portal acts by
    itself.

    ``browser_id`` is the id by which a browser is known again. What is stored of a context is its
    ``origin``.
    """

    actor: AuditActor = AuditActor()
    ip_address: str | None = None
    request_id: str | None = None
    browser_id: str | None = None
    idempotency_key: IdempotencyKey | None = None

    @property
    def account(self) -> ObjectId | None:
        """The account that acts, if it is one."""
        return self.actor.account

    @property
    def session(self) -> ObjectId | None:
        """The public id of the session that it acts by."""
        return self.actor.session

    @property
    def origin(self) -> Origin:
        """As audit events and operations store it."""
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
        """The same request as the deed of ``actor``, whom it just identified."""
        return replace(self, actor=actor)

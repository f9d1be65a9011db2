"""Support grants: asked for by operators, given, declined and ended by owners.

Whoever decides changes the grant from the state in which they saw it, in a transaction that writes
the organization's chain too: so of two that decide at once, one is told what the other did.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.paging import join
from portal.database.transactions import transactional, within_transaction
from portal.display_names import is_visible
from portal.documents.accounts import Account
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.support import GrantState, SupportGrant
from portal.errors import NotFound, check_all
from portal.identity.sessions import sessions
from portal.mail import outbox
from portal.organizations.access.errors import OrganizationTrashed
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.access.owners import email_of, email_owners
from portal.organizations.support import errors, reading, tending
from portal.organizations.support.mails import SUPPORT_ASKED, SUPPORT_DECIDED, SUPPORT_GRANTED
from portal.web import rate_limits
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

HOURS = (1, 4, 8, 24, 72)
"""The hours that forms offer."""

MOST_HOURS = 72
MAX_IN_FORCE = 10
MAX_LISTED = 50
LONGEST_REASON = 500

ASKED, WITHDRAWN, GIVEN, GRANTED, DECLINED, ENDED = (
    "support_asked",
    "support_withdrawn",
    "support_given",
    "support_granted",
    "support_declined",
    "support_ended",
)


@dataclass(frozen=True, slots=True)
class ListedGrant:
    """A support grant as shown; ``in_force`` while an operator may act by it. ``asked_by`` is the
    operator's address, for operators alone: an organization's members see “the operator”."""

    id: ObjectId
    state: GrantState
    reason: str
    operator: ObjectId | None
    asked_by: str | None
    hours: int
    with_documents: bool
    asked_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    ends_at: datetime | None
    ended_at: datetime | None
    pages: int
    seen_at: datetime | None

    @property
    def in_force(self) -> bool:
        """True while an operator may act by it."""
        return self.state == GrantState.GRANTED and not self.over

    @property
    def over(self) -> bool:
        """True once its time is over, also where that wasn't recorded yet."""
        return self.ends_at is not None and self.ends_at <= clock.now()

    @property
    def shown_state(self) -> str:
        """Its state in a word, as it is now."""
        expired = self.state == GrantState.GRANTED and self.over
        return GrantState.EXPIRED if expired else self.state


def ask(
    organization_id: ObjectId,
    reason: str,
    hours: int | None,
    context: RequestContext,
    *,
    with_documents: bool,
) -> SupportGrant:
    """Have an operator, or a command, ask the owners for support access; they get a mail.

    Raises InvalidReason, InvalidHours, DocumentsOutOfReach (or SeveralErrors of them), NotFound,
    OrganizationTrashed, AlreadyAsked, TooManyAttempts, DuplicateRequest.
    """
    reason, hours, with_documents = check_all(
        lambda: _clean_reason(reason),
        lambda: _clean_hours(hours),
        lambda: reading.check_offered(_active(organization_id), with_documents),
    )
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(organization_id))
    grant = SupportGrant(
        id=ObjectId(),
        organization=organization_id,
        state=GrantState.ASKED,
        reason=reason,
        # What a command or a key asks for, no person would act by.
        operator=context.actor.id if context.session else None,
        asked_at=clock.now(),
        hours=hours,
        with_documents=with_documents,
    )

    @transactional
    def insert() -> None:
        claim_key(context, organization_id, ASKED, grant.id)
        organization = _active(organization_id)
        grant.insert()
        email_owners(SUPPORT_ASKED, organization, grant=grant.id)
        record_event(organization, "support.asked", grant, context, reason=reason)

    try:
        insert()
    except NotUniqueError as error:
        raise errors.AlreadyAsked(_active(organization_id).name) from error
    return grant


def give(
    access: Access,
    hours: int | None,
    context: RequestContext,
    *,
    with_documents: bool,
    reason: str = "",
) -> SupportGrant:
    """Have an owner let any operator see the organization, for these ``hours``, unasked. The owners
    get a mail.

    Raises InvalidReason, InvalidHours, DocumentsOutOfReach (or SeveralErrors of them),
    TooManyGrants, Forbidden, NotFound, TooManyAttempts, DuplicateRequest.
    """
    reason, hours, with_documents = check_all(
        lambda: _clean_reason(reason),
        lambda: _clean_hours(hours),
        lambda: reading.check_offered(access.organization, with_documents),
    )
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    grant = SupportGrant(
        id=ObjectId(),
        organization=access.organization.id,
        state=GrantState.GRANTED,
        reason=reason,
        hours=hours,
        with_documents=with_documents,
    )

    @transactional
    def insert() -> None:
        organization = _begin(access, context, GIVEN, grant.id)
        _put_into_force(grant, organization, context)
        grant.insert()

    insert()
    return grant


def grant_asked(
    access: Access,
    grant_id: ObjectId,
    hours: int | None,
    context: RequestContext,
    *,
    with_documents: bool,
) -> SupportGrant:
    """Have an owner give what an operator asked for, for the ``hours`` that the owner chooses, and
    with documents or without. The owners and the operator get a mail.

    Raises InvalidHours, DocumentsOutOfReach (or SeveralErrors of them), GrantNotFound,
    AlreadyDecided, TooManyGrants, Forbidden, NotFound, TooManyAttempts, DuplicateRequest.
    """
    hours, with_documents = check_all(
        lambda: _clean_hours(hours),
        lambda: reading.check_offered(access.organization, with_documents),
    )
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))

    @transactional
    def decide() -> SupportGrant:
        organization = _begin(access, context, GRANTED, grant_id)
        grant = _taken(organization.id, grant_id, GrantState.ASKED)
        grant.state, grant.hours, grant.with_documents = GrantState.GRANTED, hours, with_documents
        _put_into_force(grant, organization, context)
        grant.save()
        _tell_operator(grant, organization)
        return grant

    return decide()


@transactional
def decline(access: Access, grant_id: ObjectId, context: RequestContext) -> SupportGrant:
    """Have an owner decline what an operator asked for, who gets a mail. Raises GrantNotFound,
    AlreadyDecided, Forbidden, NotFound, DuplicateRequest."""
    organization = _begin(access, context, DECLINED, grant_id)
    grant = _taken(organization.id, grant_id, GrantState.ASKED)
    grant.state, grant.decided_by = GrantState.DECLINED, context.account
    grant.decided_at = grant.ended_at = clock.now()
    grant.save()
    _tell_operator(grant, organization)
    record_event(organization, "support.declined", grant, context)
    return grant


def end(access: Access, grant_id: ObjectId, context: RequestContext) -> SupportGrant:
    """Have an owner end a grant that is in force: from now on nothing is shown by it, and its
    MongoDB user is dropped, with what it is just reading. Raises GrantNotFound, AlreadyDecided,
    Forbidden, NotFound, DuplicateRequest."""

    @transactional
    def write() -> SupportGrant:
        organization = _begin(access, context, ENDED, grant_id)
        return _ended(organization, grant_id, GrantState.GRANTED, GrantState.ENDED, context)

    ended = write()
    tending.tend(grant_id)
    return ended


def give_back(
    organization_id: ObjectId, grant_id: ObjectId, context: RequestContext
) -> SupportGrant:
    """Have an operator, or a command, withdraw what was asked for, or end what was granted. Raises
    GrantNotFound, AlreadyDecided, DuplicateRequest."""

    @transactional
    def write() -> SupportGrant:
        claim_key(context, organization_id, WITHDRAWN, grant_id)
        organization = Organization.objects(id=organization_id).first()
        if organization is None:
            raise errors.GrantNotFound
        found = _stored(organization_id, grant_id)
        if found.state == GrantState.ASKED:
            asked, over = GrantState.ASKED, GrantState.WITHDRAWN
        else:
            asked, over = GrantState.GRANTED, GrantState.ENDED
        return _ended(organization, grant_id, asked, over, context)

    over = write()
    tending.tend(grant_id)
    return over


def grants_of(organization_id: ObjectId) -> list[ListedGrant]:
    """The organization's latest grants, the newest first; one read."""
    return _listed({"organization": organization_id})


def grant_of(organization_id: ObjectId, grant_id: str | ObjectId) -> ListedGrant:
    """The organization's grant with this id. Raises GrantNotFound."""
    if not ObjectId.is_valid(grant_id):
        raise errors.GrantNotFound
    found = _listed({"organization": organization_id, "_id": ObjectId(grant_id)})
    if not found:
        raise errors.GrantNotFound
    return found[0]


def grant_for(
    organization_id: ObjectId, grant_id: str | ObjectId, operator: ObjectId | None
) -> ListedGrant:
    """The organization's grant with this id, if it is this operator's or any operator's. Raises
    GrantNotFound."""
    grant = grant_of(organization_id, grant_id)
    if grant.operator not in (None, operator):
        raise errors.GrantNotFound
    return grant


@within_transaction
def record_event(
    organization: Organization,
    action: str,
    grant: SupportGrant,
    context: RequestContext,
    **details: str,
) -> None:
    """Record an event about a grant."""
    record(organization, action, context.origin, target=grant.id, **details)


def _begin(access: Access, context: RequestContext, kind: str, grant_id: ObjectId) -> Organization:
    sessions.lock_session(context)
    return begin_change(access, context, kind, grant_id, permission="support.grant")


def _put_into_force(
    grant: SupportGrant, organization: Organization, context: RequestContext
) -> None:
    now = clock.now()
    # Recording the event makes two at once run one after the other.
    if tending.in_force(organization.id, now).count() >= MAX_IN_FORCE:
        raise errors.TooManyGrants(MAX_IN_FORCE)
    grant.decided_at, grant.decided_by = now, context.account
    grant.ends_at = grant.due_at = now + timedelta(hours=grant.hours)
    until = max(filter(None, (organization.support_until, grant.ends_at)))
    Organization.objects(id=organization.id).update_one(set__support_until=until)
    email_owners(SUPPORT_GRANTED, organization, grant=grant.id)
    what = "with its documents" if grant.with_documents else "without its documents"
    record_event(organization, "support.granted", grant, context, hours=str(grant.hours), what=what)


def _ended(
    organization: Organization,
    grant_id: ObjectId,
    wanted: GrantState,
    over: GrantState,
    context: RequestContext,
) -> SupportGrant:
    grant = _taken(organization.id, grant_id, wanted)
    tending.finish(grant, over)
    tending.note_end(organization)
    record_event(organization, f"support.{over}", grant, context)
    return grant


def _taken(organization_id: ObjectId, grant_id: ObjectId, state: GrantState) -> SupportGrant:
    """The grant, which is in this state. Raises GrantNotFound, AlreadyDecided."""
    grant = _stored(organization_id, grant_id)
    over = grant.state == GrantState.GRANTED and not grant.is_in_force(clock.now())
    if grant.state != state or over:
        raise errors.AlreadyDecided(GrantState.EXPIRED if over else grant.state)
    return grant


def _stored(organization_id: ObjectId, grant_id: ObjectId) -> SupportGrant:
    grant = SupportGrant.objects(id=grant_id, organization=organization_id).first()
    if grant is None:
        raise errors.GrantNotFound
    return grant


def _active(organization_id: ObjectId) -> Organization:
    organization = Organization.objects(id=organization_id).first()
    if organization is None or organization.state == OrganizationState.PURGED:
        raise NotFound(str(organization_id))
    if organization.state != OrganizationState.ACTIVE:
        raise OrganizationTrashed(organization.name)
    return organization


def _tell_operator(grant: SupportGrant, organization: Organization) -> None:
    if email := email_of(grant.operator):
        ids = {"organization": organization.id, "grant": grant.id}
        outbox.enqueue(SUPPORT_DECIDED, email, **ids)


def _clean_reason(reason: str) -> str:
    words = " ".join(reason.split())
    if not words:
        raise errors.ReasonMissing
    if len(words) > LONGEST_REASON:
        raise errors.ReasonTooLong(LONGEST_REASON)
    if not is_visible(words):
        raise errors.ReasonUnprintable
    return words


def _clean_hours(hours: int | None) -> int:
    if hours is None or not 1 <= hours <= MOST_HOURS:
        raise errors.InvalidHours(MOST_HOURS)
    return hours


def _listed(query: dict[str, ObjectId]) -> list[ListedGrant]:
    email: list[dict[str, Any]] = [{"$project": {"email": 1}}]
    rows = SupportGrant._get_collection().aggregate(
        [
            {"$match": query},
            {"$sort": {"_id": -1}},
            {"$limit": MAX_LISTED},
            join(Account, "decided_by", "_id", "decider", email),
            join(Account, "operator", "_id", "asker", email),
        ]
    )
    return [
        ListedGrant(
            id=row["_id"],
            state=GrantState(row["state"]),
            reason=row.get("reason", ""),
            operator=row.get("operator"),
            asked_by=_email_in(row["asker"]),
            hours=row["hours"],
            with_documents=row["with_documents"],
            asked_at=row.get("asked_at"),
            decided_at=row.get("decided_at"),
            decided_by=_email_in(row["decider"]),
            ends_at=row.get("ends_at"),
            ended_at=row.get("ended_at"),
            pages=row.get("pages", 0),
            seen_at=row.get("seen_at"),
        )
        for row in rows
    ]


def _email_in(found: list[dict[str, Any]]) -> str | None:
    return next((account.get("email") for account in found), None)

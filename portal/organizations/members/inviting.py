"""Invitations: sent, re-sent, withdrawn."""

from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.database.paging import join
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import GRANTABLE_ROLES, Invitation, InvitationState, Membership
from portal.documents.organizations import Organization
from portal.errors import NotFound, check_all
from portal.identity.sessions.principals import require_verified_address
from portal.mail import outbox
from portal.mail.recipients import parse_recipient
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.members import errors
from portal.organizations.members.mails import INVITATION, INVITE
from portal.organizations.members.memberships import record_about
from portal.web import rate_limits
from portal.web.context import RequestContext

SEND, RESEND, WITHDRAW = "invite", "resend_invitation", "withdraw_invitation"


def invite(access: Access, email: str, role: str, context: RequestContext) -> Invitation:
    """Mail an invitation to an address, with a link that works for 7 days.

    The caller doesn't learn whether the address has an account. Raises TooManyAttempts,
    InvalidEmail, InvalidRole (or SeveralErrors of them), AddressNotVerified, AlreadyMember,
    AlreadyInvited, NotFound.
    """
    rate_limits.count_attempt(rate_limits.INVITATIONS, str(access.organization.id))
    address, _ = check_all(lambda: parse_recipient(email), lambda: _check_role(role))
    rate_limits.count_attempt(rate_limits.ADDRESS_MAILS, address.key)
    now = clock.now()
    invitation = Invitation(
        id=ObjectId(),
        organization=access.organization.id,
        email=address.shown,
        email_key=address.key,
        role=role,
        inviter=context.account,
        created_at=now,
        **_validity(now),
    )

    @transactional
    def insert_and_mail() -> Invitation:
        organization = _begin_sending(access, SEND, context, invitation.id)
        _check_no_member(organization, invitation)
        try:
            invitation.insert()
        except NotUniqueError as error:
            raise errors.AlreadyInvited(address.shown) from error
        _record_and_mail(organization, "invitation.sent", invitation, context)
        return invitation

    return insert_and_mail()


def resend_invitation(
    access: Access, invitation_id: ObjectId, context: RequestContext, role: str | None = None
) -> Invitation:
    """Re-send an invitation, valid for 7 days from now, with another role if one is given. The
    previous link is invalidated, and the caller becomes the inviter.

    Raises TooManyAttempts, InvalidRole, AddressNotVerified, NotFound, InvitationClosed,
    AlreadyMember.
    """
    rate_limits.count_attempt(rate_limits.INVITATIONS, str(access.organization.id))
    if role is not None:
        _check_role(role)
    invitation = Invitation.objects(id=invitation_id, organization=access.organization.id).first()
    if invitation is None:
        raise NotFound(str(invitation_id))
    rate_limits.count_attempt(rate_limits.ADDRESS_MAILS, invitation.email_key)

    @transactional
    def renew_and_mail() -> Invitation:
        organization = _begin_sending(access, RESEND, context, invitation_id)
        changes = {**_validity(clock.now()), "inviter": context.account}
        if role is not None:
            changes["role"] = role
        sent = _change(organization, invitation_id, changes, inc__generation=1)
        _check_no_member(organization, sent)
        _record_and_mail(organization, "invitation.sent_again", sent, context)
        return sent

    return renew_and_mail()


@transactional
def withdraw_invitation(
    access: Access, invitation_id: ObjectId, context: RequestContext
) -> Invitation:
    """Withdraw an invitation, which invalidates its link. Raises NotFound, InvitationClosed."""
    organization = begin_change(
        access, context, WITHDRAW, invitation_id, permission="invitations.manage"
    )
    changes = {"state": InvitationState.WITHDRAWN, "ended_at": clock.now()}
    withdrawn = _change(organization, invitation_id, changes)
    record_about(withdrawn, organization, "invitation.withdrawn", context)
    return withdrawn


@within_transaction
def withdraw_sent_by(account: Account, organization: Organization, context: RequestContext) -> None:
    """Withdraw the account's open invitations to the organization, in the transaction that ends its
    right to invite; they stay withdrawn if it may invite again.

    One event records them all: no number of invitations keeps their sender from being removed.
    """
    sent = Invitation.objects(
        organization=organization.id, inviter=account.id, state=InvitationState.OPEN
    )
    count = sent.update(set__state=InvitationState.WITHDRAWN, set__ended_at=clock.now())
    if count:
        action = "invitation.withdrawn_with_role"
        record_about(account, organization, action, context, count=str(count))


@within_transaction
def withdraw_sent_to(account: Account, context: RequestContext) -> None:
    """Withdraw all open invitations to the account's address, with an event for each."""
    sent = Invitation.objects(email_key=account.email_key, state=InvitationState.OPEN)
    for invitation in sent:
        organization = Organization.objects(id=invitation.organization).first()
        if organization:
            record_about(invitation, organization, "invitation.withdrawn", context)
    sent.update(set__state=InvitationState.WITHDRAWN, set__ended_at=clock.now())


def _check_role(role: str) -> None:
    if role not in GRANTABLE_ROLES:
        raise errors.InvalidRole


def _validity(now: datetime) -> dict[str, Any]:
    return {"sent_at": now, "expires_at": now + INVITE.valid_for}


@within_transaction
def _begin_sending(
    access: Access, kind: str, context: RequestContext, invitation_id: ObjectId
) -> Organization:
    """Begin a change that mails a non-member, from a verified account only: the organization's name
    is in the mail, and anybody may choose one that looks like a link."""
    organization = begin_change(
        access, context, kind, invitation_id, permission="invitations.manage"
    )
    require_verified_address(Account.objects.get(id=context.account))
    return organization


def _change(
    organization: Organization, invitation_id: ObjectId, changes: dict[str, Any], **more: Any
) -> Invitation:
    of_organization = Invitation.objects(id=invitation_id, organization=organization.id)
    sets = {f"set__{name}": value for name, value in changes.items()}
    changed = of_organization.filter(state=InvitationState.OPEN).modify(new=True, **sets, **more)
    if changed is None:
        ended = of_organization.first()
        raise errors.InvitationClosed(ended.email) if ended else NotFound(str(invitation_id))
    return changed


def _check_no_member(organization: Organization, invitation: Invitation) -> None:
    """Raise AlreadyMember where the address is a member's. One read either way, so that timing
    doesn't disclose whether the address has an account."""
    here = [{"$match": {"organization": organization.id}}]
    found = Account.objects(email_key=invitation.email_key).aggregate(
        [
            join(Membership, "_id", "account", "memberships", here),
            {"$match": {"memberships": {"$ne": []}}},
            {"$project": {"_id": 1}},
        ]
    )
    if next(iter(found), None):
        raise errors.AlreadyMember(invitation.email)


def _record_and_mail(
    organization: Organization, action: str, invitation: Invitation, context: RequestContext
) -> None:
    record_about(invitation, organization, action, context, role=invitation.role)
    # Two spellings of one address may be two mailboxes elsewhere: an account's own spelling counts.
    account = Account.objects(email_key=invitation.email_key).only("email").first()
    outbox.enqueue(
        INVITATION,
        account.email if account else invitation.email,
        invitation=invitation.id,
        generation=invitation.generation,
    )

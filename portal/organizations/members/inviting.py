"""Invitations: sent, sent again, withdrawn."""

from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.invitations import GRANTABLE_ROLES, Invitation, InvitationState
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization
from portal.email_addresses import parse_email
from portal.errors import NotFound, check_all
from portal.identity.sessions.principals import require_verified_address
from portal.mail import outbox
from portal.organizations.access.changes import begin_change
from portal.organizations.access.lookup import Access
from portal.organizations.members.errors import (
    AlreadyInvited,
    AlreadyMember,
    InvalidRole,
    InvitationClosed,
)
from portal.organizations.members.mails import INVITATION, INVITE
from portal.web import rate_limits
from portal.web.context import RequestContext

SEND, RESEND, WITHDRAW = "invite", "resend_invitation", "withdraw_invitation"


def invite(access: Access, email: str, role: str, context: RequestContext) -> Invitation:
    """Invite an address to the organization: it is sent a link, good for 7 days.

    Whether the address has an account makes no difference to who asks. Raises TooManyAttempts,
    InvalidEmail, InvalidRole (or SeveralErrors of them), AddressNotVerified, AlreadyMember,
    AlreadyInvited, NotFound; then nothing was changed.
    """
    rate_limits.count_try(rate_limits.INVITATIONS, str(access.organization.id))
    address, _ = check_all(lambda: parse_email(email), lambda: _check_role(role))
    rate_limits.count_try(rate_limits.ADDRESS_MAILS, address.key)
    now = clock.now()
    invitation = Invitation(
        id=ObjectId(),
        organization=access.organization.id,
        email=address.shown,
        email_key=address.key,
        role=role,
        inviter=context.account,
        created_at=now,
        **_sent(now),
    )

    def body() -> Invitation:
        organization = _begin_sending(access, SEND, context, invitation.id)
        _check_no_member(organization, invitation)
        try:
            invitation.save(force_insert=True)
        except NotUniqueError as error:
            raise AlreadyInvited(address.shown) from error
        _tell(organization, "invitation.sent", invitation, context)
        return invitation

    return transaction(body)


def resend_invitation(
    access: Access, invitation_id: ObjectId, context: RequestContext, role: str | None = None
) -> Invitation:
    """Send an invitation again, for 7 days from now, in another role if one is given: the link
    before is dead. It is the asking member's from then on.

    Raises TooManyAttempts, InvalidRole, AddressNotVerified, NotFound, InvitationClosed,
    AlreadyMember; then nothing was changed.
    """
    rate_limits.count_try(rate_limits.INVITATIONS, str(access.organization.id))
    if role is not None:
        _check_role(role)
    asked = Invitation.objects(id=invitation_id, organization=access.organization.id).first()
    if asked is None:
        raise NotFound(str(invitation_id))
    rate_limits.count_try(rate_limits.ADDRESS_MAILS, asked.email_key)

    def body() -> Invitation:
        organization = _begin_sending(access, RESEND, context, invitation_id)
        changes = {**_sent(clock.now()), "inviter": context.account}
        if role is not None:
            changes["role"] = role
        sent = _change(organization, invitation_id, changes, inc__generation=1)
        _check_no_member(organization, sent)
        _tell(organization, "invitation.sent_again", sent, context)
        return sent

    return transaction(body)


def withdraw_invitation(
    access: Access, invitation_id: ObjectId, context: RequestContext
) -> Invitation:
    """Take an invitation back: its link is dead. Raises NotFound, InvitationClosed; then nothing
    was changed."""

    def body() -> Invitation:
        organization = begin_change(
            access, context, WITHDRAW, invitation_id, permission="invitations.manage"
        )
        changes = {"state": InvitationState.WITHDRAWN, "ended_at": clock.now()}
        withdrawn = _change(organization, invitation_id, changes)
        _record(organization, "invitation.withdrawn", withdrawn, context)
        return withdrawn

    return transaction(body)


def _check_role(role: str) -> None:
    if role not in GRANTABLE_ROLES:
        raise InvalidRole


def _sent(now: datetime) -> dict[str, Any]:
    return {"sent_at": now, "expires_at": now + INVITE.valid_for}


def _begin_sending(
    access: Access, kind: str, context: RequestContext, invitation_id: ObjectId
) -> Organization:
    """Begin what mails somebody outside: names that look like links would be mailed by anybody."""
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
        raise InvitationClosed(ended.email) if ended else NotFound(str(invitation_id))
    return changed


def _check_no_member(organization: Organization, invitation: Invitation) -> None:
    """Raise AlreadyMember where the address is a member's. One read, whether it has an account or
    not: who invites may not learn that, by the time it takes neither."""
    members = {
        "from": Membership._get_collection_name(),
        "localField": "_id",
        "foreignField": "account",
        "as": "memberships",
        "pipeline": [{"$match": {"organization": organization.id}}],
    }
    found = Account.objects(email_key=invitation.email_key).aggregate(
        [{"$lookup": members}, {"$match": {"memberships": {"$ne": []}}}, {"$project": {"_id": 1}}]
    )
    if next(iter(found), None):
        raise AlreadyMember(invitation.email)


def _tell(
    organization: Organization, action: str, invitation: Invitation, context: RequestContext
) -> None:
    _record(organization, action, invitation, context, role=invitation.role)
    # Spellings that are one address to us may be two mailboxes elsewhere: the account's is meant.
    account = Account.objects(email_key=invitation.email_key).only("email").first()
    outbox.enqueue(
        INVITATION,
        account.email if account else invitation.email,
        invitation=invitation.id,
        generation=invitation.generation,
    )


def _record(
    organization: Organization,
    action: str,
    invitation: Invitation,
    context: RequestContext,
    **details: str,
) -> None:
    record(
        organization,
        action,
        context.origin,
        target=invitation.id,
        target_email=invitation.email,
        **details,
    )

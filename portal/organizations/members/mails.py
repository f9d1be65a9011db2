"""Mails to those who are invited, and to members whose role changes."""

from datetime import timedelta
from typing import Any

from portal import clock
from portal.documents.accounts import Account
from portal.documents.invitations import Invitation, InvitationState
from portal.documents.mails import Mail
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.mail.links import LinkPurpose, link, sign
from portal.mail.outbox import MailKind

INVITE = LinkPurpose("invitation", timedelta(days=7))


def token_of(invitation: Invitation, to: str = "") -> str:
    """What the link carries: this invitation, as it was sent now and not before, and where it is
    mailed ``to``, if that is another spelling of the invited address: who follows it reads that
    mailbox, and maybe not the other."""
    content = {"id": str(invitation.id), "generation": invitation.generation}
    return sign(INVITE, content | {"to": to or invitation.email})


def _invited(mail: Mail) -> dict[str, Any] | None:
    invitation = Invitation.objects(
        id=mail.ids["invitation"],
        generation=mail.ids["generation"],
        state=InvitationState.OPEN,
        expires_at__gt=clock.now(),
    ).first()
    organization = invitation and _living(invitation.organization)
    inviter = invitation and Account.objects(id=invitation.inviter, closed_at=None).first()
    # A version before let it be put into the outbox.
    if organization is None or inviter is None or not inviter.verified:
        return None
    return {
        "name": organization.name,
        "inviter": inviter.email,
        "role": invitation.role,
        "expires_at": invitation.expires_at,
        "link": link("invitations.follow", token=token_of(invitation, mail.to)),
    }


def _offered(mail: Mail) -> dict[str, Any] | None:
    membership = _membership(mail)
    offer = membership and membership.offer
    organization = _living(mail.ids["organization"])
    if organization is None or offer is None or offer.id != mail.ids["offer"]:
        return None
    return {
        "name": organization.name,
        "giver": _email_of(offer.giver),
        "giver_stays": offer.giver_stays,
        "link": link("members.answer", slug=organization.slug),
    }


def _about_member(mail: Mail) -> dict[str, Any] | None:
    """What is told who is a member still."""
    organization, membership = _living(mail.ids["organization"]), _membership(mail)
    if organization is None or membership is None:
        return None
    return {
        "name": organization.name,
        "role": membership.role,
        "link": link("organizations.overview", slug=organization.slug),
    }


def _about_removed(mail: Mail) -> dict[str, Any] | None:
    """What is told who is no member any more."""
    organization = _living(mail.ids["organization"])
    if organization is None or _membership(mail):
        return None
    return {"name": organization.name}


def _living(organization_id: Any) -> Organization | None:
    return Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED).first()


def _membership(mail: Mail) -> Membership | None:
    return Membership.objects(
        organization=mail.ids["organization"], account=mail.ids["account"]
    ).first()


def _email_of(account_id: Any) -> str:
    account = Account.objects(id=account_id).only("email").first()
    return (account and account.email) or "Somebody"


INVITATION = MailKind("invitation", "{inviter} invites you to {name}", _invited)
OWNERSHIP_OFFERED = MailKind(
    "ownership_offered", "{giver} offers you ownership of {name}", _offered
)
OFFER_ENDED = MailKind("offer_ended", "The offer of ownership of {name} has ended", _about_member)
ROLE_CHANGED = MailKind("role_changed", "Your role in {name} is {role}", _about_member)
MEMBER_REMOVED = MailKind("member_removed", "You no longer belong to {name}", _about_removed)

KINDS = (
    INVITATION,
    OWNERSHIP_OFFERED,
    OFFER_ENDED,
    ROLE_CHANGED,
    MEMBER_REMOVED,
)

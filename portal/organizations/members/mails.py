"""Mails of invitations, and to members whose role changes."""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from portal import clock
from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.documents.memberships import Invitation, InvitationState, Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.mail.links import LinkPurpose, link, sign_token
from portal.mail.outbox import MailKind
from portal.organizations.access.owners import email_of

INVITE = LinkPurpose("invitation", timedelta(days=7))


def token_of(invitation: Invitation, to: str = "") -> str:
    """The token of the link: the invitation, its ``generation``, and the address that it is mailed
    ``to``, in that spelling: the link proves control of that mailbox alone."""
    content = {"id": str(invitation.id), "generation": invitation.generation}
    return sign_token(INVITE, content | {"to": to or invitation.email})


def _invited(mail: Mail) -> dict[str, Any] | None:
    invitation = Invitation.objects(
        id=mail.ids["invitation"],
        generation=mail.ids["generation"],
        state=InvitationState.OPEN,
        expires_at__gt=clock.now(),
    ).first()
    organization = invitation and _existing(invitation.organization)
    inviter = invitation and Account.objects(id=invitation.inviter, closed_at=None).first()
    # An earlier version enqueued mails of unverified inviters.
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
    organization = _existing(mail.ids["organization"])
    if organization is None or offer is None or offer.id != mail.ids["offer"]:
        return None
    return {
        "name": organization.name,
        "giver": email_of(offer.giver) or "Somebody",
        "giver_stays": offer.giver_stays,
        "link": link("members.answer", slug=organization.slug),
    }


def _about_member(mail: Mail) -> dict[str, Any] | None:
    """The values of a mail to a current member."""
    organization, membership = _existing(mail.ids["organization"]), _membership(mail)
    if organization is None or membership is None:
        return None
    return {
        "name": organization.name,
        "role": membership.role,
        "link": link("organizations.overview", slug=organization.slug),
    }


def _about_removed(mail: Mail) -> dict[str, Any] | None:
    """The values of a mail to a former member."""
    organization = _existing(mail.ids["organization"])
    if organization is None or _membership(mail):
        return None
    return {"name": organization.name}


def _about_owner(mail: Mail) -> dict[str, Any] | None:
    """The values of a mail to all owners about one of them."""
    organization, email = _existing(mail.ids["organization"]), email_of(mail.ids["account"])
    if organization is None or email is None:
        return None
    if organization.state == OrganizationState.TRASHED:
        page = link("organizations.trash")
    else:
        page = link("members.show", slug=organization.slug)
    return {
        "name": organization.name,
        "email": email,
        "is_new": mail.to == email,
        "link": page,
    }


def _existing(organization_id: ObjectId) -> Organization | None:
    return Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED).first()


def _membership(mail: Mail) -> Membership | None:
    return Membership.objects(
        organization=mail.ids["organization"], account=mail.ids["account"]
    ).first()


INVITATION = MailKind("invitation", "{inviter} invites you to {name}", _invited)
OWNERSHIP_OFFERED = MailKind(
    "ownership_offered", "{giver} offers you ownership of {name}", _offered
)
OFFER_ENDED = MailKind("offer_ended", "The offer of ownership of {name} has ended", _about_member)
OWNER_SET = MailKind("owner_set", "{email} is an owner of {name}", _about_owner)
ROLE_CHANGED = MailKind("role_changed", "Your role in {name} is {role}", _about_member)
MEMBER_REMOVED = MailKind("member_removed", "You no longer belong to {name}", _about_removed)

KINDS = (INVITATION, OWNERSHIP_OFFERED, OFFER_ENDED, OWNER_SET, ROLE_CHANGED, MEMBER_REMOVED)

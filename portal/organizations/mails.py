"""Mails about organizations."""

from typing import Any

from bson import ObjectId

from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.documents.memberships import OWNER, Membership
from portal.documents.organizations import TRASHED, Organization
from portal.mail import outbox
from portal.mail.links import link
from portal.mail.outbox import Kind


def tell_owners(kind: Kind, organization: Organization, **ids: ObjectId) -> None:
    """Put a mail to each owner into the outbox, in the caller's transaction; ``ids`` of what it
    tells of beside the organization."""
    owners = Membership.objects(organization=organization.id, role=OWNER).distinct("account")
    for owner in Account.objects(id__in=owners).only("email"):
        outbox.put(kind, owner.email, organization=organization.id, **ids)


def _about_trashed(mail: Mail) -> dict[str, Any] | None:
    """What is told of an organization while it is in the trash; nothing once it isn't."""
    organization = _trashed(mail.ids["organization"])
    if organization is None:
        return None
    deleter = Account.objects(id=organization.trashed_by).only("email").first()
    return {
        "name": organization.name,
        "trashed_by": (deleter.email or "a closed account") if deleter else "a program",
        "purge_at": organization.purge_at,
        "link": link("organizations.trashed", organization_id=organization.id),
    }


def _trashed(organization_id: ObjectId) -> Organization | None:
    return Organization.objects(id=organization_id, state=TRASHED).first()


ORGANIZATION_TRASHED = outbox.declare(
    Kind("organization_trashed", "{name} is in the trash", _about_trashed)
)
PURGE_NEAR = outbox.declare(
    Kind("purge_near", "{name} will be purged on {purge_at:%-d %B %Y}", _about_trashed)
)

"""Mails about organizations."""

from typing import Any

from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.documents.organizations import Organization, OrganizationState
from portal.mail.links import link
from portal.mail.outbox import MailKind


def _about_trashed(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while the organization is in the trash, else ``None``."""
    organization = Organization.objects(
        id=mail.ids["organization"], state=OrganizationState.TRASHED
    ).first()
    if organization is None:
        return None
    deleter = Account.objects(id=organization.trashed_by).only("email").first()
    return {
        "name": organization.name,
        "trashed_by": (deleter.email or "a closed account") if deleter else "a program",
        "purge_at": organization.purge_at,
        "link": link("organizations.trashed", organization_id=organization.id),
    }


ORGANIZATION_TRASHED = MailKind("organization_trashed", "{name} is in the trash", _about_trashed)
PURGE_NEAR = MailKind("purge_near", "{name} will be purged on {purge_at:%-d %B %Y}", _about_trashed)

KINDS = (ORGANIZATION_TRASHED, PURGE_NEAR)

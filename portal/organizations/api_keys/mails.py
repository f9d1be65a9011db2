"""Mails about API keys."""

from typing import Any

from portal.documents.api_keys import ApiKey
from portal.documents.mails import Mail
from portal.documents.organizations import Organization, OrganizationState
from portal.mail.links import link
from portal.mail.outbox import MailKind
from portal.organizations.access.owners import email_of
from portal.permissions import in_words


def _about_key(mail: Mail) -> dict[str, Any] | None:
    """The mail's values; ``None`` once the key is revoked or its organization isn't active."""
    key = ApiKey.objects(id=mail.ids["key"]).first()
    organization = Organization.objects(
        id=mail.ids["organization"], state=OrganizationState.ACTIVE
    ).first()
    if key is None or organization is None:
        return None
    return {
        "name": organization.name,
        "key": key.name,
        "made_by": email_of(key.created_by) or "somebody who has left",
        "made_at": key.created_at,
        "may": f"what an {key.role} may" if key.role else in_words(key.permissions),
        "link": link("keys.show_all", slug=organization.slug),
    }


KEY_MADE = MailKind("key_made", "{name} has a new API key, {key}", _about_key)

KINDS = (KEY_MADE,)

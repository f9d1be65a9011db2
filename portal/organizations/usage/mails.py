"""Mails to owners about limits."""

from typing import Any

from portal.documents.limits import LimitNotice
from portal.documents.mails import Mail
from portal.documents.organizations import Organization, OrganizationState
from portal.mail.links import link
from portal.mail.outbox import MailKind


def _about_limit(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while the organization and the notice are there."""
    told = LimitNotice.objects(id=mail.ids["notice"]).first()
    organization = Organization.objects(
        id=mail.ids["organization"], state=OrganizationState.ACTIVE
    ).first()
    if told is None or organization is None:
        return None
    return {
        "name": organization.name,
        "kind": told.kind,
        "used": told.used,
        "allowed": told.allowed,
        "percent": round(100 * told.used / told.allowed),
        "link": link("usage.show", slug=organization.slug),
    }


LIMIT_NEAR = MailKind("limit_near", "{name} is near a limit", _about_limit)

KINDS = (LIMIT_NEAR,)

"""Mails about support access: to owners, and to the operator who asked."""

from typing import Any

from portal import clock
from portal.documents.mails import Mail
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.support import GrantState, SupportGrant
from portal.mail.links import link
from portal.mail.outbox import MailKind
from portal.organizations.access.owners import email_of


def _asked(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while nobody has decided."""
    found = _grant_of(mail)
    if found is None or found[1].state != GrantState.ASKED:
        return None
    organization, grant = found
    decide = link("support.decide", slug=organization.slug, grant_id=grant.id)
    return _values(organization, grant) | {"link": decide}


def _granted(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while the grant is in force."""
    found = _grant_of(mail)
    if found is None or not found[1].is_in_force(clock.now()):
        return None
    organization, grant = found
    return _values(organization, grant) | {"link": link("support.show", slug=organization.slug)}


def _decided(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while the decision stands."""
    found = _grant_of(mail)
    if found is None or found[1].state not in (GrantState.GRANTED, GrantState.DECLINED):
        return None
    organization, grant = found
    there = link("operator_support.show", organization_id=organization.id)
    return _values(organization, grant) | {"link": there}


def _grant_of(mail: Mail) -> tuple[Organization, SupportGrant] | None:
    grant = SupportGrant.objects(id=mail.ids["grant"]).first()
    organization = Organization.objects(
        id=mail.ids["organization"], state=OrganizationState.ACTIVE
    ).first()
    return (organization, grant) if organization and grant else None


def _values(organization: Organization, grant: SupportGrant) -> dict[str, Any]:
    return {
        "name": organization.name,
        "reason": grant.reason,
        "hours": grant.hours,
        "with_documents": grant.with_documents,
        "granted": grant.state == GrantState.GRANTED,
        "decided_by": email_of(grant.decided_by) or "somebody who has left",
        "ends_at": grant.ends_at,
    }


SUPPORT_ASKED = MailKind("support_asked", "The operator asks to see {name}", _asked, awaited=True)
SUPPORT_GRANTED = MailKind("support_granted", "The operator may see {name}", _granted)
SUPPORT_DECIDED = MailKind("support_decided", "Your request to see {name} was decided", _decided)

KINDS = (SUPPORT_ASKED, SUPPORT_GRANTED, SUPPORT_DECIDED)

"""Access to an organization's documents: the fields that are hidden, and if writes are recorded."""

from dataclasses import dataclass

from portal.data.masks.masks import Mask
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access
from portal.web.context import OPERATOR, RequestContext


@dataclass(frozen=True, slots=True)
class DocumentAccess:
    """Access to an organization's documents, of which ``mask`` hides some fields. Where it is
    ``recorded``, each write can be undone; where that is ``audited``, it is told in the audit trail
    too. By whose MongoDB user documents are read is no part of it, which could be forgotten: the
    store asks who is acting."""

    organization: Organization
    mask: Mask
    context: RequestContext
    recorded: bool
    audited: bool = True


def document_access(access: Access, context: RequestContext) -> DocumentAccess:
    """Access of a member by pages, whose writes are recorded."""
    return DocumentAccess(access.organization, mask_of(access), context, recorded=True)


def program_access(access: Access, context: RequestContext) -> DocumentAccess:
    """Access of a program, whose writes are recorded where the organization wants it."""
    recorded = bool(access.organization.records_programs)
    mask = mask_of(access)
    return DocumentAccess(access.organization, mask, context, recorded=recorded, audited=False)


def operator_access(organization: Organization) -> DocumentAccess:
    """Access of commands on the portal's machine: all fields, and writes are recorded."""
    mask = mask_for(organization, sees_all=True)
    return DocumentAccess(organization, mask, RequestContext(OPERATOR), recorded=True)


def mask_of(access: Access) -> Mask:
    """The fields that a member or key may not see."""
    return mask_for(access.organization, sees_all=access.can("documents.unmask"))


def mask_for(organization: Organization, *, sees_all: bool) -> Mask:
    """The organization's sensitive fields as they are now, hidden from all but who ``sees_all``."""
    sensitive = frozenset(organization.masked_fields or ())
    return Mask(sensitive=sensitive) if sees_all else Mask(sensitive)

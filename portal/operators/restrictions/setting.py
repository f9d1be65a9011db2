"""Restrictions as operators set them, on pages, by API and as commands alike."""

from datetime import UTC, date, datetime, time

from portal.documents.organizations import Organization
from portal.documents.restrictions import Cause
from portal.organizations.restrictions.holding import SetHold, set_hold
from portal.organizations.restrictions.reasons import parse_reason
from portal.web.context import RequestContext


def hold(
    organization: Organization,
    reason: str,
    until: date | None,
    context: RequestContext,
    *,
    read_only_contact: str | None = None,
) -> SetHold:
    """Set a hold; with ``read_only_contact``, whom members write to, have it be read-only as well
    for a cause of its own. Raises what ``parse_reason`` and ``set_hold`` raise."""
    read_only = None
    if read_only_contact is not None:
        read_only = parse_reason(Cause.LEGAL, read_only_contact, None, reason)
    end = datetime.combine(until, time(), UTC) if until else None
    return set_hold(organization, reason, end, context, read_only)

"""Restrictions as operators set them, on pages, by API and as commands alike."""

from datetime import UTC, date, datetime, time

from portal.documents.organizations import Organization, Restriction
from portal.documents.restrictions import Cause, Suspension
from portal.organizations.lifecycle.restricting import suspend_organization
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
) -> tuple[SetHold, Suspension | None]:
    """Set a hold; with ``read_only_contact``, whom members write to, have it be read-only as well
    for a cause of its own. Raises what ``set_hold``, ``parse_reason`` and ``suspend_organization``
    raise; the latter's after the hold was set."""
    read_only = None
    if read_only_contact is not None:
        read_only = parse_reason(Cause.LEGAL, read_only_contact, None, reason)
    end = datetime.combine(until, time(), UTC) if until else None
    done = set_hold(organization, reason, end, context)
    if read_only is None:
        return done, None
    current = Organization.objects.get(id=organization.id)
    return done, suspend_organization(current, Restriction.READ_ONLY, read_only, context)

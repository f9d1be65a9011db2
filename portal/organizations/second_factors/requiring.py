"""Requiring a second factor of an organization's members."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.paging import join
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.identity.second_factors.errors import NoSecondFactor
from portal.organizations.access.errors import OrganizationTrashed
from portal.organizations.second_factors.errors import InvalidStartDate
from portal.web.context import RequestContext

LONGEST_AHEAD = timedelta(days=90)
MAX_SHOWN = 20


def require_second_factor(
    organization: Organization, starts_on: date | None, owner: ObjectId, context: RequestContext
) -> Organization:
    """Require a second factor of all members from the beginning of a day (UTC): today or within 90
    days. From then on members without one are locked out until they enroll; no membership ends.

    Raises InvalidStartDate, OrganizationTrashed; NoSecondFactor where the ``owner`` has none, who
    would be locked out.
    """
    today = clock.now().date()
    if starts_on is None or not today <= starts_on <= today + LONGEST_AHEAD:
        raise InvalidStartDate(today, today + LONGEST_AHEAD)
    begins = datetime.combine(starts_on, time(), UTC)

    @transactional
    def write_requirement() -> Organization:
        # A write, so that it conflicts with the removal of the owner's last factor.
        enrolled = Account.objects(id=owner, has_second_factor=True)
        if not enrolled.update_one(inc__membership_changes=1):
            raise NoSecondFactor
        changed = Organization.objects(id=organization.id, state=OrganizationState.ACTIVE).modify(
            new=True, set__second_factor_from=begins
        )
        if changed is None:
            raise OrganizationTrashed(organization.name)
        record(
            changed, "organization.second_factor_required", context.origin, starts_on=str(starts_on)
        )
        return changed

    return write_requirement()


@transactional
def lift_requirement(organization: Organization, context: RequestContext) -> Organization:
    """Stop requiring a second factor; a no-op where none is required."""
    required = Organization.objects(
        id=organization.id, state=OrganizationState.ACTIVE, second_factor_from__ne=None
    )
    lifted = required.modify(new=True, unset__second_factor_from=True)
    if lifted is None:
        return organization
    record(lifted, "organization.second_factor_lifted", context.origin)
    return lifted


def members_without_second_factor(organization_id: ObjectId) -> tuple[list[str], int]:
    """The first e-mail addresses of members without a second factor, and the number of all such
    members; one read."""
    without: list[dict[str, Any]] = [
        {"$match": {"has_second_factor": {"$ne": True}}},
        {
            "$facet": {
                "shown": [{"$sort": {"email": 1}}, {"$limit": MAX_SHOWN}],
                "number": [{"$count": "n"}],
            }
        },
        {"$project": {"shown": "$shown.email", "number": {"$first": "$number.n"}}},
    ]
    found = Membership.objects(organization=organization_id).aggregate(
        [
            # One look-up for all accounts at once.
            {"$group": {"_id": None, "accounts": {"$push": "$account"}}},
            join(Account, "accounts", "_id", "without", without),
            {"$replaceWith": {"$first": "$without"}},
        ]
    )
    row: dict[str, Any] = next(iter(found), {})
    return row.get("shown", []), row.get("number", 0)

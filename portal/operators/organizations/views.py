"""Pages of one organization."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from portal import settings
from portal.audit.trail import HIGHEST_SEQ, events_of
from portal.documents.organizations import Organization
from portal.operators.access import Operator
from portal.operators.organization_pages import render_page, with_organization
from portal.operators.organizations.reading import figures_of
from portal.organizations import moves
from portal.organizations.directory import details_of
from portal.organizations.members import listing
from portal.web.requests import number_argument, sort_key_argument

blueprint = Blueprint(
    "operator_organizations", __name__, url_prefix="/operator/organizations/<organization_id>"
)


@blueprint.get("")
@with_organization("console.view")
def show(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return render_page(
        "operators/organizations/overview.html",
        operator,
        organization,
        figures=figures_of(organization),
        details=details_of(organization),
        moving=moves.shown_move(organization),
        trash_days=settings.current().trash_days,
    )


@blueprint.get("/members")
@with_organization("console.view")
def members(operator: Operator, organization: Organization) -> ResponseReturnValue:
    total, owners = listing.counts_of(organization.id)
    page = listing.members_of(
        organization.id,
        before=sort_key_argument("before", listing.MEMBER_KEY),
        after=sort_key_argument("after", listing.MEMBER_KEY),
    )
    return render_page(
        "operators/organizations/members.html",
        operator,
        organization,
        page=page,
        total=total,
        owners=owners,
    )


@blueprint.get("/activity")
@with_organization("console.view")
def activity(operator: Operator, organization: Organization) -> ResponseReturnValue:
    page = events_of(
        organization.id,
        before=number_argument("before", HIGHEST_SEQ),
        after=number_argument("after", HIGHEST_SEQ),
    )
    return render_page("operators/organizations/activity.html", operator, organization, page=page)

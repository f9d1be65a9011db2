"""The page of what an organization uses, for its members."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from portal import clock
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.organizations.usage import showing

blueprint = Blueprint("usage", __name__)


@blueprint.get("/organizations/<slug>/usage")
@with_access("organization.view")
def show(access: Access) -> ResponseReturnValue:
    span = showing.span_of(request.args.get("span"))
    shown = showing.shown_usage(access.organization, span, clock.now())
    return render_page("usage/show.html", access, shown=shown, spans=showing.SPAN_WORDS)

"""The pages and files of an organization's audit trail."""

from collections.abc import Callable, Iterator

from flask import Blueprint, Response, g, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import clock
from portal.audit.export import Export, as_csv, as_json_lines
from portal.audit.filters import Filters
from portal.audit.trail import HIGHEST_SEQ, events_of
from portal.audit.words import actions_by_group
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.web.requests import number_argument

blueprint = Blueprint("activity", __name__)


@blueprint.get("/organizations/<slug>/activity")
@with_access("audit.view")
def show(access: Access) -> ResponseReturnValue:
    filters = _filters()
    if filters.by_day:
        g.page_zone = filters.zone
    page = events_of(
        access.organization.id,
        filters,
        before=number_argument("before", HIGHEST_SEQ),
        after=number_argument("after", HIGHEST_SEQ),
    )
    return render_page(
        "activity/activity.html",
        access,
        head=access.organization.audit_head,
        filters=filters,
        groups=actions_by_group(),
        page=page,
    )


@blueprint.get("/organizations/<slug>/activity.csv")
@with_access("audit.export")
def csv(access: Access) -> ResponseReturnValue:
    return _file(access, as_csv, "csv", "text/csv; charset=utf-8")


@blueprint.get("/organizations/<slug>/activity.jsonl")
@with_access("audit.export")
def json_lines(access: Access) -> ResponseReturnValue:
    return _file(access, as_json_lines, "jsonl", "application/jsonl")


def _file(
    access: Access, stream: Callable[[Export], Iterator[str]], ending: str, content_type: str
) -> Response:
    organization = access.organization
    filters = _filters()
    export = Export(organization.id, organization.audit_head, filters, g.request_id)
    answer = Response(stream(export), content_type=content_type)
    name = f"{organization.slug}-activity-{clock.now():%Y-%m-%d}{_days_in(filters)}.{ending}"
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def _filters() -> Filters:
    return Filters.read(request.args, current_user.time_zone)


def _days_in(filters: Filters) -> str:
    """The days of an export and their time zone, for the name of its file."""
    if not filters.by_day:
        return ""
    days = [
        f"{word}-{day}" for word, day in (("from", filters.since), ("to", filters.until)) if day
    ]
    return "-".join(["", *days, filters.zone.replace("/", "-")])

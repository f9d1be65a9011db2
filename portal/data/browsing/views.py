"""Pages of an organization's documents."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlencode
from zoneinfo import available_timezones

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock, settings
from portal.data import extended_json, reading
from portal.data.access import DocumentAccess, document_access
from portal.data.browsing import browsing, builder, rows, saved_views
from portal.data.browsing.browsing import Newest
from portal.data.browsing.builder import Builder
from portal.data.browsing.errors import ValueNotFound
from portal.data.browsing.fields import Sample, sample_fields
from portal.data.browsing.first_steps import first_steps
from portal.data.browsing.links import JSON, TABLE, Links, wide_columns
from portal.data.browsing.saved_views import ListedView
from portal.data.conditions import Condition
from portal.data.document_ids import parse_document_id
from portal.data.errors import (
    InvalidExtendedJson,
    InvalidQuery,
    QueryTooSlow,
    UnappliedFilter,
)
from portal.data.masks.errors import FieldMasked
from portal.data.patching import element_at
from portal.data.reading import Count
from portal.data.selections import Selection, selection_from
from portal.data.shown import Reader
from portal.data.uuid_readings import readings_from
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.web import hangups
from portal.web.requests import choice_argument, request_context
from portal.web.template_filters import page_zone

blueprint = Blueprint("browsing", __name__, url_prefix="/organizations/<slug>/data")

_ROWS = {TABLE: 50, JSON: 20}
_STRING, _BINARY = 0x02, 0x05
_LONGEST_NAME = 60
_LONGEST_BACK = 1500


@blueprint.get("")
@with_access("documents.read")
def show(access: Access) -> ResponseReturnValue:
    seen = document_access(access, request_context())
    views = saved_views.views_of(seen)
    view = next((each for each in views if str(each.id) == request.args.get("view")), None)
    if view and view.query and set(request.args) == {"view"}:  # as it was saved
        return redirect(f"{request.path}?{view.query}&view={view.id}")
    selection = _with_columns(selection_from(request.args, building=True))
    links = _links(access, selection)
    newest = browsing.read_newest(seen)
    sample = sample_fields(newest.documents)
    begun = builder.builder_from(request.args, selection, sample)
    if "add" in request.args and begun.is_open:
        try:
            made = builder.applied(begun, selection, sample, _zone(), request.args["add"])
            return redirect(replace(links, selection=made).here())
        except InvalidQuery as error:
            begun = replace(begun, fault=error.reason)
    elif "apply" in request.args:
        return redirect(links.here())
    return _page(access, seen, selection, begun, links, newest, sample, views)


@blueprint.get("/selected")
@with_access("documents.read")
def lead_on(access: Access) -> ResponseReturnValue:
    """Leads the documents that are ticked, or without a tick all that the page shows, to what is to
    be done with them. Raises UnappliedFilter where a filter was typed that the page doesn't have
    yet."""
    typed = request.args.get("filter", "").strip()
    if typed != request.args.get("applied", "").strip():
        raise UnappliedFilter
    selection = selection_from(request.args)
    if ticked := tuple(request.args.getlist("id")):
        chosen = Condition("_id", "one_of", ("address",), ticked)
        selection = replace(selection, groups=((chosen,),), extended_json="")
    to = choice_argument("to", ("transfer.export", "history.change_many", "history.delete_many"))
    query = urlencode(selection.query_args())
    return redirect(f"{url_for(to, slug=access.organization.slug)}?{query}")


@blueprint.get("/count")
@with_access("documents.read")
def count(access: Access) -> ResponseReturnValue:
    """The part of the page that says how many there are."""
    seen = document_access(access, request_context())
    selection = selection_from(request.args, building=True)
    found = _count(seen, selection)
    links = _links(access, selection)
    return render_template("browsing/count.html", found=found, selection=selection, links=links)


@blueprint.get("/readings")
@with_access("documents.read")
def readings(access: Access) -> ResponseReturnValue:
    """The part of the builder that asks what a typed value is."""
    field, value = request.args.get("field", ""), request.args.get("value", "")
    choices = builder.readings(field, (value[:200],), ())
    return render_template("browsing/readings.html", choices=choices)


@blueprint.get("/documents/<address>/value")
@with_access("documents.read")
def value(access: Access, address: str) -> ResponseReturnValue:
    """A value of a document, whole, as a file."""
    seen = document_access(access, request_context())
    _, document = reading.get_document(seen, parse_document_id(address))
    path = _path(request.args.get("path", ""))
    found = element_at(seen.mask.hide(document), path)
    if found is None:
        raise ValueNotFound
    content, kind, ending = _content(found.value)
    answer = Response(content, content_type=kind)
    name = "-".join([access.organization.slug, *path])[:_LONGEST_NAME]
    answer.headers.set("Content-Disposition", "attachment", filename=f"{name}.{ending}")
    return answer


def _page(
    access: Access,
    seen: DocumentAccess,
    selection: Selection,
    begun: Builder,
    links: Links,
    newest: Newest,
    sample: Sample,
    views: list[ListedView],
) -> ResponseReturnValue:
    reader = Reader(clock.zone_of(page_zone()), links.uuids)
    found, fault = _browsed(seen, selection, links, newest)
    documents = found.page.documents if found and found.page else []
    columns, table = rows.table_of(
        documents, selection.columns or sample.columns, reader, seen.mask, links.wide
    )
    having, lacking = builder.operators_for(begun, sample)
    is_empty = _is_empty(selection, begun, found)
    page = render_page(
        "browsing/documents.html",
        access,
        selection=selection,
        links=links,
        begun=begun,
        having=having,
        lacking=lacking,
        readings=builder.readings(begun.field, begun.values, begun.kinds),
        sample=sample,
        found=found,
        fault=fault,
        columns=columns,
        rows=table,
        json=rows.json_of(documents, reader) if links.form == JSON else [],
        old_uuids=rows.fields_of_old_uuids(documents),
        counted=_counted(seen, selection, found),
        views=views,
        view=next((each for each in views if str(each.id) == links.view), None),
        query=links.query(),
        first=first_steps(access.organization) if is_empty else None,
        public_url=settings.current().public_url,
    )
    answer = make_response(page)
    answer.status_code = _status(found, fault or begun.fault)
    return answer


def _is_empty(selection: Selection, begun: Builder, found: browsing.Browsed | None) -> bool:
    """Tell whether nothing was asked for, and there is no document."""
    if found is None or found.page is None or found.page.documents:
        return False
    return not (selection.filter or begun.is_open or {"after", "before"} & set(request.args))


def _status(found: browsing.Browsed | None, fault: str) -> int:
    refused = found and (found.refused or found.sort_refused)
    if isinstance(refused, FieldMasked):
        return refused.status
    return 422 if fault else 200


def _browsed(
    seen: DocumentAccess, selection: Selection, links: Links, newest: Newest
) -> tuple[browsing.Browsed | None, str]:
    """The documents, or what is wrong with the filter that was typed."""
    try:
        _ = selection.filter
    except (InvalidQuery, InvalidExtendedJson) as error:
        return None, _told(error)
    with _ended_with_client() as comment:
        found = browsing.browse(
            seen,
            selection,
            after=request.args.get("after"),
            before=request.args.get("before"),
            limit=_ROWS[links.form],
            comment=comment,
            newest=newest,
        )
    return found, ""


def _counted(
    seen: DocumentAccess, selection: Selection, found: browsing.Browsed | None
) -> Count | str | None:
    """The number of documents, where the page has it or was asked for it; or why not."""
    if found is None or found.page is None:
        return None
    if "count" in request.args:
        return _count(seen, selection)
    return browsing.known_count(seen, selection)


def _count(seen: DocumentAccess, selection: Selection) -> Count | str:
    try:
        with _ended_with_client() as comment:
            whole = request.args.get("count") == "all"
            return browsing.count(seen, selection, comment, whole=whole)
    except QueryTooSlow:
        return "Counting them takes more than 4 seconds."


def _links(access: Access, selection: Selection) -> Links:
    return Links(
        access.organization.slug,
        selection,
        choice_argument("as", (TABLE, JSON)),
        request.args.get("view", ""),
        readings_from(request.args.getlist("uuid")),
        wide_columns(request.args),
        _back(),
    )


def _back() -> str | None:
    query = request.query_string.decode("ascii", "replace")
    return query if 0 < len(query) <= _LONGEST_BACK else None


def _zone() -> str:
    """The zone that a date is typed in: the page's, else the browser's."""
    return page_zone() or choice_argument("zone", ("", *available_timezones()))


def _with_columns(selection: Selection) -> Selection:
    """The selection with the columns that were typed, one a line."""
    typed = request.args.get("columns")
    if typed is None:
        return selection
    names = [line.strip() for line in typed.splitlines()]
    return replace(selection, columns=tuple(dict.fromkeys(name for name in names if name)))


def _told(error: InvalidQuery | InvalidExtendedJson) -> str:
    if isinstance(error, InvalidQuery):
        return error.reason
    told = " ".join(f"{place}: {reason}" for place, reason in error.fields.items())
    return told[:1].upper() + told[1:]


def _path(text: str) -> tuple[str, ...]:
    try:
        path = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueNotFound from error
    if not isinstance(path, list) or not path or not all(isinstance(each, str) for each in path):
        raise ValueNotFound
    return tuple(path)


def _content(found: bytes) -> tuple[bytes, str, str]:
    """A value's own bytes, what they are, and the ending of their file."""
    if found[4] == _STRING:
        return found[10:-2], "text/plain; charset=utf-8", "txt"
    if found[4] == _BINARY:
        return found[11:-1], "application/octet-stream", "bin"
    return extended_json.render_value(found).encode(), "application/json", "json"


@contextmanager
def _ended_with_client() -> Iterator[str]:
    """The comment of a query, which ends in the server if the browser leaves the page."""
    comment: str = g.request_id
    with hangups.on_hang_up(lambda: reading.end_query(comment)):
        yield comment

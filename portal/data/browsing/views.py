"""Pages of an organization's documents."""

from flask import Blueprint, g, request
from flask.typing import ResponseReturnValue

from portal.data import extended_json, reading
from portal.data.access import document_access
from portal.data.document_ids import address_of
from portal.data.queries import Query
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.tenants.elements import id_of
from portal.web.requests import request_context

blueprint = Blueprint("browsing", __name__, url_prefix="/organizations/<slug>/data")

_NEWEST_FIRST = {"_id": -1}


@blueprint.get("")
@with_access("documents.read")
def show(access: Access) -> ResponseReturnValue:
    asked = Query(sort=_NEWEST_FIRST, after=request.args.get("after"))
    seen = document_access(access, request_context())
    page = reading.list_documents(seen, asked, g.request_id)
    rows = [(address_of(id_of(each)), extended_json.render(each)) for each in page.documents]
    return render_page("browsing/documents.html", access, rows=rows, after=page.next)

"""Pages of how an organization's documents are: their shape, indexes and rules."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from portal.data.access import document_access
from portal.data.sampling import shape_of
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.web.requests import request_context

blueprint = Blueprint("structure", __name__, url_prefix="/organizations/<slug>/data")


@blueprint.get("/shape")
@with_access("documents.read")
def show_shape(access: Access) -> ResponseReturnValue:
    shape = shape_of(document_access(access, request_context()))
    return render_page("structure/shape.html", access, shape=shape)

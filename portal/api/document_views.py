"""Views of an organization's documents for programs."""

import json
from typing import Any

import bson

from portal.api import document_schemas as schemas
from portal.api import replay
from portal.api.document_requests import with_link
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, logged_in
from portal.api.replay import OF_CHANGES, Answer, first_target, takes_key
from portal.data import extended_json, queries
from portal.data.access import DocumentAccess, program_access
from portal.data.browsing import saved_views
from portal.data.browsing.errors import (
    InvalidViewName,
    InvalidViewQuery,
    TooManyViews,
    ViewChanged,
    ViewNameTaken,
    ViewNotFound,
)
from portal.data.browsing.saved_views import ListedView
from portal.data.errors import InvalidExtendedJson, InvalidQuery, UnappliedFilter
from portal.data.selections import Selection
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access
from portal.web.errors import TooManyAttempts
from portal.web.requests import request_context

document_views = ApiBlueprint("document_views", __name__, url_prefix="/org", description="Views")
document_views.after_request(with_link)

_OF_NAMING = (
    *OF_CHANGES,
    InvalidViewName,
    InvalidViewQuery,
    InvalidQuery,
    InvalidExtendedJson,
    UnappliedFilter,
    ViewNameTaken,
)


@document_views.get("/<name:name>/views", refusals=OF_ACCESS)
@logged_in
@document_views.response(200, schemas.ViewsAnswer)
def list_views(name: str) -> dict[str, Any]:
    """List the views of an organization's documents

    Everybody's, and those of the account whose token is used. `filter` and `sort` are what to send
    to read the documents that a view shows; `filter` is null where the view can't be read any more.
    """
    access = access_by_name(name, "documents.read")
    return {"views": [_shown(each) for each in saved_views.views_of(_seen(access))]}


@document_views.post("/<name:name>/views", refusals=(*_OF_NAMING, TooManyViews, TooManyAttempts))
@takes_key
@logged_in
@document_views.arguments(schemas.NewViewBody)
@document_views.response(201, schemas.ViewAnswer)
def save_view(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Keep a view

    Its `query` are the parameters of the URL of the page of documents. One for everybody needs
    `documents.write`; an API key has no others.
    """
    access = access_by_name(name, "documents.read")
    saved = saved_views.save_view(
        access, body["name"], body["query"], request_context(), shared=body["shared"]
    )
    return {"view": _shown(saved)}


@document_views.put(
    "/<name:name>/views/<view_id>", refusals=(*_OF_NAMING, ViewNotFound, ViewChanged)
)
@takes_key
@logged_in
@document_views.arguments(schemas.ChangedViewBody)
@document_views.response(200, schemas.ViewAnswer)
def change_view(body: dict[str, Any], name: str, view_id: str) -> dict[str, Any]:
    """Change a view

    With another `version` than the one that is there nothing is changed.
    """
    access = access_by_name(name, "documents.read")
    view = saved_views.find_view(_seen(access), view_id)
    changed = saved_views.change_view(
        access, view, body["name"], body["query"], request_context(), version=body["version"]
    )
    return {"view": _shown(changed)}


@document_views.delete("/<name:name>/views/<view_id>", refusals=(*OF_CHANGES, ViewNotFound))
@takes_key
@logged_in
@document_views.response(200, schemas.Success)
def delete_view(name: str, view_id: str) -> dict[str, Any]:
    """Delete a view

    No document is changed.
    """
    access = access_by_name(name, "documents.read")
    view = saved_views.find_view(_seen(access), view_id)
    saved_views.delete_view(access, view, request_context())
    return {}


def _seen(access: Access) -> DocumentAccess:
    return program_access(access, request_context())


def _shown(view: ListedView) -> dict[str, Any]:
    selection = view.selection
    return {
        "id": str(view.id),
        "name": view.name,
        "query": view.query,
        "shared": view.shared,
        "version": view.version,
        "filter": None if selection is None else _filter_of(selection),
        "sort": selection.sort if selection else {},
        "columns": selection.columns if selection else (),
    }


def _filter_of(selection: Selection) -> Any:
    encoded = bson.encode(selection.filter, codec_options=queries.CODEC)
    return json.loads(extended_json.render(encoded))


def _replay_save(organization: Organization) -> Answer:
    return _current(organization), 201, {}


def _replay_change(organization: Organization) -> Answer:
    return _current(organization), 200, {}


def _current(organization: Organization) -> dict[str, Any]:
    """The view that the first call saved or changed, as it is now."""
    access = access_by_name(organization.slug, "documents.read")
    return {"view": _shown(saved_views.find_view(_seen(access), str(first_target())))}


replay.install(
    document_views,
    {
        saved_views.SAVED: (schemas.ViewAnswer, _replay_save),
        saved_views.CHANGED: (schemas.ViewAnswer, _replay_change),
        saved_views.DELETED: (schemas.Success, replay.success),
    },
)

"""Pages of views of documents: kept, changed, deleted."""

from dataclasses import dataclass, replace

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.bidi import isolated
from portal.data.access import document_access
from portal.data.browsing import saved_views
from portal.data.browsing.forms import SHARED, NewViewForm, ViewForm
from portal.data.browsing.links import wide_columns
from portal.data.browsing.saved_views import ListedView
from portal.data.selections import selection_from
from portal.data.uuid_readings import readings_from
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access, access_to
from portal.web import error_handlers, requests
from portal.web.errors import DuplicateRequest
from portal.web.forms import IdempotentForm
from portal.web.idempotency import find_record
from portal.web.requests import request_context

blueprint = Blueprint("views", __name__, url_prefix="/organizations/<slug>/data/views")


@dataclass(frozen=True, slots=True)
class _Deleted:
    name: str


@blueprint.get("")
@with_access("documents.read")
def show_all(access: Access) -> ResponseReturnValue:
    views = saved_views.views_of(document_access(access, request_context()))
    return render_page("browsing/views.html", access, views=views)


@blueprint.route("/new", methods=["GET", "POST"])
@with_access("documents.read")
def save(access: Access) -> ResponseReturnValue:
    form, query = NewViewForm(), _query()
    if not access.can("documents.write"):
        del form.whose
    shared = form.whose is not None and form.whose.data == SHARED
    saved = form.submit(
        lambda: saved_views.save_view(
            access, form.name.data, query, request_context(), shared=shared
        )
    )
    if saved:
        return _open(access, saved, f"“{isolated(saved.name)}” is kept.")
    selection = selection_from(request.args)
    return render_page("browsing/save_view.html", access, form, selection=selection, query=query)


@blueprint.route("/<view_id>/change", methods=["GET", "POST"])
@with_access("documents.read")
def change(access: Access, view_id: str) -> ResponseReturnValue:
    view = saved_views.find_view(document_access(access, request_context()), view_id)
    _check_may_change(access, view)
    query = _query() or view.query
    form = ViewForm(data={"name": view.name, "version": str(view.version)})
    changed = form.submit(
        lambda: saved_views.change_view(
            access, view, form.name.data, query, request_context(), version=form.read_version
        )
    )
    if changed:
        return _open(access, changed, f"“{isolated(changed.name)}” is changed.")
    new = replace(view, query=query)
    return render_page("browsing/change_view.html", access, form, view=view, new=new)


@blueprint.route("/<view_id>/delete", methods=["GET", "POST"])
@with_access("documents.read")
def delete(access: Access, view_id: str) -> ResponseReturnValue:
    view = saved_views.find_view(document_access(access, request_context()), view_id)
    _check_may_change(access, view)
    form = IdempotentForm()

    def do() -> _Deleted:
        saved_views.delete_view(access, view, request_context())
        return _Deleted(view.name)

    if form.submit(do):
        flash(f"“{isolated(view.name)}” is deleted. No document was changed.", "ok")
        return redirect(url_for(".show_all", slug=access.organization.slug), 303)
    return render_page("browsing/delete_view.html", access, form, view=view)


@blueprint.errorhandler(DuplicateRequest)
def _answer_repeated(error: DuplicateRequest) -> ResponseReturnValue:
    """Answer a form that was submitted twice by what its first submission did."""
    if find_record(requests.idempotency_key()) is None:
        return error_handlers.answer_portal_error(error)
    access = access_to((request.view_args or {})["slug"], current_user)
    return redirect(url_for(".show_all", slug=access.organization.slug), 303)


def _check_may_change(access: Access, view: ListedView) -> None:
    if view.shared:
        access.require("documents.write")


def _query() -> str:
    """The parameters in the URL that a view keeps."""
    selection = selection_from(request.args)
    return saved_views.query_of(
        selection,
        form=request.args.get("as", "") if request.args.get("as") == "json" else "",
        uuids=readings_from(request.args.getlist("uuid")),
        wide=wide_columns(request.args),
    )


def _open(access: Access, view: ListedView, words: str) -> ResponseReturnValue:
    flash(words, "ok")
    slug = access.organization.slug
    return redirect(url_for("browsing.show", slug=slug, view=str(view.id)), 303)

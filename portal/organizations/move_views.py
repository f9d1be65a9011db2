"""Pages of an organization's move: how far it is, the way back, and what owners may ask for."""

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from portal.identity.sessions.reauthentication import reauthenticated
from portal.organizations import moves
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.organizations.credentials import travelling
from portal.organizations.forms import MoveForm, RequestMoveForm
from portal.organizations.moves import Phase
from portal.organizations.moving import requesting
from portal.web.forms import see_other
from portal.web.requests import request_context

blueprint = Blueprint("moves", __name__, url_prefix="/organizations/<slug>/placement/move")
replay.install(blueprint, "moves.show")


@blueprint.get("")
@with_access("organization.view")
def show(access: Access) -> ResponseReturnValue:
    shown = moves.shown_move(access.organization)
    if shown is None:
        return redirect(url_for("organizations.placement", slug=access.organization.slug), 303)
    withdrawing = None
    if shown.phase == Phase.REQUESTED:
        withdrawing = MoveForm(data={"move": str(shown.move.id)})
    journey = travelling.journey_of(access.organization)
    return render_page(
        "moves/move.html", access, shown=shown, withdrawing=withdrawing, journey=journey
    )


@blueprint.route("/request", methods=["GET", "POST"])
@with_access("organization.move")
def ask(access: Access) -> ResponseReturnValue:
    form = RequestMoveForm()
    form.region.choices = requesting.offered_regions(access.organization)
    asked = form.submit(
        lambda: requesting.request_move(access, form.region.data, form.day.data, request_context())
    )
    if asked:
        return _back(access, "Whoever runs this portal decides, and tells you by mail.")
    return render_page("moves/request.html", access, form)


@blueprint.post("/withdraw")
@with_access("organization.move")
def withdraw(access: Access) -> ResponseReturnValue:
    form = MoveForm()
    if form.submit(lambda: requesting.withdraw_request(access, form.move.data, request_context())):
        return _back(access, "Your request is withdrawn.")
    return show(access)


@blueprint.route("/back", methods=["GET", "POST"])
@with_access("organization.move")
@reauthenticated
def go_back(access: Access) -> ResponseReturnValue:
    form = MoveForm()
    if form.submit(lambda: requesting.go_back(access, form.move.data, request_context())):
        return _back(access, "It goes back, as soon as the old copy has all that was written.")
    return _way_back_page("back", access, form)


@blueprint.route("/end", methods=["GET", "POST"])
@with_access("organization.move")
@reauthenticated
def end(access: Access) -> ResponseReturnValue:
    form = MoveForm()
    if form.submit(lambda: requesting.end_way_back(access, form.move.data, request_context())):
        return _back(access, "The way back has ended. The old copy is deleted.")
    return _way_back_page("end", access, form)


def _way_back_page(name: str, access: Access, form: MoveForm) -> ResponseReturnValue:
    shown = moves.shown_move(access.organization)
    if shown is None or shown.phase != Phase.WAY_BACK:
        return redirect(url_for(".show", slug=access.organization.slug), 303)
    form.move.data = str(shown.move.id)
    return render_page(f"moves/{name}.html", access, form, shown=shown)


def _back(access: Access, words: str) -> ResponseReturnValue:
    return see_other(".show", words, slug=access.organization.slug)

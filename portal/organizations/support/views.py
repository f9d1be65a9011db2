"""Pages by which owners decide on support access, and by which an operator leaves it."""

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.documents.organizations import Strategy
from portal.documents.support import GrantState
from portal.identity.authentication import cookies
from portal.identity.sessions.principals import SupportPrincipal
from portal.identity.sessions.reauthentication import reauthenticated
from portal.organizations.access import replay
from portal.organizations.access.guards import render_page, with_access
from portal.organizations.access.lookup import Access
from portal.organizations.support import acting, grants
from portal.organizations.support.errors import AlreadyDecided
from portal.organizations.support.forms import GrantForm, ReasonedGrantForm
from portal.organizations.support.grants import ListedGrant
from portal.web.forms import Form, IdempotentForm, see_other
from portal.web.requests import request_context

blueprint = Blueprint("support", __name__)
replay.install(blueprint, "support.show")


@blueprint.get("/organizations/<slug>/support")
@with_access("organization.view")
def show(access: Access) -> ResponseReturnValue:
    found = grants.grants_of(access.organization.id)
    return render_page(
        "support/show.html",
        access,
        open_ones=[grant for grant in found if _is_open(grant)],
        former=[grant for grant in found if not _is_open(grant)],
        most=grants.MAX_LISTED,
        shared=access.organization.placement.strategy == Strategy.SHARED,
    )


@blueprint.route("/organizations/<slug>/support/give", methods=["GET", "POST"])
@with_access("support.grant")
@reauthenticated
def give(access: Access) -> ResponseReturnValue:
    form = ReasonedGrantForm()
    given = form.submit(
        lambda: grants.give(
            access,
            int(form.hours.data),
            request_context(),
            with_documents=form.with_documents,
            reason=form.reason.data,
        )
    )
    if given:
        return _back(access, "An operator may look from now on.")
    return render_page("support/give.html", access, form)


@blueprint.route("/organizations/<slug>/support/<grant_id>", methods=["GET", "POST"])
@with_access("support.grant")
@reauthenticated
def decide(access: Access, grant_id: str) -> ResponseReturnValue:
    grant = _asked(access, grant_id)
    form = GrantForm()
    form.begin_with(grant.hours, with_documents=grant.with_documents)
    granted = form.submit(
        lambda: grants.grant_asked(
            access,
            grant.id,
            int(form.hours.data),
            request_context(),
            with_documents=form.with_documents,
        )
    )
    if granted:
        return _back(access, "The operator may look from now on, and gets a mail.")
    return render_page("support/decide.html", access, form, grant=grant)


@blueprint.route("/organizations/<slug>/support/<grant_id>/decline", methods=["GET", "POST"])
@with_access("support.grant")
def decline(access: Access, grant_id: str) -> ResponseReturnValue:
    grant = _asked(access, grant_id)
    form = IdempotentForm()
    if form.submit(lambda: grants.decline(access, grant.id, request_context())):
        return _back(access, "Declined. The operator gets a mail, and sees nothing.")
    return render_page("support/decline.html", access, form, grant=grant)


@blueprint.route("/organizations/<slug>/support/<grant_id>/end", methods=["GET", "POST"])
@with_access("support.grant")
def end(access: Access, grant_id: str) -> ResponseReturnValue:
    grant = grants.grant_of(access.organization.id, grant_id)
    if not grant.in_force:
        raise AlreadyDecided(grant.shown_state)
    form = IdempotentForm()
    if form.submit(lambda: grants.end(access, grant.id, request_context())):
        return _back(access, "Support access has ended. Nothing is shown by it any more.")
    return render_page("support/end.html", access, form, grant=grant)


@blueprint.post("/support/leave")
@login_required
def leave() -> ResponseReturnValue:
    principal = current_user._get_current_object()
    if not isinstance(principal, SupportPrincipal):  # left already, in another tab
        return redirect(url_for("home.landing"), 303)
    form = Form()
    if not form.validate_on_submit():
        return redirect(url_for("home.landing"), 303)
    cookies.enter(acting.leave(principal, request_context()))
    return redirect(
        url_for("operator_support.show", organization_id=principal.organization_id), 303
    )


def _asked(access: Access, grant_id: str) -> ListedGrant:
    """The grant that an operator asks for. Raises GrantNotFound, AlreadyDecided."""
    grant = grants.grant_of(access.organization.id, grant_id)
    if grant.state != GrantState.ASKED:
        raise AlreadyDecided(grant.shown_state)
    return grant


def _is_open(grant: ListedGrant) -> bool:
    return grant.in_force or grant.state == GrantState.ASKED


def _back(access: Access, words: str) -> ResponseReturnValue:
    return see_other(".show", words, slug=access.organization.slug)

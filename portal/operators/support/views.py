"""Pages by which operators ask to see an organization, and begin to."""

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.documents.organizations import Organization
from portal.documents.support import GrantState
from portal.identity.authentication import cookies
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators.access import Operator
from portal.operators.organization_pages import install, render_page, with_organization
from portal.organizations.support import acting, grants
from portal.organizations.support.errors import AlreadyDecided
from portal.organizations.support.forms import ReasonedGrantForm
from portal.web.forms import Form, IdempotentForm, see_other

blueprint = Blueprint(
    "operator_support",
    __name__,
    url_prefix="/operator/organizations/<organization_id>/support",
)
install(blueprint, "operator_support.show")


@blueprint.get("")
@with_organization("console.view")
def show(operator: Operator, organization: Organization) -> ResponseReturnValue:
    found = grants.grants_of(organization.id)
    return render_page(
        "operators/support/show.html",
        operator,
        organization,
        grants=found,
        own={grant.id for grant in found if grant.operator in (None, operator.id)},
        most=grants.MAX_LISTED,
    )


@blueprint.route("/ask", methods=["GET", "POST"])
@with_organization("console.view")
def ask(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = ReasonedGrantForm()
    if not form.is_submitted() and _has_asked(operator, organization):
        return _back(organization, "You have asked. An owner has yet to decide.")
    asked = form.submit(
        lambda: grants.ask(
            organization.id,
            form.reason.data,
            int(form.hours.data),
            operator.context,
            with_documents=form.with_documents,
        )
    )
    if asked:
        return _back(organization, "Its owners have your request by mail. You get one, too.")
    return render_page("operators/support/ask.html", operator, organization, form)


@blueprint.route("/<grant_id>/enter", methods=["GET", "POST"])
@with_organization("console.view")
@reauthenticated
def enter(operator: Operator, organization: Organization, grant_id: str) -> ResponseReturnValue:
    grant = grants.grant_for(organization.id, grant_id, operator.id)
    if not grant.in_force:
        raise AlreadyDecided(grant.shown_state)
    form = Form()
    entered = form.submit(
        lambda: acting.enter(
            organization.id, grant.id, current_user._get_current_object(), operator.context
        )
    )
    if entered:
        principal, opened = entered
        cookies.enter(principal)
        return redirect(url_for("organizations.overview", slug=opened.slug), 303)
    return render_page("operators/support/enter.html", operator, organization, form, grant=grant)


@blueprint.route("/<grant_id>/give-back", methods=["GET", "POST"])
@with_organization("console.view")
def give_back(operator: Operator, organization: Organization, grant_id: str) -> ResponseReturnValue:
    grant = grants.grant_for(organization.id, grant_id, operator.id)
    if not grant.in_force and grant.state != GrantState.ASKED:
        raise AlreadyDecided(grant.shown_state)
    form = IdempotentForm()
    if form.submit(lambda: grants.give_back(organization.id, grant.id, operator.context)):
        return _back(organization, "It is over. Its owners see that in their activity.")
    return render_page(
        "operators/support/give_back.html", operator, organization, form, grant=grant
    )


def _has_asked(operator: Operator, organization: Organization) -> bool:
    found = grants.grants_of(organization.id)
    return any(one.state == GrantState.ASKED and one.operator == operator.id for one in found)


def _back(organization: Organization, words: str) -> ResponseReturnValue:
    return see_other(".show", words, organization_id=organization.id)

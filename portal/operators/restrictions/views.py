"""Pages by which operators suspend an organization, or hold it."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from portal.bidi import isolated
from portal.documents.organizations import Organization, Restriction
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators.access import Operator
from portal.operators.organization_pages import install, render_page, with_organization
from portal.operators.restrictions.forms import CAUSES, KINDS, HoldForm, SuspendForm
from portal.operators.restrictions.setting import hold
from portal.organizations.lifecycle.restricting import lift_suspension, suspend_organization
from portal.organizations.restrictions.holding import KEPT_AFTER, release_hold
from portal.organizations.restrictions.listing import hold_of, restrictions_of, suspension_of
from portal.organizations.restrictions.reasons import parse_reason
from portal.web.forms import IdempotentForm, see_other

blueprint = Blueprint(
    "operator_restrictions",
    __name__,
    url_prefix="/operator/organizations/<organization_id>",
)
install(blueprint, "operator_restrictions.show")


@blueprint.get("/restrictions")
@with_organization("console.view")
def show(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return render_page(
        "operators/restrictions/show.html",
        operator,
        organization,
        restrictions=restrictions_of(organization.id),
        kinds=KINDS,
        causes=CAUSES,
    )


@blueprint.route("/restrictions/new", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def suspend(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = SuspendForm()
    suspension = form.submit(
        lambda: suspend_organization(
            organization,
            Restriction(form.kind.data),
            parse_reason(
                form.cause.data, form.contact.data or "", form.message.data, form.note.data
            ),
            operator.context,
        )
    )
    if suspension:
        told = "" if suspension.kind == Restriction.HIDDEN else " Its owners are told by mail."
        return _back(organization, f"{isolated(organization.name)} is suspended.{told}")
    return render_page("operators/restrictions/suspend.html", operator, organization, form)


@blueprint.route("/restrictions/<suspension_id>/lift", methods=["GET", "POST"])
@with_organization("console.act")
def lift(operator: Operator, organization: Organization, suspension_id: str) -> ResponseReturnValue:
    suspension = suspension_of(organization.id, suspension_id)
    form = IdempotentForm()
    if form.submit(lambda: lift_suspension(organization, suspension.id, operator.context)):
        return _back(organization, "That suspension is lifted.")
    others = [
        one for one in restrictions_of(organization.id).open_suspensions if one.id != suspension.id
    ]
    return render_page(
        "operators/restrictions/lift.html",
        operator,
        organization,
        form,
        suspension=suspension,
        others=others,
        causes=CAUSES,
    )


@blueprint.route("/hold", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def set_hold(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = HoldForm()
    done = form.submit(
        lambda: hold(
            organization,
            form.reason.data or "",
            form.until.data,
            operator.context,
            read_only_contact=form.contact.data if form.read_only.data else None,
        )
    )
    if done:
        return _back(organization, "The hold is set: nothing of it is deleted for good.")
    return render_page("operators/restrictions/hold.html", operator, organization, form)


@blueprint.route("/hold/<hold_id>/release", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def release(operator: Operator, organization: Organization, hold_id: str) -> ResponseReturnValue:
    held = hold_of(organization.id, hold_id)
    form = IdempotentForm()
    if form.submit(lambda: release_hold(organization, held.id, operator.context)):
        return _back(organization, "The hold is released.")
    others = [one for one in restrictions_of(organization.id).open_holds if one.id != held.id]
    return render_page(
        "operators/restrictions/release.html",
        operator,
        organization,
        form,
        hold=held,
        others=others,
        kept_days=KEPT_AFTER.days,
    )


def _back(organization: Organization, words: str) -> ResponseReturnValue:
    return see_other(".show", words, organization_id=organization.id)

"""Pages of the people of the installation."""

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from portal.bidi import isolated
from portal.documents.accounts import Account
from portal.documents.idempotency import IdempotencyRecord
from portal.errors import PortalError
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators.access import Operator
from portal.operators.guards import render_operator_page, with_operator
from portal.operators.people import changing
from portal.operators.people.finding import LONGEST_TYPED, find_people
from portal.operators.people.forms import BlockForm
from portal.operators.people.reading import MOST_SHOWN, find_person, person_of
from portal.web import replay
from portal.web.forms import IdempotentForm, see_other

blueprint = Blueprint("operator_people", __name__, url_prefix="/operator/people")


@blueprint.get("")
@with_operator("console.view")
def show_all(operator: Operator) -> ResponseReturnValue:
    typed = request.args.get("q", "").strip()[:LONGEST_TYPED]
    blocked = request.args.get("blocked") == "1"
    found = find_people(
        typed,
        blocked=blocked,
        before=request.args.get("before"),
        after=request.args.get("after"),
    )
    kept = {"q": typed} if typed else {"blocked": "1"} if blocked else {}
    return render_operator_page(
        "operators/people/list.html",
        operator,
        typed=typed,
        blocked=blocked,
        found=found,
        kept=kept,
        longest=LONGEST_TYPED,
        total=Account._get_collection().estimated_document_count(),
    )


@blueprint.get("/<person_id>")
@with_operator("console.view")
def show(operator: Operator, person_id: str) -> ResponseReturnValue:
    return render_operator_page(
        "operators/people/person.html",
        operator,
        person=person_of(find_person(person_id)),
        most=MOST_SHOWN,
    )


@blueprint.route("/<person_id>/sessions/end", methods=["GET", "POST"])
@with_operator("console.act")
def end_sessions(operator: Operator, person_id: str) -> ResponseReturnValue:
    account = changing.person_to_change(operator, person_id)
    form = IdempotentForm()
    form.submit(lambda: changing.end_sessions(account.id, operator.context))
    if form.succeeded:
        return see_other(".show", "All of their sessions have ended.", person_id=account.id)
    return _page("end_sessions", operator, form, account)


@blueprint.route("/<person_id>/factors/reset", methods=["GET", "POST"])
@with_operator("console.act")
@reauthenticated
def reset_factors(operator: Operator, person_id: str) -> ResponseReturnValue:
    account = changing.person_to_change(operator, person_id)
    form = IdempotentForm()
    if form.submit(lambda: changing.request_reset(account.id, operator.context)):
        return see_other(
            ".show",
            "Their second factors are reset in 24 hours, unless they stop it: a mail told them.",
            person_id=account.id,
        )
    return _page("reset_factors", operator, form, account)


@blueprint.route("/<person_id>/factors/keep", methods=["GET", "POST"])
@with_operator("console.act")
def keep_factors(operator: Operator, person_id: str) -> ResponseReturnValue:
    account = changing.person_to_change(operator, person_id)
    form = IdempotentForm()
    if form.submit(lambda: changing.stop_reset(account.id, operator.context)):
        return see_other(".show", "Their second factors stay.", person_id=account.id)
    return _page("keep_factors", operator, form, account)


@blueprint.route("/<person_id>/block", methods=["GET", "POST"])
@with_operator("console.act")
@reauthenticated
def block(operator: Operator, person_id: str) -> ResponseReturnValue:
    account = changing.person_to_change(operator, person_id)
    form = BlockForm()
    if form.submit(lambda: changing.block(account.id, form.reason.data or "", operator.context)):
        return see_other(
            ".show",
            f"{isolated(account.email)} is blocked, and told by mail.",
            person_id=account.id,
        )
    return _page("block", operator, form, account)


@blueprint.route("/<person_id>/unblock", methods=["GET", "POST"])
@with_operator("console.act")
def unblock(operator: Operator, person_id: str) -> ResponseReturnValue:
    account = changing.person_to_change(operator, person_id)
    form = IdempotentForm()
    if form.submit(lambda: changing.unblock(account.id, operator.context)):
        return see_other(".show", f"{isolated(account.email)} can log in.", person_id=account.id)
    return _page("unblock", operator, form, account)


def _page(
    name: str, operator: Operator, form: IdempotentForm, account: Account
) -> ResponseReturnValue:
    return render_operator_page(
        f"operators/people/{name}.html", operator, form, person=person_of(account)
    )


def _redirect_to_first_result(
    record: IdempotencyRecord, error: PortalError | CSRFError
) -> ResponseReturnValue:
    """Answer a form that was sent twice by the person's page."""
    return redirect(url_for(".show", person_id=record.organization), 303)


replay.install(blueprint, _redirect_to_first_result)

"""Pages of actions on many organizations: chosen, planned, carried out, told."""

from bson import ObjectId
from flask import Blueprint, Response, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from wtforms.fields.choices import SelectChoice

from portal import clock
from portal.database.clusters import known_clusters
from portal.documents.bulk_actions import BulkOutcome
from portal.documents.idempotency import IdempotencyRecord
from portal.errors import PortalError
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators.access import Operator
from portal.operators.bulk import managing
from portal.operators.bulk.forms import ALL, THESE, BulkForm, StartForm
from portal.operators.bulk.kinds import KINDS
from portal.operators.bulk.reading import (
    latest_bulks,
    results_as_csv,
    results_of,
    shown_bulk,
)
from portal.operators.guards import render_operator_page, with_operator
from portal.operators.listing.filters import OrganizationFilter
from portal.web import replay
from portal.web.forms import IdempotentForm, see_other
from portal.web.requests import number_argument

blueprint = Blueprint("operator_bulk", __name__, url_prefix="/operator/bulk")

_MOST_LISTED = 50
_HIGHEST = 2**31


def _redirect_to_result(
    record: IdempotencyRecord, error: PortalError | CSRFError
) -> ResponseReturnValue:
    return redirect(url_for("operator_bulk.show", bulk_id=record.organization), 303)


replay.install(blueprint, _redirect_to_result)


@blueprint.get("")
@with_operator("console.view")
def show_all(operator: Operator) -> ResponseReturnValue:
    shown = [shown_bulk(bulk) for bulk in latest_bulks(_MOST_LISTED)]
    return render_operator_page("operators/bulk/list.html", operator, bulks=shown)


@blueprint.route("/new", methods=["GET", "POST"])
@with_operator("console.act")
def plan(operator: Operator) -> ResponseReturnValue:
    ids = request.args.getlist("id")
    args = {name: value for name, value in request.args.items() if name != "id" and value}
    wanted = OrganizationFilter.from_args(args)
    form = BulkForm()
    names = [cluster.name for cluster in known_clusters() if not cluster.lost_at]
    form.cluster.choices = [SelectChoice(name, name) for name in names]
    form.which.choices = [
        *([SelectChoice(THESE, _these(len(set(ids))))] if ids else []),
        SelectChoice(ALL, f"All that match: {wanted.in_words}"),
    ]
    if not form.is_submitted() and ids:
        form.which.data = THESE
    action, per_minute = form.action.data or "", form.per_minute.data or 0
    planned = form.submit(
        lambda: (
            managing.plan_these(action, form.arguments, ids, operator.context, per_minute)
            if form.which.data == THESE
            else managing.plan_all(action, form.arguments, args, operator.context, per_minute)
        )
    )
    if planned:
        return redirect(url_for(".show", bulk_id=planned.id), 303)
    return render_operator_page(
        "operators/bulk/new.html",
        operator,
        form,
        kinds=KINDS,
        query=request.query_string.decode(),
        wanted=wanted.to_args(),
    )


@blueprint.get("/<bulk_id>")
@with_operator("console.view")
def show(operator: Operator, bulk_id: str) -> ResponseReturnValue:
    return _page(operator, bulk_id, StartForm())


@blueprint.route("/<bulk_id>/start", methods=["GET", "POST"])
@with_operator("console.act")
@reauthenticated
def start(operator: Operator, bulk_id: str) -> ResponseReturnValue:
    form, bulk = StartForm(), managing.find_bulk(bulk_id)
    count = form.count if KINDS[bulk.action].destroys else bulk.total
    started = form.submit(lambda: managing.start_bulk(bulk_id, count, operator.context))
    if started:
        return redirect(url_for(".show", bulk_id=started.id), 303)
    return _page(operator, bulk_id, form)


@blueprint.post("/<bulk_id>/pause")
@with_operator("console.act")
def pause(operator: Operator, bulk_id: str) -> ResponseReturnValue:
    managing.pause_bulk(bulk_id, operator.context)
    return see_other(".show", "Paused behind the organization in hand.", bulk_id=bulk_id)


@blueprint.post("/<bulk_id>/resume")
@with_operator("console.act")
def resume(operator: Operator, bulk_id: str) -> ResponseReturnValue:
    managing.resume_bulk(bulk_id, operator.context)
    return see_other(".show", "It goes on.", bulk_id=bulk_id)


@blueprint.post("/<bulk_id>/cancel")
@with_operator("console.act")
def cancel(operator: Operator, bulk_id: str) -> ResponseReturnValue:
    managing.cancel_bulk(bulk_id, operator.context)
    return see_other(".show", "Cancelled. What was done stays done.", bulk_id=bulk_id)


@blueprint.post("/<bulk_id>/retry")
@with_operator("console.act")
def retry(operator: Operator, bulk_id: str) -> ResponseReturnValue:
    planned = managing.plan_again(bulk_id, operator.context)
    return redirect(url_for(".show", bulk_id=planned.id), 303)


@blueprint.get("/<bulk_id>/results.csv")
@with_operator("console.view")
def results(operator: Operator, bulk_id: str) -> ResponseReturnValue:
    bulk = managing.find_bulk(bulk_id)
    content = results_as_csv(bulk, g.request_id)
    answer = Response(content, content_type="text/csv; charset=utf-8")
    name = f"{bulk.action}-{clock.now():%Y-%m-%d}.csv"
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def _these(number: int) -> str:
    one = "This one, which was chosen"
    return one if number == 1 else f"These {number:,}, which were chosen"


def _page(operator: Operator, bulk_id: str, form: StartForm) -> ResponseReturnValue:
    bulk = managing.find_bulk(bulk_id)
    outcome = request.args.get("outcome")
    page = results_of(
        ObjectId(bulk.id),
        outcome=outcome,
        before=number_argument("before", _HIGHEST),
        after=number_argument("after", _HIGHEST),
    )
    return render_operator_page(
        "operators/bulk/show.html",
        operator,
        form,
        shown=shown_bulk(bulk),
        page=page,
        outcome=outcome if outcome in list(BulkOutcome) else None,
        acting=IdempotentForm(),
    )

"""The console's first pages: what needs somebody, and how full the clusters are."""

from collections.abc import Callable
from datetime import UTC, datetime, time

from bson import ObjectId
from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from humanize import intcomma

from portal import clock
from portal.audit.words import WORDS, title_of
from portal.bidi import isolated
from portal.database import periodic
from portal.database.clusters import known_clusters
from portal.database.periodic import NEVER
from portal.database.together import joined, read
from portal.documents.doctor import EXAMINATION
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.jobs import Job
from portal.errors import Action, PortalError
from portal.jobs import managing
from portal.operators.access import Operator
from portal.operators.guards import render_operator_page, with_operator
from portal.operators.overview import (
    activity,
    clusters,
    figures,
    findings,
    runners,
    running,
    sources,
)
from portal.operators.overview.activity import ActFilter
from portal.operators.overview.findings import EXAMINED
from portal.operators.overview.forms import PolicyForm
from portal.operators.overview.runners import FORGOTTEN
from portal.operators.overview.running import MAILS_RETRIED
from portal.organizations.access.lookup import parse_object_id
from portal.organizations.lifecycle import retrying
from portal.organizations.usage import reading, showing
from portal.placement import capacity, policies, proposals
from portal.placement.policies import POLICY_SET
from portal.web import replay
from portal.web.bodies import FORM, AcceptedBody, takes_body
from portal.web.charts import bar_chart, meter, sparkline
from portal.web.counting import counted
from portal.web.forms import IdempotentForm, see_other

blueprint = Blueprint("operator_overview", __name__, url_prefix="/operator")


def _redirect_to_result(
    record: IdempotencyRecord, error: PortalError | CSRFError
) -> ResponseReturnValue:
    return redirect(url_for(_PAGES.get(record.kind, "operator_overview.show_operations")), 303)


_PAGES = {
    EXAMINED: "operator_overview.show_findings",
    FORGOTTEN: "operator_overview.show",
    MAILS_RETRIED: "operator_overview.show_outbox",
    POLICY_SET: "operator_overview.show_placement",
}
_MOST_LOUD = 4
_BACK = (Action("To what runs", "operator_overview.show_operations"),)
replay.install(blueprint, _redirect_to_result, lambda: _BACK)


@blueprint.get("")
@with_operator("console.view")
def show(operator: Operator) -> ResponseReturnValue:
    looked, told, loud = read(
        joined(sources.looking(), figures.looking(clock.now()), reading.reading_loudest(_MOST_LOUD))
    )
    days = [(datetime.combine(each.day, time(12), UTC), each.number) for each in told.sign_ups]
    drawn = clusters.find(looked.clusters, request.args.get("cluster"))
    return render_operator_page(
        "operators/overview/overview.html",
        operator,
        needs=looked.needs,
        clusters=looked.clusters,
        runners=looked.runners,
        figures=told,
        sign_ups=bar_chart(days, intcomma, partial=True),
        drawn=drawn,
        chart=clusters.chart_of(drawn),
        meter=meter,
        loud=loud,
        sparkline=sparkline,
        per_second=showing.per_second,
        form=IdempotentForm(),
    )


@blueprint.get("/capacity")
@with_operator("console.view")
def show_capacity(operator: Operator) -> ResponseReturnValue:
    at = clock.now()
    records, trends, policy = read(
        joined(periodic.reading_records(), capacity.reading_trends(), policies.reading_policy())
    )
    record = records.get(capacity.TASK.name, NEVER)
    states = clusters.states(record, trends, policy)
    drawn = clusters.find(states, request.args.get("cluster"))
    return render_operator_page(
        "operators/overview/capacity.html",
        operator,
        at=at,
        source=clusters.source(at, record, states),
        clusters=states,
        drawn=drawn,
        chart=clusters.chart_of(drawn),
        meter=meter,
    )


@blueprint.get("/doctor")
@with_operator("console.view")
def show_findings(operator: Operator) -> ResponseReturnValue:
    return render_operator_page(
        "operators/overview/findings.html",
        operator,
        at=clock.now(),
        examination=findings.last_examination(),
        record=periodic.records().get(EXAMINATION, NEVER),
        form=IdempotentForm(),
    )


@blueprint.post("/doctor/examine")
@with_operator("console.act")
def examine(operator: Operator) -> ResponseReturnValue:
    if IdempotentForm().submit(lambda: findings.examine_now(operator.context)) is None:
        return show_findings()
    return see_other(".show_findings", "The doctor examines all within a minute.")


@blueprint.post("/runners/<runner_id>/forget")
@with_operator("console.act")
def forget_runner(operator: Operator, runner_id: str) -> ResponseReturnValue:
    runner = parse_object_id(runner_id)
    if IdempotentForm().submit(lambda: runners.forget(runner, operator.context)) is None:
        return show()
    return see_other(".show", "It is told of no more.")


@blueprint.get("/operations")
@with_operator("console.view")
def show_operations(operator: Operator) -> ResponseReturnValue:
    return render_operator_page(
        "operators/overview/operations.html",
        operator,
        at=clock.now(),
        operations=running.operations(),
        moves=running.moves(),
        jobs=running.jobs(),
        runners=runners.look(),
        form=IdempotentForm(),
    )


@blueprint.post("/operations/<organization_id>/<operation_id>/retry")
@with_operator("console.act")
def retry_operation(
    operator: Operator, organization_id: str, operation_id: str
) -> ResponseReturnValue:
    ids = parse_object_id(organization_id), parse_object_id(operation_id)
    tried = IdempotentForm().submit(lambda: retrying.retry_operation(*ids, operator.context))
    if tried is None:
        return show_operations()
    if tried.operation:
        return see_other(".show_operations", "It failed again. The portal goes on trying.")
    return see_other(".show_operations", f"It is done: {isolated(tried.name)} is {tried.state}.")


@blueprint.post("/operations/<organization_id>/<operation_id>/undo")
@with_operator("console.act")
def undo_operation(
    operator: Operator, organization_id: str, operation_id: str
) -> ResponseReturnValue:
    ids = parse_object_id(organization_id), parse_object_id(operation_id)
    undone = IdempotentForm().submit(lambda: retrying.undo_operation(*ids, operator.context))
    if undone is None:
        return show_operations()
    if undone.operation:
        words = "Its way back failed for now. The portal goes on trying."
        return see_other(".show_operations", words)
    return see_other(".show_operations", f"{isolated(undone.name)} is as before.")


@blueprint.post("/jobs/<job_id>/pause")
@with_operator("console.act")
def pause_job(operator: Operator, job_id: str) -> ResponseReturnValue:
    return _change_job(managing.pause_job, job_id, operator, "It is paused.")


@blueprint.post("/jobs/<job_id>/resume")
@with_operator("console.act")
def resume_job(operator: Operator, job_id: str) -> ResponseReturnValue:
    return _change_job(managing.resume_job, job_id, operator, "It goes on.")


@blueprint.post("/jobs/<job_id>/cancel")
@with_operator("console.act")
def cancel_job(operator: Operator, job_id: str) -> ResponseReturnValue:
    return _change_job(managing.cancel_job, job_id, operator, "It ends. What it did stays done.")


@blueprint.get("/outbox")
@with_operator("console.view")
def show_outbox(operator: Operator) -> ResponseReturnValue:
    return render_operator_page(
        "operators/overview/outbox.html",
        operator,
        at=clock.now(),
        mails=running.mails(),
        form=IdempotentForm(),
    )


@blueprint.post("/outbox/retry")
@with_operator("console.act")
def retry_mails(operator: Operator) -> ResponseReturnValue:
    tried = IdempotentForm().submit(lambda: running.have_mails_tried(operator.context))
    if tried is None:
        return show_outbox()
    return see_other(".show_outbox", f"{counted(tried, 'mail')} is tried at once.")


def _change_job(
    change: Callable[..., Job], job_id: str, operator: Operator, words: str
) -> ResponseReturnValue:
    changed = IdempotentForm().submit(lambda: change(job_id, operator.context, claims=True))
    if changed is None:
        return show_operations()
    return see_other(".show_operations", words)


@blueprint.route("/placement", methods=["GET", "POST"])
@takes_body(AcceptedBody((FORM,), policies.MOST_BYTES))
@with_operator("console.view")
def show_placement(operator: Operator) -> ResponseReturnValue:
    form = PolicyForm()
    if form.is_submitted():
        operator.require("console.act")
    known = {cluster.name for cluster in known_clusters()}
    policy = form.submit(
        lambda: policies.set_policy(form.text.data, form.version.data, known, operator.context)
    )
    if policy:
        return see_other(".show_placement", f"Version {policy.version} is in force.")
    version, text = policies.current_text()
    standing = policies.current_policy()
    if not form.is_submitted():
        form.version.data, form.text.data = version, text
    return render_operator_page(
        "operators/overview/placement.html",
        operator,
        form,
        at=clock.now(),
        in_force=version,
        text=text,
        proposals=proposals.propose_moves(standing),
        begun=proposals.begun_lately(),
        a_day=standing.moves.a_day,
    )


@blueprint.get("/activity")
@with_operator("console.view")
def show_activity(operator: Operator) -> ResponseReturnValue:
    wanted = ActFilter.read(request.args)
    page = activity.list_acts(wanted, before=_id_argument("before"), after=_id_argument("after"))
    return render_operator_page(
        "operators/overview/activity.html",
        operator,
        at=clock.now(),
        filter=wanted,
        told=activity.describe_filter(wanted),
        actions=sorted(((code, title_of(code)) for code in WORDS), key=lambda pair: pair[1]),
        page=page,
    )


def _id_argument(name: str) -> ObjectId | None:
    typed = request.args.get(name, "")
    return ObjectId(typed) if ObjectId.is_valid(typed) else None

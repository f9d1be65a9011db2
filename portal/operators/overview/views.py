"""The console's first pages: what needs somebody, and how full the clusters are."""

from datetime import UTC, datetime, time

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from humanize import intcomma

from portal import clock
from portal.database import periodic
from portal.doctor import keeping
from portal.operators.access import Operator
from portal.operators.guards import with_operator
from portal.operators.overview import clusters, figures, findings, runners, sources
from portal.organizations.access.lookup import parse_object_id
from portal.placement import capacity
from portal.web.charts import bar_chart, meter
from portal.web.forms import Form, see_other

blueprint = Blueprint("operator_overview", __name__, url_prefix="/operator")


@blueprint.get("")
@with_operator("console.view")
def show(operator: Operator) -> ResponseReturnValue:
    looked = sources.look()
    counted = figures.look(looked.needs.at)
    days = [(datetime.combine(each.day, time(12), UTC), each.number) for each in counted.sign_ups]
    drawn = clusters.find(looked.clusters, request.args.get("cluster"))
    return render_template(
        "operators/overview/overview.html",
        operator=operator,
        needs=looked.needs,
        clusters=looked.clusters,
        runners=looked.runners,
        figures=counted,
        sign_ups=bar_chart(days, intcomma, partial=True),
        drawn=drawn,
        chart=clusters.chart_of(drawn),
        meter=meter,
        form=Form(),
    )


@blueprint.get("/capacity")
@with_operator("console.view")
def show_capacity(operator: Operator) -> ResponseReturnValue:
    at, record = clock.now(), periodic.records().get(capacity.TASK.name)
    states = clusters.states(record)
    drawn = clusters.find(states, request.args.get("cluster"))
    return render_template(
        "operators/overview/capacity.html",
        operator=operator,
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
    return render_template(
        "operators/overview/findings.html",
        operator=operator,
        at=clock.now(),
        examination=findings.last_examination(),
        record=periodic.records().get(keeping.TASK.name),
        form=Form(),
    )


@blueprint.post("/doctor/examine")
@with_operator("console.act")
def examine(operator: Operator) -> ResponseReturnValue:
    Form().submit(lambda: findings.examine_now(operator.context))
    return see_other(".show_findings", "The doctor examines all within a minute.")


@blueprint.post("/runners/<runner_id>/forget")
@with_operator("console.act")
def forget_runner(operator: Operator, runner_id: str) -> ResponseReturnValue:
    Form().submit(lambda: runners.forget(parse_object_id(runner_id), operator.context))
    return see_other(".show", "It is told of no more.")

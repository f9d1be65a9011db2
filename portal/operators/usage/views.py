"""Pages of the console about use and limits."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.bidi import isolated
from portal.database.clusters import known_clusters
from portal.database.together import joined, read
from portal.documents.organizations import Organization
from portal.operators.access import Operator
from portal.operators.guards import with_operator
from portal.operators.organization_pages import install, render_page, with_organization
from portal.operators.usage.forms import LimitsForm, PlanLimitsForm
from portal.operators.usage.load import load_of
from portal.operators.usage.planning import MOST_COUNTED, LimitsPlan, plan_limits
from portal.organizations.usage import limits, reading, showing
from portal.organizations.usage.errors import LimitsChanged
from portal.organizations.usage.measuring import Kept
from portal.placement.identifiers import parse_plan
from portal.web import replay
from portal.web.charts import line_chart, meter, sparkline
from portal.web.forms import Form, see_other

blueprint = Blueprint("operator_usage", __name__, url_prefix="/operator")
plans_blueprint = Blueprint("operator_plans", __name__, url_prefix="/operator")
install(blueprint, "operator_usage.show_organization")
replay.install(
    plans_blueprint, lambda record, error: redirect(url_for("operator_plans.set_limits"), 303)
)

_MOST_SHOWN = 50


@blueprint.get("/usage")
@with_operator("console.view")
def show(operator: Operator) -> ResponseReturnValue:
    names = [cluster.name for cluster in known_clusters()]
    chosen = request.args.get("cluster")
    cluster = chosen if chosen in names else None
    span = showing.span_of(request.args.get("span"))
    drawn, now = cluster or names[0], clock.now()
    found, operations = read(
        joined(
            reading.reading_loudest(_MOST_SHOWN, cluster=cluster),
            reading.reading_operations_of(drawn, span),
        )
    )
    seconds = span.step.total_seconds()
    points = [(at, None if number is None else number / seconds) for at, number in operations]
    return render_template(
        "operators/usage/loud.html",
        operator=operator,
        found=found,
        stale=found.known_until is None or now - found.known_until > showing.STALE_AFTER,
        at=now,
        clusters=names,
        cluster=cluster,
        drawn=drawn,
        span=span,
        spans=showing.SPAN_WORDS,
        chart=line_chart(points, showing.per_second),
        meter=meter,
        sparkline=sparkline,
        per_second=showing.per_second,
    )


@blueprint.get("/organizations/<organization_id>/usage")
@with_organization("console.view")
def show_organization(operator: Operator, organization: Organization) -> ResponseReturnValue:
    span = showing.span_of(request.args.get("span"))
    shown = showing.shown_usage(organization, span, clock.now())
    return render_page(
        "operators/usage/organization.html",
        operator,
        organization,
        shown=shown,
        spans=showing.SPAN_WORDS,
        notices=showing.notices_of(organization),
        count_form=Form(),
    )


@blueprint.route("/organizations/<organization_id>/limits", methods=["GET", "POST"])
@with_organization("console.act")
def set_limits(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = LimitsForm()
    if not form.is_submitted():
        form.show(organization.limits)
    changed = form.submit(
        lambda: limits.set_limits(
            organization, form.wanted(), operator.context, seen=form.seen_limits()
        )
    )
    if changed:
        message = f"{isolated(changed.name)} has these limits now. Software knows within seconds."
        return see_other(
            "operator_usage.show_organization", message, organization_id=organization.id
        )
    return render_page(
        "operators/usage/limits.html",
        operator,
        organization,
        form,
        shown=[showing.shown_limit(each) for each in limits.limits_of(organization).values()],
        load=load_of(organization.placement.cluster),
    )


@blueprint.post("/organizations/<organization_id>/limits/count")
@with_organization("console.act")
def count(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = Form()
    counted = form.submit(lambda: limits.recount(organization, operator.context))
    message = "" if counted is None else told_count(counted.before, counted.now)
    return see_other("operator_usage.show_organization", message, organization_id=organization.id)


@plans_blueprint.route("/limits", methods=["GET", "POST"], endpoint="set_limits")
@with_operator("console.act")
def set_plan_limits(operator: Operator) -> ResponseReturnValue:
    form, plans = PlanLimitsForm(), limits.plans_with_limits()
    if not form.is_submitted():
        plan = request.args.get("plan", "")[:100]
        known = next((each for each in plans if each.id == plan), None)
        form.plan.data = plan
        form.show(known.limits if known else None)

    def apply() -> LimitsPlan | None:
        """The plan, unless that was told; then it is carried out."""
        plan, wanted = parse_plan(form.plan.data or ""), form.wanted()
        if form.planned.data != form.asked():
            return plan_limits(plan, wanted)
        limits.set_plan_limits(plan, wanted, operator.context, seen=form.seen_limits())
        return None

    planned, outdated = None, None
    try:
        planned = form.submit(apply)
    except LimitsChanged as error:
        planned, outdated, form.status = (
            plan_limits(form.plan.data or "", form.wanted()),
            error,
            409,
        )
    if planned:
        form.planned.data, form.seen.data = form.asked(), planned.seen
    elif form.succeeded:
        return see_other("operator_plans.set_limits", "The limits of the plan were changed.")
    page = render_template(
        "operators/usage/plans.html",
        operator=operator,
        form=form,
        plans=plans,
        planned=planned,
        outdated=outdated,
        most_counted=MOST_COUNTED,
        kinds=limits.LimitKind,
        amount=showing.amount,
    )
    return page, form.status


def told_count(before: Kept | None, now: Kept) -> str:
    """The result of a recount, in words."""
    words = f"Counted {now.documents:,} documents of {showing.size(now.bytes)}"
    how = "" if now.exact else ", by the server’s figures: one by one takes too long here"
    if before is None:
        return f"{words}{how}. Nothing was known before."
    documents, size = now.documents - before.documents, now.bytes - before.bytes
    if not (documents or size):
        return f"{words}{how}, as was known."
    return f"{words}{how}: {documents:+,} documents and {size:+,} bytes against what was known."

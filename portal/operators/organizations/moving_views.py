"""Pages of the move of one organization: planned, started, watched, gone back on."""

from collections.abc import Callable

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from portal.database.clusters import known_clusters
from portal.database.together import joined, read
from portal.documents.moves import Move
from portal.documents.organizations import Organization, Strategy
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators.access import Operator
from portal.operators.organization_pages import install, render_page, with_organization
from portal.operators.organizations.moving_forms import (
    ApproveForm,
    DeclineForm,
    ExtendForm,
    StartForm,
    ThrottleForm,
)
from portal.operators.organizations.operations import (
    MOST_SHOWN,
    open_request,
    open_way_back,
    operations_of,
)
from portal.organizations import moves
from portal.organizations.forms import MoveForm
from portal.organizations.lifecycle.retrying import why_it_stays
from portal.organizations.moving import managing, starting, ways_back
from portal.organizations.moving.errors import PlanChanged
from portal.organizations.moving.explaining import place_in_words
from portal.organizations.moving.finding import open_move, open_move_of
from portal.organizations.moving.planning import Plan, Planned, plan_move, wish_of
from portal.organizations.moving.wishes import Wish
from portal.settings.checks import LONGEST_WAY_BACK_DAYS
from portal.web.context import RequestContext
from portal.web.forms import IdempotentForm, see_other
from portal.web.template_filters import plain_day

blueprint = Blueprint(
    "operator_moves", __name__, url_prefix="/operator/organizations/<organization_id>/move"
)
install(blueprint, "operator_moves.show")


@blueprint.get("")
@with_organization("console.view")
def show(operator: Operator, organization: Organization) -> ResponseReturnValue:
    shown, former = read(
        joined(moves.reading_move(organization), moves.reading_former_places(organization))
    )
    return render_page(
        "operators/organizations/move.html",
        operator,
        organization,
        shown=shown,
        former=former,
        operations=operations_of(organization),
        most=MOST_SHOWN,
        stays=why_it_stays(organization) if organization.operation else None,
        acting=IdempotentForm(),
        moving=MoveForm(data={"move": str(shown.move.id)}) if shown else None,
    )


@blueprint.route("/new", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def plan(operator: Operator, organization: Organization) -> ResponseReturnValue:
    if request.method == "GET" and open_request(organization):
        return redirect(url_for(".approve", organization_id=organization.id), 303)
    form = StartForm()

    def start() -> Move:
        planned = Planned.loads(form.plan.data or "")
        return starting.start_move(organization, planned, form.options, operator.context)

    return _start_page(operator, organization, form, start)


@blueprint.route("/approve", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def approve(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form, requested = ApproveForm(), open_request(organization)
    if requested is None and not form.is_submitted():
        return _back(organization)

    def start() -> Move:
        asked = open_move(organization, form.move.data)
        planned = Planned.loads(form.plan.data or "")
        options = form.options_for(asked)
        return starting.approve_move(str(asked.id), planned, options, operator.context)

    return _start_page(operator, organization, form, start, requested)


@blueprint.route("/decline", methods=["GET", "POST"])
@with_organization("console.act")
def decline(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = DeclineForm()

    def end(move: str, context: RequestContext) -> Move:
        return starting.decline_move(move, form.reason.data or "", context)

    if _submit(form, end, operator, organization):
        return _back(organization, "The request is declined. Its owners are told by mail.")
    requested = open_request(organization)
    if requested is None:
        return _back(organization)
    form.move.data = str(requested.id)
    return render_page(
        "operators/organizations/decline_move.html",
        operator,
        organization,
        form,
        requested=requested,
        place=place_in_words(requested.target),
    )


@blueprint.post("/pause")
@with_organization("console.act")
def pause(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return _do(managing.pause_move, operator, organization, "Paused behind the batch in hand.")


@blueprint.post("/resume")
@with_organization("console.act")
def resume(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return _do(managing.resume_move, operator, organization, "It goes on.")


@blueprint.post("/switch")
@with_organization("console.act")
def switch(operator: Operator, organization: Organization) -> ResponseReturnValue:
    return _do(managing.switch_move, operator, organization, "It switches once it is ready.")


@blueprint.post("/abort")
@with_organization("console.act")
def abort(operator: Operator, organization: Organization) -> ResponseReturnValue:
    def change(move: str, context: RequestContext) -> Move:
        return managing.abort_move(move, None, context)

    return _do(change, operator, organization, "It stays where it is. The copy is removed.")


@blueprint.post("/back")
@with_organization("console.act")
def go_back(operator: Operator, organization: Organization) -> ResponseReturnValue:
    words = "It goes back, as soon as the old copy has all that was written."
    return _do(ways_back.go_back, operator, organization, words)


@blueprint.route("/end", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def end(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = MoveForm()
    if _submit(form, ways_back.end_way_back, operator, organization):
        return _back(organization, "The way back has ended. The old copy is deleted.")
    way_back = open_way_back(organization)
    if way_back is None:
        return _back(organization)
    form.move.data = str(way_back.id)
    return render_page(
        "operators/organizations/end_way_back.html",
        operator,
        organization,
        form,
        plan=ways_back.plan_end(str(way_back.id)),
    )


@blueprint.route("/extend", methods=["GET", "POST"])
@with_organization("console.act")
def extend(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = ExtendForm()

    def change(move: str, context: RequestContext) -> Move:
        return ways_back.extend_way_back(move, form.days.data, context)

    if kept := _submit(form, change, operator, organization):
        return _back(organization, f"The way back is open until {plain_day(kept.until)}.")
    way_back = open_way_back(organization)
    if way_back is None:
        return _back(organization)
    form.move.data = str(way_back.id)
    return render_page(
        "operators/organizations/extend_way_back.html",
        operator,
        organization,
        form,
        until=way_back.until,
        place=place_in_words(way_back.target),
        longest=LONGEST_WAY_BACK_DAYS,
    )


@blueprint.route("/throttle", methods=["GET", "POST"])
@with_organization("console.act")
def throttle(operator: Operator, organization: Organization) -> ResponseReturnValue:
    form = ThrottleForm()

    def change(move: str, context: RequestContext) -> Move:
        return managing.throttle_move(move, form.throttle, context)

    if _submit(form, change, operator, organization):
        return _back(organization, "The portals go by that within seconds.")
    move = open_move_of(organization)
    if move is None or move.state not in managing.THROTTLED:
        return _back(organization)
    if not form.is_submitted():
        form.documents_per_second.data = move.documents_per_second
        form.neighbours_p99_ms.data = move.neighbours_p99_ms
    form.move.data = str(move.id)
    return render_page("operators/organizations/throttle_move.html", operator, organization, form)


def _do(
    change: Callable[[str, RequestContext], Move],
    operator: Operator,
    organization: Organization,
    words: str,
) -> ResponseReturnValue:
    done = _submit(MoveForm(), change, operator, organization)
    return _back(organization, words if done else "")


def _submit(
    form: MoveForm,
    change: Callable[[str, RequestContext], Move],
    operator: Operator,
    organization: Organization,
) -> Move | None:
    """Change the open move if it is the one that the form was about."""
    return form.submit(
        lambda: change(str(open_move(organization, form.move.data).id), operator.context)
    )


def _start_page(
    operator: Operator,
    organization: Organization,
    form: StartForm,
    start: Callable[[], Move],
    requested: Move | None = None,
) -> ResponseReturnValue:
    wish, changed = _wish(requested), None
    try:
        started = form.submit(start)
    except PlanChanged as error:
        started, changed, form.status = None, error, error.status
    if started:
        return _back(organization, "The move has begun.")
    planned: Plan | None = plan_move(organization, wish) if wish else None
    form.plan.data = planned.planned.dumps() if planned else ""
    if requested:
        form.move.data = str(requested.id)
    return render_page(
        "operators/organizations/plan_move.html",
        operator,
        organization,
        form,
        plan=planned,
        wish=wish,
        changed=changed,
        requested=requested,
        lives_in=place_in_words(organization.placement),
        place=place_in_words(requested.target) if requested else None,
        strategies=list(Strategy),
        clusters=[cluster.name for cluster in known_clusters() if not cluster.lost_at],
    )


def _back(organization: Organization, words: str = "") -> ResponseReturnValue:
    return see_other(".show", words, organization_id=organization.id)


def _wish(requested: Move | None) -> Wish | None:
    """The target, as the address says, or as owners have asked; ``None`` until it was chosen."""
    strategy, cluster = request.args.get("strategy", ""), request.args.get("cluster", "")
    if strategy in list(Strategy) and cluster:
        return Wish(Strategy(strategy), cluster)
    return wish_of(requested) if requested else None

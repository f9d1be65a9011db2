"""Pages of the move of one organization: planned, started, watched, gone back on."""

from collections.abc import Callable

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, RadioField
from wtforms.fields.choices import SelectChoice

from portal.database.clusters import known_clusters
from portal.database.together import joined, read
from portal.documents.moves import Move
from portal.documents.organizations import Organization, Strategy
from portal.identity.sessions.reauthentication import reauthenticated
from portal.operators.access import Operator
from portal.operators.organization_pages import install, render_page, with_organization
from portal.operators.organizations.operations import MOST_SHOWN, open_move, operations_of
from portal.organizations import moves
from portal.organizations.lifecycle.retrying import why_it_stays
from portal.organizations.moves import Phase
from portal.organizations.moving import managing, starting, ways_back
from portal.organizations.moving.errors import PlanChanged
from portal.organizations.moving.options import Options, Switch
from portal.organizations.moving.planning import Plan, Planned, plan_move
from portal.organizations.moving.wishes import Wish
from portal.web.context import RequestContext
from portal.web.forms import IdempotentForm, see_other

blueprint = Blueprint(
    "operator_moves", __name__, url_prefix="/operator/organizations/<organization_id>/move"
)
install(blueprint, "operator_moves.show")

_SWITCHES = {
    Switch.VERIFIED: "As soon as the copy is equal",
    Switch.IN_HOURS: "In the hours of the placement policy",
    Switch.ON_COMMAND: "When an operator says so",
}


class StartForm(IdempotentForm):
    """Starts a move as planned."""

    plan = HiddenField(default="")
    switch = RadioField(
        "When it switches",
        choices=[SelectChoice(switch.value, words) for switch, words in _SWITCHES.items()],
        default=Switch.VERIFIED.value,
    )


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
        open_phases=(Phase.UNDER_WAY, Phase.WAY_BACK),
        operations=operations_of(organization),
        most=MOST_SHOWN,
        stays=why_it_stays(organization) if organization.operation else None,
        acting=IdempotentForm(),
    )


@blueprint.route("/new", methods=["GET", "POST"])
@with_organization("console.act")
@reauthenticated
def plan(operator: Operator, organization: Organization) -> ResponseReturnValue:
    wish, form, changed = _wish(organization), StartForm(), None
    try:
        started = form.submit(
            lambda: starting.start_move(
                organization,
                Planned.loads(form.plan.data or ""),
                Options(Switch(form.switch.data)),
                operator.context,
            )
        )
    except PlanChanged as error:
        started, changed, form.status = None, error, error.status
    if started:
        return _back(organization, "The move has begun.")
    planned: Plan | None = plan_move(organization, wish) if wish else None
    form.plan.data = planned.planned.dumps() if planned else ""
    return render_page(
        "operators/organizations/plan_move.html",
        operator,
        organization,
        form,
        plan=planned,
        wish=wish,
        changed=changed,
        strategies=list(Strategy),
        clusters=[cluster.name for cluster in known_clusters() if not cluster.lost_at],
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


@blueprint.post("/end")
@with_organization("console.act")
def end(operator: Operator, organization: Organization) -> ResponseReturnValue:
    words = "The way back has ended. The old copy is deleted."
    return _do(ways_back.end_way_back, operator, organization, words)


def _do(
    change: Callable[[str, RequestContext], Move],
    operator: Operator,
    organization: Organization,
    words: str,
) -> ResponseReturnValue:
    IdempotentForm().submit(lambda: change(str(open_move(organization).id), operator.context))
    return _back(organization, words)


def _back(organization: Organization, words: str) -> ResponseReturnValue:
    return see_other(".show", words, organization_id=organization.id)


def _wish(organization: Organization) -> Wish | None:
    """The target, as the address says; ``None`` until it was chosen."""
    strategy, cluster = request.args.get("strategy", ""), request.args.get("cluster", "")
    if strategy not in list(Strategy) or not cluster:
        return None
    return Wish(Strategy(strategy), cluster)

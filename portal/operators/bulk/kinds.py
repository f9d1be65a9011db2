"""The actions that operators take on many organizations; each calls the service of a single one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from portal.database.clusters import find_cluster
from portal.documents.bulk_actions import BulkAction, BulkItem
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization, OrganizationState, Restriction, Strategy
from portal.documents.restrictions import Cause, Suspension
from portal.errors import PortalError
from portal.operators.bulk.errors import (
    ArgumentRefused,
    ChangedSincePlanned,
    InvalidBulkArgument,
    InvalidBulkLimit,
    NoArgumentGiven,
    NoneOfTheChoices,
    NoSuchSuspension,
    PlannedByLess,
    UnknownBulkAction,
    UnknownBulkArgument,
    UnknownStrategy,
)
from portal.operators.organizations import notes
from portal.operators.organizations.planning import Planned, PlannedAction, check_possible
from portal.operators.usage.forms import parse_limit
from portal.organizations import planning
from portal.organizations.lifecycle import renaming, trashing
from portal.organizations.lifecycle.restricting import lift_suspension, suspend_organization
from portal.organizations.moving.options import Options
from portal.organizations.moving.planning import plan_move
from portal.organizations.moving.starting import start_move
from portal.organizations.moving.wishes import Wish
from portal.organizations.restrictions.reasons import (
    parse_contact,
    parse_message,
    parse_reason,
)
from portal.organizations.usage.errors import InvalidLimit
from portal.organizations.usage.limits import LimitKind, check_limits, set_limits
from portal.placement.identifiers import parse_plan
from portal.web.context import RequestContext
from portal.web.counting import counted
from portal.web.idempotency import find_record

Arguments = Mapping[str, str]
Act = Callable[[Organization, BulkAction, BulkItem, RequestContext], str | None]

NO_LIMIT = "none"
"""The word for a limit that is taken away."""

MOVES_AT_ONCE = 4
"""The number of moves that work, whoever started them, from which on no other one is started."""

_ACTIVE, _TRASHED = OrganizationState.ACTIVE, OrganizationState.TRASHED
_WORKING = MoveState.COPYING, MoveState.VERIFYING, MoveState.FENCED, MoveState.SWITCHED


@dataclass(frozen=True, slots=True)
class BulkKind:
    """A kind of action: its ``words`` as on a button, the names of its ``arguments``, the
    ``states`` of organizations that it is for. ``act`` carries it out on one, and returns in words
    what goes on after that. One that goes ``as_planned`` leaves alone what was changed since, by
    its version; one that is a ``planned`` action also by what that plan goes by. One that ``lifts``
    suspensions lifts those that were open then. One that ``destroys`` is confirmed by the number of
    organizations; ``mails`` tells that their owners get one. ``waits_for`` tells what the next one
    has to wait for."""

    name: str
    words: str
    act: Act
    arguments: tuple[str, ...] = ()
    states: tuple[str, ...] = (_ACTIVE, _TRASHED)
    needs_any: bool = False
    as_planned: bool = False
    planned: PlannedAction | None = None
    lifts: bool = False
    destroys: bool = False
    mails: bool = False
    waits_for: Callable[[], str | None] = lambda: None


def kind_named(name: str) -> BulkKind:
    """The kind with this name. Raises InvalidBulkArgument."""
    if name not in KINDS:
        raise UnknownBulkAction("action", KINDS)
    return KINDS[name]


def parse_arguments(kind: BulkKind, typed: Arguments) -> dict[str, str]:
    """The arguments of an action. Raises InvalidBulkArgument for one that is missing, wrong, or
    none of this action's."""
    if beyond := sorted(set(typed) - set(kind.arguments)):
        raise UnknownBulkArgument(beyond[0])
    given = {name: typed.get(name, "").strip() for name in kind.arguments}
    for name, value in given.items():
        try:
            _PARSERS[name](value)
        except PortalError as error:
            raise ArgumentRefused(name, error.words) from error
        except ValueError as error:
            raise _REFUSALS[name](name) from error
    if kind.needs_any and not any(given.values()):
        raise NoArgumentGiven(kind.arguments[0], kind.arguments)
    return given


def _goes_on(organization: Organization) -> str | None:
    return "it goes on: the portals finish it" if organization.operation else None


def _applying(action: PlannedAction, service: Callable[..., Organization]) -> Act:
    """The act that applies a plan of the action on one, as was frozen."""

    def act(
        organization: Organization, bulk: BulkAction, item: BulkItem, context: RequestContext
    ) -> str | None:
        check_possible(organization, action)
        if item.facts is None:
            raise PlannedByLess(organization.name)
        planned = Planned(action, organization.id, item.documents, dict(item.facts))
        planned.check_documents(organization)

        def check(written: Organization) -> None:
            planned.check(written)
            # The intent alone has changed the version, which grows by plan and region, too.
            if written.version != item.version + 1:
                raise ChangedSincePlanned(written.name)

        return _goes_on(service(organization, None, context, check=check))

    return act


def _move(
    organization: Organization, bulk: BulkAction, item: BulkItem, context: RequestContext
) -> str | None:
    if organization.version != item.version:
        raise ChangedSincePlanned(organization.name)
    strategy = Strategy(bulk.arguments["strategy"] or organization.placement.strategy)
    plan = plan_move(organization, Wish(strategy, bulk.arguments["cluster"]))
    start_move(organization, plan.planned, Options(), context)
    return "its move has begun: the portals carry it out"


def _moves_at_work() -> str | None:
    working = Move.objects(open=True, state__in=_WORKING, way_back_of=None, paused=None)
    number = working.limit(MOVES_AT_ONCE).count(with_limit_and_skip=True)
    return f"{counted(number, 'move')} at work" if number >= MOVES_AT_ONCE else None


def _set_plan(
    organization: Organization, bulk: BulkAction, item: BulkItem, context: RequestContext
) -> str | None:
    return _goes_on(
        planning.set_plan(organization.id, context, plan=bulk.arguments["plan"] or None)
    )


def _set_limits(
    organization: Organization, bulk: BulkAction, item: BulkItem, context: RequestContext
) -> str | None:
    wanted = {
        LimitKind(name): None if typed == NO_LIMIT else parse_limit(LimitKind(name), typed)
        for name, typed in bulk.arguments.items()
        if typed
    }
    return _goes_on(set_limits(organization, wanted, context))


def _note(
    organization: Organization, bulk: BulkAction, item: BulkItem, context: RequestContext
) -> str | None:
    notes.add_note(organization.id, bulk.arguments["text"], context)
    return None


def _suspend(
    organization: Organization, bulk: BulkAction, item: BulkItem, context: RequestContext
) -> str | None:
    arguments = bulk.arguments
    reason = parse_reason(arguments["cause"], arguments["contact"], arguments["message"], None)
    suspend_organization(organization, Restriction(arguments["kind"]), reason, context)
    return _goes_on(Organization.objects.get(id=organization.id))


def _lift(
    organization: Organization, bulk: BulkAction, item: BulkItem, context: RequestContext
) -> str | None:
    """Its suspensions for the cause that were open when it was planned, by their ids. The last one
    claims the idempotency key, so whoever was killed before it lifts the rest."""
    if item.suspensions is None:
        raise PlannedByLess(organization.name)
    planned = Suspension.objects(id__in=item.suspensions, open=True)
    open_ids = list(planned.order_by("id").scalar("id"))
    if not open_ids and find_record(context.idempotency_key) is None:
        raise NoSuchSuspension(bulk.arguments["cause"])
    for suspension_id in open_ids:
        last = suspension_id == open_ids[-1]
        claiming = context if last else replace(context, idempotency_key=None)
        lift_suspension(organization, suspension_id, claiming)
        organization = Organization.objects.get(id=organization.id)
    return _goes_on(organization)


def _parses_limit(kind: LimitKind) -> Callable[[str], None]:
    def parse(typed: str) -> None:
        if typed == NO_LIMIT:
            return
        try:
            check_limits({kind: parse_limit(kind, typed)})
        except InvalidLimit as error:
            raise ValueError from error

    return parse


_PARSERS: dict[str, Callable[[str], object]] = {
    "plan": lambda typed: typed and parse_plan(typed),
    "text": notes.parse_text,
    "kind": Restriction,
    "cause": Cause,
    "contact": parse_contact,
    "message": parse_message,
    "strategy": lambda typed: typed and Strategy(typed),
    "cluster": find_cluster,
    **{str(kind): _parses_limit(kind) for kind in LimitKind},
}
_REFUSALS: dict[str, Callable[[str], InvalidBulkArgument]] = {
    "kind": partial(NoneOfTheChoices, choices=Restriction),
    "cause": partial(NoneOfTheChoices, choices=Cause),
    "strategy": partial(UnknownStrategy, choices=Strategy),
    **{str(kind): partial(InvalidBulkLimit, no_limit=NO_LIMIT) for kind in LimitKind},
}
KINDS = {
    kind.name: kind
    for kind in (
        BulkKind("plan", "Set the plan", _set_plan, arguments=("plan",)),
        BulkKind("limits", "Set limits", _set_limits, arguments=tuple(LimitKind), needs_any=True),
        BulkKind("note", "Keep a note", _note, arguments=("text",)),
        BulkKind(
            "move",
            "Move",
            _move,
            arguments=("strategy", "cluster"),
            as_planned=True,
            destroys=True,
            waits_for=_moves_at_work,
        ),
        BulkKind(
            "suspend",
            "Suspend",
            _suspend,
            arguments=("kind", "cause", "contact", "message"),
            destroys=True,
            mails=True,
        ),
        BulkKind("lift", "Lift suspensions", _lift, arguments=("cause",), lifts=True, mails=True),
        BulkKind(
            "trash",
            "Delete",
            _applying(PlannedAction.TRASH, trashing.trash_organization),
            states=(_ACTIVE,),
            as_planned=True,
            planned=PlannedAction.TRASH,
            destroys=True,
            mails=True,
        ),
        BulkKind(
            "restore",
            "Restore",
            _applying(PlannedAction.RESTORE, renaming.restore_organization),
            states=(_TRASHED,),
            as_planned=True,
            planned=PlannedAction.RESTORE,
        ),
        BulkKind(
            "purge",
            "Purge",
            _applying(PlannedAction.PURGE, trashing.purge_organization),
            as_planned=True,
            planned=PlannedAction.PURGE,
            destroys=True,
        ),
    )
}
"""Every kind of action on many organizations, by name."""

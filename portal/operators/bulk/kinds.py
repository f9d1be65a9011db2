"""The actions that operators take on many organizations; each calls the service of a single one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from portal.documents.organizations import Organization, OrganizationState, Restriction
from portal.documents.restrictions import Cause
from portal.errors import PortalError
from portal.operators.bulk.errors import InvalidBulkArgument
from portal.operators.organizations import notes
from portal.operators.organizations.errors import PlanOutdated
from portal.operators.organizations.planning import PlannedAction, check_possible
from portal.organizations import planning
from portal.organizations.lifecycle import renaming, trashing
from portal.organizations.lifecycle.restricting import Reason, suspend_organization
from portal.placement.identifiers import parse_plan
from portal.web.context import RequestContext

Arguments = Mapping[str, str]
_ACTIVE, _TRASHED = OrganizationState.ACTIVE, OrganizationState.TRASHED


@dataclass(frozen=True, slots=True)
class BulkKind:
    """A kind of action: its ``words`` as on a button, the names of its ``arguments``, the
    ``states`` of organizations that it is for. ``act`` carries it out on one, as it was when the
    action was planned, by its version. One that ``destroys`` is confirmed by the number of
    organizations; ``mails`` tells that their owners get one."""

    name: str
    words: str
    act: Callable[[Organization, int, Arguments, RequestContext], Organization]
    arguments: tuple[str, ...] = ()
    states: tuple[str, ...] = (_ACTIVE, _TRASHED)
    destroys: bool = False
    mails: bool = False


def kind_named(name: str) -> BulkKind:
    """The kind with this name. Raises InvalidBulkArgument."""
    if name not in KINDS:
        raise InvalidBulkArgument("action", f"Choose one of {', '.join(KINDS)}")
    return KINDS[name]


def parse_arguments(kind: BulkKind, typed: Arguments) -> dict[str, str]:
    """The arguments of an action. Raises InvalidBulkArgument for one that is missing, wrong, or
    none of this action's."""
    if beyond := sorted(set(typed) - set(kind.arguments)):
        raise InvalidBulkArgument(beyond[0], "This action takes no such argument")
    given = {name: typed.get(name, "").strip() for name in kind.arguments}
    for name, value in given.items():
        try:
            _PARSERS[name](value)
        except (PortalError, ValueError) as error:
            reason = error.words if isinstance(error, PortalError) else _REASONS[name]
            raise InvalidBulkArgument(name, reason) from error
    return given


def _as_planned(version: int) -> Callable[[Organization], None]:
    """A check, in the transaction of the intent, that only that has changed the version."""

    def check(written: Organization) -> None:
        if written.version != version + 1:
            raise PlanOutdated(written.name, ["somebody has changed it"])

    return check


def _trash(
    organization: Organization, version: int, arguments: Arguments, context: RequestContext
) -> Organization:
    check_possible(organization, PlannedAction.TRASH)
    return trashing.trash_organization(organization, None, context, check=_as_planned(version))


def _restore(
    organization: Organization, version: int, arguments: Arguments, context: RequestContext
) -> Organization:
    check_possible(organization, PlannedAction.RESTORE)
    return renaming.restore_organization(organization, None, context, check=_as_planned(version))


def _purge(
    organization: Organization, version: int, arguments: Arguments, context: RequestContext
) -> Organization:
    check_possible(organization, PlannedAction.PURGE)
    return trashing.purge_organization(organization, None, context, check=_as_planned(version))


def _set_plan(
    organization: Organization, version: int, arguments: Arguments, context: RequestContext
) -> Organization:
    return planning.set_plan(organization.id, context, plan=arguments["plan"] or None)


def _note(
    organization: Organization, version: int, arguments: Arguments, context: RequestContext
) -> Organization:
    notes.add_note(organization.id, arguments["text"], context)
    return organization


def _suspend(
    organization: Organization, version: int, arguments: Arguments, context: RequestContext
) -> Organization:
    reason = Reason(
        Cause(arguments["cause"]), arguments["contact"], arguments["message"] or None, None
    )
    suspend_organization(organization, Restriction(arguments["kind"]), reason, context)
    return Organization.objects.get(id=organization.id)


def _parse_contact(typed: str) -> None:
    if not 0 < len(typed) <= 200 or not typed.isprintable():
        raise ValueError


def _parse_message(typed: str) -> None:
    if len(typed) > 1000:
        raise ValueError


_PARSERS: dict[str, Callable[[str], object]] = {
    "plan": lambda typed: typed and parse_plan(typed),
    "text": notes.parse_text,
    "kind": Restriction,
    "cause": Cause,
    "contact": _parse_contact,
    "message": _parse_message,
}
_REASONS = {
    "kind": f"Choose {', '.join(Restriction)}",
    "cause": f"Choose {', '.join(Cause)}",
    "contact": "Say whom their members write to, on one line",
    "message": "Write 1,000 characters at most",
}
KINDS = {
    kind.name: kind
    for kind in (
        BulkKind("plan", "Set the plan", _set_plan, arguments=("plan",)),
        BulkKind("note", "Keep a note", _note, arguments=("text",)),
        BulkKind(
            "suspend",
            "Suspend",
            _suspend,
            arguments=("kind", "cause", "contact", "message"),
            destroys=True,
            mails=True,
        ),
        BulkKind("trash", "Delete", _trash, states=(_ACTIVE,), destroys=True, mails=True),
        BulkKind("restore", "Restore", _restore, states=(_TRASHED,)),
        BulkKind("purge", "Purge", _purge, destroys=True),
    )
}
"""Every kind of action on many organizations, by name."""

"""Errors of actions on many organizations, and their words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from portal.errors import Conflict, Invalid, NotFound
from portal.operators.organizations.errors import PlanOutdated
from portal.web.errors import InvalidInput


class InvalidSelection(Invalid):
    """A choice of organizations that chooses none, or isn't what was meant."""

    code = "invalid_selection"
    field = "which"
    message = "Choose other organizations"


class NothingChosen(InvalidSelection):
    """No organization was chosen."""

    message = "Choose at least one organization. Nothing was changed."


@dataclass
class TooManyChosen(InvalidSelection):
    """More organizations were chosen by their ids than may be."""

    most: int

    message = "Choose {most:,} at most, or all that match a filter."


class NoOrganizationId(InvalidSelection):
    """An organization was chosen by something that is no id."""

    message = "Give each organization by its id."


@dataclass
class ChosenGone(InvalidSelection):
    """Some of the chosen organizations don't exist; ``gone`` counts them."""

    gone: str

    message = "There is no such organization any more: {gone}. Choose again."


@dataclass
class NoSuchFilter(InvalidSelection):
    """A part of the filter is none that there is."""

    name: str
    value: str

    message = "No filter has {name} = {value}."


class NoneLeftOver(InvalidSelection):
    """A former action left no organization over."""

    message = "All of them were done: none is left over."


class NoneMatches(InvalidSelection):
    """No organization matches the filter of the action."""

    message = "None matches, so there is nothing to do."


class IdsOrFilter(InvalidInput):
    """Organizations were chosen by ids and by a filter, or by neither."""

    def __init__(self) -> None:
        super().__init__({"ids": "Send either ids or a filter."})


@dataclass
class InvalidBulkArgument(Invalid):
    """An argument of the action that is missing, or breaks a rule."""

    name: str

    code = "invalid_bulk_argument"
    message = "Correct this argument"

    def __post_init__(self) -> None:
        self.field = self.name  # type: ignore[misc]


@dataclass
class NoneOfTheChoices(InvalidBulkArgument):
    """An argument that isn't one of the values that it may have."""

    choices: Iterable[str]

    message = "Choose {listed}"

    @property
    def listed(self) -> str:
        """The choices in one phrase."""
        return ", ".join(self.choices)


class UnknownBulkAction(NoneOfTheChoices):
    """No action has this name."""

    message = "Choose one of {listed}"


class UnknownStrategy(NoneOfTheChoices):
    """No strategy has this name."""

    message = "Choose {listed}, or none to keep each as it is kept now"


class UnknownBulkArgument(InvalidBulkArgument):
    """An argument that is none of this action's."""

    message = "This action takes no such argument"


class NoArgumentGiven(NoneOfTheChoices):
    """None of the arguments is given, of which the action needs one."""

    message = "Give one of {listed}"


@dataclass
class InvalidBulkLimit(InvalidBulkArgument):
    """A limit that is none; ``no_limit`` is the word for taking it away."""

    no_limit: str

    message = "Enter a whole number from 1 up, or {no_limit} to take it away"


@dataclass
class ArgumentRefused(InvalidBulkArgument):
    """An argument that breaks a rule of what it sets, in the words of that rule."""

    reason: str

    message = "{reason}"


@dataclass
class InvalidSpeed(InvalidBulkArgument):
    """A number of organizations a minute that is out of its bounds."""

    most: int

    message = "From 1 to {most:,} a minute"


class BulkNotFound(NotFound):
    """There is no such bulk action."""

    code = "bulk_not_found"
    message = "There is no such action on many organizations: they are kept for 90 days."


class BulkNotPlanned(Conflict):
    """Its organizations are still counted."""

    code = "bulk_not_planned"
    title = "Its organizations are still counted"
    message = "It can be started once they are: look again in a moment. Nothing was changed."


@dataclass
class CountNotConfirmed(Invalid):
    """The typed number isn't that of the organizations."""

    total: int

    code = "count_not_confirmed"
    field = "confirm_count"
    message = "Type {total}, the number of organizations, to confirm"


class BulkNotStarted(Conflict):
    """It has no job yet."""

    code = "bulk_not_started"
    title = "It has not been started"
    message = "Nothing runs that could be paused or cancelled. Nothing was changed."


class BulkNotEnded(Conflict):
    """It is not known yet what it leaves over."""

    code = "bulk_not_ended"
    title = "It has not ended yet"
    message = (
        "Those that it leaves over are planned again once it has ended: wait for it, or cancel the "
        "rest. Nothing was changed."
    )


@dataclass
class NoSuchSuspension(Conflict):
    """An organization has no open suspension for a cause."""

    cause: str

    code = "no_such_suspension"
    message = "It has no suspension for this cause ({cause}). Nothing was changed."


@dataclass
class PlannedByLess(PlanOutdated):
    """An earlier version planned it, and noted less than is compared now."""

    differences: Sequence[str] = ("an earlier version planned it, by less",)


@dataclass
class ChangedSincePlanned(PlanOutdated):
    """Somebody has changed the organization since it was planned."""

    differences: Sequence[str] = ("somebody has changed it",)

"""Errors of actions on many organizations, and their words."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid, NotFound


@dataclass
class InvalidSelection(Invalid):
    """A choice of organizations that chooses none, or isn't what was meant."""

    reason: str

    code = "invalid_selection"
    field = "which"
    message = "{reason}"


@dataclass
class InvalidBulkArgument(Invalid):
    """An argument of the action that is missing, or breaks a rule."""

    name: str
    reason: str

    code = "invalid_bulk_argument"
    message = "{reason}"

    def __post_init__(self) -> None:
        self.field = self.name  # type: ignore[misc]


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

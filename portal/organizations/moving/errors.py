"""Errors of moves, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.documents.moves import MoveState
from portal.errors import Conflict, Invalid, NotFound
from portal.web.counting import counted


@dataclass
class MoveNotFound(NotFound):
    """No move has this id, and the organization of this slug has none."""

    id: str

    code = "move_not_found"
    message = "There is no move {id}: flask moves list shows them."


@dataclass
class OtherMove(Conflict):
    """The organization's open move isn't the one that somebody acted on; ``seen`` and ``now`` are
    sentences."""

    name: str
    seen: str
    now: str

    code = "other_move"
    title = "It is another move now"
    message = "{name}: {seen} {now} Nothing was changed. Look at it again."


@dataclass
class NotMovable(Conflict):
    """The organization can't be moved as it is."""

    name: str
    reason: str

    code = "not_movable"
    title = "It can’t be moved now"
    message = "{name} can’t be moved: {reason}. Nothing was changed."


@dataclass
class PurgedNotMovable(NotMovable):
    """The organization is purged."""

    reason: str = "it is deleted for good"


class ChangingNotMovable(NotMovable):
    """A lifecycle operation runs on the organization, in words as ``doing``."""

    def __init__(self, name: str, doing: str) -> None:
        super().__init__(name, f"it is {doing}, so try again in a moment")


class FailingNotMovable(NotMovable):
    """A lifecycle operation on the organization fails again and again."""

    def __init__(self, name: str, doing: str, attempts: int, last_error: str) -> None:
        super().__init__(
            name,
            f"it is {doing}, which failed {counted(attempts, 'time')}, last by {last_error}. Have "
            "that tried again first, under Operations (flask lifecycle retry)",
        )


class WayBackIsDrained(NotMovable):
    """An owner can't go back to a cluster that is being emptied."""

    def __init__(self, name: str, cluster: str) -> None:
        super().__init__(
            name, f"the cluster {cluster} is being emptied, so whoever runs the portal decides"
        )


class WayBackOutsideRegion(NotMovable):
    """The way back leads out of the region that the organization is bound to."""

    def __init__(self, name: str, region: str, cluster: str) -> None:
        super().__init__(
            name,
            f"it is bound to the region {region}, and its old place is on {cluster}, outside of "
            "it. End the way back, or have whoever runs the portal release it from the region",
        )


@dataclass
class MoveOpen(Conflict):
    """The organization has an open move, or a way back."""

    name: str
    id: str
    state: str

    code = "move_open"
    title = "It has a move already"
    message = (
        "{name} has the move {id}, which is {state}. One is open at a time: {way_out}. Nothing was "
        "changed."
    )

    @property
    def way_out(self) -> str:
        """The advice on what to do first."""
        if self.state == MoveState.REQUESTED:
            return "have that request approved, declined or withdrawn first"
        return "wait for its end, abort it, or end its way back"


@dataclass
class MoveImpossible(Conflict):
    """Something speaks against the move."""

    name: str
    obstacles: Sequence[str]

    code = "move_impossible"
    title = "It can’t be moved there"
    message = "{name} was not moved. {told}"

    @property
    def told(self) -> str:
        """The obstacles as sentences."""
        return " ".join(f"{words.rstrip('.')}." for words in self.obstacles)


@dataclass
class PlanChanged(Conflict):
    """The world isn't any more as it was when the move was planned."""

    name: str
    differences: Sequence[str]

    code = "plan_changed"
    title = "Something changed since the plan"
    message = "The move of {name} was not started: {told}. Plan it again."

    @property
    def told(self) -> str:
        """The differences in one phrase."""
        return "; ".join(self.differences)


@dataclass
class LivesElsewhere(PlanChanged):
    """The organization moved, or was deleted, since the move was planned."""

    name: str = "the organization"
    differences: Sequence[str] = ("it lives elsewhere now",)


class BoundElsewhere(PlanChanged):
    """The organization is bound to a region since, in which the cluster isn't."""

    def __init__(self, name: str, region: str, cluster: str) -> None:
        super().__init__(
            name, [f"it is bound to the region {region} now, and {cluster} is not there"]
        )


class UnreadablePlan(Invalid):
    """A text that isn't a plan."""

    code = "unreadable_plan"
    message = "This is not a plan as the portal made it. Plan the move again."


@dataclass
class WrongMoveState(Conflict):
    """The move's state doesn't allow what was asked of it."""

    id: str
    state: str
    wanted: str

    code = "wrong_move_state"
    title = "The move is not at that point"
    message = "The move {id} is {state}, so it can’t be {wanted}. Nothing was changed."


@dataclass
class RequestNotAborted(WrongMoveState):
    """A move that is only asked for can't be aborted."""

    state: str = "a request"
    wanted: str = "aborted: decline it"


@dataclass
class WayBackNotAborted(WrongMoveState):
    """A way back can't be aborted."""

    state: str = "a way back"
    wanted: str = "aborted: end it, or go back"


@dataclass
class NoWayBack(WrongMoveState):
    """The move has no way back."""

    wanted: str = "gone back on"

    message = (
        "The move {id} is {state}, without a way back, so it can’t be {wanted}. Nothing was "
        "changed."
    )


class InvalidMoveOption(Invalid):
    """An option of a move that is out of its bounds."""

    code = "invalid_option"
    message = "Correct this option."


class DateWithoutSwitch(InvalidMoveOption):
    """A date without the switch at a date, or the other way round."""

    message = "A date belongs to the switch at a date, and only to that."


class DateTooFar(InvalidMoveOption):
    """A switch at a date that is too far away."""

    message = "The date is more than a year away."


class InvalidMoveDay(InvalidMoveOption):
    """A day on which nobody can be moved."""

    code = "invalid_day"
    field = "day"
    message = "Choose a day within a year"


class MoveDayOver(InvalidMoveDay):
    """A day that is over."""

    message = "Choose a day that isn’t over"


@dataclass
class InvalidWayBackDays(InvalidMoveOption):
    """A way back of no day, or of too many."""

    most: int

    field = "days"
    message = "A way back is open for 1 to {most} days."


@dataclass
class InvalidMoveRate(InvalidMoveOption):
    """A speed that none can keep."""

    most: int

    field = "documents_per_second"
    message = "A throttle is 1 to {most:,} documents a second."


@dataclass
class InvalidMoveP99(InvalidMoveOption):
    """A limit of the neighbours' p99 that none can keep."""

    most_ms: int

    field = "neighbours_p99_ms"
    message = "A limit of the p99 is 1 to {most_ms:,} ms."


@dataclass
class InvalidMoveCluster(InvalidMoveOption):
    """A cluster that this portal doesn't know."""

    cluster: str

    code = "invalid_cluster"
    field = "cluster"
    message = "No cluster is called {cluster}."


class DeclineReasonNeeded(Invalid):
    """No reason why a request is declined, or a long one."""

    code = "reason_needed"
    field = "reason"
    message = "Say why, in 500 characters at most: the owners read it"


class MovesNotOffered(Conflict):
    """The placement policy doesn't let owners ask for moves, or there is no other region."""

    code = "moves_not_offered"
    title = "Moves can’t be requested here"
    message = (
        "Whoever runs the portal decides where organizations live, and offers no choice. Nothing "
        "was changed."
    )


@dataclass
class DrainPaused(Conflict):
    """The run of many moves was paused."""

    id: str

    code = "drain_paused"
    message = (
        "This run is paused: flask jobs resume {id}, and then this command again. What moves goes "
        "on meanwhile."
    )

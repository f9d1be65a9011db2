"""Errors of moves, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.documents.moves import MoveState
from portal.errors import Conflict, Invalid, NotFound


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
class InvalidMoveOption(Invalid):
    """An option of a move that is out of its bounds."""

    reason: str

    code = "invalid_option"
    message = "{reason}"


class InvalidMoveDay(InvalidMoveOption):
    """A day on which nobody can be moved."""

    code = "invalid_day"
    field = "day"


class InvalidWayBackDays(InvalidMoveOption):
    """A way back of no day, or of too many."""

    field = "days"


class InvalidMoveRate(InvalidMoveOption):
    """A speed that none can keep."""

    field = "documents_per_second"


class InvalidMoveP99(InvalidMoveOption):
    """A limit of the neighbours' p99 that none can keep."""

    field = "neighbours_p99_ms"


class InvalidMoveCluster(InvalidMoveOption):
    """A cluster that this portal doesn't know."""

    code = "invalid_cluster"
    field = "cluster"


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

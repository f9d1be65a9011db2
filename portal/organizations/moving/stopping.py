"""Failures of moves: after each one a move is tried again, begun again, stopped for a person to
decide, or ended."""

from typing import Any

from portal.audit.errors import UnderHold
from portal.database import connection
from portal.database.errors import ClusterLost, ClusterUnavailable
from portal.database.leases import summary
from portal.documents.moves import Move, MoveState, Outcome
from portal.errors import PortalError
from portal.organizations.lifecycle.moves import QUEUE, held
from portal.organizations.moving import ending
from portal.tenants.moving.errors import (
    ClusterTimeUnknown,
    DocumentTooLarge,
    MovingError,
    SourceGone,
    StreamLost,
    StructureUnfit,
)

MOST_TRIES = 3
"""The failures for one cause, without getting further, until a person has to decide."""

_LONGEST_PAUSE_SECONDS = 30
_OF_THE_COPY = ("token", "copied_to", "verification", "progress.verified")
_AT_ONCE = (DocumentTooLarge, StructureUnfit, SourceGone)


class Stopped(Exception):
    """A move can't go on, for a reason in words; ``at_once``, without more tries."""

    def __init__(self, reason: str, *, at_once: bool = False) -> None:
        super().__init__(reason)
        self.at_once = at_once


def handle(move: Move, error: Exception) -> None:
    """Write what becomes of the move after this error, if the attempt at it is still the last."""
    if isinstance(error, ClusterLost):
        ending.give_up(move, f"the cluster {error.cluster} was given up as lost")
    elif isinstance(error, StreamLost) and move.state == MoveState.SHADOW:
        ending.end_shadow(move, Outcome.LOST, str(error))
    elif isinstance(error, StreamLost) and _first_times(move, error):
        _copy_again(move, error)
    elif is_of_a_server(error):
        _wait(move, error)
    elif isinstance(error, UnderHold):
        held_up = {"$literal": "the release of a legal hold"}
        _change(move, waits_for=held_up, **QUEUE.delay(_LONGEST_PAUSE_SECONDS, error))
    else:
        _try_again_or_stop(move, error)


def is_of_a_server(error: Exception) -> bool:
    """Tell whether the error is of a server that is away, and no failure of the move."""
    away = isinstance(error, ClusterUnavailable | ClusterTimeUnknown)
    return away or connection.is_unavailable(error)


def _copy_again(move: Move, error: Exception) -> None:
    """Begin from the first document, with a new stream; what the target has is deleted then."""
    _change(
        move,
        state=MoveState.COPYING,
        waits_for={"$literal": f"it is copied again: {error}"},
        cause=type(error).__name__,
        tries=_tries_after(move, error),
        **{"progress.copied": 0},
        **dict.fromkeys(_OF_THE_COPY, "$$REMOVE"),
        **QUEUE.delay(1, error),
    )


def _wait(move: Move, error: Exception) -> None:
    """Try again for as long as a server is away; that is no failure of the move."""
    told = "the database, which does not answer"
    if isinstance(error, ClusterUnavailable):
        told = f"{error.cluster}, which does not answer"
    elif isinstance(error, ClusterTimeUnknown):
        told = "the database, which was just started"
    pause = min(2 ** ((move.tries or 0) + 1), _LONGEST_PAUSE_SECONDS)
    _change(
        move,
        waits_for={"$literal": told},
        **QUEUE.delay(min(pause, 5), error),
    )


def _try_again_or_stop(move: Move, error: Exception) -> None:
    if _first_times(move, error) and not _at_once(error):
        tries = _tries_after(move, error)
        _change(
            move,
            cause=type(error).__name__,
            tries=tries,
            waits_for={"$literal": f"another try: {_words_of(error)}"},
            **QUEUE.delay(min(2**tries, _LONGEST_PAUSE_SECONDS), error),
        )
        return
    stopped: dict[str, Any] = {"waits_for": {"$literal": f"a person, since {_words_of(error)}"}}
    if move.state == MoveState.ENDING:  # nobody can resume it: it is tried until it works
        _change(move, **stopped, **QUEUE.delay(_LONGEST_PAUSE_SECONDS, error))
        return
    if move.state == MoveState.SHADOW:  # kept current: only the going back stops
        stopped |= {"switch_wanted": "$$REMOVE", "verification": "$$REMOVE"}
        stopped |= QUEUE.delay(_LONGEST_PAUSE_SECONDS, error)
    else:
        stopped |= {"paused": True} | QUEUE.delay(0, error)
    _change(move, tries="$$REMOVE", cause="$$REMOVE", **stopped)


def _words_of(error: Exception) -> str:
    if isinstance(error, PortalError):
        return error.words
    if isinstance(error, Stopped | MovingError):
        return str(error)
    return f"an error of which the log tells more, {summary(error)}"


def _first_times(move: Move, error: Exception) -> bool:
    return _tries_after(move, error) < MOST_TRIES


def _tries_after(move: Move, error: Exception) -> int:
    return (move.tries or 0) + 1 if move.cause == type(error).__name__ else 1


def _at_once(error: Exception) -> bool:
    return isinstance(error, _AT_ONCE) or getattr(error, "at_once", False)


def _change(move: Move, **values: Any) -> None:
    held(move).filter(state=move.state, open=True).update_one(__raw__=[{"$set": values}])

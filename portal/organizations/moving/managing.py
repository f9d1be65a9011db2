"""Moves are paused, resumed, throttled, aborted and switched, by whichever process; the mover that
works on one notices within seconds.

Each of these is one transaction that also writes the audit event. None does anything to documents.
A move is named by its id, or by the slug of its organization, whose open move it then is.
"""

from datetime import datetime

from portal.database.background import wake
from portal.database.transactions import transactional
from portal.documents.moves import Move, MoveState, Outcome
from portal.organizations.lifecycle.states import RULES
from portal.organizations.moving import ending
from portal.organizations.moving.changes import (
    AS_IF_NEW,
    COPY,
    END,
    FOLLOW,
    KIND,
    change_move,
    modify_open,
    record_change,
)
from portal.organizations.moving.ending import AT_ONCE
from portal.organizations.moving.errors import RequestNotAborted, WayBackNotAborted, WrongMoveState
from portal.organizations.moving.finding import find_move
from portal.organizations.moving.options import (
    Switch,
    Throttle,
    check_at,
    check_throttle,
    setting,
    switching,
)
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

_BEFORE_SWITCH = (MoveState.COPYING, MoveState.VERIFYING, MoveState.READY)
THROTTLED = (*_BEFORE_SWITCH, MoveState.SHADOW)
"""The states in which the speed of a move can be changed."""


def pause_move(move: str, context: RequestContext) -> Move:
    """Have a move stop behind the batch in hand; what was copied stays. Raises MoveNotFound,
    WrongMoveState behind ``ready``."""
    return change_move(move, _BEFORE_SWITCH, "paused", context, set__paused=True)


def resume_move(move: str, context: RequestContext) -> Move:
    """Have a paused or stopped move go on, whatever it failed of before. Raises MoveNotFound,
    WrongMoveState."""
    resumed = change_move(move, _BEFORE_SWITCH, "resumed", context, unset__paused=True, **AS_IF_NEW)
    wake(COPY)
    return resumed


def throttle_move(move: str, throttle: Throttle, context: RequestContext) -> Move:
    """Change the speed of a move. Raises MoveNotFound, WrongMoveState, InvalidMoveOption."""
    check_throttle(throttle)
    values = {
        "documents_per_second": throttle.documents_per_second,
        "neighbours_p99_ms": throttle.neighbours_p99_ms,
    }
    return change_move(move, THROTTLED, "throttled", context, **setting(values))


def abort_move(move: str, reason: str | None, context: RequestContext) -> Move:
    """Have a move end before its switch: the source is as before, and the target goes. While it is
    fenced it is asked for, and done unless the switch comes first. May be called again.

    Raises MoveNotFound; WrongMoveState from ``switched`` on, since then there may be a way back,
    and for a request, which is declined.
    """
    found = find_move(move)
    if found.outcome == Outcome.ABORTED:
        return found
    if found.state == MoveState.REQUESTED:
        raise RequestNotAborted(str(found.id))
    if found.way_back_of and found.state == MoveState.SHADOW:
        raise WayBackNotAborted(str(found.id))
    if not RULES[MoveState(found.state)].may_abort:
        raise WrongMoveState(str(found.id), found.state, "aborted")

    @transactional
    def abort() -> Move:
        claim_key(context, found.organization, KIND, found.id)
        ending_now = {
            "set__state": MoveState.ENDING,
            "set__outcome": Outcome.ABORTED,
            "set__due_at": AT_ONCE,
            "unset__paused": True,
            **({"set__reason": reason} if reason else {}),
        }
        before = Move.objects(id=found.id, state__in=_BEFORE_SWITCH, open=True)
        aborted = before.modify(new=True, **ending_now) or modify_open(
            found, (MoveState.FENCED,), "aborted", set__abort_wanted=True
        )
        record_change(aborted, "organization.move_aborted", context, reason=reason)
        return aborted

    aborted = abort()
    wake(END)
    return aborted


def switch_move(
    move: str,
    context: RequestContext,
    *,
    switch: Switch = Switch.VERIFIED,
    at: datetime | None = None,
    without_way_back: bool | None = None,
    ends_credentials: bool | None = None,
) -> Move:
    """Change when a move switches: with ``Switch.VERIFIED`` now, if it is ready. Raises
    MoveNotFound, WrongMoveState, InvalidMoveOption."""
    values = switching(switch, at)
    if at:
        check_at(at)
    if without_way_back is not None:
        values["without_way_back"] = without_way_back or None
    if ends_credentials is not None:
        values["ends_credentials"] = ends_credentials or None
    switched = change_move(
        move,
        _BEFORE_SWITCH,
        "switched",
        context,
        **setting(values),
        **AS_IF_NEW,
        unset__next_fence_at=True,
        unset__fences_failed=True,
    )
    wake(FOLLOW)
    return switched


def give_moves_up(cluster: str) -> int:
    """Have the open moves and ways back from or to a cluster that is lost end as given up; how many
    there were. ``lose_cluster`` calls it, after its own transaction; may be called again."""
    there = {"$or": [{"source.cluster": cluster}, {"target.cluster": cluster}]}
    found = list(Move.objects(__raw__={"open": True, **there}))
    for move in found:
        ending.give_up(move, f"the cluster {cluster} was given up as lost")
    wake(END)
    return len(found)

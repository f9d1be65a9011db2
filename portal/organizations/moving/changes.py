"""A change of a move: one transaction, with its audit event, of a move in one of some states."""

from collections.abc import Callable
from typing import Any

from portal.database.transactions import transactional, within_transaction
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.moving import record_places
from portal.organizations.moving.ending import AT_ONCE
from portal.organizations.moving.errors import WrongMoveState
from portal.organizations.moving.finding import find_move
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

KIND = "move"
"""The name of changes of moves for idempotency keys."""

COPY, FOLLOW, END = "moves.copy", "moves.follow", "moves.end"
"""The background loops of movers."""

AS_IF_NEW: dict[str, Any] = {
    "unset__tries": True,
    "unset__cause": True,
    "unset__last_error": True,
    "unset__waits_for": True,
    "set__due_at": AT_ONCE,
}
"""The part of a change after which nothing is told of earlier failures."""


def change_move(
    move: str,
    states: tuple[MoveState, ...],
    done: str,
    context: RequestContext,
    *,
    action: str | None = None,
    details: dict[str, str] | None = None,
    check: Callable[[Move], None] | None = None,
    **changes: Any,
) -> Move:
    """Change an open move that is in one of the ``states``, with its event. ``check`` may refuse
    that, in the transaction."""
    found = find_move(move)

    @transactional
    def change() -> Move:
        claim_key(context, found.organization, KIND, found.id)
        changed = modify_open(found, states, done, **changes)
        if check:
            check(changed)
        record_change(changed, action or f"organization.move_{done}", context, **(details or {}))
        return changed

    return change()


@within_transaction
def modify_open(move: Move, states: tuple[MoveState, ...], done: str, **changes: Any) -> Move:
    """Change an open move in one of the ``states``. Raises WrongMoveState, by which it can't be
    ``done``."""
    changed = Move.objects(id=move.id, state__in=states, open=True).modify(new=True, **changes)
    if changed is None:
        check_state(Move.objects.get(id=move.id), states, done)
        raise WrongMoveState(str(move.id), "over", done)
    return changed


@within_transaction
def record_change(move: Move, action: str, context: RequestContext, **details: str | None) -> None:
    """Record a change in the organization's audit trail."""
    organization = Organization.objects.get(id=move.organization)
    record_places(organization, action, as_done_by(move, context), **details)


def as_done_by(move: Move, context: RequestContext) -> Move:
    """The move, for an event of which it isn't the origin."""
    shown = Move._from_son(move.to_mongo())
    shown.origin = context.origin
    return shown


def check_state(move: Move, states: tuple[MoveState, ...], done: str) -> None:
    """Raise WrongMoveState unless the move is open, and in one of the ``states``."""
    if move.state not in states or not move.open:
        raise WrongMoveState(str(move.id), move.state, done)

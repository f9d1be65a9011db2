"""The states of a move, and what may be done in each: one table, by which the portal goes, and
which the tests' model is checked by.

A move copies an organization's documents from its ``source`` to its ``target``. Documents are
written by writers, who are applications and the portal's own pages, and by movers, who carry moves
out. Any number of movers may believe that a move is theirs; the one whose attempt is the last is
right, and whatever they write names their attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from portal.documents.moves import MoveState


class Side(StrEnum):
    """A side of a move."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of one state.

    ``writable`` is the only side where writers may write: in FENCED until the fence stands, and
    again once the source has its name back. ``applied`` is the side that movers write documents
    to, each batch in a transaction with their attempt; ``next`` the states that may follow. Whoever
    takes over raises the attempt, and then does what ``taken_over`` says; all of it may have been
    done before. ``may_abort`` says whether a person may still end it.
    """

    writable: Side | None
    applied: Side | None
    next: tuple[MoveState, ...]
    taken_over: str
    may_abort: bool = False


RULES: Mapping[MoveState, Rule] = {
    MoveState.REQUESTED: Rule(
        Side.SOURCE,
        None,
        (MoveState.COPYING, MoveState.DONE),
        "wait for a person's decision",
        may_abort=True,
    ),
    MoveState.COPYING: Rule(
        Side.SOURCE,
        Side.TARGET,
        (MoveState.VERIFYING, MoveState.ENDING),
        "follow the stream from its stored token, and copy from the last stored page",
        may_abort=True,
    ),
    MoveState.VERIFYING: Rule(
        Side.SOURCE,
        Side.TARGET,
        (MoveState.READY, MoveState.COPYING, MoveState.ENDING),
        "follow the stream from its stored token, and compare from the first range",
        may_abort=True,
    ),
    MoveState.READY: Rule(
        Side.SOURCE,
        Side.TARGET,
        (MoveState.FENCED, MoveState.COPYING, MoveState.ENDING),
        "follow the stream from its stored token",
        may_abort=True,
    ),
    MoveState.FENCED: Rule(
        Side.SOURCE,
        Side.TARGET,
        (MoveState.SWITCHED, MoveState.READY, MoveState.SHADOW),
        "fence again, follow the stream up to the fence, then switch; or, if the fence failed or "
        "an abort is wanted, give the source its name back, which needs no target",
        may_abort=True,
    ),
    MoveState.SWITCHED: Rule(
        Side.TARGET,
        None,
        (MoveState.DONE, MoveState.ENDING),
        "give the target its name; forward only",
    ),
    MoveState.SHADOW: Rule(
        Side.SOURCE,
        Side.TARGET,
        (MoveState.FENCED, MoveState.ENDING),
        "follow the reverse stream from its stored token",
        may_abort=True,
    ),
    MoveState.ENDING: Rule(
        None, None, (MoveState.DONE,), "remove what isn't wanted any more: a target, or an old copy"
    ),
    MoveState.DONE: Rule(None, None, (), "nothing"),
}
"""The rule of each state. A way back is a move whose target is the old copy: it begins in SHADOW.
In ENDING and DONE writers write wherever the organization's placement is."""


def may_follow(state: MoveState, following: MoveState) -> bool:
    """Tell whether ``following`` may come after ``state``."""
    return following in RULES[state].next


def check_may_follow(state: MoveState, following: MoveState) -> None:
    """Raise AssertionError, a bug, unless ``following`` may come after ``state``."""
    if not may_follow(state, following):
        raise AssertionError(f"a move that is {state} can't be {following}")

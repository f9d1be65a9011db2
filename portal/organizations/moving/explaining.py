"""Moves in words: how far they are, who is waited for, what will happen."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from humanize import intcomma, naturaldelta

from portal.database.connection import server_time
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Placement, Strategy
from portal.web.counting import counted

STANDSTILL = timedelta(seconds=30)
"""Without a movement for as long, a move says why."""

SILENCE = timedelta(seconds=60)
"""Without a look at the stream of changes for as long, a move says so."""

_STRATEGIES = {
    Strategy.COLLECTION: "a collection of its own",
    Strategy.DATABASE: "a database of its own",
    Strategy.SHARED: "a shared collection",
}
# Behind these stands an error as the server tells it.
_OF_ERRORS = ("another try", "it is copied again", "a person")
_WORKED_AT = (MoveState.COPYING, MoveState.VERIFYING)
_FOLLOWED = (MoveState.COPYING, MoveState.VERIFYING, MoveState.READY, MoveState.SHADOW)
_ABORTABLE = (MoveState.COPYING, MoveState.VERIFYING, MoveState.READY, MoveState.FENCED)


@dataclass(frozen=True, slots=True)
class Progress:
    """The figures of a move; ``None`` is not known. Times are ages at ``at``, by the database's
    clock. ``percent`` is of the station that the move is at. What was written at the source more
    than ``lag`` ago was seen; ``last_change`` is when something was."""

    at: datetime
    state: str
    documents: int
    copied: int
    percent: int | None
    rate: float | None
    dirty: int
    seconds_left: float | None
    last_look: timedelta | None
    last_change: datetime | None
    last_written: timedelta | None
    lag: timedelta | None
    bytes: int
    pause_ms: float | None
    standstill: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer of ``flask moves explain``: what ``state`` the move is in, who or what is
    ``waited_for``, what ``happens_next``, and what one can do."""

    state: str
    waited_for: str | None
    happens_next: str
    possible: tuple[str, ...]


def progress_of(move: Move) -> Progress:
    """The figures of a move, from its record: one read of the server's clock."""
    now, progress = server_time(), move.progress
    finished = _finished(move)
    left = max(progress.documents - (finished or 0), 0)
    rate = progress.rate or None
    last_look = now - progress.last_event_at if progress.last_event_at else None
    lag = None
    if last_look is not None and move.open and move.state in _FOLLOWED:
        lag = last_look + timedelta(seconds=progress.behind_seconds or 0)
    return Progress(
        at=now,
        state=move.state,
        documents=progress.documents,
        copied=progress.copied,
        percent=None if finished is None else _percent(finished, progress.documents),
        rate=rate,
        dirty=progress.dirty,
        # There may be more than at the beginning: nobody knows how many.
        seconds_left=left / rate if rate and left and move.state in _WORKED_AT else None,
        last_look=last_look,
        last_change=progress.changed_at,
        last_written=now - progress.last_written_at if progress.last_written_at else None,
        lag=lag,
        bytes=progress.bytes,
        pause_ms=move.pause_ms,
        standstill=_standstill_of(move, now),
    )


def explain(move: Move) -> Explanation:
    """A move in words."""
    progress = progress_of(move)
    waited_for = move.waits_for or progress.standstill or _awaited(move)
    return Explanation(describe(move), waited_for, _next_of(move), tuple(_possible(move)))


def told_to_members(move: Move) -> str | None:
    """The reason why an open move doesn't get on, without what only its operator understands."""
    if not move.open or move.state == MoveState.REQUESTED:
        return None
    if move.paused:
        return "whoever runs this portal, who resumes it"
    if not move.waits_for:
        return (
            "a moment: the portal tries again by itself" if progress_of(move).standstill else None
        )
    if move.waits_for.startswith(_OF_ERRORS):
        return "another try: the portal tries again by itself"
    return move.waits_for


def title_of(move: Move) -> str:
    """The move in a phrase: ``Move of acme-corp from a shared collection on main to a collection of
    its own on fra-2``."""
    kind = "Way back" if move.way_back_of else "Move"
    source, target = place_in_words(move.source), place_in_words(move.target)
    return f"{kind} of {move.slug} from {source} to {target}"


def place_in_words(placement: Placement) -> str:
    """A place in a phrase: ``a collection of its own on fra-2``."""
    return f"{strategy_in_words(placement)} on {placement.cluster}"


def strategy_in_words(placement: Placement) -> str:
    """A place in a phrase, without the cluster."""
    return _STRATEGIES[Strategy(placement.strategy)]


def describe(move: Move) -> str:
    """The move's progress on a line."""
    progress = progress_of(move)
    words = [f"{move.state}, paused" if move.paused else move.state]
    if not move.open:
        words = [move.outcome or move.state, *([move.reason] if move.reason else [])]
    elif move.state in _WORKED_AT:
        total = counted(progress.documents, "document")
        words += [f"{intcomma(_finished(move) or 0)} of about {total}"]
        if progress.rate:
            words += [f"{progress.rate:,.0f} a second"]
        if progress.seconds_left is not None:
            words += [f"about {naturaldelta(progress.seconds_left)} left"]
    if move.open and move.state in _FOLLOWED:
        words += [f"{intcomma(progress.dirty)} to be read again"]
        if progress.lag is not None:
            words += [f"behind by {naturaldelta(progress.lag)}"]
    if move.until and move.open:
        words += [f"until {move.until:%Y-%m-%d %H:%M} UTC"]
    if move.open and move.waits_for:
        words += [f"waits for {move.waits_for}"]
    elif progress.standstill:
        words += [progress.standstill]
    return ", ".join(words)


def _finished(move: Move) -> int | None:
    """The documents that the present station is through with, where it counts them."""
    if move.state == MoveState.COPYING:
        return move.progress.copied
    if move.state == MoveState.VERIFYING:
        return move.progress.verified or 0
    return None


def _percent(done: int, total: int) -> int:
    """Never 100: the total is of the beginning, and only the next state says that all is done."""
    return min(99, 100 * done // total) if total else 0


def _standstill_of(move: Move, now: datetime) -> str | None:
    """The reason why an open move doesn't get on; ``None`` while it does, or is to wait."""
    if not move.open or move.state == MoveState.REQUESTED or move.paused:
        return None
    progress = move.progress
    if move.last_error:
        return f"tried again, after {move.last_error}"
    if move.due_at and now - move.due_at > STANDSTILL:
        waited = naturaldelta(now - move.due_at)
        return f"no portal has worked on it for {waited}: a portal that runs goes on"
    moved_at = progress.moved_at or move.created_at
    if move.state in _WORKED_AT and now - moved_at > STANDSTILL:
        at = f", at {progress.note}" if progress.note else ""
        return f"no movement for {naturaldelta(now - moved_at)}{at}"
    seen_at = progress.last_event_at
    if move.state in _FOLLOWED and seen_at and now - seen_at > SILENCE:
        return f"the stream of changes was last read {naturaldelta(now - seen_at)} ago"
    return None


def _awaited(move: Move) -> str | None:
    if move.state == MoveState.REQUESTED:
        return "a person’s decision"
    if move.paused:
        return "somebody who resumes it"
    if move.state != MoveState.READY or move.switch_wanted:
        return None
    if move.switch_at:
        return f"{move.switch_at:%Y-%m-%d %H:%M} UTC"
    if move.switch_in_hours:
        return "the hours of the placement policy"
    return "somebody who switches it"


_NEXT = {
    MoveState.REQUESTED: "flask moves approve starts it, flask moves decline ends it",
    MoveState.COPYING: "all is compared, then kept current until the switch",
    MoveState.VERIFYING: "it is ready, and kept current until the switch",
    MoveState.FENCED: "it switches, or gives the source its name back and tries again",
    MoveState.SWITCHED: "the target gets its name, and the way back begins",
    MoveState.SHADOW: "the old copy follows until the way back ends; then it is removed",
    MoveState.ENDING: "what isn’t wanted any more is removed",
    MoveState.DONE: "nothing",
}


def _next_of(move: Move) -> str:
    if move.abort_wanted and move.open:
        return "it is aborted: the source is as before, and the target is removed"
    if move.state == MoveState.SHADOW and move.switch_wanted:
        return "it goes back as soon as the old copy has all that was written"
    if move.state != MoveState.READY:
        return _NEXT[MoveState(move.state)]
    return "writers wait for a moment, the rest is copied, and the place is switched"


def _possible(move: Move) -> list[str]:
    """The commands that fit the move's state."""
    if not move.open:
        return []
    if move.state == MoveState.REQUESTED:
        return ["approve", "decline"]
    if move.state == MoveState.SHADOW:
        return ["back", "extend", "end"]
    if move.state not in _ABORTABLE:
        return []
    going = ["resume"] if move.paused else ["pause"]
    return [*going, "throttle", "switch", "abort"]

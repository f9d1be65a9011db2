"""An organization's operations, those that ran and those that run, and its open move."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.audit.trail import ListedEvent
from portal.documents.audit import AuditEvent, Origin
from portal.documents.jobs import Job, JobState
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization
from portal.operators.tab_counts import ENDED, UNDONE
from portal.organizations.moving.explaining import place_in_words
from portal.organizations.moving.finding import open_move_of

MOST_SHOWN = 25


@dataclass(frozen=True, slots=True)
class ShownOperation:
    """A move, a job or a lifecycle operation that ended, as a row of the time ``at`` which it
    began, or of the last ended; ``took`` is ``None`` while it runs, and where nobody measured it.
    """

    words: str
    state: str
    running: bool
    by: str
    at: datetime
    took: timedelta | None


def open_request(organization: Organization) -> Move | None:
    """The move that owners of the organization have asked for, if nobody has decided on it."""
    move = open_move_of(organization)
    return move if move and move.state == MoveState.REQUESTED else None


def open_way_back(organization: Organization) -> Move | None:
    """The organization's way back, if it can be gone or ended."""
    move = open_move_of(organization)
    return move if move and move.way_back_of and move.state == MoveState.SHADOW else None


def operations_of(organization: Organization) -> list[ShownOperation]:
    """The latest operations, moves and jobs of the organization, newest first."""
    moves = Move.objects(organization=organization.id).order_by("-created_at").limit(MOST_SHOWN)
    jobs = Job.objects(organization=organization.id).order_by("-id").limit(MOST_SHOWN)
    ended = AuditEvent._get_collection().find(
        {"chain": organization.id, "action": {"$in": list(ENDED)}}
    )
    events = map(ListedEvent.of, ended.sort("seq", -1).limit(MOST_SHOWN))
    rows = [*map(_of_move, moves), *map(_of_job, jobs), *map(_of_event, events)]
    return sorted(rows, key=lambda row: row.at, reverse=True)[:MOST_SHOWN]


def _of_move(move: Move) -> ShownOperation:
    kind = "Way back" if move.way_back_of else "Move"
    return ShownOperation(
        f"{kind} to {place_in_words(move.target)}",
        move.state if move.open else move.outcome or move.state,
        bool(move.open),
        _by(move.origin),
        move.created_at,
        move.ended_at - move.created_at if move.ended_at else None,
    )


def _of_job(job: Job) -> ShownOperation:
    return ShownOperation(
        job.title,
        job.state,
        job.state == JobState.RUNNING,
        _by(job.origin),
        job.created_at,
        job.ended_at - job.created_at if job.ended_at else None,
    )


def _of_event(event: ListedEvent) -> ShownOperation:
    state = "undone" if event.action in UNDONE else "done"
    return ShownOperation(event.words, state, False, event.actor_shown, event.at, None)


def _by(origin: Origin) -> str:
    return origin.email or origin.actor_name or "the portal"

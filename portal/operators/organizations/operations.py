"""An organization's moves and jobs, those that ran and those that run, and its open move."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.documents.audit import Origin
from portal.documents.jobs import Job, JobState
from portal.documents.moves import Move
from portal.documents.organizations import Organization
from portal.organizations.moving.errors import MoveNotFound
from portal.organizations.moving.explaining import place_in_words
from portal.organizations.moving.finding import open_move_of

MOST_SHOWN = 25


@dataclass(frozen=True, slots=True)
class ShownOperation:
    """A move or job as a row: ``took`` is ``None`` while it runs."""

    words: str
    state: str
    running: bool
    by: str
    started_at: datetime
    took: timedelta | None


def open_move(organization: Organization) -> Move:
    """The organization's open move, or way back. Raises MoveNotFound."""
    move = open_move_of(organization)
    if move is None:
        raise MoveNotFound(organization.slug)
    return move


def operations_of(organization: Organization) -> list[ShownOperation]:
    """The latest moves and jobs of the organization, newest first."""
    moves = Move.objects(organization=organization.id).order_by("-created_at").limit(MOST_SHOWN)
    jobs = Job.objects(organization=organization.id).order_by("-id").limit(MOST_SHOWN)
    rows = [*map(_of_move, moves), *map(_of_job, jobs)]
    return sorted(rows, key=lambda row: row.started_at, reverse=True)[:MOST_SHOWN]


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


def _by(origin: Origin) -> str:
    return origin.email or origin.actor_name or "the portal"

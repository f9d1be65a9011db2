"""Everything that runs: operations, moves, jobs; and the mails that wait. Read by the indexes that
have only those, and at most a page of each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal import clock
from portal.audit.trail import installation, record
from portal.database.leases import is_past
from portal.database.transactions import transactional
from portal.documents.installation import INSTALLATION
from portal.documents.jobs import Job, JobState
from portal.documents.mails import Mail
from portal.documents.moves import Move
from portal.documents.organizations import Organization
from portal.jobs.progress import STANDSTILL, standstill_of
from portal.mail.reasons import in_a_sentence
from portal.operators.overview.sources import noun_of
from portal.organizations.lifecycle.retrying import why_it_stays
from portal.organizations.moving.explaining import place_in_words
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

MAILS_RETRIED = "mails_retried"
SHOWN = 100
MOST_COUNTED = 1001
_ENDED_SHOWN = 25
_TRIED_AT_ONCE = 10_000
_OPERATION = {"operation.lease_until": {"$exists": True}}
_OPEN = {"open": True}
_WAITING = {"due_at": {"$exists": True}}


@dataclass(frozen=True, slots=True)
class RunningOperation:
    """A lifecycle operation of an organization. ``due_at`` is its next try, or the end of the lease
    of the process that runs it; ``stays`` is the reason why it can't be undone, if it can't."""

    organization: ObjectId
    name: str
    id: ObjectId
    kind: str
    noun: str
    attempt: int
    started_at: datetime
    due_at: datetime
    last_error: str | None
    undone: bool
    stays: str | None
    by: str

    @property
    def may_undo(self) -> bool:
        """True while it can be undone."""
        return self.stays is None


@dataclass(frozen=True, slots=True)
class OpenMove:
    """A move or a way back that isn't over."""

    id: ObjectId
    organization: ObjectId
    slug: str
    way_back: bool
    state: str
    paused: bool
    source: str
    target: str
    percent: int | None
    waits_for: str | None
    until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job: of operators, or of the members of an ``organization``; ``bulk`` is the action on many
    organizations that it counts or carries out."""

    id: ObjectId
    kind: str
    title: str
    organization: ObjectId | None
    bulk: ObjectId | None
    state: str
    done: int
    total: int
    reason: str | None
    created_at: datetime
    ended_at: datetime | None
    by: str


@dataclass(frozen=True, slots=True)
class WaitingMail:
    """A mail that waits to leave."""

    id: ObjectId
    kind: str
    to: str
    created_at: datetime
    due_at: datetime
    attempt: int
    last_error: str | None

    @property
    def reason(self) -> str | None:
        """The last error in a sentence."""
        return in_a_sentence(self.last_error) if self.last_error else None


@dataclass(frozen=True, slots=True)
class Some:
    """The first rows of a list, and how many there are: MOST_COUNTED stands for more."""

    rows: list[Any]
    number: int

    @property
    def counted(self) -> str:
        """The number in words."""
        return in_words(self.number)


def in_words(number: int) -> str:
    """A number that was counted to MOST_COUNTED: “1,000+” where there are more."""
    return f"{MOST_COUNTED - 1:,}+" if number >= MOST_COUNTED else f"{number:,}"


def operations() -> Some:
    """The lifecycle operations that run, those first that are due soonest."""
    found = Organization._get_collection()
    fields = {"name": 1, "placement": 1, "operation": 1, "restricted": 1}
    rows = found.find(_OPERATION, fields).sort("operation.lease_until", 1).limit(SHOWN)
    return Some([_operation(row) for row in rows], _number(Organization, _OPERATION))


def moves() -> Some:
    """The moves and ways back that aren't over."""
    found = Move.objects(**_OPEN).order_by("state", "id").limit(SHOWN)
    return Some([_move(move) for move in found], _number(Move, _OPEN))


def jobs() -> Some:
    """The jobs that run or are paused, then those that ended last."""
    running = list(Job.objects(**_OPEN).order_by("-id").limit(SHOWN))
    ended = Job.objects(ended_at__exists=True).order_by("-ended_at").limit(_ENDED_SHOWN)
    return Some([listed(job) for job in (*running, *ended)], _number(Job, _OPEN))


def listed(job: Job) -> ListedJob:
    """The job as lists show it, with the reason why it doesn't get on, if it doesn't."""
    at, waits_for = clock.now(), None
    if job.state == JobState.RUNNING and at - job.created_at > STANDSTILL:
        waits_for = standstill_of(job, at)
    return ListedJob(
        id=job.id,
        kind=job.kind,
        title=job.title,
        organization=job.organization,
        bulk=job.parameters.get("bulk"),
        state=job.state,
        done=job.progress.done,
        total=job.progress.total,
        reason=job.reason or waits_for or job.last_error,
        created_at=job.created_at,
        ended_at=job.ended_at,
        by=job.origin.email or job.origin.actor_name or "the portal",
    )


def mails() -> Some:
    """The mails that wait to leave, those first that wait longest for their next try."""
    found = Mail._get_collection().find(_WAITING).hint([("awaited", -1), ("due_at", 1)])
    rows = [_mail(row) for row in found.sort([("awaited", -1), ("due_at", 1)]).limit(SHOWN)]
    return Some(rows, _number(Mail, _WAITING))


@transactional
def have_mails_tried(context: RequestContext) -> int:
    """Have every mail that could not leave tried at once; how many there were, 10,000 at most in
    one go."""
    claim_key(context, INSTALLATION, MAILS_RETRIED, INSTALLATION)
    waiting = {**_WAITING, "last_error": {"$exists": True}, "$nor": [is_past("due_at")]}
    found = Mail._get_collection().find(waiting, {"_id": 1}).limit(_TRIED_AT_ONCE)
    ids = [row["_id"] for row in found]
    Mail.objects(id__in=ids).update(__raw__=[{"$set": {"due_at": "$$NOW"}}])
    record(installation(), "mails.retried", context.origin, count=str(len(ids)))
    return len(ids)


def _number(document: Any, wanted: dict[str, Any]) -> int:
    return document._get_collection().count_documents(wanted, limit=MOST_COUNTED)


def _operation(row: dict[str, Any]) -> RunningOperation:
    organization = Organization._from_son(row)
    operation = organization.operation
    return RunningOperation(
        organization=organization.id,
        name=organization.name,
        id=operation.id,
        kind=operation.kind,
        noun=noun_of(organization),
        attempt=operation.attempt,
        started_at=operation.started_at,
        due_at=operation.lease_until,
        last_error=operation.last_error,
        undone=operation.failure is not None,
        stays=why_it_stays(organization),
        by=operation.origin.email or operation.origin.actor_name or "the portal",
    )


def _move(move: Move) -> OpenMove:
    total = move.progress.documents
    return OpenMove(
        id=move.id,
        organization=move.organization,
        slug=move.slug,
        way_back=move.way_back_of is not None,
        state=move.state,
        paused=bool(move.paused),
        source=place_in_words(move.source),
        target=place_in_words(move.target),
        percent=min(99, 100 * move.progress.copied // total) if total else None,
        waits_for=move.last_error or move.waits_for,
        until=move.until,
        created_at=move.created_at,
    )


def _mail(row: dict[str, Any]) -> WaitingMail:
    return WaitingMail(
        id=row["_id"],
        kind=row["kind"],
        to=row["to"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        attempt=row.get("attempt", 0),
        last_error=row.get("last_error"),
    )

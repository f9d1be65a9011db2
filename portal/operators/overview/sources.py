"""The sources of needs. Each costs one read of an index that has only what may need somebody, or of
what was looked at in the background, whose age it tells."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from humanize import naturaldelta
from mongoengine import Document

from portal import clock
from portal.bidi import isolated
from portal.database import periodic
from portal.database.periodic import NEVER, Record, Task
from portal.database.together import Part, Read, Rows, Stages, joined, read
from portal.documents.doctor import (
    EXAMINATION,
    EXAMINED_EVERY_SECONDS,
    MOST_KEPT,
    ExaminedCheck,
)
from portal.documents.jobs import Job, JobState
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import OperationKind, Organization
from portal.documents.restrictions import Hold
from portal.jobs.progress import standstill_of
from portal.mail import outbox
from portal.mail.reasons import in_a_sentence
from portal.operators.listing.feeding import reading_lag
from portal.operators.overview import census, clusters, runners
from portal.operators.overview.clusters import ClusterState
from portal.operators.overview.needs import TOLD_OF_EACH, Need, Needs, Source, Way, source_of
from portal.operators.overview.runners import Runners
from portal.organizations.lifecycle.retrying import why_it_stays
from portal.organizations.usage import rolling
from portal.placement import capacity, policies
from portal.web.counting import counted

LONG = timedelta(seconds=60)
MANY_ATTEMPTS = 3
STILL = timedelta(minutes=10)
"""The standstill of a job that needs somebody: some of its steps take minutes."""
SOON = timedelta(days=2)
LATELY = timedelta(days=7)
_MOST = 1000
_PAGE = ".show_operations"
_COPIED = (MoveState.COPYING, MoveState.VERIFYING)
# Of a run of many moves it switches them.
_WAITS_FOR_SWITCH = {
    "state": MoveState.READY,
    **dict.fromkeys(("switch_wanted", "switch_at", "switch_in_hours", "paused", "drain")),
}
# Of a job, without its parameters and result, which may be large.
_STANDING = dict.fromkeys(
    (
        *("title", "kind", "organization", "created_at", "due_at"),
        *("attempt", "attempts_before", "last_error", "progress"),
    ),
    1,
)
_TOLD_ELSEWHERE = (
    "stuck_operation",
    "stuck_move",
    "waiting_mails",
    "full_cluster",
    "silent_cluster",
)

# What the doctor found that no other source tells of, by kind.
_BY_KIND: Stages = [
    {"$match": {"number": {"$gt": 0}}},
    {"$unwind": "$findings"},
    {"$replaceWith": "$findings"},
    {"$match": {"harmless": None, "kind": {"$nin": _TOLD_ELSEWHERE}}},
    {
        "$group": {
            "_id": "$kind",
            "number": {"$sum": 1},
            "title": {"$first": "$title"},
            "subject": {"$first": "$subject"},
            "words": {"$first": "$words"},
        }
    },
    {"$sort": {"number": -1, "_id": 1}},
]

NOUNS: dict[str, str] = {
    OperationKind.CREATE: "Sign-up",
    OperationKind.RENAME: "Rename",
    OperationKind.TRASH: "Deletion",
    OperationKind.RESTORE: "Restore",
    OperationKind.PURGE: "Purge",
    OperationKind.REPAIR: "Repair",
    OperationKind.MOVE: "Move",
    OperationKind.RESTRICT: "Suspension",
}
"""Each kind of operation as a noun."""


def noun_of(organization: Organization) -> str:
    """The organization's operation as a noun."""
    operation = organization.operation
    lifts = operation.restricted != organization.restricted  # which the intent to suspend writes
    if operation.kind == OperationKind.RESTRICT and lifts:
        return "Lifting of a suspension"
    return NOUNS.get(operation.kind, "Change")


@dataclass(frozen=True, slots=True)
class Looked:
    """All that was looked at for the console's first page."""

    needs: Needs
    clusters: list[ClusterState]
    runners: Runners


def look() -> Looked:
    """Look at every source."""
    return read(looking())


def looking() -> Part[Looked]:
    """Looks at every source, at all at once that are in master data."""
    at = clock.now()
    records, trends, policy, processes, *found = yield from joined(
        periodic.reading_records(),
        capacity.reading_trends(),
        policies.reading_policy(),
        runners.looking(),
        operations(at),
        moves(at),
        jobs(at),
        holds(at),
        mails(at),
        checks(),
        listing(at),
    )
    operating, moving, working, holding, mailing, checked, listed = found
    capacity_record = records.get(capacity.TASK.name, NEVER)
    states = clusters.states(capacity_record, trends, policy)
    sources = (
        operating,
        moving,
        working,
        clusters.source(at, capacity_record, states),
        runners.source(at, processes),
        holding,
        mailing,
        doctor(at, records.get(EXAMINATION, NEVER), *checked),
        listed,
        background("usage", "Use of organizations", rolling.TASK, records, at),
        background("figures", "Figures by day", census.TASK, records, at),
    )
    return Looked(Needs(at, sources), states, processes)


def operations(at: datetime) -> Part[Source]:
    """Lifecycle operations that failed repeatedly, or run for longer than they should."""
    failing = {
        "operation.last_error": {"$exists": True},
        "operation.attempt": {"$gte": MANY_ATTEMPTS},
    }
    late = {
        "operation.lease_until": {"$exists": True},  # the partial index
        "$or": [failing, {"operation.started_at": {"$lt": at - LONG}}],
    }
    shown = {"name": 1, "placement": 1, "operation": 1, "restricted": 1}
    rows, more = yield from _some(Organization, late, {"operation.lease_until": 1}, shown)
    needs = [_operation(row, at) for row in rows]
    return source_of("operations", "Operations", needs, at, more=more, page=_PAGE)


def moves(at: datetime) -> Part[Source]:
    """Moves that stand still, or wait for a person; ways back that end soon."""
    amiss = {
        "open": True,
        "$or": [
            {"state": MoveState.REQUESTED},
            _WAITS_FOR_SWITCH,
            {"last_error": {"$exists": True}},
            {"until": {"$lt": at + SOON}},
            {"due_at": {"$lt": at - LONG}, "paused": None},
            {"state": {"$in": _COPIED}, "progress.moved_at": {"$lt": at - LONG}, "paused": None},
        ],
    }
    rows, more = yield from _some(Move, amiss, {"state": 1, "_id": 1})
    needs = [_move(Move._from_son(row), at) for row in rows]
    return source_of("moves", "Moves and ways back", needs, at, more=more, page=_PAGE)


def jobs(at: datetime) -> Part[Source]:
    """Operators' jobs that failed lately, and anybody's that don't get on."""
    failed = {"state": JobState.FAILED, "organization": None, "ended_at": {"$gt": at - LATELY}}
    still = {
        "due_at": {"$exists": True},  # the partial index
        "state": JobState.RUNNING,
        "created_at": {"$lt": at - STILL},
        "progress.moved_at": {"$not": {"$gt": at - STILL}},
        "$or": [  # it has run for as long, or is only tried
            {"progress.since": {"$not": {"$gt": at - STILL}}},
            {"last_error": {"$exists": True}},
        ],
        "$nor": [{"waits": True, "due_at": {"$gt": at - STILL}}],
    }
    [rows, more_failed], [standing, more_standing] = yield from joined(
        _some(Job, failed, {"ended_at": -1}, {"title": 1, "reason": 1}),
        _some(Job, still, {"created_at": 1}, _STANDING),
    )
    ways = (Way("Jobs", _PAGE),)
    needs = [Need(f"{row['title']} failed", row.get("reason", ""), True, ways) for row in rows]
    needs += [_standing(Job._from_son(row), at) for row in standing]
    more = more_failed + more_standing
    return source_of("jobs", "Jobs", needs, at, more=more, page=_PAGE)


def _standing(job: Job, at: datetime) -> Need:
    since = naturaldelta(at - (job.progress.moved_at or job.created_at))
    why = standstill_of(job, at) or "it has only just begun again"
    ways = [Way("Jobs", _PAGE)]
    if job.organization:
        of = {"organization_id": job.organization}
        ways.append(Way("Organization", "operator_organizations.show", of))
    return Need(
        f"{job.title} hasn’t moved for {since}", f"{why[:1].upper()}{why[1:]}.", ways=tuple(ways)
    )


def holds(at: datetime) -> Part[Source]:
    """Legal holds that somebody wanted to look at again by now."""
    told, more = yield from _some(Hold, {"open": True, "until": {"$lte": at}}, {"until": 1})
    ids = [hold["organization"] for hold in told]
    names = dict(Organization.objects(id__in=ids).scalar("id", "name")) if ids else {}
    needs = [
        Need(
            f"The hold on {isolated(names.get(hold['organization'], ''))} is to be looked at again",
            f"“{hold['reason']}”, since {hold['at']:%Y-%m-%d}. "
            "It goes on until somebody releases it.",
            ways=(
                Way(
                    "Restrictions",
                    "operator_restrictions.show",
                    {"organization_id": hold["organization"]},
                ),
            ),
        )
        for hold in told
    ]
    return source_of("holds", "Legal holds", needs, at, more=more)


def mails(at: datetime) -> Part[Source]:
    """Mails that don't leave."""
    backlog = yield from outbox.reading_backlog()
    if backlog is None:
        return source_of("mails", "Mail", [], at)
    need = Need(
        f"{counted(backlog.number, 'e-mail')} can’t leave",
        f"The oldest waits for {naturaldelta(at - backlog.since)}. "
        f"{in_a_sentence(backlog.last_error)}",
        ways=(Way("Outbox", ".show_outbox"),),
    )
    return source_of("mails", "Mail", [need], at)


def checks() -> Part[list[Rows]]:
    """Reads the doctor's checks, and what they found."""
    [checks] = yield [
        Read(ExaminedCheck, [{"$project": {"examined_at": 1, "error": 1, "number": 1}}])
    ]
    if not any(check.get("number") for check in checks):
        return [checks, []]
    [found] = yield [Read(ExaminedCheck, _BY_KIND)]
    return [checks, found]


def doctor(at: datetime, record: Record, checks: Rows, found: Rows) -> Source:
    """The findings of the doctor's last examination, by kind."""
    needs = [_finding(row) for row in found]
    errors = (f"{check['_id']}: {check['error']}" for check in checks if check.get("error"))
    broken = next(errors, None)
    late = record.trouble(EXAMINED_EVERY_SECONDS, at)
    examined = [check["examined_at"] for check in checks if check.get("examined_at")]
    since = min(examined) if examined and len(examined) == len(checks) else None
    return source_of("doctor", "Doctor", needs, since, trouble=late or broken)


def listing(at: datetime) -> Part[Source]:
    """The list of organizations, where it stays behind."""
    lag = timedelta(seconds=(yield from reading_lag()))
    needs = []
    if lag > LONG:
        words = f"What was changed in the last {naturaldelta(lag)} may not be found there."
        ways = (Way("Organizations", "operator_listing.show"),)
        needs.append(Need("The list of organizations is behind", words, failed=True, ways=ways))
    return source_of("listing", "List of organizations", needs, at)


def background(
    name: str, title: str, task: Task, records: dict[str, Record], at: datetime
) -> Source:
    """Work in the background whose result other pages show: it needs somebody if it isn't done."""
    record = records.get(task.name, NEVER)
    return source_of(
        name, title, [], record.done_at, trouble=record.trouble(task.every_seconds, at)
    )


def _operation(row: dict[str, Any], at: datetime) -> Need:
    organization = Organization._from_son(row)
    operation, kind = organization.operation, noun_of(organization)
    stays = why_it_stays(organization)
    ids = {"organization_id": organization.id, "operation_id": operation.id}
    retry = Way("Try again", ".retry_operation", ids, posts=True)
    undo = Way(f"Undo {kind.lower()}", ".undo_operation", ids, posts=True)
    shown = Way("Organization", "operator_organizations.show", {"organization_id": organization.id})
    ways = (shown, retry) if stays else (shown, retry, undo)
    noun, ran = f"{kind} of {isolated(organization.name)}", naturaldelta(at - operation.started_at)
    end = f" It can’t be undone: {stays}." if stays else ""
    if error := operation.last_error:
        due = operation.lease_until - at
        on = f"Next try in {naturaldelta(due)}." if due > timedelta() else "It is tried again now."
        words = f"Begun {ran} ago. {error}. {on}{end}"
        times = counted(operation.attempt, "time")
        return Need(f"{noun} failed {times}", words, True, ways)
    words = f"It takes less than a minute as a rule.{end}"
    return Need(f"{noun} has run for {ran}", words, ways=ways)


def _move(move: Move, at: datetime) -> Need:
    noun = f"{'Way back' if move.way_back_of else 'Move'} of {isolated(move.slug)}"
    title, words, failed = _state_of_move(move, at)
    ways = (Way("Move", "operator_moves.show", {"organization_id": move.organization}),)
    return Need(f"{noun} {title}", words, failed, ways)


def _state_of_move(move: Move, at: datetime) -> tuple[str, str, bool]:
    """How it is, in words, and whether that is a failure."""
    if move.state == MoveState.REQUESTED:
        return "waits for a decision", "An owner asked for it.", False
    if move.last_error:
        tried = "It stopped" if move.paused else "It is tried again"
        return "doesn’t get on", f"{tried}, after {move.last_error}.", True
    if move.until and move.until - at < SOON:
        left = naturaldelta(max(move.until - at, timedelta()))
        return f"ends in {left}", "From then on nobody can go back.", False
    if move.state == MoveState.READY and move.waits_for:
        return "did not switch", f"It waits for {move.waits_for}, and then for you.", True
    if move.state == MoveState.READY:
        return "is ready, and waits for you", "It switches when an operator says so.", False
    since = naturaldelta(at - (move.progress.moved_at or move.due_at))
    return "doesn’t get on", f"Nothing has happened for {since}.", True


def _some(
    document: type[Document],
    wanted: dict[str, Any],
    order: dict[str, int],
    shown: dict[str, int] | None = None,
) -> Part[tuple[Rows, int]]:
    """The first of them that are told, and how many more there are."""
    first: Stages = [{"$match": wanted}, {"$sort": order}, {"$limit": TOLD_OF_EACH}]
    [rows] = yield [Read(document, [*first, {"$project": shown}] if shown else first)]
    if len(rows) < TOLD_OF_EACH:
        return rows, 0
    counted: Stages = [{"$match": wanted}, {"$limit": _MOST}, {"$count": "number"}]
    [numbers] = yield [Read(document, counted)]
    return rows, max([0, *(row["number"] - len(rows) for row in numbers)])


def _finding(row: dict[str, Any]) -> Need:
    most = "+" if row["number"] >= MOST_KEPT else ""
    words = f"{row['number']}{most}, such as {row['subject']}: {row['words']}"
    return Need(row["title"], words, ways=(Way("Findings", ".show_findings"),))

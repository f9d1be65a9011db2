"""Read models of actions on many organizations: how far one is, and what became of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from portal.database.paging import Page, keyset_stages, page_from
from portal.documents.bulk_actions import BulkAction, BulkItem, BulkOutcome, BulkState
from portal.documents.jobs import Job
from portal.jobs.progress import ShownJob, shown_job
from portal.operators.bulk.carrying_out import outcomes_of
from portal.operators.bulk.kinds import BulkKind, kind_named
from portal.web.counting import counted
from portal.web.csv_lines import BYTE_ORDER_MARK, csv_lines
from portal.web.streaming import File, Row, streamed

RESULTS_PER_PAGE = 50
_COLUMNS = ("organization", "slug", "name", "outcome", "reason", "at")


@dataclass(frozen=True, slots=True)
class ShownBulk:
    """An action as its page shows it. ``job`` counts or carries out; ``fitting`` is the number of
    organizations in a state that the action is for, ``minutes`` how long it takes."""

    bulk: BulkAction
    kind: BulkKind
    job: ShownJob | None
    ran: Job | None
    outcomes: dict[str, int]
    fitting: int

    @property
    def title(self) -> str:
        """The action in a phrase."""
        return f"{self.kind.words}: {counted(self.bulk.total, 'organization')}"

    @property
    def minutes(self) -> int:
        """The least number of minutes that it takes."""
        return -(-self.bulk.total // self.bulk.per_minute)

    @property
    def left_over(self) -> int:
        """The number of organizations that it was not done to, once it has ended."""
        ended = self.bulk.state == BulkState.STARTED and not (self.ran and self.ran.open)
        return self.bulk.total - self.outcomes[BulkOutcome.DONE] if ended else 0

    @property
    def beside(self) -> list[tuple[str, int]]:
        """The states of organizations that the action is not for, with their numbers."""
        return [(_WORDS[state], n) for state, n in _beside(self.bulk, self.kind)]

    def as_told(self) -> dict[str, Any]:
        """The action for programs."""
        bulk = self.bulk
        names = ("id", "action", "words", "state", "per_minute", "total", "measured")
        return {
            **{name: bulk[name] for name in names},
            "arguments": dict(bulk.arguments),
            "retries": bulk.retries,
            "documents": bulk.documents,
            "bytes": bulk.bytes,
            "members": bulk.members,
            "mails": bulk.owners if self.kind.mails else 0,
            "fitting": self.fitting,
            "job_state": self.ran.state if self.ran else None,
            "outcomes": self.outcomes,
            "created_at": bulk.created_at,
        }


_WORDS = {
    "active": "active",
    "trashed": "in the trash",
    "held": "under a legal hold",
    "changing": "being changed just now",
}


def shown_bulk(bulk: BulkAction) -> ShownBulk:
    """The action as it is now."""
    kind = kind_named(bulk.action)
    job = Job.objects(id=bulk.job or bulk.counting).first() if bulk.job or bulk.counting else None
    outcomes = outcomes_of(bulk)
    beside = sum(number for _, number in _beside(bulk, kind))
    return ShownBulk(
        bulk=bulk,
        kind=kind,
        job=shown_job(job, _title_of(bulk, job, outcomes)) if job else None,
        ran=job if bulk.job else None,
        outcomes=outcomes,
        fitting=bulk.total - beside,
    )


def latest_bulks(most: int) -> list[BulkAction]:
    """The actions, newest first."""
    return list(BulkAction.objects.order_by("-id").limit(most))


def results_of(
    bulk_id: ObjectId,
    *,
    outcome: str | None = None,
    before: int | None = None,
    after: int | None = None,
) -> Page:
    """A page of what became of each organization, in the order of the choice."""
    keys: dict[str, Any] = {"size": RESULTS_PER_PAGE, "before": before, "after": after}
    match = {"bulk": bulk_id, **({"outcome": outcome} if outcome in list(BulkOutcome) else {})}
    rows = BulkItem._get_collection().aggregate(
        [{"$match": match}, *keyset_stages("number", **keys)]
    )
    return page_from(list(rows), key="number", **keys)


def results_as_csv(bulk: BulkAction, request_id: str) -> Iterator[str]:
    """The result of each organization as CSV, in which no spreadsheet reads a cell as a
    formula."""

    def read(last: Row | None, most: int) -> list[Row]:
        after = last["number"] if last else -1
        found = BulkItem._get_collection().find({"bulk": bulk.id, "number": {"$gt": after}})
        return list(found.sort("number", 1).limit(most))

    def render(page: Iterable[Row]) -> str:
        return csv_lines([_cell(row.get(name)) for name in _COLUMNS] for row in page)

    header = BYTE_ORDER_MARK + csv_lines([_COLUMNS])
    context = {"request_id": request_id}
    return streamed(File("bulk", lambda: header, read, render, "", log_context=context))


def _beside(bulk: BulkAction, kind: BulkKind) -> list[tuple[str, int]]:
    fits = {*kind.states, *(() if kind.name == "purge" else ("held",))}
    return [(state, number) for state, number in bulk.states.items() if state not in fits]


def _title_of(bulk: BulkAction, job: Job | None, outcomes: dict[str, int]) -> str:
    if bulk.job is None:
        return f"Counting, {job.progress.done if job else 0:,} so far"
    finished = bulk.total - outcomes[BulkOutcome.WAITING]
    failed = outcomes[BulkOutcome.FAILED]
    told = f", {failed:,} of them refused" if failed else ""
    return f"{kind_named(bulk.action).words}: {finished:,} of {bulk.total:,} organizations{told}"


def _cell(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else value

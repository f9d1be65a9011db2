"""The sources of needs, each by one read of an index that has only what may need somebody."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from humanize import naturaldelta

from portal import clock
from portal.bidi import isolated
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import OperationKind, Organization
from portal.mail import outbox
from portal.operators.overview.needs import Need, Needs, Source
from portal.organizations.moving.explaining import describe, progress_of
from portal.web.counting import counted

TOLD_OF_EACH = 5
MOST_COUNTED = 1000
LONG = timedelta(seconds=60)
MANY_ATTEMPTS = 3
SOON = timedelta(days=2)

NOUNS = {
    OperationKind.CREATE: "Sign-up",
    OperationKind.RENAME: "Rename",
    OperationKind.TRASH: "Deletion",
    OperationKind.RESTORE: "Restore",
    OperationKind.PURGE: "Purge",
    OperationKind.REPAIR: "Repair",
    OperationKind.MOVE: "Move",
}
"""What an operation is, as a noun."""


def look() -> Needs:
    """Look at every source."""
    at = clock.now()
    return Needs(at, tuple(source(at) for source in SOURCES))


def operations(at: datetime) -> Source:
    """Lifecycle operations that failed repeatedly, or run for longer than they should."""
    late = {
        "operation.lease_until": {"$exists": True},  # the partial index
        "$or": [
            {
                "operation.last_error": {"$exists": True},
                "operation.attempt": {"$gte": MANY_ATTEMPTS},
            },
            {"operation.started_at": {"$lt": at - LONG}},
        ],
    }
    found = Organization._get_collection()
    rows = found.find(late, {"name": 1, "operation": 1}).sort("operation.lease_until", 1)
    told = tuple(_operation(row, at) for row in rows.limit(TOLD_OF_EACH))
    more = found.count_documents(late, limit=MOST_COUNTED) - len(told) if told else 0
    return Source("operations", "Lifecycle operations", told, at, more=max(more, 0))


def moves(at: datetime) -> Source:
    """Moves that stand still, or wait for a person; ways back that end soon."""
    needs = list(_of_moves(at))
    return Source(
        "moves",
        "Moves and ways back",
        tuple(needs[:TOLD_OF_EACH]),
        at,
        more=max(len(needs) - TOLD_OF_EACH, 0),
    )


def mails(at: datetime) -> Source:
    """Mails that don't leave."""
    backlog = outbox.backlog()
    if backlog is None:
        return Source("mails", "Mails", (), at)
    since = naturaldelta(at - backlog.since)
    need = Need(
        f"{counted(backlog.number, 'e-mail')} can’t leave",
        f"The oldest waits for {since}. Last reason: {backlog.last_error}",
    )
    return Source("mails", "Mails", (need,), at)


SOURCES: tuple[Callable[[datetime], Source], ...] = (operations, moves, mails)


def _operation(row: dict, at: datetime) -> Need:
    operation = row["operation"]
    noun = f"{NOUNS.get(operation['kind'], 'Change')} of {isolated(row['name'])}"
    ran = naturaldelta(at - operation["started_at"])
    if error := operation.get("last_error"):
        due = operation["lease_until"] - at
        on = f"Next try in {naturaldelta(due)}." if due > timedelta() else "It is tried again now."
        times = counted(operation["attempt"], "time")
        return Need(f"{noun} failed {times}", f"Begun {ran} ago. {error}. {on}", failed=True)
    return Need(f"{noun} has run for {ran}", "It takes less than a minute as a rule.")


def _of_moves(at: datetime) -> Iterator[Need]:
    for move in Move.objects(open=True).order_by("id").limit(MOST_COUNTED):
        noun = f"{'Way back' if move.way_back_of else 'Move'} of {isolated(move.slug)}"
        if move.state == MoveState.REQUESTED:
            yield Need(f"{noun} waits for a decision", "An owner asked for it.")
        elif move.last_error or progress_of(move).standstill:
            yield Need(f"{noun} doesn’t get on", describe(move), failed=True)
        elif move.until and move.until - at < SOON:
            yield Need(
                f"{noun} ends in {naturaldelta(max(move.until - at, timedelta()))}",
                "Then nobody can go back any more.",
            )

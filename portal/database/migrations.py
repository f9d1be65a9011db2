"""Migrations of master data, from the shape that earlier versions stored to this version's.

They run once, in order of their numbers, in whichever portal starts first; the others wait. One
document records the last number, and the current holder with its lease, by the server's clock. It
is written after a migration, so every migration is idempotent: the next holder restarts one whose
holder died. An older version may still be running and writing documents of its own shape, so a
migration leaves alone what both can read.

Migrations spell out names and values that are constants elsewhere: those describe the past.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database

from portal.database.errors import MigrationFailed, MigrationRunning
from portal.database.leases import is_past, seconds_from_now

log = structlog.get_logger()

# Longer than the time limit of a command, so only a holder that died or hung loses it.
LEASE_SECONDS = 30
WAIT_SECONDS = 3
_POLL_SECONDS = 0.1
AT_ONCE = 1000

_RECORD = {"_id": "master data"}
_LEASE = seconds_from_now(LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of master data. ``change`` is idempotent; each ``yield`` renews the lease."""

    number: int
    title: str
    change: Callable[[Database], Iterator[None]]


class _LeaseLost(Exception):
    """Another portal took the lease over, since this one hung."""


def _give_sessions_a_kind(master: Database) -> Iterator[None]:
    # One command: where it times out, what it changed stays changed.
    without = {"kind": {"$exists": False}}
    master["sessions"].update_many(without, {"$set": {"kind": "browser"}})
    yield


def _give_sessions_a_public_id(master: Database) -> Iterator[None]:
    sessions, without = master["sessions"], {"public_id": {"$exists": False}}
    while found := list(sessions.find(without, {"_id": 1}, limit=AT_ONCE)):
        sessions.bulk_write(
            [UpdateOne({**one, **without}, {"$set": {"public_id": ObjectId()}}) for one in found],
            ordered=False,
        )
        yield


def _have_owners_warned(master: Database) -> Iterator[None]:
    three_days = {"startDate": "$purge_at", "unit": "day", "amount": 3}
    master["organizations"].update_many(
        {"state": "trashed", "warn_at": {"$exists": False}, "purge_at": {"$exists": True}},
        [{"$set": {"warn_at": {"$dateSubtract": three_days}}}],
    )
    yield


MIGRATIONS = (
    Migration(1, "sessions have a kind; those without are browsers'", _give_sessions_a_kind),
    Migration(2, "sessions have an id that may be shown", _give_sessions_a_public_id),
    Migration(3, "owners are warned before a purge", _have_owners_warned),
)


def run_migrations(master: Database, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Return once all ``migrations`` have run, here or in another portal.

    One small read where there is nothing to do. Data of a newer version is served as it is:
    documents ignore unknown fields. Raises MigrationRunning where another portal is still running
    them after WAIT_SECONDS; MigrationFailed where one failed, which the next call retries;
    PyMongoError where MongoDB can't be used.
    """
    newest = migrations[-1].number
    reached = _reached(master)
    if reached > newest:
        log.warning("migrations.data_is_newer", data=reached, portal=newest)
    if reached < newest:
        _catch_up(master, migrations)


def _catch_up(master: Database, migrations: tuple[Migration, ...]) -> None:
    _records(master).update_one(_RECORD, {"$setOnInsert": {"number": 0}}, upsert=True)
    deadline = time.monotonic() + WAIT_SECONDS
    while (reached := _reached(master)) < migrations[-1].number:
        if lock := _take_lock(master):
            _run_pending(master, migrations, lock)
        elif time.monotonic() > deadline:
            raise MigrationRunning(reached + 1)
        else:
            time.sleep(_POLL_SECONDS)


def _run_pending(master: Database, migrations: tuple[Migration, ...], lock: dict[str, Any]) -> None:
    holder = lock["holder"]
    try:
        for migration in migrations:
            if migration.number > lock["number"]:
                _run(master, migration, holder)
        _release(master, holder)
    except _LeaseLost:
        log.warning("migrations.overtaken")


def _run(master: Database, migration: Migration, holder: ObjectId) -> None:
    started = time.monotonic()
    try:
        for _ in migration.change(master):
            _write(master, holder, {"lease_until": _LEASE})
        _write(master, holder, {"number": migration.number, "at": "$$NOW", "lease_until": _LEASE})
    except _LeaseLost:
        raise
    except Exception as error:
        log.exception("migration.failed", number=migration.number, title=migration.title)
        _release(master, holder)  # where MongoDB is unavailable this raises; the lease runs out
        raise MigrationFailed(migration.number, migration.title) from error
    seconds = round(time.monotonic() - started, 3)
    log.info("migration.done", number=migration.number, title=migration.title, seconds=seconds)


def _take_lock(master: Database) -> dict[str, Any] | None:
    """The record with a new holder; ``None`` while another's lease runs."""
    free = {"$or": [{"holder": None}, is_past("lease_until")]}
    return _records(master).find_one_and_update(
        {**_RECORD, **free},
        [{"$set": {"holder": ObjectId(), "lease_until": _LEASE}}],
        return_document=ReturnDocument.AFTER,
    )


def _write(master: Database, holder: ObjectId, changes: dict[str, Any]) -> None:
    ours = _records(master).update_one({**_RECORD, "holder": holder}, [{"$set": changes}])
    if not ours.matched_count:
        raise _LeaseLost


def _release(master: Database, holder: ObjectId) -> None:
    _records(master).update_one(
        {**_RECORD, "holder": holder}, {"$unset": {"holder": 1, "lease_until": 1}}
    )


def _reached(master: Database) -> int:
    record = _records(master).find_one(_RECORD, {"number": 1})
    return record["number"] if record else 0


def _records(master: Database) -> Any:
    return master["migrations"]

"""Migrations of master data, from the shape that earlier versions stored to this version's.

They run once, in order of their numbers, in whichever portal starts first; the others wait. One
document records the last number, and the current holder with its lease, by the server's clock. It
is written after a migration, so every migration is idempotent: the next holder restarts one whose
holder died.
An older version may still be running and writing documents of its own shape. So a migration leaves
what both can read; the code that reads takes either shape; and ``repeat_migrations`` carries each
change out again (``rolling_upgrades.py`` says until when). A later version may take the older shape
out of the code once ``flask migrate status`` counts none.

Migrations spell out names and values that are constants elsewhere: those describe the past.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
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
class Older:
    """The documents of an earlier shape: those of the ``collection`` that match the ``query``."""

    collection: str
    query: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of master data. ``change`` is idempotent; each ``yield`` renews the lease. It
    leaves none of the documents that ``older`` describes."""

    number: int
    title: str
    change: Callable[[Database], Iterator[None]]
    older: Older | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A migration's standing: when it ran, if that was recorded, and the number of documents of the
    earlier shape."""

    migration: Migration
    done: bool
    at: datetime | None
    older_documents: int


class _LeaseLost(Exception):
    """Another portal took the lease over, since this one hung."""


_SESSIONS_WITHOUT_KIND = Older("sessions", {"kind": {"$exists": False}})
_SESSIONS_WITHOUT_PUBLIC_ID = Older("sessions", {"public_id": {"$exists": False}})
_TRASHED_WITHOUT_WARNING = Older(
    "organizations",
    {
        "state": "trashed",
        "warn_at": {"$exists": False},
        "purge_at": {"$exists": True},
        # Those whose owners were warned have none either.
        "$expr": {"$ne": ["$warned_of", "$purge_at"]},
    },
)
_ACCOUNTS_WITHOUT_DOMAIN = Older(
    "accounts", {"email_by_domain": {"$exists": False}, "closed_at": {"$exists": False}}
)


def _give_sessions_a_kind(master: Database) -> Iterator[None]:
    # One command: where it times out, what it changed stays changed.
    without = _SESSIONS_WITHOUT_KIND.query
    master["sessions"].update_many(without, {"$set": {"kind": "browser"}})
    yield


def _give_sessions_a_public_id(master: Database) -> Iterator[None]:
    sessions, without = master["sessions"], _SESSIONS_WITHOUT_PUBLIC_ID.query
    while found := list(sessions.find(without, {"_id": 1}, limit=AT_ONCE)):
        sessions.bulk_write(
            [UpdateOne({**one, **without}, {"$set": {"public_id": ObjectId()}}) for one in found],
            ordered=False,
        )
        yield


def _have_owners_warned(master: Database) -> Iterator[None]:
    three_days = {"startDate": "$purge_at", "unit": "day", "amount": 3}
    master["organizations"].update_many(
        _TRASHED_WITHOUT_WARNING.query,
        [{"$set": {"warn_at": {"$dateSubtract": three_days}}}],
    )
    yield


def _give_accounts_their_domain_first(master: Database) -> Iterator[None]:
    accounts, without = master["accounts"], _ACCOUNTS_WITHOUT_DOMAIN.query
    parts = {"$split": ["$email_key", "@"]}
    local = {"$slice": [parts, {"$subtract": [{"$size": parts}, 1]}]}
    joined = {
        "$reduce": {
            "input": local,
            "initialValue": {"$arrayElemAt": [parts, -1]},
            "in": {"$concat": ["$$value", "@", "$$this"]},
        }
    }
    # By _id, as the index on the field is made only afterwards.
    found = list(accounts.find(without, {"_id": 1}).sort("_id", 1).limit(AT_ONCE))
    while found:
        ids = [one["_id"] for one in found]
        accounts.update_many(
            {"_id": {"$in": ids}, **without}, [{"$set": {"email_by_domain": joined}}]
        )
        yield
        further = accounts.find({"_id": {"$gt": ids[-1]}, **without}, {"_id": 1})
        found = list(further.sort("_id", 1).limit(AT_ONCE))


MIGRATIONS = (
    Migration(
        1,
        "sessions have a kind; those without are browsers'",
        _give_sessions_a_kind,
        _SESSIONS_WITHOUT_KIND,
    ),
    Migration(
        2,
        "sessions have an id that may be shown",
        _give_sessions_a_public_id,
        _SESSIONS_WITHOUT_PUBLIC_ID,
    ),
    Migration(3, "owners are warned before a purge", _have_owners_warned, _TRASHED_WITHOUT_WARNING),
    Migration(
        4,
        "accounts are found by the domain of their address",
        _give_accounts_their_domain_first,
        _ACCOUNTS_WITHOUT_DOMAIN,
    ),
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


def repeat_migrations(
    master: Database, migrations: tuple[Migration, ...] = MIGRATIONS
) -> tuple[int, ...]:
    """Bring documents to this version's shape that an earlier version wrote since the migrations;
    the numbers of those that were needed. Raises PyMongoError."""
    needed = [migration for migration in migrations if _find_older(master, migration)]
    for migration in needed:
        for _ in migration.change(master):
            pass
        log.warning("migration.repeated", number=migration.number, title=migration.title)
    return tuple(migration.number for migration in needed)


def read_standings(
    master: Database, migrations: tuple[Migration, ...] = MIGRATIONS
) -> Iterator[Standing]:
    """Yield the standing of each of the ``migrations``. Changes nothing."""
    record = _records(master).find_one(_RECORD) or {"number": 0}
    for migration in migrations:
        older = migration.older
        yield Standing(
            migration,
            done=migration.number <= record["number"],
            at=record.get("ran", {}).get(str(migration.number)),
            older_documents=master[older.collection].count_documents(older.query) if older else 0,
        )


def _find_older(master: Database, migration: Migration) -> dict[str, Any] | None:
    older = migration.older
    return master[older.collection].find_one(older.query, {"_id": 1}) if older else None


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
        ran = {"at": "$$NOW", f"ran.{migration.number}": "$$NOW"}
        _write(master, holder, {"number": migration.number, **ran, "lease_until": _LEASE})
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

"""Idempotency keys of documents' writes travel to another cluster, so that a write that is sent
again after a move is still done once.

What was changed since the last time is copied, in batches that each are one transaction with the
move's token: who was overtaken copies nothing over what is newer. That time is the source's own: a
record that came from another cluster has one of that cluster's clock.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from portal.database.connection import server_time
from portal.database.transactions import TRANSACTION_SECONDS
from portal.database.write_records import COLLECTION, prepare_records
from portal.organizations.moving.tokens import write_rows
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.parts import Part, Phase, Sides
from portal.tenants.moving.places import Place
from portal.tenants.moving.writing import TOKENS

BATCH = 500
# A record is changed in a transaction, and seen once that is committed.
LATE = timedelta(seconds=2 * TRANSACTION_SECONDS)

# Versions that wrote ``records_until`` took it from records, whichever clock that was of.
_READ_AT = "records_read_at"
# By which one is known to be the same: all that changes in it.
_TOLD = {"changed": 1, "batch": "$progress.batch", "answered": {"$type": "$answer"}}


def copy_records(
    source: Place,
    target: Place,
    move: ObjectId,
    attempt: int,
    meanwhile: Callable[[], object] = lambda: None,
) -> int:
    """Copy the organization's records that were changed since the last call for this ``move``; how
    many there were. Nothing within one cluster. ``meanwhile`` is called after each batch. Raises
    Overtaken."""
    if not _is_elsewhere(source, target):
        return 0
    for place in (source, target):
        prepare_records(place.internal)
    read_at = server_time(source.database.client)
    copied = _copy_changed(source, target, move, attempt, meanwhile)
    mine = {"_id": move, "attempt": attempt}
    target.internal[TOKENS].update_one(mine, {"$set": {_READ_AT: read_at}})
    return copied


def _copy_changed(
    source: Place,
    target: Place,
    move: ObjectId,
    attempt: int,
    meanwhile: Callable[[], object] = lambda: None,
) -> int:
    """The same, from the end of the last ``copy_records`` on."""
    mine = {"_id": move, "attempt": attempt}
    token = target.internal[TOKENS].find_one(mine)
    if token is None:
        raise Overtaken(move, attempt)
    copied = 0
    for rows in _batches(_changed_since(source, token.get(_READ_AT))):
        missing = _missing(target, rows)
        documents = _records(source, RawBSONDocument).find({"_id": {"$in": missing}})
        writes = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents]
        write_rows(target, _records(target, RawBSONDocument), writes, mine)
        copied += len(writes)
        meanwhile()
    return copied


def missing_records(source: Place, target: Place) -> int:
    """The number of the organization's records at the source that aren't at the target as well."""
    if not _is_elsewhere(source, target):
        return 0
    return sum(len(_missing(target, rows)) for rows in _batches(_changed_since(source, None)))


def _copy(sides: Sides) -> None:
    copy_records(sides.source, sides.target, sides.move, sides.attempt, sides.meanwhile)


def _copy_rest(sides: Sides) -> None:
    if _is_elsewhere(sides.source, sides.target):
        _copy_changed(sides.source, sides.target, sides.move, sides.attempt)


def _check(sides: Sides) -> list[str]:
    missing = missing_records(sides.source, sides.target)
    return [f"{missing} idempotency records"] if missing else []


WRITE_RECORDS: Part[Sides] = Part(
    "idempotency records", {Phase.BEFORE_READY: _copy, Phase.AFTER_FENCE: _copy_rest}, _check
)
"""Idempotency keys of documents' writes, of the last 24 hours."""


def _is_elsewhere(source: Place, target: Place) -> bool:
    return source.internal != target.internal


def _records(place: Place, document_class: type = dict) -> Collection[Any]:
    records = place.internal[COLLECTION]
    codec_options = records.codec_options.with_options(document_class=document_class)
    return records.with_options(codec_options, read_concern=ReadConcern("majority"))


def _changed_since(source: Place, until: datetime | None) -> Iterator[dict[str, Any]]:
    """The ids of the organization's records and when they were changed, in that order. Those of an
    earlier version, which doesn't write that, come first."""
    since: dict[str, Any] = {} if until is None else {"$not": {"$lt": until - LATE}}
    wanted = {"organization": source.organization, **({"changed": since} if since else {})}
    return iter(_records(source).find(wanted, _TOLD).sort("changed", 1))


def _missing(target: Place, rows: list[dict[str, Any]]) -> list[str]:
    """The ids of those that the target doesn't have like that."""
    wanted = {"_id": {"$in": [row["_id"] for row in rows]}}
    there = {row["_id"]: row for row in _records(target).find(wanted, _TOLD)}
    return [row["_id"] for row in rows if there.get(row["_id"]) != row]


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        yield batch

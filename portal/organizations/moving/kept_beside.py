"""Rows beside documents travel to another cluster with them: those of edits and their
before-images, files.

What was changed since the last time is copied, in batches that each are one transaction with the
move's token: who was overtaken copies nothing over what is newer. That time is the source's own: a
row that came from another cluster has one of that cluster's clock. What was deleted at the source
meanwhile is deleted at the target too, in such transactions; what expires does so at both.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, ReplaceOne
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from portal.database.connection import server_time
from portal.database.kept_beside import COLLECTIONS, FILE_CHUNKS, FILES, prepare
from portal.organizations.moving.tokens import write_rows
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.parts import Part, Phase, Sides
from portal.tenants.moving.places import Place
from portal.tenants.moving.writing import TOKENS

BATCH = 500
BATCH_BYTES = 8 * 1024 * 1024
# A row's time is what a transaction last heard of the server's, and it is seen at its commit.
LATE = timedelta(minutes=1)

# Versions that wrote ``edits_until`` and the like took it from rows, whichever clock that was of.
_READ_AT = "rows_read_at"
_TOLD = {"changed": 1, "rev": 1}
# Where persons delete rows. Those of edits only expire, and images that make room go with theirs.
_DELETED = (FILES, FILE_CHUNKS)


def copy_rows(
    source: Place,
    target: Place,
    move: ObjectId,
    attempt: int,
    meanwhile: Callable[[], object] = lambda: None,
) -> int:
    """Copy what is kept beside the organization's documents and was changed since the last call for
    this ``move``; how many rows that were. Nothing within one cluster. ``meanwhile`` is called
    after each batch. Raises Overtaken."""
    if source.internal == target.internal:
        return 0
    for place in (source, target):
        prepare(place.internal)
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
    """The same, from the end of the last ``copy_rows`` on."""
    mine = {"_id": move, "attempt": attempt}
    token = target.internal[TOKENS].find_one(mine)
    if token is None:
        raise Overtaken(move, attempt)
    copied = 0
    for name in COLLECTIONS:
        for told in _changed_since(source, name, token.get(_READ_AT)):
            for batch in _read(source, name, _missing(target, name, told)):
                writes: list[ReplaceOne[Any]] = [
                    ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in batch
                ]
                write_rows(target, _rows(target, name, raw=True), writes, mine)
                copied += len(writes)
                meanwhile()
    return copied


def delete_strays(
    source: Place,
    target: Place,
    move: ObjectId,
    attempt: int,
    meanwhile: Callable[[], object] = lambda: None,
    *,
    among: Sequence[str] = COLLECTIONS,
) -> int:
    """Delete the organization's rows at the target that the source has no more; how many.
    ``meanwhile`` is called after each batch. Raises Overtaken."""
    if source.internal == target.internal:
        return 0
    mine, deleted = {"_id": move, "attempt": attempt}, 0
    for name in among:
        there = _rows(target, name).find({"_id.o": target.organization}, {"_id": 1})
        while batch := [row["_id"] for row in islice(there, BATCH)]:
            found = _rows(source, name).find({"_id": {"$in": batch}}, {"_id": 1})
            kept = {_frozen(row["_id"]) for row in found}
            strays = [each for each in batch if _frozen(each) not in kept]
            if strays:
                gone = DeleteMany({"_id": {"$in": strays}})
                write_rows(target, _rows(target, name, raw=True), [gone], mine)
                deleted += len(strays)
            meanwhile()
    return deleted


def missing_rows(source: Place, target: Place) -> int:
    """The number of the organization's rows at the source that aren't at the target as well."""
    if source.internal == target.internal:
        return 0
    return sum(
        len(_missing(target, name, told))
        for name in COLLECTIONS
        for told in _changed_since(source, name, None)
    )


def _copy(sides: Sides) -> None:
    of_move = (sides.source, sides.target, sides.move, sides.attempt)
    copy_rows(*of_move, sides.meanwhile)
    delete_strays(*of_move, sides.meanwhile)


def _copy_rest(sides: Sides) -> None:
    if sides.source.internal == sides.target.internal:
        return
    of_move = (sides.source, sides.target, sides.move, sides.attempt)
    _copy_changed(*of_move)
    # The target has all that the source has. To compare ids takes longer than writers may wait.
    if deleted := [
        name for name in _DELETED if _count(sides.source, name) != _count(sides.target, name)
    ]:
        delete_strays(*of_move, among=deleted)


def _count(place: Place, name: str) -> int:
    return _rows(place, name).count_documents({"_id.o": place.organization})


def _check(sides: Sides) -> list[str]:
    missing = missing_rows(sides.source, sides.target)
    return [f"{missing} rows of edits and files"] if missing else []


KEPT_BESIDE: Part[Sides] = Part(
    "edits and files", {Phase.BEFORE_READY: _copy, Phase.AFTER_FENCE: _copy_rest}, _check
)
"""Edits of documents with their before-images, and files of imports and exports."""


def _rows(place: Place, name: str, *, raw: bool = False) -> Collection[Any]:
    rows = place.internal[name].with_options(read_concern=ReadConcern("majority"))
    if not raw:
        return rows
    options = rows.codec_options.with_options(document_class=RawBSONDocument)
    return rows.with_options(codec_options=options)


def _changed_since(
    source: Place, name: str, until: datetime | None
) -> Iterator[list[dict[str, Any]]]:
    """The ids of the organization's rows and when they were changed, in that order, in batches."""
    wanted: dict[str, Any] = {"_id.o": source.organization}
    if until is not None:
        wanted["changed"] = {"$gte": until - LATE}
    found = iter(_rows(source, name).find(wanted, _TOLD).sort("changed", 1))
    while batch := list(islice(found, BATCH)):
        yield batch


def _missing(target: Place, name: str, told: list[dict[str, Any]]) -> list[Any]:
    """The ids of those that the target doesn't have like that."""
    found = _rows(target, name).find({"_id": {"$in": [row["_id"] for row in told]}}, _TOLD)
    there = {_frozen(row["_id"]): row for row in found}
    return [row["_id"] for row in told if there.get(_frozen(row["_id"])) != row]


def _frozen(row_id: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row_id.items())


def _read(source: Place, name: str, ids: list[Any]) -> Iterator[list[RawBSONDocument]]:
    """The rows of these ids, as many at a time as one transaction writes."""
    batch: list[RawBSONDocument] = []
    size_bytes = 0
    for row in _rows(source, name, raw=True).find({"_id": {"$in": ids}}):
        if batch and size_bytes + len(row.raw) > BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(row)
        size_bytes += len(row.raw)
    if batch:
        yield batch

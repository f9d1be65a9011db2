"""Rows that the portal keeps beside documents travel to another cluster with them.

What was changed since the last time is copied, in batches that each are one transaction with the
move's token: who was overtaken copies nothing over what is newer. That time is the source's own: a
row that came from another cluster has one of that cluster's clock.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from portal.database.connection import server_time
from portal.organizations.moving.tokens import write_rows
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.parts import Sides
from portal.tenants.moving.places import Place
from portal.tenants.moving.writing import TOKENS

BATCH = 500
BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RowsBeside:
    """The rows in these ``collections``, with indexes that ``prepare`` makes. The field ``owner``
    says whose one is, the projection ``told`` what changes in it. One is seen ``late`` after its
    time at most; up to when they were copied stands in the field ``read_at`` of the move's token.
    """

    words: str
    collections: tuple[str, ...]
    owner: str
    told: Mapping[str, Any]
    late: timedelta
    read_at: str
    prepare: Callable[[Database], None]

    def copy(
        self,
        source: Place,
        target: Place,
        move: ObjectId,
        attempt: int,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> int:
        """Copy the organization's rows that were changed since the last call for this ``move``; how
        many there were. Nothing within one cluster. ``meanwhile`` is called after each batch.
        Raises Overtaken."""
        if source.internal == target.internal:
            return 0
        for place in (source, target):
            self.prepare(place.internal)
        read_at = server_time(source.database.client)
        copied = self._copy_changed(source, target, move, attempt, meanwhile)
        mine = {"_id": move, "attempt": attempt}
        target.internal[TOKENS].update_one(mine, {"$set": {self.read_at: read_at}})
        return copied

    def copy_of(self, sides: Sides) -> None:
        """Do the same for the sides of a move."""
        self.copy(sides.source, sides.target, sides.move, sides.attempt, sides.meanwhile)

    def copy_rest(self, sides: Sides) -> None:
        """Copy the rows that were changed since the last ``copy``. Raises Overtaken."""
        if sides.source.internal != sides.target.internal:
            self._copy_changed(sides.source, sides.target, sides.move, sides.attempt)

    def check(self, sides: Sides) -> list[str]:
        """The number of the organization's rows at the source that aren't at the target as well, in
        words, if there are any."""
        source, target = sides.source, sides.target
        if source.internal == target.internal:
            return []
        missing = sum(
            len(self._missing(target, name, told))
            for name in self.collections
            for told in self._changed_since(source, name, None)
        )
        return [f"{missing} {self.words}"] if missing else []

    def _copy_changed(
        self,
        source: Place,
        target: Place,
        move: ObjectId,
        attempt: int,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> int:
        mine = {"_id": move, "attempt": attempt}
        token = target.internal[TOKENS].find_one(mine)
        if token is None:
            raise Overtaken(move, attempt)
        copied = 0
        for name in self.collections:
            for told in self._changed_since(source, name, token.get(self.read_at)):
                for batch in _read(source, name, self._missing(target, name, told)):
                    writes: list[ReplaceOne[Any]] = [
                        ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in batch
                    ]
                    write_rows(target, rows_at(target, name, raw=True), writes, mine)
                    copied += len(writes)
                    meanwhile()
                meanwhile()
        return copied

    def _changed_since(
        self, source: Place, name: str, until: datetime | None
    ) -> Iterator[list[dict[str, Any]]]:
        """The ids of the organization's rows and when they were changed, in that order, in batches.
        Those of earlier versions, which didn't write that, come first."""
        wanted: dict[str, Any] = {self.owner: source.organization}
        if until is not None:
            wanted["changed"] = {"$not": {"$lt": until - self.late}}
        found = iter(rows_at(source, name).find(wanted, self.told).sort("changed", 1))
        while batch := list(islice(found, BATCH)):
            yield batch

    def _missing(self, target: Place, name: str, told: list[dict[str, Any]]) -> list[Any]:
        """The ids of those that the target doesn't have like that."""
        wanted = {"_id": {"$in": [row["_id"] for row in told]}}
        there = {frozen(row["_id"]): row for row in rows_at(target, name).find(wanted, self.told)}
        return [row["_id"] for row in told if there.get(frozen(row["_id"])) != row]


def rows_at(place: Place, name: str, *, raw: bool = False) -> Collection[Any]:
    """The rows of a collection at a place, as a majority has them."""
    rows = place.internal[name].with_options(read_concern=ReadConcern("majority"))
    if not raw:
        return rows
    options = rows.codec_options.with_options(document_class=RawBSONDocument)
    return rows.with_options(codec_options=options)


def frozen(row_id: Any) -> Any:
    """An id of a row as a key of a mapping."""
    return tuple(row_id.items()) if isinstance(row_id, dict) else row_id


def _read(source: Place, name: str, ids: list[Any]) -> Iterator[list[RawBSONDocument]]:
    """The rows of these ids, as many at a time as one transaction writes."""
    batch: list[RawBSONDocument] = []
    size_bytes = 0
    for row in rows_at(source, name, raw=True).find({"_id": {"$in": ids}}):
        if batch and size_bytes + len(row.raw) > BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(row)
        size_bytes += len(row.raw)
    if batch:
        yield batch

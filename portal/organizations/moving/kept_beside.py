"""Rows of edits and their before-images, and files, travel to another cluster with the documents.

What was deleted at the source meanwhile is deleted at the target too, in transactions with the
move's token; what expires does so at both.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import islice

from bson import ObjectId
from pymongo import DeleteMany

from portal.database.kept_beside import COLLECTIONS, FILE_CHUNKS, FILES, prepare
from portal.organizations.moving.rows_beside import BATCH, RowsBeside, frozen, rows_at
from portal.organizations.moving.tokens import write_rows
from portal.tenants.moving.parts import Part, Phase, Sides
from portal.tenants.moving.places import Place

ROWS = RowsBeside(
    "rows of edits and files",
    COLLECTIONS,
    owner="_id.o",
    told={"changed": 1, "rev": 1},
    # A row's time is what a transaction last heard of the server's, and it is seen at its commit.
    late=timedelta(minutes=1),
    # Versions that wrote ``edits_until`` and the like took it from rows, whichever clock that was
    # of.
    read_at="rows_read_at",
    prepare=prepare,
)
"""The rows beside the organization's documents."""

# Where persons delete rows. Those of edits only expire, and images that make room go with theirs.
_DELETED = (FILES, FILE_CHUNKS)


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
        there = rows_at(target, name).find({"_id.o": target.organization}, {"_id": 1})
        while batch := [row["_id"] for row in islice(there, BATCH)]:
            found = rows_at(source, name).find({"_id": {"$in": batch}}, {"_id": 1})
            kept = {frozen(row["_id"]) for row in found}
            strays = [each for each in batch if frozen(each) not in kept]
            if strays:
                gone = DeleteMany({"_id": {"$in": strays}})
                write_rows(target, rows_at(target, name, raw=True), [gone], mine)
                deleted += len(strays)
            meanwhile()
    return deleted


def _copy(sides: Sides) -> None:
    ROWS.copy_of(sides)
    delete_strays(sides.source, sides.target, sides.move, sides.attempt, sides.meanwhile)


def _copy_rest(sides: Sides) -> None:
    if sides.source.internal == sides.target.internal:
        return
    ROWS.copy_rest(sides)
    # The target has all that the source has. To compare ids takes longer than writers may wait.
    if deleted := [
        name for name in _DELETED if _count(sides.source, name) != _count(sides.target, name)
    ]:
        delete_strays(sides.source, sides.target, sides.move, sides.attempt, among=deleted)


def _count(place: Place, name: str) -> int:
    return rows_at(place, name).count_documents({"_id.o": place.organization})


KEPT_BESIDE: Part[Sides] = Part(
    "edits and files", {Phase.BEFORE_READY: _copy, Phase.AFTER_FENCE: _copy_rest}, ROWS.check
)
"""Edits of documents with their before-images, and files of imports and exports."""

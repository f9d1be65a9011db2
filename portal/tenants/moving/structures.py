"""The structure of a collection: its options and indexes, which travel with an organization.

Values are kept as the server lists them, not decoded, and given back as they are: what a listing
leaves out is what the server takes by default, with one exception, the collation of an index.

A move's target gets all indexes before it is ready, those that expire documents asleep: they delete
nothing until they are woken, when the target is the organization's place. Its validator it has from
then on, too, since movers write what was valid when it was written.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any
from uuid import UUID

import pymongo
from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

from ..births import create_once
from ..collections import CollectionElsewhere, CollectionMissing, names_of, send, uuid_of
from ..elements import field_of
from ..limits import INDEX_SECONDS
from ..placements import SHARED
from .errors import DuplicatesRemain, PlaceGone
from .places import Place

ASLEEP_SECONDS = 2**31 - 1
"""The time after which an index that is asleep deletes documents: 68 years, the longest. What is
older than that is deleted by whatever the index says at the source."""

MOST_NAMED = 5
BUILD_TRIES = 20
MOST_DUPLICATES = 1000

_RAW = CodecOptions(document_class=RawBSONDocument, uuid_representation=UuidRepresentation.STANDARD)
_SIMPLE = {"locale": "simple"}
_ID_INDEX = "_id_"
_MAX_TRIES = 20
# NamespaceNotFound, QueryPlanKilled: renamed meanwhile; IndexNotFound: somebody was faster.
_RENAMED = (26, 175)
_INDEX_NOT_FOUND = 27
_VALIDATION = ("validator", "validationLevel", "validationAction")
_PRE_IMAGES = "changeStreamPreAndPostImages"
_AT_BIRTH = ("collation", "storageEngine", "indexOptionDefaults", _PRE_IMAGES)
# Written by earlier versions, and without a meaning today; and what goes with those that stay.
_MEANINGLESS = ("autoIndexId", "flags", "temp", "recordPreImages")
_OF_THOSE_STAYING = ("size", "max", "expireAfterSeconds", "pipeline")
_TRAVELLING = {*_VALIDATION, *_AT_BIRTH, *_MEANINGLESS}
# Those of an index that servers wrote once and refuse today.
_FORMER = ("ns", "background", "dropDups")
_CHANGEABLE = ("expireAfterSeconds", "hidden")
_OF_INDEXES = frozenset({
    "v", "key", "unique", "sparse", "partialFilterExpression", "collation", "storageEngine",
    "wildcardProjection", "weights", "default_language", "language_override", "textIndexVersion",
    "2dsphereIndexVersion", "bits", "min", "max", "prepareUnique", *_CHANGEABLE,
})  # fmt: skip
_STAYING = {
    "capped": "Its collection is capped: MongoDB lets nothing be deleted there in a transaction.",
    "timeseries": "Its collection is one of time series, which can’t be followed while it is "
    "written.",
    "viewOn": "It is a view, which has no documents of its own.",
    "clusteredIndex": "Its collection is clustered by _id, which the portal can’t bring along.",
    "encryptedFields": "Its collection has encrypted fields, and the collections that belong to "
    "them stay behind.",
}


@dataclass(frozen=True, slots=True)
class Index:
    """An index but that on ``_id``, by its name and all its options."""

    name: str
    options: Mapping[str, Any]

    @property
    def expires(self) -> bool:
        """True where it deletes documents after a time."""
        return "expireAfterSeconds" in self.options

    @property
    def asleep(self) -> "Index":
        """The same index, by which no document expires yet."""
        if not self.expires:
            return self
        return Index(self.name, {**self.options, "expireAfterSeconds": ASLEEP_SECONDS})

    @property
    def fixed(self) -> Mapping[str, Any]:
        """The options that can't be changed: with others it is another index."""
        return {name: self.options[name] for name in self.options if name not in _CHANGEABLE}

    @property
    def definition(self) -> dict[str, Any]:
        """The index as ``createIndexes`` takes it."""
        # Without one it would be created with the collection's. The first version knows none.
        simple = {} if self.options["v"] == 1 else {"collation": _SIMPLE}
        return {"name": self.name, **simple, **self.options}


@dataclass(frozen=True, slots=True)
class Structure:
    """The options of a collection, and its indexes but that on ``_id``. ``building`` are names of
    indexes that aren't there yet."""

    options: Mapping[str, Any]
    indexes: tuple[Index, ...]
    building: tuple[str, ...] = ()

    @property
    def asleep(self) -> "Structure":
        """The same structure with indexes by which no document expires yet."""
        return replace(self, indexes=tuple(index.asleep for index in self.indexes))

    @property
    def validation(self) -> Mapping[str, Any]:
        """The validator, with what goes with it; nothing without one."""
        if "validator" not in self.options:
            return {}
        return {name: self.options[name] for name in _VALIDATION if name in self.options}


PLAIN = Structure({}, ())
"""The structure that a shared collection has for each of its organizations."""


def read_structure(place: Place) -> Structure:
    """The structure of the place's collection as it is now. Raises PlaceGone."""
    if place.strategy == SHARED:
        return PLAIN
    for tries_left in reversed(range(_MAX_TRIES)):
        _find_name(place)
        try:
            structure = _read(place.database, place.name, place.uuid)
        except OperationFailure as error:
            if error.code not in _RENAMED or not tries_left:
                raise
            continue
        if structure is not None:
            return structure
    raise _gone(place)


def unfit(structure: Structure, strategy: str) -> list[str]:
    """The reasons why a collection of this structure can't move to a place of this strategy, each a
    sentence; none where it can."""
    reasons = [words for option, words in _STAYING.items() if option in structure.options]
    known = {*_TRAVELLING, *_STAYING, *_OF_THOSE_STAYING}
    reasons += [
        f"Its collection has the option {option}, which this version of the portal doesn’t know."
        for option in structure.options
        if option not in known
    ]
    reasons += [
        f"Its index {index.name} has the option {option}, which the portal doesn’t know: build it "
        "again without."
        for index in structure.indexes
        for option in index.options
        if option not in _OF_INDEXES
    ]
    return reasons + (_unfit_for_sharing(structure) if strategy == SHARED else [])


def left_behind(structure: Structure, strategy: str) -> list[str]:
    """The losses of a move of this collection, each a sentence: what doesn't come along."""
    if strategy != SHARED and records_images(structure):
        return [
            "Images of documents before earlier changes stay behind: change streams find those of "
            "changes after the move."
        ]
    return []


def create_target(
    database: Database, internal: Database, name: str, structure: Structure, token: ObjectId
) -> UUID:
    """The UUID of the collection ``name``, which is created with the options that can't be given
    later; once for this ``token``, however late a process wakes.

    Raises CollectionNameTaken where a stranger's has the name, CollectionMissing where the one that
    was created for the token is gone.
    """
    options = {name: structure.options[name] for name in _AT_BIRTH if name in structure.options}
    create_once(database, internal, name, token, options)
    uuid = uuid_of(database, name)
    if uuid is None:
        raise CollectionMissing(name)
    return uuid


def build_indexes(
    target: Place,
    structure: Structure,
    *,
    apply: Callable[[Iterable[bytes]], object],
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Have the target's indexes be those of the structure, asleep where documents expire by them;
    others are dropped. Does nothing where they are.

    ``meanwhile`` is called about each second. Two documents of one unique key may both be in the
    target while it changes hands: they are given to ``apply``, which is to have the target's
    documents of these ids be as the source's. Raises DuplicatesRemain, PlaceGone.
    """
    if target.strategy == SHARED:
        return
    for _ in range(BUILD_TRIES):
        missing = _adapt(target, structure.asleep)
        if not missing:
            return
        try:
            _create_indexes(target, missing, meanwhile)
        except DuplicateKeyError as error:
            apply(_duplicates(target, missing, error))
            meanwhile()
    raise DuplicatesRemain(", ".join(index.name for index in missing))


def records_images(structure: Structure) -> bool:
    """Tell whether the server records images of documents before changes."""
    return bool(structure.options.get(_PRE_IMAGES, {}).get("enabled"))


def set_images(target: Place, structure: Structure) -> None:
    """Have the server record images of documents before changes at the target, or not, as the
    structure says. Raises PlaceGone."""
    if records_images(read_structure(target)) != records_images(structure):
        _run(target, "collMod", {_PRE_IMAGES: {"enabled": records_images(structure)}})


def wake_indexes(target: Place, structure: Structure) -> None:
    """Have documents expire at the target as the structure's indexes say. Raises PlaceGone."""
    for index in structure.indexes:
        if index.expires:
            _change(target, index)


def put_indexes_to_sleep(target: Place) -> None:
    """Have no document expire at the target. Raises PlaceGone."""
    wake_indexes(target, read_structure(target).asleep)


def set_validator(target: Place, structure: Structure) -> None:
    """Have the server check what is written at the target from now on, as the structure says.
    Raises PlaceGone."""
    if target.strategy != SHARED:
        unchecked = {"validator": {}, "validationLevel": "strict", "validationAction": "error"}
        _run(target, "collMod", {**unchecked, **structure.validation})


def remove_validator(target: Place) -> None:
    """Have the server take whatever is written at the target. Raises PlaceGone."""
    if read_structure(target).validation:
        set_validator(target, PLAIN)


def same_indexes(one: Structure, other: Structure) -> bool:
    """Tell whether both have the same indexes, by all their options."""
    return _by_name(one) == _by_name(other)


def differences(one: Structure, other: Structure) -> list[str]:
    """The differences between two structures, each in a few words: of indexes by all their options,
    and of all options of the collections."""
    mine, others = _by_name(one), _by_name(other)
    names = sorted(mine.keys() | others.keys())
    differing = [f"index {name}" for name in names if mine.get(name) != others.get(name)]
    options = [_meaningful(structure) for structure in (one, other)]
    names = sorted(options[0].keys() | options[1].keys())
    return differing + [
        f"option {name}" for name in names if options[0].get(name) != options[1].get(name)
    ]


def _read(database: Database, name: str, uuid: UUID) -> Structure | None:
    """The structure of the collection, or ``None`` where it was renamed meanwhile: the listing of
    indexes knows no fence."""
    before = _listed(database, name)
    if before is None or before["info"]["uuid"] != uuid:
        return None
    rows = _list_indexes(database, name)
    if _listed(database, name) != before:
        return None
    built = [row for row in rows if "buildUUID" not in row]
    building = [row["spec"]["name"] for row in rows if "buildUUID" in row]
    indexes = [_index(row) for row in built if row["name"] != _ID_INDEX]
    return Structure(dict(before["options"]), tuple(indexes), tuple(building))


def _listed(database: Database, name: str) -> RawBSONDocument | None:
    command = {"listCollections": 1, "filter": {"name": name}}
    rows = database.command(command, codec_options=_RAW)["cursor"]["firstBatch"]
    return rows[0] if rows else None


def _list_indexes(database: Database, name: str) -> list[RawBSONDocument]:
    command = {"listIndexes": name, "includeBuildUUIDs": True}
    return list(database.cursor_command(command, codec_options=_RAW))


def _index(row: Mapping[str, Any]) -> Index:
    options = {name: row[name] for name in row if name not in ("name", *_FORMER)}
    seconds = options.get("expireAfterSeconds")
    if seconds is not None and not 0 <= seconds <= ASLEEP_SECONDS:
        # Of an older server: MongoDB takes NaN for the longest time, and refuses to be told so.
        options["expireAfterSeconds"] = ASLEEP_SECONDS
    return Index(row["name"], options)


def _unfit_for_sharing(structure: Structure) -> list[str]:
    reasons = []
    if structure.indexes:
        named = [index.name for index in structure.indexes[:MOST_NAMED]]
        more = len(structure.indexes) - len(named)
        told = ", ".join(named) + (f" and {more} more" if more else "")
        reasons.append(f"It has indexes of its own ({told}), and a shared collection has none.")
    if structure.validation:
        reasons.append("It has a validator, and a shared collection has none.")
    if "collation" in structure.options:
        reasons.append("Its collection has a collation, and a shared collection has none.")
    if records_images(structure):
        reasons.append(
            "Its collection records images of documents before changes, and a shared one doesn’t."
        )
    return reasons


def _adapt(target: Place, wanted: Structure) -> list[Index]:
    """Drop the target's indexes that aren't wanted, change those that can be, and return those that
    are missing."""
    there = _by_name(read_structure(target))
    missing = []
    for index in wanted.indexes:
        found = there.pop(index.name, None)
        if found == index:
            continue
        if found and found.fixed == index.fixed and (index.expires or not found.expires):
            _change(target, index)
            continue
        if found:
            _drop(target, index.name)
        missing.append(index)
    # Before others are built: two of one key may not differ in name alone.
    for name in there:
        _drop(target, name)
    return missing


def _change(target: Place, index: Index) -> None:
    changed: dict[str, Any] = {"name": index.name, "hidden": index.options.get("hidden", False)}
    if index.expires:
        changed["expireAfterSeconds"] = index.options["expireAfterSeconds"]
    _run(target, "collMod", {"index": changed})


def _drop(target: Place, name: str) -> None:
    try:
        _run(target, "dropIndexes", {"index": name})
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise


def _create_indexes(target: Place, indexes: list[Index], meanwhile: Callable[[], object]) -> None:
    """Build indexes in another thread, since the server answers when they are there."""
    failed: list[Exception] = []

    def create() -> None:
        try:
            with pymongo.timeout(INDEX_SECONDS):
                definitions = [index.definition for index in indexes]
                _run(target, "createIndexes", {"indexes": definitions})
        except Exception as error:
            failed.append(error)

    building = threading.Thread(target=create, name="move-indexes")
    building.start()
    while building.is_alive():
        building.join(timeout=1)
        if building.is_alive():
            meanwhile()
    if failed:
        raise failed[0]


def _duplicates(target: Place, indexes: list[Index], error: DuplicateKeyError) -> list[bytes]:
    """The ids of documents at the target that have a key of the index in common, two of each key.

    The server tells one key, and with a collation not the value that it was made of.
    """
    pattern = (error.details or {}).get("keyPattern", {})
    index = next((each for each in indexes if dict(each.options["key"]) == pattern), None)
    if index is None:
        return []
    fields = list(pattern)
    levels = [each for name in fields for each in accumulate(name.split("."), "{}.{}".format)]
    present = [{name: {"$exists": True}} for name in fields]
    key = {str(n): {"$ifNull": [f"${name}", None]} for n, name in enumerate(fields)}
    command = {
        "aggregate": target.name,
        "pipeline": [
            {"$match": index.options.get("partialFilterExpression", {})},
            {"$match": {"$or": present} if index.options.get("sparse") else {}},
            *(
                {"$unwind": {"path": f"${level}", "preserveNullAndEmptyArrays": True}}
                for level in dict.fromkeys(levels)
            ),
            {"$group": {"_id": key, "first": {"$min": "$_id"}, "last": {"$max": "$_id"}}},
            {"$match": {"$expr": {"$ne": ["$first", "$last"]}}},
            {"$limit": MOST_DUPLICATES},
        ],
        "collation": index.options.get("collation", _SIMPLE),
        "cursor": {"batchSize": MOST_DUPLICATES},
        "allowDiskUse": True,
    }
    rows = send(target.database, command, target.uuid, _RAW)["cursor"]["firstBatch"]
    return [
        found
        for row in rows
        for name in ("first", "last")
        if (found := field_of(row.raw, name)) is not None
    ]


def _run(place: Place, verb: str, fields: Mapping[str, Any]) -> None:
    """Run a command on the place's collection, whatever its name is. Raises PlaceGone."""
    for tries_left in reversed(range(_MAX_TRIES)):
        command = {verb: place.name, **fields, "writeConcern": {"w": "majority"}}
        try:
            send(place.database, command, place.uuid)
            return
        except CollectionElsewhere as found:
            if not tries_left:
                raise
            place.name = found.actual_name
        except CollectionMissing as missing:
            raise _gone(place) from missing


def _find_name(place: Place) -> None:
    """Have the place know its collection's name as it is now. Raises PlaceGone."""
    name = names_of(place.database, [place.uuid]).get(place.uuid)
    if name is None:
        raise _gone(place)
    place.name = name


def _gone(place: Place) -> PlaceGone:
    return PlaceGone(place.organization, place.database.name, place.uuid)


def _by_name(structure: Structure) -> dict[str, Index]:
    return {index.name: index for index in structure.indexes}


def _meaningful(structure: Structure) -> dict[str, Any]:
    """The options, but for those that say what a collection without them does."""
    told = {name: structure.options[name] for name in _AT_BIRTH if name in structure.options}
    if not records_images(structure):
        told.pop(_PRE_IMAGES, None)
    if structure.validation:
        told |= {"validationLevel": "strict", "validationAction": "error", **structure.validation}
    return told

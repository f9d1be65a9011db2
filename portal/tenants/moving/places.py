"""Reading an organization's documents at one place, in the order of their ``_id``s.

Ids and documents are BSON that is never decoded, since some of it can't be: an id is ``{"": _id}``,
a document as the organization gave it, wherever it is kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bson import Binary, MaxKey, MinKey, ObjectId, Timestamp, encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure

from ..elements import framed, framed_id, id_of, with_unwrapped_id, with_wrapped_id
from ..fence import Moved, check_write, lost_cursor, rejection
from ..limits import BATCH_DOCUMENTS
from ..placements import SHARED
from ..placements.filters import Filters
from .errors import ClusterTimeUnknown, PlaceGone

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)

BATCH_ID_BYTES = 4 * 1024 * 1024
"""The size of the ids that one command has at most."""

_MIN_KEY, _MAX_KEY = encode({"": MinKey()}), encode({"": MaxKey()})


@dataclass(slots=True, eq=False)
class Place:
    """A place of an organization's documents.

    ``uuid`` is the collection's, a pool's for one that shares it; ``name`` is where it is looked
    for first, and follows its renames. ``database`` and ``internal``, the database for the portal's
    own data beside it, are of one client, and acknowledge by a majority.
    """

    organization: ObjectId
    strategy: str
    database: Database
    internal: Database
    uuid: UUID
    name: str
    pool: int | None = None

    @property
    def shared(self) -> bool:
        """True where the collection has documents of other organizations too."""
        return self.strategy == SHARED

    def read(self, verb: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The reply to a command that only reads, whatever the collection's name is now. Raises
        PlaceGone."""
        while True:
            try:
                return self.send(verb, fields)
            except Moved as moved:
                self.follow(moved)
            except OperationFailure as error:
                if not lost_cursor(error):  # it was renamed while the command ran
                    raise

    def send(
        self, verb: str, fields: Mapping[str, Any], session: ClientSession | None = None
    ) -> Mapping[str, Any]:
        """The reply to a command under the name that is known. Raises Moved if the collection has
        another one, and the first of a write's errors."""
        command = {verb: self.name, **fields, "collectionUUID": Binary.from_uuid(self.uuid)}
        try:
            reply = self.database.command(command, codec_options=RAW, session=session)
        except OperationFailure as error:
            if (moved := rejection(error)) is None:
                raise
            raise moved from error
        check_write(reply, single=True)
        return reply

    def follow(self, moved: Moved) -> None:
        """Use the name that the server told. Raises PlaceGone."""
        if moved.name is None:
            raise PlaceGone(self.organization, self.database.name, self.uuid) from moved
        self.name = moved.name

    def stored(self, document: bytes) -> bytes:
        """A document as it is stored."""
        return (with_wrapped_id(document, self.organization) if self.shared else None) or document

    def given(self, document: bytes) -> bytes:
        """A stored document as it was given."""
        return with_unwrapped_id(document) if self.shared else document

    def key(self, document_id: bytes) -> bytes:
        """The document that has nothing but this id, as it is stored."""
        return self.stored(framed_id(document_id))

    def among(self, ids: Iterable[bytes]) -> RawBSONDocument:
        """The filter for these ids."""
        stored = (id_of(self.key(each)) for each in ids)
        items = (_named(each, b"%d" % n) for n, each in enumerate(stored))
        return _condition(b"\x04$in\0" + framed(b"".join(items)))


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in the order of their ``_id``s, each with its id."""

    ids: list[bytes]
    documents: list[bytes]


def read_page(
    place: Place,
    after: bytes | None,
    size: int,
    *,
    before: bytes | None = None,
    since: Timestamp | None = None,
    at: Timestamp | None = None,
) -> Page:
    """The first ``size`` documents with an id behind ``after``, and in front of ``before``; fewer
    where they are more than 16 MB. Without any, there are none.

    As a majority has them: at any time, or not before ``since``, or at ``at``, which are times of
    the place's cluster. Raises PlaceGone.
    """
    concern = _read_concern(since, at)
    documents = [place.given(each) for each in _page(place, after, before, size, concern)]
    return Page([id_of(each) for each in documents], documents)


def read_page_ids(place: Place, after: bytes | None, size: int) -> list[bytes]:
    """The ids alone. Otherwise like ``read_page``."""
    only = {"projection": {"_id": 1}, **_read_concern(None, None)}
    return [id_of(place.given(each)) for each in _page(place, after, None, size, only)]


def read_ids(
    place: Place,
    ids: Iterable[bytes],
    *,
    since: Timestamp | None = None,
    at: Timestamp | None = None,
) -> dict[bytes, bytes]:
    """The documents of these ids that there are, by id, which may be another one that is equal to
    the one asked for, such as 1.0 to 1. Otherwise like ``read_page``; of any size."""
    return {
        id_of(document): document
        for _, documents in read_batches(place, ids, since=since, at=at)
        for document in documents
    }


def read_batches(
    place: Place,
    ids: Iterable[bytes],
    *,
    since: Timestamp | None = None,
    at: Timestamp | None = None,
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The same, some ids after the other with the documents that there are of those: no more than
    BATCH_DOCUMENTS, and no larger than 16 MB."""
    concern = _read_concern(since, at)
    waiting = list(in_batches(ids))[::-1]
    while waiting:
        some = waiting.pop()
        documents = _all_of(place, some, concern)
        if documents is not None:
            yield some, [place.given(each) for each in documents]
            continue
        half = len(some) // 2
        waiting += [some[half:], some[:half]]


def in_batches(
    items: Iterable[bytes], number: int = BATCH_DOCUMENTS, size_bytes: int = BATCH_ID_BYTES
) -> Iterator[list[bytes]]:
    """The items, such as ids, so many and so large ones at a time; of larger ones each alone."""
    batch: list[bytes] = []
    left_bytes = size_bytes
    for each in items:
        left_bytes -= len(each)
        if batch and (len(batch) == number or left_bytes < 0):
            yield batch
            batch, left_bytes = [], size_bytes - len(each)
        batch.append(each)
    if batch:
        yield batch


def time_of(place: Place) -> Timestamp:
    """The present time of the place's cluster: what was acknowledged there before isn't later.
    Raises ClusterTimeUnknown."""
    return time_in(place.internal.command("ping"), place)


def time_in(reply: Mapping[str, Any], place: Place) -> Timestamp:
    """The cluster's time in a reply of the place's server. Raises ClusterTimeUnknown: a primary
    that was just started answers without, seen on 6.0.5."""
    found = reply.get("operationTime")
    if found is None:
        raise ClusterTimeUnknown(place.database.name)
    return found


def _page(
    place: Place,
    after: bytes | None,
    before: bytes | None,
    size: int,
    options: Mapping[str, Any],
) -> list[bytes]:
    """Stored documents between these ids. By bounds of the index: a filter would compare values of
    one type only, and not by a collation of the collection's own."""
    first, last = (None, None) if place.shared else (_MIN_KEY, _MAX_KEY)
    if (after is not None and after == last) or (before is not None and before == first):
        return []  # the server refuses bounds between which there is nothing
    fields = {"hint": "_id_", "limit": size, "batchSize": size, "singleBatch": True, **options}
    if place.shared:
        bounds = Filters(place.organization).range
        fields |= {"min": {"_id": bounds["$gt"]}, "max": {"_id": bounds["$lt"]}}
    if after is not None:
        key = place.key(after)
        fields["min"] = RawBSONDocument(key)
        fields["filter"] = _condition(_named(id_of(key), b"$ne"))  # the bound is included
    if before is not None:
        fields["max"] = RawBSONDocument(place.key(before))
    found = _documents(place.read("find", fields))
    if found or after is None or before is not None or last is None:
        return found
    # Where there is no upper bound, the server puts one in front of this id.
    return _documents(place.read("find", {"filter": place.among([last]), **options}))


def _all_of(place: Place, ids: Sequence[bytes], options: Mapping[str, Any]) -> list[bytes] | None:
    """The stored documents of these ids; ``None`` if one reply doesn't hold them."""
    one = len(ids) == 1  # which always fits
    fields = {"filter": place.among(ids), "batchSize": len(ids) + 1, "singleBatch": one, **options}
    reply = place.read("find", fields)
    if cursor := reply["cursor"]["id"]:
        place.database.command("killCursors", place.name, cursors=[cursor])
        return None
    return _documents(reply)


def _documents(reply: Mapping[str, Any]) -> list[bytes]:
    return [bytes(each.raw) for each in reply["cursor"]["firstBatch"]]


def _read_concern(since: Timestamp | None, at: Timestamp | None) -> dict[str, Any]:
    if at is not None:
        return {"readConcern": {"level": "snapshot", "atClusterTime": at}}
    later = {} if since is None else {"afterClusterTime": since}
    return {"readConcern": {"level": "majority", **later}}


def _condition(condition: bytes) -> RawBSONDocument:
    """The filter with this condition, an encoded element, on ``_id``."""
    return RawBSONDocument(framed(b"\x03_id\0" + framed(condition)))


def _named(value: bytes, name: bytes) -> bytes:
    """The element of this name with the value of ``{"": value}``."""
    return value[4:5] + name + b"\0" + value[6:-1]

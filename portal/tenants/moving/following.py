"""Following what is written at a place, by its change stream: which ids are to be read again.

The stream is on the collection, under one name after the other. One on the database, which renames
don't end, would read all that others write there, and the copy itself (a third of its cost); and in
databases of organizations' own the portal has no right to one. A rename ends a stream by an
``invalidate``, behind which another one goes on under the next name. Tokens are good for that name
alone which the collection had then (error 280, seen on 6.0.5), so it is kept with them.

Events are projected to keys: with documents they would be too large where those are (error 10334,
or a connection that is closed). So is one of a key of some MB.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Binary, Timestamp
from pymongo.change_stream import ChangeStream
from pymongo.errors import OperationFailure, PyMongoError

from ..elements import id_of
from .errors import IdTooLarge, NotReached, PlaceGone, SourceGone, StreamLost
from .places import RAW, Place, time_in, time_of

MAX_DIRTY = 50_000
MAX_DIRTY_BYTES = 8 * 1024 * 1024
"""The ids that are kept; where there are more, they have to be applied first."""

MOST_ID_BYTES = 2 * 1024 * 1024
"""The largest id that is followed: an event has it once, and twice as hexadecimal in each of its
two tokens; and so has a move's record."""

_ONE = {"limit": 1, "projection": {"_id": 1}, "singleBatch": True}
_DATA, _NAME = "_data", "collection"
# Of a key that is too large the server makes an error: of an event that is, at 3.2 MB, it makes
# none, and closes the connection, each time it is asked (6.0.5).
_TELLABLE = {"$lte": [{"$bsonSize": {"$ifNull": ["$documentKey", {}]}}, MOST_ID_BYTES]}
_KEYS = {"$project": {
    **dict.fromkeys(("operationType", "clusterTime", "to"), 1),
    "documentKey": {"$cond": [_TELLABLE, "$documentKey", {"$toInt": "$operationType"}]},
}}  # fmt: skip
_DOCUMENTS = frozenset({"insert", "update", "replace", "delete"})
_ENDS = frozenset({"rename", "invalidate"})
_STRUCTURE = frozenset({"createIndexes", "dropIndexes", "modify"})
# InvalidResumeToken, ChangeStreamHistoryLost, CappedPositionLost, ChangeStreamFatalError.
_LOST = frozenset({260, 286, 136, 280})
_NO_NUMBER = 241
# The server answers so soon when there is nothing; a wait is made of many.
_AWAIT_MS = 5
_PUMP_SECONDS = 1
_BATCH_EVENTS = 1000
_TIMESTAMP = 0x82


class Follower:
    """The changes of an organization's documents since ``token``; since now, without one. To be
    used by one thread, in a ``with`` statement or with ``close``.

    ``dirty`` are the ids that were written and not applied since, each with the time of its last
    change, by the source's cluster. ``structure_changed`` is set where indexes or options were
    changed. ``renamed_to`` is the collection's name by its last rename that was seen.
    """

    def __init__(self, place: Place, token: Mapping[str, Any] | None = None) -> None:
        self.dirty: dict[bytes, Timestamp] = {}
        self.structure_changed = False
        self.renamed_to: str | None = None
        self.last_event_at: datetime | None = None
        self._place = place
        self._pumped_at: Timestamp | None = None
        self._size_bytes = 0
        self._stream: ChangeStream | None = None
        self._seen = dict(token or {})
        if not token:
            self._begin()
        self._applied = self._seen

    @property
    def token(self) -> Mapping[str, Any]:
        """The token to be stored: all that came before it is applied. It moves while nothing is
        dirty, also where nothing is written."""
        return self._applied

    @property
    def position(self) -> Timestamp:
        """The time up to which changes were seen, by the source's cluster."""
        return _time_of_token(self._seen)

    @property
    def behind_seconds(self) -> int:
        """The time from the last change that was seen to when ``pump`` was called last, both by the
        source's cluster; 0 where all was seen then."""
        return max(self._pumped_at.time - self.position.time, 0) if self._pumped_at else 0

    def pump(self, seconds: float = 0, *, skips: Callable[[bytes], bool] = lambda _: False) -> bool:
        """Take in the changes that there are now, waiting ``seconds`` for one where there is none;
        ``False`` if there may be more, since as many ids are dirty as memory has room for.

        Ids that ``skips`` is true of stay clean: a copy reads them later. Raises StreamLost,
        SourceGone.
        """
        # What is written meanwhile may go on for ever. And a reply without changes may have come
        # before the server has looked at all there is.
        self._pumped_at = now = self._now()
        begun, any_ = time.monotonic(), False
        while not self._is_full and time.monotonic() < begun + max(seconds, _PUMP_SECONDS):
            taken = self._take(skips)
            any_ = any_ or taken
            reached = self.position > now or (self.position == now and not taken)
            if reached and (any_ or time.monotonic() >= begun + seconds):
                return True
        return False

    def mark(self, ids: Iterable[bytes]) -> None:
        """Have these ids applied too."""
        for each in ids:
            self._mark(each, self.position)

    def clean(self, ids: Iterable[bytes], at: Timestamp) -> None:
        """Forget these ids, as they were read ``at`` a time and applied; but for those that were
        changed after it."""
        for each in ids:
            changed = self.dirty.get(each)
            if changed is not None and changed <= at:
                del self.dirty[each]
                self._size_bytes -= len(each)
        self._advance()

    def reach(self, time_: Timestamp, seconds: float) -> None:
        """Take in all changes up to this time of the source's cluster, as many as those are. Raises
        NotReached, and as ``pump``."""
        deadline = time.monotonic() + seconds
        # All changes of a transaction have the same time. What is later may go on for ever.
        while self.position <= time_ and (self._take() or self.position < time_):
            if time.monotonic() > deadline:
                raise NotReached(time_, seconds)

    def wait_for_name(self, name: str, seconds: float) -> None:
        """Take in all changes that were made before the collection had this name, or a pool's had
        one of its generation or a later one. Raises NotReached, and as ``pump``."""
        deadline = time.monotonic() + seconds
        while (named := self._time_under(name)) is None:
            if time.monotonic() > deadline:
                raise NotReached(name, seconds)
            time.sleep(_AWAIT_MS / 1000)
        self.reach(named, deadline - time.monotonic())

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _is_full(self) -> bool:
        return len(self.dirty) >= MAX_DIRTY or self._size_bytes >= MAX_DIRTY_BYTES

    def _begin(self) -> None:
        """Begin at the present time, which is in the first token then; without, the one after it
        is, and it couldn't be told whether what happened at that was seen."""
        now = time_of(self._place)
        self._place.read("find", _ONE)  # tells the name that it has now, or later
        self._seen[_NAME] = self._place.name
        self._stream = self._open({"start_at_operation_time": now})
        while _DATA not in self._seen:
            self._take()

    def _take(self, skips: Callable[[bytes], bool] = lambda _: False) -> bool:
        """Take one change in; ``False`` if there is none."""
        try:
            if self._stream is None:
                self._stream = self._open({"start_after": {_DATA: self._seen[_DATA]}})
            change = self._stream.try_next()
            kind = None if change is None else change["operationType"]
            if kind == "rename":
                self._stream.next()  # its end
            token = self._stream.resume_token
        except PyMongoError as error:
            self.close()
            code = error.code if isinstance(error, OperationFailure) else None
            if code == _NO_NUMBER:
                raise IdTooLarge(code) from error
            if code in _LOST:
                raise StreamLost(code) from error
            raise
        if change is not None:
            self._note(change, skips)
        if token is not None:
            self._seen = {**self._seen, _DATA: token[_DATA]}
        if kind == "rename":
            self._seen[_NAME] = self.renamed_to
        if kind in _ENDS:
            self.close()
        self._advance()
        return change is not None

    def _note(self, change: Mapping[str, Any], skips: Callable[[bytes], bool]) -> None:
        kind = change["operationType"]
        self.last_event_at = datetime.now(UTC)
        if kind in _DOCUMENTS:
            changed = id_of(self._place.given(bytes(change["documentKey"].raw)))
            if not skips(changed):
                self._mark(changed, change["clusterTime"])
        elif kind == "rename":
            self.renamed_to = change["to"]["coll"]
        elif kind == "drop":
            place = self._place
            raise SourceGone(place.organization, place.database.name, place.uuid)
        else:
            self.structure_changed = self.structure_changed or kind in _STRUCTURE

    def _mark(self, changed: bytes, at: Timestamp) -> None:
        if changed not in self.dirty:
            self._size_bytes += len(changed)
        self.dirty[changed] = at

    def _advance(self) -> None:
        if not self.dirty:
            self._applied = self._seen

    def _time_under(self, name: str) -> Timestamp | None:
        """The time at which the collection had the name; ``None`` if it hasn't. Whoever wrote later
        knew the name."""
        now, place = self._now(), self._place
        reached = _generation(place.name) >= _generation(name) if place.shared else False
        return now if reached or place.name == name else None

    def _now(self) -> Timestamp:
        """The present time of the source's cluster, at which the collection is there: the stream
        doesn't tell of one that another was renamed over."""
        try:
            return time_in(self._place.read("find", _ONE), self._place)
        except PlaceGone as gone:
            raise SourceGone(gone.organization, gone.database, gone.uuid) from gone

    def _open(self, beginning: Mapping[str, Any]) -> ChangeStream:
        place = self._place
        collection = place.database.get_collection(self._seen[_NAME], codec_options=RAW)
        return collection.watch(
            [{"$match": _changes_of(place)}, _KEYS],
            show_expanded_events=True,  # with the UUID, and of renames
            max_await_time_ms=_AWAIT_MS,
            batch_size=_BATCH_EVENTS,
            **beginning,
        )


def _changes_of(place: Place) -> dict[str, Any]:
    """The filter for what happens to the organization's documents, and to their collection."""
    changes: dict[str, Any] = {"collectionUUID": Binary.from_uuid(place.uuid)}
    if place.shared:
        own = {"documentKey._id.o": place.organization}
        changes["$or"] = [own, {"operationType": {"$nin": list(_DOCUMENTS)}}]
    return {"$or": [changes, {"operationType": "invalidate"}]}


def _time_of_token(token: Mapping[str, Any]) -> Timestamp:
    """The cluster time in a resume token, which is a key string in hexadecimal: behind one byte for
    its type there are the seconds and the increment."""
    data = bytes.fromhex(token[_DATA][:18])
    if data[0] != _TIMESTAMP:
        raise StreamLost(None)
    return Timestamp(int.from_bytes(data[1:5]), int.from_bytes(data[5:9]))


def _generation(name: str) -> int:
    """The generation in the name of a pool's collection."""
    return int(name.rpartition("_")[2])

"""Change streams: of one organization, and of many by one.

A stream on a collection ends at its rename, and behind two renames the server finds no place to go
on at (code 280, seen on 6.0.5). So streams are on the database, for the collections of these UUIDs,
and renames don't touch them. Only in a database of its own an organization's collection keeps its
name, but for the trash and moves: the stream is on it then, and is begun again where that ended it.

**Moves.** At another place an organization's collection is another one. Its former one is renamed
before anybody writes at the new place, so at each rename the directory is read. It tells up to when
changes at the former place were the organization's, and after when they are at the new one; all
others there are the move's. So the stream is left at the first time, and begun at the second; in
the same database it goes on at the first for all. What can't be told whole is ChangesLost.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import finalize

from bson import Binary, ObjectId, Timestamp
from bson.codec_options import CodecOptions
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import OperationFailure

from ..arguments import refuse_options
from ..directory import Located
from ..errors import ChangesLost, ChangeTooLarge, NotOffered, TenantError
from ..fence import polls
from ..placements import DATABASE
from ..placements.database import ARRIVING, DOCUMENTS
from ..placements.shared import changes_of, unwrapping_changes
from ..queries import check_pipeline
from ..runtime import async_in_any_case, async_sleep
from ..tokens import CLUSTER, COLLECTION, keeping, servers, time_of
from ..unsupported import INSTEAD_OF_OPTION, INSTEAD_OF_STREAM_OPTION
from .connections import AsyncConnection
from .directory import AsyncDirectory, AsyncPlace

# Of documents, and the end of a collection.
_OPERATIONS = ["insert", "update", "replace", "delete", "drop"]
# Nobody's business but the library's. The latter ends a stream on one collection.
_RENAME, _INVALIDATE = "rename", "invalidate"
_INNER = (_RENAME, _INVALIDATE)
_TOKENS = ("resume_after", "start_after")
_BEGINNINGS = frozenset({*_TOKENS, "start_at_operation_time"})
# InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost.
_UNRESUMABLE = frozenset({260, 280, 286})
_TOO_LARGE = 10334
STREAM_OPTIONS = frozenset(
    {"full_document", "full_document_before_change", "resume_after", "start_after",
     "start_at_operation_time", "max_await_time_ms", "batch_size", "comment"}
)  # fmt: skip
_HELD_SECONDS = 0.02


class AsyncStream:
    """The changes of one organization's documents, with the methods of PyMongo's change stream.

    Renames and moves are not noticed. What is in the trash doesn't change; after it was restored
    the stream goes on. A purge is a ``drop``, or in a shared collection the deletion of each
    document. On a connection of its own, so that nothing else waits for it. Raises ChangesLost
    where the organization has moved and changes would be left out, and ChangeTooLarge.
    """

    def __init__(
        self,
        directory: AsyncDirectory,
        places: Iterable[AsyncPlace],
        codec_options: CodecOptions,
        pipeline: Sequence[Mapping[str, Any]],
        options: dict[str, Any],
    ) -> None:
        check_pipeline(pipeline)
        others = {name: value for name, value in options.items() if name not in STREAM_OPTIONS}
        refuse_options(others, INSTEAD_OF_OPTION | INSTEAD_OF_STREAM_OPTION)
        self._directory = directory
        self._places = list(places)
        self._codec_options = codec_options
        self._pipeline = keeping(pipeline, _INNER)
        self._options = options
        self._located: list[Located] = []
        self._ids: dict[bytes, ObjectId] = {}
        self._name = DOCUMENTS
        self._after = ""
        self._last: Mapping[str, Any] | None = None  # the token of the last change
        self._held = False  # behind a rename of which nothing is known yet
        self._moved: list[Located] = []
        # Also of one that nobody closes, once nobody has it any more.
        self._slot = finalize(self, directory.clusters.take_stream().release)
        self._slot.atexit = False
        self._stream: AsyncChangeStream | None = None
        self._connection: AsyncConnection | None = None  # whose client is closed behind its users

    @property
    def alive(self) -> bool:
        """True while there may be more changes."""
        return self._slot.alive and self._stream is not None

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        """The token after which another stream goes on, as ``start_after``."""
        token = None if self._stream is None else self._stream.resume_token
        # The server's may be beyond changes at a place that isn't followed yet.
        if self._last is not None and (self._held or self._left_at is not None):
            token = self._last
        if token is None:
            return None
        return {**token, CLUSTER: self._located[0].entry.cluster, COLLECTION: self._name}

    async def open(self) -> None:
        """Begin. Changes that are made after this returns are seen."""
        try:
            known = [await place.locate() for place in self._places]
            for pause_seconds in polls():
                located = await self._directory.refresh(known)
                if not any(each.entry.moves for each in located):
                    self._check_beginning(located)
                    await self._begin(located, self._options, self._first_name())
                    # One that moved before this was begun would have left nothing to notice.
                    known = await self._directory.refresh(located)
                    if not any(each.entry.moves for each in known) and _same(located, known):
                        return
                await async_sleep(pause_seconds)
        except BaseException:
            await self.close()
            raise

    async def try_next(self) -> Any:
        """The next change, or ``None`` if there is none within ``max_await_time_ms``."""
        if not self.alive:
            return None
        try:
            return await self._try_next()
        except TenantError:
            await self.close()
            raise

    async def next(self) -> Any:
        """The next change. Raises StopAsyncIteration once the stream is closed."""
        while self.alive:
            change = await self.try_next()
            if change is not None:
                return change
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the stream, and leave its place to another one."""
        try:
            if self._slot.alive and self._stream is not None:
                await async_in_any_case(self._stream.close)
        finally:
            self._connection = None
            self._slot()

    def __aiter__(self) -> "AsyncStream":
        return self

    async def __anext__(self) -> Any:
        return await self.next()

    async def __aenter__(self) -> "AsyncStream":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _try_next(self) -> Any:
        if self._held and not await self._look():
            await async_sleep(_HELD_SECONDS)
            return None
        stream, until = self._stream, self._left_at
        before = None if stream is None else stream.resume_token
        left = until is not None and before is not None and time_of(before) >= until
        with _sized():
            change = None if stream is None or left else await stream.try_next()
        if until is not None and (left or (change and time_of(change["_id"]) > until)):
            await self._leave(until)
        elif change is not None:
            return await self._take(change)
        elif stream is not None and not stream.alive:
            await self.close()
        return None

    async def _take(self, change: Any) -> Any:
        """The change, unless it is nobody's business."""
        kind, self._last = change.get("operationType"), change["_id"]
        if kind == _INVALIDATE:
            await self._go_on(self._located, DOCUMENTS)
        self._held = kind == _RENAME
        # Tokens are in the order of changes.
        return None if kind in _INNER or change["_id"]["_data"] <= self._after else change

    # Moves

    async def _look(self) -> bool:
        """Read the directory behind a rename; tell whether it is known what that was."""
        current = await self._directory.refresh(self._located)
        self._check_open(current)
        if any(
            each.entry.moves and _same([before], [each]) for before, each in self._pairs(current)
        ):
            return False  # between two places
        self._held, self._moved = False, current
        for before, now in self._pairs(current):
            left = None if now.entry.moved_from is None else Binary.from_uuid(now.entry.moved_from)
            if not _same([before], [now]) and (left != before.uuid or now.entry.left_at is None):
                raise ChangesLost(now.entry.id, "it has moved more than once")
        return True

    def _check_open(self, current: list[Located]) -> None:
        """Raise the reason why the organization's changes may no longer be told."""
        for each in current:
            if each.entry.shut:
                each.entry.check()

    @property
    def _left_at(self) -> Timestamp | None:
        """The time up to which changes are told before an organization is followed elsewhere."""
        times = (
            now.entry.left_at
            for before, now in self._pairs(self._moved)
            if not _same([before], [now])
        )
        return min(filter(None, times), default=None)

    async def _leave(self, until: Timestamp) -> None:
        """Follow the organizations that left until then at their new places."""
        located = [
            now if now.entry.left_at is not None and now.entry.left_at <= until else before
            for before, now in self._pairs(self._moved)
        ]
        await self._go_on(located, ARRIVING, until)

    async def _go_on(
        self, located: list[Located], name: str, until: Timestamp | None = None
    ) -> None:
        """Begin anew behind what was told: the last change, or all up to a time. Raises
        ChangesLost."""
        options = {field: each for field, each in self._options.items() if field not in _BEGINNINGS}
        databases = {(each.entry.cluster, each.entry.database) for each in self._located + located}
        moved_at = located[0].entry.moved_at
        # In a database of its own a stream is on the collection, which is another one.
        own = located[0].entry.strategy == DATABASE and name == ARRIVING
        after = ""
        if until is None:
            options["start_after"] = self._last
        elif len(databases) == 1 and not own:
            # Not at the server's token, which may be beyond changes at the new place.
            options["start_at_operation_time"] = until
            after = "" if self._last is None else self._last["_data"]
        elif len(located) == 1 and moved_at is not None:
            options["start_at_operation_time"] = Timestamp(moved_at.time, moved_at.inc + 1)
        else:
            gone = [now for before, now in self._pairs(located) if not _same([before], [now])]
            raise ChangesLost(gone[0].entry.id, "others of this stream are in another database")
        try:
            await self._begin(located, options, name, after)
        except OperationFailure as error:
            if error.code not in _UNRESUMABLE:
                raise
            raise ChangesLost(located[0].entry.id, "they are no longer in the oplog") from error

    def _pairs(self, others: list[Located]) -> list[tuple[Located, Located]]:
        return list(zip(self._located, others, strict=False))

    # The server's stream

    def _first_name(self) -> str:
        """The name to follow a collection by in a database of its own: that of the token's stream,
        which may have been before a move was done."""
        for name in _TOKENS:
            if given := self._options.get(name):
                return given.get(COLLECTION, DOCUMENTS)
        return DOCUMENTS

    def _check_beginning(self, located: list[Located]) -> None:
        """Raise ChangesLost where the stream would begin before an organization moved to where it
        is."""
        tokens = [given for name in _TOKENS if (given := self._options.get(name))]
        for each in located:
            if (moved_at := each.entry.moved_at) is None:
                continue
            times = [self._options.get("start_at_operation_time"), *map(time_of, tokens)]
            elsewhere = {token.get(CLUSTER) for token in tokens} - {None, each.entry.cluster}
            if elsewhere or any(at is not None and at < moved_at for at in times):
                raise ChangesLost(each.entry.id, "the stream would begin before its move")

    async def _begin(
        self, located: list[Located], options: Mapping[str, Any], name: str, after: str = ""
    ) -> None:
        """Open the server's stream of changes at these places; in a database of its own of the
        collection ``name``. Changes up to the token ``after`` are told already."""
        stages = self._stages(located)
        first = located[0].entry
        connection = self._directory.clusters.stream_connection(first.cluster)
        database = connection.client.get_database(first.database, codec_options=self._codec_options)
        # All of an organization's own database would need a right on each of them.
        watched: Any = database[name] if first.strategy == DATABASE else database
        former, former_connection = self._stream, self._connection
        options = dict(options)
        for field in _TOKENS:
            if token := options.pop(field, None):
                if first.strategy == DATABASE or CLUSTER not in token:
                    options[field] = servers(token)
                else:
                    # The server finds no change that other organizations' streams leave out.
                    after = token["_data"]
                    options["start_at_operation_time"] = time_of(token)
        with _sized():
            self._stream = await watched.watch(
                stages,
                show_expanded_events=True,  # with the UUID
                **options,
            )
        # Before all that may be cancelled: what nobody has is closed, under the stream, too.
        self._connection = connection
        self._located, self._name, self._after = located, name, after
        self._ids = {bytes(each.uuid): each.entry.id for each in located if each.pool is None}
        if former is not None:
            await async_in_any_case(former.close)
        del former_connection  # which had to be there for that

    def _stages(self, located: list[Located]) -> list[Mapping[str, Any]]:
        if len({(each.entry.cluster, each.entry.database) for each in located}) != 1:
            raise NotOffered("watch", "follow organizations of one database by each stream")
        groups: dict[Timestamp | None, list[Located]] = {}
        for each in located:
            groups.setdefault(each.entry.moved_at, []).append(each)
        shared: list[Binary] = []
        followed: list[dict[str, Any]] = []
        for moved_at, group in groups.items():
            sharing: dict[Binary, list[ObjectId]] = {}
            for each in group:
                if each.pool is not None:
                    sharing.setdefault(each.uuid, []).append(each.entry.id)
            own = {"collectionUUID": {"$in": [each.uuid for each in group if each.pool is None]}}
            later = {} if moved_at is None else {"clusterTime": {"$gt": moved_at}}
            followed += [{**each, **later} for each in (own, *changes_of(sharing))]
            shared += sharing
        uuids = [each.uuid for each in located]
        told: list[dict[str, Any]] = [
            {"operationType": {"$in": _OPERATIONS}, "$or": followed},
            {"operationType": _RENAME, "collectionUUID": {"$in": uuids}},
            {"operationType": _INVALIDATE},
        ]
        return [{"$match": {"$or": told}}, *unwrapping_changes(shared), *self._pipeline]


@contextmanager
def _sized() -> Iterator[None]:
    """Raise ChangeTooLarge where the server can't tell a change."""
    try:
        yield
    except OperationFailure as error:
        if error.code != _TOO_LARGE:
            raise
        raise ChangeTooLarge from error


def _same(former: list[Located], now: list[Located]) -> bool:
    """Tell whether these organizations have stayed where they were."""
    return all(
        (before.uuid, before.entry.moved_at) == (after.uuid, after.entry.moved_at)
        for before, after in zip(former, now, strict=True)
    )


class AsyncSharedStream(AsyncStream):
    """The changes of many organizations' documents, each as a pair of the organization's id and the
    change. A pipeline must keep ``collectionUUID``, which is the id of one that shares its
    collection."""

    _shut: frozenset[ObjectId] = frozenset()

    async def try_next(self) -> Any:
        change = await super().try_next()
        if change is None:
            return None
        told = change["collectionUUID"]
        if not isinstance(told, ObjectId):
            told = self._ids[bytes(getattr(told, "bytes", told))]
        return None if told in self._shut else (told, change)

    def _check_open(self, current: list[Located]) -> None:
        """Tell the changes of the others."""
        self._shut = frozenset(each.entry.id for each in current if each.entry.shut)

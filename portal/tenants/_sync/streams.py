"""Change streams: of one organization, and of many by one.

A stream on a collection ends at its rename, and behind two renames the server finds no place to go
on at (code 280, seen on 6.0.5). So streams are on the database, for the collections of these UUIDs,
and renames don't touch them. Only in a database of its own an organization's collection keeps its
name, but for the trash: the stream is on it then, and is begun again where that ended it.
"""

from collections.abc import Iterable, Mapping, Sequence
from threading import Semaphore
from typing import Any

from bson import Binary, ObjectId
from bson.codec_options import CodecOptions
from pymongo.synchronous.change_stream import ChangeStream

from ..errors import NotOffered
from ..placements import DATABASE
from ..placements.database import DOCUMENTS
from ..placements.shared import changes_of, unwrapping_changes
from ..queries import check_pipeline
from .connections import Clusters
from .directory import Place

# Of documents, and the end of a collection. Renames are nobody's business but the library's.
_OPERATIONS = ["insert", "update", "replace", "delete", "drop"]
# Ends a stream on one collection, at its way into the trash and out again.
_INVALIDATE = "invalidate"
_BEGINNINGS = frozenset({"resume_after", "start_after", "start_at_operation_time"})
_OPTIONS = frozenset(
    {"full_document", "full_document_before_change", "resume_after", "start_after",
     "start_at_operation_time", "max_await_time_ms", "batch_size", "comment"}
)  # fmt: skip


class Stream:
    """The changes of one organization's documents, with the methods of PyMongo's change stream.

    Renames are not noticed. What is in the trash doesn't change; after it was restored the stream
    goes on. A purge is a ``drop``, or in a shared collection the deletion of each document. On a
    connection of its own, so that nothing else waits for it.
    """

    def __init__(
        self,
        clusters: Clusters,
        places: Iterable[Place],
        codec_options: CodecOptions,
        pipeline: Sequence[Mapping[str, Any]],
        options: dict[str, Any],
    ) -> None:
        check_pipeline(pipeline)
        for name in options:
            if name not in _OPTIONS:
                raise TypeError(f"unexpected keyword argument {name!r}")
        self._clusters = clusters
        self._places = list(places)
        self._codec_options = codec_options
        self._pipeline = pipeline
        self._options = options
        self._ids: dict[bytes, ObjectId] = {}
        self._slot: Semaphore | None = clusters.take_stream()
        self._stream: ChangeStream | None = None

    @property
    def alive(self) -> bool:
        """True while there may be more changes."""
        return self._stream is not None and self._stream.alive

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        """The token after which another stream goes on, as ``start_after``."""
        return None if self._stream is None else self._stream.resume_token

    def open(self) -> None:
        """Begin. Changes that are made after this returns are seen."""
        try:
            self._stream = self._open()
        except BaseException:
            self.close()
            raise

    def try_next(self) -> Any:
        """The next change, or ``None`` if there is none within ``max_await_time_ms``."""
        if self._stream is None or not self.alive:
            return None
        change = self._stream.try_next()
        if change is not None and change.get("operationType") == _INVALIDATE:
            self._options = {
                name: value for name, value in self._options.items() if name not in _BEGINNINGS
            } | {"start_after": change["_id"]}
            self._stream = self._open()
            return None
        return change

    def next(self) -> Any:
        """The next change. Raises StopAsyncIteration once the stream is closed."""
        while self.alive:
            change = self.try_next()
            if change is not None:
                return change
        raise StopIteration

    def close(self) -> None:
        """End the stream, and leave its place to another one."""
        if self._stream is not None:
            self._stream.close()
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Any:
        return self.next()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> ChangeStream:
        located = [place.locate() for place in self._places]
        databases = {(each.entry.cluster, each.entry.database) for each in located}
        if len(databases) != 1:
            raise NotOffered("watch", "follow organizations of one database by each stream")
        [(cluster, name)] = databases
        self._ids = {bytes(each.uuid): each.entry.id for each in located if each.pool is None}
        shared: dict[Binary, list[ObjectId]] = {}
        for each in located:
            if each.pool is not None:
                shared.setdefault(each.uuid, []).append(each.entry.id)
        own = {"collectionUUID": {"$in": [each.uuid for each in located if each.pool is None]}}
        changes = {"operationType": {"$in": _OPERATIONS}, "$or": [own, *changes_of(shared)]}
        stages = [{"$match": changes}, *unwrapping_changes(list(shared)), *self._pipeline]
        database = self._clusters.stream_client(cluster).get_database(
            name, codec_options=self._codec_options
        )
        watched: Any = database
        if any(each.entry.strategy == DATABASE for each in located):
            # All of such a database would need a right on each of them.
            watched = database[DOCUMENTS]
            stages[0] = {"$match": {"$or": [changes, {"operationType": _INVALIDATE}]}}
        return watched.watch(
            stages,
            show_expanded_events=True,  # with the UUID
            **self._options,
        )


class SharedStream(Stream):
    """The changes of many organizations' documents, each as a pair of the organization's id and the
    change. A pipeline must keep ``collectionUUID``, which is the id of one that shares its
    collection."""

    def try_next(self) -> Any:
        change = super().try_next()
        if change is None:
            return None
        told = change["collectionUUID"]
        if isinstance(told, ObjectId):
            return told, change
        return self._ids[bytes(getattr(told, "bytes", told))], change

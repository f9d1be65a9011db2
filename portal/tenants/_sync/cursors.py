"""Results that are read in parts, through renames where their order allows."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import InvalidOperation, PyMongoError

from .. import limits
from ..arguments import (
    Positions,
    Sort,
    bounds_of,
    collates,
    collation_document,
    decoding,
    hides_id,
    hint_value,
    id_of,
    keeps_id,
    missing,
    raw_without_id,
    sort_document,
    with_shown_id,
)
from ..errors import CursorLost, StateError
from ..fence import is_out_of_time, is_refused, is_transient, lost_cursor
from ..queries import check_expressions, orders_itself
from ..runtime import in_any_case, remaining
from ..unsupported import INSTEAD_OF_RESULT
from .channels import Opened
from .execution import Execution


class Results:
    """The result of an aggregation, in parts.

    Where the collection is renamed before the last part was read, the next one raises CursorLost;
    the first reply has up to 16 MB. Not thread-safe, like PyMongo's cursors; it belongs to its
    tenant whichever thread or task reads it.
    """

    def __init__(self, execution: Execution, verb: str, fields: dict[str, Any]) -> None:
        self._execution = execution
        self._decodes = True
        self._decode: Callable[[Any], Any] | None = None
        self._verb = verb
        self._fields = fields
        self._cursor: Opened | None = None
        self._part: deque[Any] = deque()
        self._read = 0
        self._last: Any = None
        self._ended = False

    @property
    def alive(self) -> bool:
        """True while there may be more."""
        return bool(self._part) or not self._ended

    def next(self) -> Any:
        """The next document. Raises StopAsyncIteration at the end, and CursorLost."""
        if not self._part:
            self._read_part()
        self._read += 1
        self._last = document = self._part.popleft()
        return self._shown(document)

    def try_next(self) -> Any:
        """The next document, or ``None`` at the end. Raises CursorLost."""
        try:
            return self.next()
        except StopIteration:
            return None

    def to_list(self, length: int | None = None) -> list[Any]:
        """The documents up to the end, or at most ``length``."""
        documents: list[Any] = []
        while length is None or len(documents) < length:
            if not self._part:
                try:
                    self._read_part()
                except StopIteration:
                    break
            wanted = len(self._part) if length is None else length - len(documents)
            documents += self._take(wanted)
        return documents

    def batch_size(self, batch_size: int) -> "Results":
        """Have each further reply bring at most so many."""
        if self._cursor is not None:
            self._cursor.batch_size(batch_size)
        return self

    def close(self) -> None:
        """End the result early, in the server too."""
        self._ended = True
        self._part.clear()
        if self._cursor is not None:
            self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        raise missing(self, name, INSTEAD_OF_RESULT)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open(self) -> Opened:
        """The server's cursor, for which the command is sent unless it was."""
        if self._cursor is None:
            if self._read and not self._goes_on:
                raise CursorLost(self._read)
            self._cursor = self._execution.open(self._verb, **self._command())
        return self._cursor

    def _command(self) -> dict[str, Any]:
        return self._fields

    @property
    def _goes_on(self) -> bool:
        """True if another command would go on behind the last document."""
        return False

    def _take(self, wanted: int) -> list[Any]:
        """At most ``wanted`` of the documents that were received."""
        if wanted < len(self._part):
            taken = [self._part.popleft() for _ in range(wanted)]
        else:
            taken = list(self._part)
            self._part.clear()
        self._read += len(taken)
        self._last = taken[-1]
        return [self._shown(document) for document in taken]

    def _shown(self, document: Any) -> Any:
        """The document as it was asked for."""
        return document if self._decode is None else self._decode(document)

    def _read_part(self) -> None:
        """Read the next part. Raises StopAsyncIteration at the end."""
        if not self._read:
            if self._decodes:
                self._decode = decoding(self._execution.codec_options)
            if self._read_whole():
                return
        while not self._ended:
            cursor = self.open()
            try:
                self._part.extend(cursor.receive())
                return
            except StopIteration:
                self._ended = True
            except StateError:  # nothing was asked for
                raise
            except PyMongoError as error:
                self._leave()
                self._recover(error)
            except BaseException:
                self._leave()
                in_any_case(cursor.close)
                raise
        raise StopIteration

    def _leave(self) -> None:
        """Leave a cursor of which a part may be lost: PyMongo would go on behind that."""
        self._cursor = None

    def _read_whole(self) -> bool:
        """Read a result at once that one reply has room for; tell whether there was anything."""
        return False

    def _recover(self, error: PyMongoError) -> None:
        """Raise unless the result goes on after ``error`` by another command."""
        if lost_cursor(error):
            raise CursorLost(self._read) from error
        raise error


class Found(Results, Positions):
    """The result of ``find``, with the methods of PyMongo's cursor.

    Sorted by ``_id`` alone, or not at all (it then comes in the order of ``_id``), it goes on at
    the next document after a rename, and where the primary changed: each document that matches
    throughout is returned once. In another order, with a hint, where a projection computes the
    ``_id``, or behind a string by a collation that takes others for the same, it raises CursorLost
    then.
    """

    def __init__(
        self, execution: Execution, fields: dict[str, Any], *, decodes: bool = True
    ) -> None:
        super().__init__(execution, "find", fields)
        self._decodes = decodes  # by types' decoders, which may have no encoders
        # The last document's _id tells where to go on, so it is asked for in any case.
        self._hides_id = hides_id(fields.get("projection") or {})

    def sort(self, key_or_list: Sort, direction: int | None = None) -> "Found":
        """Sort as PyMongo does."""
        given = key_or_list if direction is None else [(str(key_or_list), direction)]
        return self._set(sort=sort_document(given))

    def skip(self, skip: int) -> "Found":
        """Leave out the first ``skip``."""
        return self._set(skip=skip)

    def limit(self, limit: int) -> "Found":
        """Return at most ``limit``; 0 is all."""
        return self._set(limit=limit)

    def batch_size(self, batch_size: int) -> "Found":
        """Have each reply bring at most so many."""
        return self._set(batchSize=batch_size)

    def hint(self, index: Any) -> "Found":
        """Use this index."""
        return self._set(hint=hint_value(index))

    def collation(self, collation: Any) -> "Found":
        """Compare strings so."""
        return self._set(collation=collation_document(collation))

    def comment(self, comment: Any) -> "Found":
        """Have the server's log and profiler show this."""
        return self._set(comment=comment)

    def allow_disk_use(self, allow_disk_use: bool) -> "Found":
        """Let the server sort on disk, or not."""
        return self._set(allowDiskUse=allow_disk_use)

    def max_time_ms(self, max_time_ms: int | None) -> "Found":
        """Bound the time of each command."""
        return self._set(maxTimeMS=max_time_ms)

    @property
    def retrieved(self) -> int:
        """The number of documents that were received so far."""
        return self._read + len(self._part)

    def clone(self) -> "Found":
        """The same result from its beginning."""
        return Found(self._execution, dict(self._fields))

    def __copy__(self) -> "Found":
        return self.clone()

    def __deepcopy__(self, memo: Any) -> "Found":
        return self.clone()

    def __getitem__(self, index: int | slice) -> Any:
        """The document at this position, which is read by another command and awaited for, or this
        result with only those of a slice: both in place of what was skipped or the limit, as by
        PyMongo. Raises IndexError."""
        if isinstance(index, slice):
            skip, length = bounds_of(index)
            if length == 0:  # which would be all, as a limit
                return self._set(filter={"$and": [self._fields["filter"], {"$nor": [{}]}]})
            return self._set(skip=skip, limit=length or 0)
        if not isinstance(index, int):
            raise TypeError(f"a result has no position {index!r}")
        if index < 0:
            raise IndexError("a result has no negative index")
        self._set()
        return self._at(index + (self._fields.get("skip") or 0))

    def _at(self, position: int) -> Any:
        for document in self.clone().skip(position).limit(-1):
            return document
        raise IndexError("a result has no document there")

    def rewind(self) -> "Found":
        """Begin again."""
        self.close()
        self.__init__(self._execution, self._fields)  # type: ignore[misc]
        return self

    def __iter__(self) -> "Found":
        return self

    def _set(self, **fields: Any) -> "Found":
        if self._cursor is not None or self._ended:
            raise InvalidOperation("a cursor's options are set before it is read")
        check_expressions(fields.get("sort", {}))
        self._fields.update(fields)
        return self

    def _command(self) -> dict[str, Any]:
        fields = {name: value for name, value in self._fields.items() if value is not None}
        if self._hides_id:
            fields["projection"] = with_shown_id(fields["projection"])
        if self._follows_ids:
            fields.setdefault("sort", {"_id": 1})
        if limit := fields.get("limit"):
            fields["limit"] = abs(limit) - self._read
            fields["singleBatch"] = limit < 0
        if self._read:
            fields.pop("skip", None)
            fields["filter"] = beyond(fields["filter"], id_of(self._last), fields["sort"]["_id"])
        return fields

    def _read_whole(self) -> bool:
        # A page, which is what most ask for, takes less by a command than by a cursor.
        limit = self._fields.get("limit") or 0
        if not 0 < limit <= limits.BATCH_DOCUMENTS or "batchSize" in self._fields:
            return False
        if self._cursor is not None or self._ended:
            return False
        reply = self._execution.read("find", **self._command(), batchSize=limit)
        if reply["cursor"]["id"]:  # more than the 16 MB of a reply, so it is read again in parts
            return False
        self._part.extend(reply["cursor"]["firstBatch"])
        self._ended = True
        return bool(self._part)

    def _shown(self, document: Any) -> Any:
        if self._hides_id:
            document = self._without_id(document)
        return document if self._decode is None else self._decode(document)

    @property
    def _follows_ids(self) -> bool:
        """True if the last document's ``_id`` tells where to go on."""
        fields = self._fields
        if (projection := fields.get("projection")) and not keeps_id(projection):
            return False
        if sort := fields.get("sort"):
            return list(sort) == ["_id"]
        return fields.get("hint") is None and not orders_itself(fields["filter"])

    @property
    def _goes_on(self) -> bool:
        # Behind the last one's _id.
        collation = self._fields.get("collation")
        return self._follows_ids and not collates(collation, id_of(self._last))

    def _recover(self, error: PyMongoError) -> None:
        # A cursor is its user's. Of one whose user is gone another one opens the next.
        parted = lost_cursor(error) or is_transient(error) or is_refused(error)
        if not (parted or (is_out_of_time(error) and self._has_time)):
            raise error
        if self._read and not (self._goes_on or self._ended):
            super()._recover(error)

    def _leave(self) -> None:
        super()._leave()
        limit = self._fields.get("limit")
        if limit and self._read == abs(limit):
            self._ended = True

    @property
    def _has_time(self) -> bool:
        """True where the server's time for all parts ended alone, which is that of the first
        command; not the time that the caller has set."""
        if self._fields.get("maxTimeMS") or self._execution.in_transaction:
            return False
        left = remaining()
        return left is None or left > 0

    def _without_id(self, document: Any) -> Any:
        if isinstance(document, RawBSONDocument):
            return raw_without_id(document)
        return type(document)((name, value) for name, value in document.items() if name != "_id")


class Received(Results):
    """A result that is here already: besides it is a sequence of its documents."""

    def __init__(self, execution: Execution, documents: list[Any]) -> None:
        super().__init__(execution, "", {})
        self._documents = documents
        self._part.extend(documents)
        self._ended = True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: Any) -> Any:
        return self._documents[index]


def beyond(query: Any, document_id: Any, direction: int) -> dict[str, Any]:
    """Narrow a filter to the documents after an ``_id``, in the order of all types.

    An expression compares values of all types; ``{"_id": {"$gt": …}}`` matches only the same type.
    """
    compare = "$lt" if direction < 0 else "$gt"
    return {"$and": [query, {"$expr": {compare: ["$_id", {"$literal": document_id}]}}]}

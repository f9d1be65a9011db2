"""Writes of many statements: their batches, and what became of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, InvalidOperation

from . import limits
from .arguments import statement, with_id
from .errors import PartialWrite
from .fence import is_rejection
from .queries import check_replacement, check_update

_FIRST_TAKEN = 16
_FIELDS = {"insert": "documents", "update": "updates", "delete": "deletes"}


class Encoded(list[Any]):
    """Statements that are encoded, and as they were ``given``; of ``size_bytes``, if that is
    known."""

    def __init__(self, encoded: list[Any], given: list[Any], size_bytes: int = 0) -> None:
        super().__init__(encoded)
        self.given = given
        self.size_bytes = size_bytes


class Statement(NamedTuple):
    """One part of a command that writes: a document to insert, or which ones to change and how."""

    verb: str
    body: Any
    many: bool = False


@dataclass(slots=True)
class Batch:
    """Statements that fit one command; ``first`` is the index of the first one among all."""

    verb: str
    many: bool
    first: int
    bodies: list[Any] = field(default_factory=list)
    encoded: list[Any] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def content(self) -> dict[str, Encoded]:
        """The command's field for them."""
        return {_FIELDS[self.verb]: Encoded(self.encoded, self.bodies, self.size_bytes)}

    def add(self, bodies: list[Any], encoded: list[Any], size_bytes: int) -> None:
        """Take these in too."""
        self.bodies += bodies
        self.encoded += encoded
        self.size_bytes += size_bytes

    def next(self) -> "Batch":
        """An empty batch of the same kind behind this one."""
        return Batch(self.verb, self.many, self.first + len(self.bodies))

    def takes(self, statement: Statement, size_bytes: int) -> bool:
        """Tell whether the statement fits too."""
        return (
            (self.verb, self.many) == (statement.verb, False)
            and not statement.many
            and len(self.bodies) < limits.BATCH_DOCUMENTS
            and self.size_bytes + size_bytes <= limits.BATCH_BYTES
        )


class Sending:
    """The statements of one command that writes, and the places that it is tried at.

    A fence may stop a command in the middle. Sent again to the same collection it has the same
    number, by which the server knows the statements that are done. In another one they are done as
    well, since it was copied; so there the others are sent, as another command.
    """

    def __init__(self, verb: str, fields: Mapping[str, Any]) -> None:
        self._field = _FIELDS[verb]
        self._ordered = bool(fields.get("ordered", True))
        self._statements = fields[self._field]
        self._rest = [*range(len(self._statements))]
        self._done: dict[str, Any] = {"n": 0, "nModified": 0, "upserted": [], "writeErrors": []}
        self._uuid: Any = None
        self._reply: Mapping[str, Any] | None = None

    @property
    def done(self) -> int:
        """The number of statements that are done as far as replies told."""
        self._leave()
        return len(self._statements) - len(self._rest) - len(self._done["writeErrors"])

    def begin(self, uuid: Any) -> bool:
        """Begin a try in the collection ``uuid``. True where this is another command than before:
        some of its statements were done elsewhere."""
        moved, self._uuid = self._uuid not in (None, uuid), uuid
        others = moved and self._leave()
        self._reply = None
        return others

    @property
    def content(self) -> dict[str, Any]:
        """The command's field with the statements that are not yet done."""
        if len(self._rest) == len(self._statements):
            return {self._field: self._statements}
        given = getattr(self._statements, "given", self._statements)
        encoded = [self._statements[index] for index in self._rest]
        return {self._field: Encoded(encoded, [given[index] for index in self._rest])}

    def note(self, reply: Mapping[str, Any]) -> None:
        """Note the reply to this try, whatever it says."""
        self._reply = reply

    def whole(self, reply: Mapping[str, Any]) -> Mapping[str, Any]:
        """The reply to all statements, after the last one to some of them."""
        if len(self._rest) == len(self._statements):
            return reply
        self._count(reply, reply.get("writeErrors", ()))
        done = {name: value for name, value in self._done.items() if value or name != "writeErrors"}
        return {**reply, **done}

    def _leave(self) -> bool:
        """Count what is done of a command that a fence stopped; tell whether anything is."""
        reply, self._reply = self._reply, None
        errors = [] if reply is None else reply.get("writeErrors", [])
        stopped = [error["index"] for error in errors if is_rejection(error)]
        if reply is None or not stopped:
            return False
        rest = range(stopped[0], len(self._rest)) if self._ordered else stopped
        before = len(self._rest)
        self._count(reply, [error for error in errors if not is_rejection(error)])
        self._rest = [self._rest[index] for index in rest]
        return len(self._rest) < before

    def _count(self, reply: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]) -> None:
        self._done["n"] += reply["n"]
        self._done["nModified"] += reply.get("nModified", 0)
        for name, told in (("upserted", reply.get("upserted", ())), ("writeErrors", errors)):
            self._done[name] += [{**each, "index": self._rest[each["index"]]} for each in told]


class Outcome:
    """The results of the statements so far."""

    def __init__(self) -> None:
        self.done = 0
        self.errors: list[dict[str, Any]] = []
        self._counts = dict.fromkeys(("nInserted", "nMatched", "nModified", "nRemoved"), 0)
        self._upserted: list[dict[str, Any]] = []
        self._empty = True

    def add(self, batch: Batch, reply: Mapping[str, Any]) -> None:
        """Count what a reply tells of its statements."""
        self._empty = False
        upserted = reply.get("upserted") or ()
        if batch.verb == "insert":
            self._counts["nInserted"] += reply["n"]
        elif batch.verb == "update":
            self._counts["nMatched"] += reply["n"] - len(upserted)
            self._counts["nModified"] += reply["nModified"]
        else:
            self._counts["nRemoved"] += reply["n"]
        for each in upserted:
            self._upserted.append({**each, "index": batch.first + each["index"]})
        errors = reply.get("writeErrors") or ()
        for error in errors:
            index = error["index"]
            op = batch.bodies[index]
            self.errors.append({**error, "index": batch.first + index, "op": op})
        self.done += len(batch.bodies) - len(errors)

    def result(self) -> dict[str, Any]:
        """The content of PyMongo's results. Raises BulkWriteError, and InvalidOperation where
        there was nothing to do."""
        if self._empty:
            raise InvalidOperation("No operations to execute")
        result = {
            "writeErrors": self.errors,
            "writeConcernErrors": [],
            **self._counts,
            "nUpserted": len(self._upserted),
            "upserted": self._upserted,
        }
        if self.errors:
            raise BulkWriteError(result)
        return result


def statement_of(request: Any) -> Statement:
    """The statement of one of PyMongo's requests. Raises QueryRefused and TypeError."""
    if isinstance(request, InsertOne):
        return Statement("insert", with_id(request._doc))
    if not isinstance(request, UpdateOne | UpdateMany | ReplaceOne | DeleteOne | DeleteMany):
        raise TypeError(f"{request!r} is not a valid request")
    filters = getattr(request, "_array_filters", None)
    sort = getattr(request, "_sort", None)
    parts = statement(request._filter, request._hint, request._collation, filters, sort)
    many = isinstance(request, UpdateMany | DeleteMany)
    if isinstance(request, DeleteOne | DeleteMany):
        return Statement("delete", {**parts, "limit": 0 if many else 1}, many)
    check = check_replacement if isinstance(request, ReplaceOne) else check_update
    check(request._doc)
    changed = {**parts, "u": request._doc, "multi": many, "upsert": bool(request._upsert)}
    return Statement("update", changed, many)


def insertions(documents: Iterable[Any], codec_options: CodecOptions) -> Iterator[Batch]:
    """Documents to insert, in batches that fit one command.

    Several at a time are encoded for their size, more where they turn out to be small: one by one
    takes as long as all the rest of an insert.
    """
    batch, take, source = Batch("insert", False, 0), _FIRST_TAKEN, iter(documents)
    while taken := list(islice(source, min(take, limits.BATCH_DOCUMENTS - len(batch.bodies)))):
        size_bytes = len(bson.encode({"": taken}, codec_options=codec_options))
        parts = [(taken, size_bytes)]
        if size_bytes > limits.BATCH_BYTES:
            parts = [
                ([each], len(bson.encode(each, codec_options=codec_options))) for each in taken
            ]
        for part, part_bytes in parts:
            if batch.bodies and batch.size_bytes + part_bytes > limits.BATCH_BYTES:
                yield batch
                batch = batch.next()
            batch.add(part, part, part_bytes)
        if len(batch.bodies) == limits.BATCH_DOCUMENTS:
            yield batch
            batch = batch.next()
        take = max(1, min(2 * take, limits.BATCH_BYTES * len(taken) // size_bytes))
    if batch.bodies:
        yield batch


def batches(statements: Iterable[Statement], codec_options: CodecOptions) -> Iterator[Batch]:
    """The statements in their order, encoded once, in batches of one kind that fit one command. One
    on many documents stands by itself."""
    batch: Batch | None = None
    for index, each in enumerate(statements):
        encoded = bson.encode(each.body, codec_options=codec_options)
        if batch is None or not batch.takes(each, len(encoded)):
            if batch is not None:
                yield batch
            batch = Batch(each.verb, each.many, index)
        batch.add([each.body], [RawBSONDocument(encoded)], len(encoded))
    if batch is not None:
        yield batch


@contextmanager
def counting_partial(done: Callable[[], int]) -> Iterator[None]:
    """Raise PartialWrite from an error of the body after some of its work was ``done``."""
    try:
        yield
    except BulkWriteError:
        raise
    except PartialWrite as error:  # in the middle of a command
        raise PartialWrite(done() + error.done) from error.__cause__
    except Exception as error:
        if not done():
            raise
        raise PartialWrite(done()) from error

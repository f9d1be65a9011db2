"""The store of a tenant's documents: the only way to them.

A collection is known by its UUID, and every command here is fenced by it (``fence.py``): whatever
has the name meanwhile, no other collection is read or written, and none is made by inserting. A
rename is never noticed: a command that met one is sent again under the name that ``locate``
gives. All writes are acknowledged by a majority.

**Why a write is executed once.** A single write is a command with a session and a number
(``txnNumber``): the server keeps by them what it has executed, and answers a second one of the
same number with the result of the first; also after a rename, and on another primary. So
"send it again" is right whatever became of the one before. PyMongo numbers what goes through
``Collection``'s methods, which can't carry a fence; for ``Database.command`` the number has to be
given. It comes from one counter of this process, on a client of its own where PyMongo itself
numbers nothing (``retryWrites`` is off): so all of it is PyMongo's public interface. Updates and
deletes of many can't have a number; they are done in batches, each a transaction.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import bson
import pymongo
from bson import Int64, ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError, WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.tenants.errors import DocumentExists, PartialWrite, QueryRefused
from portal.tenants.fence import Moved, send, will_pass
from portal.tenants.queries import check_filter, check_pipeline, check_replacement, check_update

OPERATION_SECONDS = 20
# A client that was killed in a transaction keeps its locks; others must not wait for ever.
TRANSACTION_SECONDS = 5
LARGEST_PAGE = 1000
# A rename waits while a batch's transaction is open, and other writes behind it.
BATCH_DOCUMENTS = 500
BATCH_BYTES = 8 * 1024 * 1024

_LONGEST_PAUSE_SECONDS = 0.25
_WHOLE = 2**31 - 1
# Numbers of writes. They only have to grow within a session, which one thread has at a time.
_numbers = itertools.count(1)

Result = TypeVar("Result")
Document = Mapping[str, Any]
Locate = Callable[[str | None], str]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a tenant's documents live: a collection, by its UUID, last seen under this name."""

    database: str
    collection: str
    uuid: UUID


@dataclass(frozen=True, slots=True)
class Key:
    """The ``_id`` after which a page begins."""

    id: Any


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents in the order of their ``_id``, and the key to go on after if there are more."""

    documents: list[dict[str, Any]]
    after: Key | None


@dataclass(frozen=True, slots=True)
class Changed:
    """How many documents matched, and how many of them are not as before."""

    matched: int
    modified: int


def _allow() -> None:
    """Refuse nothing."""


class TenantStore:
    """Reads and writes the documents of the collection that a ``placement`` names.

    Its name there is where it was last seen. When the server says that it is elsewhere,
    ``locate`` is called with its name there (``None``: nowhere in this database) and returns the
    name to go on under, or raises what the operation shall raise.

    ``retryable_write_client`` is a second client for single writes, with ``retryWrites`` off, on
    which nothing else is written: the store numbers those writes itself. ``guard`` is called before
    each operation, and may refuse it by raising.

    Every operation takes at most OPERATION_SECONDS, or what is left of the caller's
    ``pymongo.timeout``; those on many documents OPERATION_SECONDS for each batch. Time up, or
    MongoDB unavailable: the driver's error; a write may then have been executed or not. Otherwise
    they raise what ``locate`` raises (after which that is as uncertain only if the answer to a try
    before it was lost), QueryRefused, and the OperationFailure of what the server refuses. May be
    used by several threads.
    """

    def __init__(
        self,
        client: MongoClient,
        retryable_write_client: MongoClient,
        placement: Placement,
        locate: Locate,
        *,
        guard: Callable[[], None] = _allow,
    ) -> None:
        self._database = client[placement.database]
        self._retryable_write_client = retryable_write_client
        self._uuid = placement.uuid
        self._name = placement.collection
        self._locate = locate
        self._guard = guard

    def get(self, document_id: Any) -> dict[str, Any] | None:
        """The document with this ``_id``, whatever its type; ``None`` if there is none."""
        found = self._read("find", filter={"_id": {"$eq": document_id}}, limit=1, singleBatch=True)
        return next(iter(found["cursor"]["firstBatch"]), None)

    def find(
        self,
        query: Document,
        *,
        size: int = 25,
        after: Key | None = None,
        newest_first: bool = True,
    ) -> DocumentPage:
        """A page of at most ``size`` documents that match, by ``_id``, those of all types.

        Following ``after`` shows every document once that matches all the while, however often
        the collection is renamed in between.
        """
        check_filter(query)
        if not 1 <= size <= LARGEST_PAGE:
            raise QueryRefused(f"a page has 1 to {LARGEST_PAGE} documents")
        return self._page(query, size, after, newest_first=newest_first)

    def count(self, query: Document) -> int:
        """How many documents match. It counts them one by one, as their number may be wrong in
        the server's own counter."""
        check_filter(query)
        counted = self._aggregate([{"$match": query}, {"$count": "n"}])
        return counted[0]["n"] if counted else 0

    def aggregate(self, pipeline: Sequence[Document]) -> list[dict[str, Any]]:
        """The whole result of ``pipeline``, whose stages must be among ``queries.STAGES``.

        Raises QueryRefused also where the result is larger than one answer, 16 MB.
        """
        check_pipeline(pipeline)
        return self._aggregate(pipeline)

    def aggregate_raw(self, pipeline: Sequence[Document]) -> list[RawBSONDocument]:
        """Like ``aggregate``, but not decoded: for documents that can't be, or not as usual."""
        check_pipeline(pipeline)
        codec_options = self._database.client.codec_options
        return self._aggregate(pipeline, codec_options.with_options(document_class=RawBSONDocument))

    def insert_one(self, document: Document) -> Any:
        """Insert the document, once however often connection or primary is lost; its ``_id``.

        One without an ``_id`` gets an ObjectId before the first try. Raises DocumentExists.
        """
        document = _with_id(document)
        self._write("insert", documents=[document])
        return document["_id"]

    def insert_many(self, documents: Iterable[Document]) -> list[Any]:
        """Insert the documents in their order, each once; their ``_id``s.

        Goes on at the very document where a rename came between. It stops at the first that
        can't be inserted. Raises then, if others were before it, PartialWrite with their
        number; else what stopped it: DocumentExists or what single writes raise.
        """
        ids: list[Any] = []
        with _telling_how_many(lambda: len(ids)):
            for batch_ids, encoded in self._batches(documents):
                try:
                    self._write("insert", documents=encoded, ordered=True)
                except DocumentExists as refused:
                    ids += batch_ids[: refused.index]
                    raise DocumentExists(len(ids), refused.key) from refused
                except WriteError as refused:
                    ids += batch_ids[: (refused.details or {})["index"]]
                    raise
                ids += batch_ids
        return ids

    def update_one(self, query: Document, update: Document | Sequence[Document]) -> Changed:
        """Update one document that matches, once however often connection or primary is lost.

        ``update`` has operators alone or is a pipeline of ``queries.UPDATE_STAGES``. Raises
        DocumentExists if it would break a unique key.
        """
        check_filter(query)
        check_update(update)
        return _changed(self._write("update", updates=[{"q": query, "u": update}]))

    def replace_one(self, query: Document, document: Document) -> Changed:
        """Replace one document that matches as ``update_one`` updates it; its ``_id`` stays."""
        check_filter(query)
        check_replacement(document)
        return _changed(self._write("update", updates=[{"q": query, "u": document}]))

    def delete_one(self, query: Document) -> int:
        """Delete one document that matches, once as above; how many were deleted: 0 or 1."""
        check_filter(query)
        return self._write("delete", deletes=[{"q": query, "limit": 1}])["n"]

    def update_many(self, query: Document, update: Document | Sequence[Document]) -> Changed:
        """Update all documents that match, in batches of BATCH_DOCUMENTS.

        Each document is updated at most once, exactly once if it matches from the call to its
        end; ``$inc`` is right however often the collection is renamed. One that comes to match
        meanwhile, or no longer does, is updated if it matches when its batch comes. Each
        batch is all or nothing. Raises PartialWrite with the number of documents that earlier
        batches changed, if there are any; else what stopped it.
        """
        check_filter(query)
        check_update(update)
        matched = modified = 0
        with _telling_how_many(lambda: modified):
            for ids in self._ids(query):
                chosen = {"q": _among(query, ids), "u": update, "multi": True}
                answer = self._write_batch("update", updates=[chosen])
                matched += answer["n"]
                modified += answer["nModified"]
        return Changed(matched, modified)

    def delete_many(self, query: Document) -> int:
        """Delete all documents that match, in batches like ``update_many``; how many."""
        check_filter(query)
        deleted = 0
        with _telling_how_many(lambda: deleted):
            for ids in self._ids(query):
                chosen = {"q": _among(query, ids), "limit": 0}
                deleted += self._write_batch("delete", deletes=[chosen])["n"]
        return deleted

    def _page(
        self, query: Document, size: int, after: Key | None, *, newest_first: bool, **options: Any
    ) -> DocumentPage:
        answer = self._read(
            "find",
            filter=_beyond(query, after, newest_first=newest_first),
            sort={"_id": -1 if newest_first else 1},
            # One more than is shown tells whether there are more.
            limit=size + 1,
            batchSize=size + 1,
            **options,
        )
        documents = answer["cursor"]["firstBatch"]
        # An open cursor means that 16 MB were full before the page was.
        more = len(documents) > size or self._close(answer)
        documents = documents[:size]
        return DocumentPage(documents, Key(documents[-1]["_id"]) if more else None)

    def _ids(self, query: Document) -> Iterator[list[Any]]:
        """The ``_id``s of the documents that match, in batches, in ascending order."""
        after: Key | None = None
        while True:
            page = self._page(
                query, BATCH_DOCUMENTS, after, newest_first=False, projection={"_id": 1}
            )
            if page.documents:
                yield [document["_id"] for document in page.documents]
            if page.after is None:
                return
            after = page.after

    def _aggregate(
        self, pipeline: Sequence[Document], codec_options: CodecOptions | None = None
    ) -> list[Any]:
        answer = self._read(
            "aggregate",
            codec_options,
            pipeline=list(pipeline),
            cursor={"batchSize": _WHOLE},
        )
        # The rest couldn't be fetched after a rename: "getMore" takes no fence.
        if self._close(answer):
            raise QueryRefused("the result is larger than 16 MB")
        return list(answer["cursor"]["firstBatch"])

    def _close(self, answer: Mapping[str, Any]) -> bool:
        """Close the answer's cursor; whether it was open."""
        cursor = answer["cursor"]
        if cursor["id"]:
            self._database.command({"killCursors": self._name, "cursors": [cursor["id"]]})
        return bool(cursor["id"])

    def _batches(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Any], list[RawBSONDocument]]]:
        """The documents' ``_id``s and they themselves, encoded once, in parts that one command
        may carry."""
        codec_options = self._database.client.codec_options
        ids: list[Any] = []
        batch: list[RawBSONDocument] = []
        size_bytes = 0
        for document in map(_with_id, documents):
            encoded = bson.encode(document, codec_options=codec_options)
            size_bytes += len(encoded)
            if batch and (len(batch) == BATCH_DOCUMENTS or size_bytes > BATCH_BYTES):
                yield ids, batch
                ids, batch, size_bytes = [], [], len(encoded)
            ids.append(document["_id"])
            batch.append(RawBSONDocument(encoded))
        if batch:
            yield ids, batch

    def _read(
        self, verb: str, codec_options: CodecOptions | None = None, **fields: Any
    ) -> dict[str, Any]:
        def attempt(name: str) -> dict[str, Any]:
            command = {verb: name, **fields}
            return send(self._database, command, self._uuid, codec_options=codec_options)

        return self._carry_out(attempt)

    def _write(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Execute a command on single documents once, and return its answer."""
        client = self._retryable_write_client
        database = client[self._database.name]
        with client.start_session(causal_consistency=False) as session:
            # Takes a session from the pool now: a number is drawn after everybody else's there.
            _ = session.session_id
            number = Int64(next(_numbers))

            def attempt(name: str) -> dict[str, Any]:
                command = {
                    verb: name,
                    **fields,
                    "txnNumber": number,
                    "writeConcern": {"w": "majority"},
                }
                return send(database, command, self._uuid, session=session)

            return self._carry_out(attempt)

    def _write_batch(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Execute a command on many documents in a transaction, and return its answer."""

        def attempt(name: str) -> dict[str, Any]:
            # A refusal must be raised inside: the commit after it would fail as if it could
            # be tried again, without end.
            return _transaction(
                self._database.client,
                lambda session: send(
                    self._database, {verb: name, **fields}, self._uuid, session=session
                ),
            )

        # All that can be tried again was, by the driver; after a commit whose result isn't
        # known nobody else may.
        return self._carry_out(attempt, repeatable=False)

    def _carry_out(self, attempt: Callable[[str], Result], *, repeatable: bool = True) -> Result:
        """The result of ``attempt`` under the name that the collection has.

        Called again after a rename, for then it did nothing; after an error that will pass, if
        it is ``repeatable``.
        """
        self._guard()
        with pymongo.timeout(OPERATION_SECONDS):
            for pause_seconds in _pauses():  # the time limit ends it, in what is called
                try:
                    return attempt(self._name)
                except Moved as moved:
                    self._name = self._locate(moved.name)
                except PyMongoError as error:
                    if not (repeatable and will_pass(error)):
                        raise
                time.sleep(pause_seconds)
        raise AssertionError("there are always more pauses")


def _transaction(client: MongoClient, work: Callable[[ClientSession], Result]) -> Result:
    """Do ``work`` in one transaction, acknowledged by a majority."""
    with pymongo.timeout(TRANSACTION_SECONDS), client.start_session() as session:
        return session.with_transaction(
            work,
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )


def _pauses() -> Iterator[float]:
    """Seconds before each next try: none at first, then growing."""
    yield 0
    pause_seconds = 0.005
    while True:
        yield pause_seconds
        pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)


@contextmanager
def _telling_how_many(done: Callable[[], int]) -> Iterator[None]:
    """Raise PartialWrite from what stops the body when some of its work was done."""
    try:
        yield
    except Exception as error:
        if not done():
            raise
        raise PartialWrite(done()) from error


def _with_id(document: Document) -> Document:
    return document if "_id" in document else {"_id": ObjectId(), **document}


def _beyond(query: Document, after: Key | None, *, newest_first: bool) -> Document:
    """Narrow the filter to what comes after the key.

    As an expression, which compares values of all types; ``{"_id": {"$gt": …}}`` finds only
    those of the same type.
    """
    if after is None:
        return query
    compare = "$lt" if newest_first else "$gt"
    return {"$and": [query, {"$expr": {compare: ["$_id", {"$literal": after.id}]}}]}


def _among(query: Document, ids: list[Any]) -> Document:
    return {"$and": [query, {"_id": {"$in": ids}}]}


def _changed(answer: Mapping[str, Any]) -> Changed:
    return Changed(answer["n"], answer["nModified"])

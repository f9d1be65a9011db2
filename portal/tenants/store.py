"""The store of a tenant's documents: the only access to them.

Every command is fenced by the collection's UUID (``fence``), so inserting creates none. A command
that is rejected after a rename is sent again under the name that ``locate`` returns.

**Why a write is executed once.** A single write is a command with a session and a transaction
number (``txnNumber``), by which the server remembers it: a repeated command with the same number
gets the result of the first, also after a rename, and on another primary. So sending it again is
always safe. PyMongo numbers writes of ``Collection``'s methods, which can't carry a fence; for
``Database.command`` the number has to be given. It comes from one counter of this process, on a
client of its own where PyMongo assigns no numbers (``retryWrites`` is off), so all this uses only
PyMongo's public interface. Updates and deletes of many documents can't have a number; they are
executed in batches, each a transaction.
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
from pymongo.errors import PyMongoError, WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from portal.tenants.errors import DocumentExists, PartialWrite, QueryRefused
from portal.tenants.fence import Moved, is_transient, send
from portal.tenants.queries import check_filter, check_pipeline, check_replacement, check_update

OPERATION_SECONDS = 20
# A client that was killed in a transaction keeps its locks; the others' wait must be bounded.
TRANSACTION_SECONDS = 5
LARGEST_PAGE = 1000
# A rename waits for a batch's transaction, and other writes wait for the rename.
BATCH_DOCUMENTS = 500
BATCH_BYTES = 8 * 1024 * 1024

_LONGEST_PAUSE_SECONDS = 0.25
_ONE_BATCH = 2**31 - 1
# They only have to increase within a session, which only one thread uses at a time.
_transaction_numbers = itertools.count(1)

Result = TypeVar("Result")
Document = Mapping[str, Any]
Locate = Callable[[str | None], str]


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of a tenant's documents: a collection's UUID, and its last known name."""

    database: str
    collection: str
    uuid: UUID


@dataclass(frozen=True, slots=True)
class Key:
    """The ``_id`` after which a page begins."""

    id: Any


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents in the order of ``_id``, and where the next page begins, if there is one."""

    documents: list[dict[str, Any]]
    after: Key | None


@dataclass(frozen=True, slots=True)
class Changed:
    """The number of documents that matched, and of those that changed."""

    matched: int
    modified: int


def _allow() -> None:
    """Allow every operation."""


class TenantStore:
    """Reads and writes the documents of the collection at ``placement``.

    When the server reports that the collection has another name, ``locate`` is called with it
    (``None``: not in this database) and returns the name to continue with, or raises the error for
    the operation to raise.

    ``retryable_write_client`` is a second client with ``retryWrites`` off, used only for single
    writes: the store assigns their transaction numbers itself. ``guard`` is called before each
    operation, and can reject it by raising.

    Every operation takes at most OPERATION_SECONDS, or what is left of the caller's
    ``pymongo.timeout``; those on many documents OPERATION_SECONDS for each batch. On a timeout, or
    with MongoDB unavailable, they raise the driver's error, and a write may or may not have been
    executed. Otherwise they raise QueryRefused, the OperationFailure of what the server rejects,
    and what ``locate`` raises; then a write is uncertain only if the reply to an earlier try was
    lost. Thread-safe.
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
        """The document with this ``_id`` of any type; ``None`` if there is none."""
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
        """A page of at most ``size`` matching documents, sorted by ``_id`` of all types.

        Following ``after`` returns every document once that matches throughout, however often the
        collection is renamed meanwhile.
        """
        check_filter(query)
        if not 1 <= size <= LARGEST_PAGE:
            raise QueryRefused(f"a page has 1 to {LARGEST_PAGE} documents")
        return self._page(query, size, after, newest_first=newest_first)

    def count(self, query: Document) -> int:
        """Count the documents that match, one by one, since the server's counter may be off."""
        check_filter(query)
        counted = self._aggregate([{"$match": query}, {"$count": "n"}])
        return counted[0]["n"] if counted else 0

    def aggregate(self, pipeline: Sequence[Document]) -> list[dict[str, Any]]:
        """The whole result of ``pipeline``, whose stages must be among ``queries.STAGES``.

        Raises QueryRefused also where the result is larger than one reply, 16 MB.
        """
        check_pipeline(pipeline)
        return self._aggregate(pipeline)

    def aggregate_raw(self, pipeline: Sequence[Document]) -> list[RawBSONDocument]:
        """Like ``aggregate``, but not decoded: for documents that can't be decoded as usual."""
        check_pipeline(pipeline)
        codec_options = self._database.client.codec_options
        return self._aggregate(pipeline, codec_options.with_options(document_class=RawBSONDocument))

    def insert_one(self, document: Document) -> Any:
        """Insert the document, once despite lost connections or primaries; return its ``_id``.

        A missing ``_id`` is set to an ObjectId before the first try. Raises DocumentExists.
        """
        document = _with_id(document)
        self._write("insert", documents=[document])
        return document["_id"]

    def insert_many(self, documents: Iterable[Document]) -> list[Any]:
        """Insert the documents in their order, each once; return their ``_id``s.

        Resumes at the exact document after a rename. Stops at the first that can't be inserted, and
        raises PartialWrite with the number of those before it, if there are any; else the error
        itself: DocumentExists, or what single writes raise.
        """
        ids: list[Any] = []
        with _counting_partial(lambda: len(ids)):
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
        """Update one matching document, once however often connection or primary is lost.

        ``update`` consists of operators or is a pipeline of ``queries.UPDATE_STAGES``. Raises
        DocumentExists if it would violate a unique index.
        """
        check_filter(query)
        check_update(update)
        return _changed(self._write("update", updates=[{"q": query, "u": update}]))

    def replace_one(self, query: Document, document: Document) -> Changed:
        """Replace one matching document, otherwise like ``update_one``; its ``_id`` stays."""
        check_filter(query)
        check_replacement(document)
        return _changed(self._write("update", updates=[{"q": query, "u": document}]))

    def delete_one(self, query: Document) -> int:
        """Delete one matching document, once as above; return how many were deleted: 0 or 1."""
        check_filter(query)
        return self._write("delete", deletes=[{"q": query, "limit": 1}])["n"]

    def update_many(self, query: Document, update: Document | Sequence[Document]) -> Changed:
        """Update all matching documents, in batches of BATCH_DOCUMENTS.

        Each document is updated at most once, and exactly once if it matches throughout the call;
        so ``$inc`` is right however often the collection is renamed. A document that starts or
        stops matching meanwhile is updated if it matches when its batch runs. Batches are atomic.
        Raises PartialWrite with the number of documents changed by earlier batches, if there are
        any; else the error itself.
        """
        check_filter(query)
        check_update(update)
        matched = modified = 0
        with _counting_partial(lambda: modified):
            for ids in self._ids(query):
                batch = {"q": _among(query, ids), "u": update, "multi": True}
                answer = self._write_batch("update", updates=[batch])
                matched += answer["n"]
                modified += answer["nModified"]
        return Changed(matched, modified)

    def delete_many(self, query: Document) -> int:
        """Delete all matching documents, in batches like ``update_many``; return their number."""
        check_filter(query)
        deleted = 0
        with _counting_partial(lambda: deleted):
            for ids in self._ids(query):
                batch = {"q": _among(query, ids), "limit": 0}
                deleted += self._write_batch("delete", deletes=[batch])["n"]
        return deleted

    def _page(
        self, query: Document, size: int, after: Key | None, *, newest_first: bool, **options: Any
    ) -> DocumentPage:
        answer = self._read(
            "find",
            filter=_beyond(query, after, newest_first=newest_first),
            sort={"_id": -1 if newest_first else 1},
            # One more than the page, to see whether there are more.
            limit=size + 1,
            batchSize=size + 1,
            **options,
        )
        documents = answer["cursor"]["firstBatch"]
        # An open cursor means that the reply reached 16 MB before the page was full.
        more = len(documents) > size or self._close(answer)
        documents = documents[:size]
        return DocumentPage(documents, Key(documents[-1]["_id"]) if more else None)

    def _ids(self, query: Document) -> Iterator[list[Any]]:
        """The ``_id``s of the matching documents, in batches, in ascending order."""
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
        cursor = {"batchSize": _ONE_BATCH}
        answer = self._read("aggregate", codec_options, pipeline=list(pipeline), cursor=cursor)
        # After a rename the rest couldn't be fetched: "getMore" takes no fence.
        if self._close(answer):
            raise QueryRefused("the result is larger than 16 MB")
        return list(answer["cursor"]["firstBatch"])

    def _close(self, answer: Mapping[str, Any]) -> bool:
        """Close the reply's cursor; return whether it was open."""
        cursor = answer["cursor"]
        if cursor["id"]:
            self._database.command({"killCursors": self._name, "cursors": [cursor["id"]]})
        return bool(cursor["id"])

    def _batches(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Any], list[RawBSONDocument]]]:
        """The documents, encoded once, and their ``_id``s, in batches that fit one command."""
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

        return self._execute(attempt)

    def _write(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Execute a command on single documents once, and return its reply."""
        client = self._retryable_write_client
        database = client[self._database.name]
        with client.start_session(causal_consistency=False) as session:
            # Takes a session from the pool, so that the number is higher than all used in it.
            _ = session.session_id
            number = Int64(next(_transaction_numbers))

            def attempt(name: str) -> dict[str, Any]:
                options = {"txnNumber": number, "writeConcern": {"w": "majority"}}
                command = {verb: name, **fields, **options}
                return send(database, command, self._uuid, session=session)

            return self._execute(attempt)

    def _write_batch(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Execute a command on many documents in a transaction, and return its reply."""

        def attempt(name: str) -> dict[str, Any]:
            # A rejection must be raised inside: otherwise the commit would fail as retryable,
            # endlessly.
            client = self._database.client
            with pymongo.timeout(TRANSACTION_SECONDS), client.start_session() as session:
                return session.with_transaction(
                    lambda session: send(
                        self._database, {verb: name, **fields}, self._uuid, session=session
                    ),
                    read_concern=ReadConcern("local"),
                    write_concern=WriteConcern("majority"),
                    read_preference=ReadPreference.PRIMARY,
                )

        # The driver made all safe retries; after a commit with unknown result there are none.
        return self._execute(attempt, retryable=False)

    def _execute(self, attempt: Callable[[str], Result], *, retryable: bool = True) -> Result:
        """The result of ``attempt``, called with the collection's name.

        Calls it again after a rename, since the server rejected it then; if ``retryable`` also
        after a transient error.
        """
        self._guard()
        with pymongo.timeout(OPERATION_SECONDS):
            for pause_seconds in _pauses():  # until the time limit raises in ``attempt``
                try:
                    return attempt(self._name)
                except Moved as moved:
                    self._name = self._locate(moved.name)
                except PyMongoError as error:
                    if not (retryable and is_transient(error)):
                        raise
                time.sleep(pause_seconds)
        raise AssertionError("there are always more pauses")


def _pauses() -> Iterator[float]:
    """Seconds to wait before each retry: first none, then exponential."""
    yield 0
    pause_seconds = 0.005
    while True:
        yield pause_seconds
        pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)


@contextmanager
def _counting_partial(done: Callable[[], int]) -> Iterator[None]:
    """Raise PartialWrite from an error of the body after some of its work was ``done``."""
    try:
        yield
    except Exception as error:
        if not done():
            raise
        raise PartialWrite(done()) from error


def _with_id(document: Document) -> Document:
    return document if "_id" in document else {"_id": ObjectId(), **document}


def _beyond(query: Document, after: Key | None, *, newest_first: bool) -> Document:
    """Narrow the filter to documents after the key.

    An expression compares values of all types; ``{"_id": {"$gt": …}}`` matches only the same type.
    """
    if after is None:
        return query
    compare = "$lt" if newest_first else "$gt"
    return {"$and": [query, {"$expr": {compare: ["$_id", {"$literal": after.id}]}}]}


def _among(query: Document, ids: list[Any]) -> Document:
    return {"$and": [query, {"_id": {"$in": ids}}]}


def _changed(answer: Mapping[str, Any]) -> Changed:
    return Changed(answer["n"], answer["nModified"])

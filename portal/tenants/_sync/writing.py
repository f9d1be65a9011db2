"""Writing a tenant's documents, by PyMongo's names."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, OperationFailure, WriteError
from pymongo.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)
from pymongo.synchronous.client_session import ClientSession

from .. import limits
from ..arguments import (
    Document,
    Sort,
    collates,
    decoded,
    given,
    id_of,
    projection_document,
    received,
    statement,
    variables,
    with_id,
)
from ..bulk import Batch, Outcome, batches, counting_partial, insertions, statement_of
from ..directory import Located
from ..fence import check_write, refused_write
from ..queries import check_filter, check_replacement, check_update
from .cursors import Found
from .execution import Execution, write_options

Update = Document | Sequence[Document]


class Writing:
    """The operations that write."""

    _execution: Execution

    # Writing single documents

    def insert_one(self, document: Any, *, comment: Any = None, **others: Any) -> InsertOneResult:
        """Insert the document. A missing ``_id`` is set in it."""
        document = with_id(document)
        fields = given(others, comment=comment)
        self._execution.write("insert", documents=[document], **fields)
        return InsertOneResult(id_of(document), True)

    def update_one(
        self,
        filter: Document,
        update: Update,
        upsert: bool = False,
        *,
        array_filters: Sequence[Document] | None = None,
        collation: Any = None,
        hint: Any = None,
        sort: Sort | None = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> UpdateResult:
        """Update one matching document. ``update`` consists of operators, or is a pipeline of
        ``queries.UPDATE_STAGES``."""
        parts = statement(filter, hint, collation, array_filters, sort)
        check_update(update)
        fields = given(others, let=variables(let), comment=comment)
        return self._update({**parts, "u": update, "upsert": bool(upsert)}, **fields)

    def replace_one(
        self,
        filter: Document,
        replacement: Document,
        upsert: bool = False,
        *,
        collation: Any = None,
        hint: Any = None,
        sort: Sort | None = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> UpdateResult:
        """Replace one matching document; its ``_id`` stays."""
        parts = statement(filter, hint, collation, None, sort)
        check_replacement(replacement)
        fields = given(others, let=variables(let), comment=comment)
        return self._update({**parts, "u": replacement, "upsert": bool(upsert)}, **fields)

    def delete_one(
        self,
        filter: Document,
        *,
        collation: Any = None,
        hint: Any = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> DeleteResult:
        """Delete one matching document."""
        parts = statement(filter, hint, collation)
        fields = given(others, let=variables(let), comment=comment)
        reply = self._execution.write("delete", deletes=[{**parts, "limit": 1}], **fields)
        return DeleteResult({"n": reply["n"]}, True)

    def find_one_and_update(
        self,
        filter: Document,
        update: Update,
        projection: Document | Iterable[str] | None = None,
        sort: Sort | None = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        *,
        array_filters: Sequence[Document] | None = None,
        **options: Any,
    ) -> Any:
        """Update one matching document, and return it as it was, or as it is; in a transaction.

        ``options`` are ``hint``, ``collation``, ``let``, ``comment``, and ``maxTimeMS``, which may
        be called ``max_time_ms``, too.
        """
        check_update(update)
        for each in array_filters or ():
            check_filter(each)
        action = given(
            {}, update=update, upsert=bool(upsert), new=return_document, arrayFilters=array_filters
        )
        return self._find_and_modify(action, filter, projection, sort, **options)

    def find_one_and_replace(
        self,
        filter: Document,
        replacement: Document,
        projection: Document | Iterable[str] | None = None,
        sort: Sort | None = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        **options: Any,
    ) -> Any:
        """Replace one matching document, otherwise like ``find_one_and_update``."""
        check_replacement(replacement)
        action = {"update": replacement, "upsert": bool(upsert), "new": return_document}
        return self._find_and_modify(action, filter, projection, sort, **options)

    def find_one_and_delete(
        self,
        filter: Document,
        projection: Document | Iterable[str] | None = None,
        sort: Sort | None = None,
        **options: Any,
    ) -> Any:
        """Delete one matching document and return it, otherwise like ``find_one_and_update``."""
        return self._find_and_modify({"remove": True}, filter, projection, sort, **options)

    # Writing many documents

    def insert_many(
        self, documents: Iterable[Any], ordered: bool = True, *, comment: Any = None, **others: Any
    ) -> InsertManyResult:
        """Insert the documents in their order, each once; missing ``_id``s are set in them.

        Resumes at the exact document after a rename. Raises BulkWriteError for those that the
        server refuses, after the first one, or unless ``ordered`` after all. What else stops it is
        raised from PartialWrite if documents were inserted before, and else by itself.
        """
        if isinstance(documents, Mapping) or not isinstance(documents, Iterable) or not documents:
            raise TypeError("documents must be a non-empty list")
        ids = []

        def numbered() -> Iterator[Any]:
            for document in map(with_id, documents):
                ids.append(id_of(document))
                yield document

        parts = insertions(numbered(), self._execution.codec_options)
        self._write_all(parts, ordered, **given(others, comment=comment))
        return InsertManyResult(ids, True)

    def insert_encoded(self, documents: Sequence[RawBSONDocument], *, comment: Any = None) -> int:
        """Insert documents that fit one command and have an ``_id``, in their order, like
        ``insert_many`` but without decoding any; their number. Raises BulkWriteError."""
        content = {"documents": documents, "ordered": True, **given({}, comment=comment)}
        reply = self._execution.write("insert", single=False, **content)
        if errors := reply.get("writeErrors"):
            raise BulkWriteError({"nInserted": reply["n"], "writeErrors": errors})
        return reply["n"]

    def insert_literal(self, document: RawBSONDocument, *, comment: Any = None) -> None:
        """Insert a document by exactly these bytes, empty timestamps included, for which inserts
        have the server put its time. Raises DuplicateKeyError."""
        # A filter that nothing matches: before 6.0.9 the server may abort where a pipeline changes
        # a document that is there, and has a field twice (SERVER-76934).
        only = {"_id": {"$eq": id_of(document)}, "$nor": [{}]}
        update = [{"$replaceWith": {"$literal": document}}]
        parts = {"q": only, "u": update, "upsert": True}
        self._update(parts, **given({}, comment=comment))

    def bulk_write(
        self,
        requests: Iterable[Any],
        ordered: bool = True,
        *,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> BulkWriteResult:
        """Execute PyMongo's InsertOne, UpdateOne, UpdateMany, ReplaceOne, DeleteOne and DeleteMany
        in their order, each by the promise of the method of its name. Errors are as of
        ``insert_many``."""
        fields = given(others, let=variables(let), comment=comment)
        statements = [statement_of(request) for request in requests]
        parts = batches(statements, self._execution.codec_options)
        return BulkWriteResult(self._write_all(parts, ordered, **fields), True)

    def update_many(
        self,
        filter: Document,
        update: Update,
        upsert: bool = False,
        array_filters: Sequence[Document] | None = None,
        *,
        collation: Any = None,
        hint: Any = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> UpdateResult:
        """Update all matching documents, in batches of 500.

        Each document is updated at most once, and exactly once if it matches throughout the call;
        so ``$inc`` is right however often the collection is renamed. A document that starts or
        stops matching meanwhile is updated if it matches when its batch runs. Batches are atomic.
        Raises PartialWrite with the number of documents changed by earlier batches, if there are
        any; else the error itself. By a collation, all ``_id``s that are strings are one batch.
        """
        parts = statement(filter, hint, collation, array_filters)
        check_update(update)
        fields = given(others, let=variables(let), comment=comment)
        result: dict[str, Any] = {"n": 0, "nModified": 0}
        with self._counting(lambda: result["nModified"]):
            self._update_all({**parts, "u": update, "upsert": bool(upsert)}, result, **fields)
        return UpdateResult(result, True)

    def delete_many(
        self,
        filter: Document,
        *,
        collation: Any = None,
        hint: Any = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> DeleteResult:
        """Delete all matching documents, in batches like ``update_many``."""
        parts = statement(filter, hint, collation)
        fields = given(others, let=variables(let), comment=comment)
        result = {"n": 0}
        with self._counting(lambda: result["n"]):
            self._delete_all(parts, result, **fields)
        return DeleteResult(result, True)

    def _counting(self, done: Callable[[], int]) -> AbstractContextManager[None]:
        """Raise PartialWrite from an error of the body after some of its work was ``done``. In a
        transaction of the caller nothing is kept, and PyMongo's error tells to run it again."""
        return nullcontext() if self._execution.in_transaction else counting_partial(done)

    def _update(self, parts: Document, **fields: Any) -> UpdateResult:
        reply = self._execution.write("update", updates=[parts], **fields)
        result = {"n": reply["n"], "nModified": reply["nModified"]}
        for upserted in reply.get("upserted", ()):
            result["upserted"] = upserted["_id"]
        return UpdateResult(result, True)

    def _find_and_modify(
        self,
        action: Document,
        filter: Document,
        projection: Document | Iterable[str] | None,
        sort: Sort | None,
        *,
        hint: Any = None,
        collation: Any = None,
        maxTimeMS: int | None = None,
        max_time_ms: int | None = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> Any:
        parts = statement(filter, hint, collation, None, sort)
        fields = given(
            others,
            query=parts.pop("q"),
            fields=None if projection is None else projection_document(projection),
            let=variables(let),
            comment=comment,
        )
        options = received(self._execution.codec_options)

        def body(session: ClientSession, located: Located) -> Any:
            self._execution.check_writable(located)
            # The command takes no fence. A fenced one before it in the transaction keeps the
            # collection from being renamed until that ends.
            self._execution.look(session, located)
            command = {**fields, **parts, **action}
            channel = self._execution.channel(located, session)
            return channel.send_unfenced("findAndModify", command, options, session)

        milliseconds = maxTimeMS or max_time_ms
        seconds = milliseconds / 1000 if milliseconds else limits.TRANSACTION_SECONDS
        with pymongo.timeout(seconds):
            found = (self._execution.transact(body))["value"]
        if isinstance(found, RawBSONDocument):
            return decoded(found, self._execution.codec_options)
        return found

    def _write_all(self, parts: Iterable[Batch], ordered: bool, **fields: Any) -> dict[str, Any]:
        """Execute the batches in their order, and return PyMongo's result."""
        outcome = Outcome()
        with self._counting(lambda: outcome.done):
            for batch in parts:
                if batch.verb in ("update", "delete") and batch.many:
                    self._write_many(batch, outcome, **fields)
                else:
                    content: dict[str, Any] = {**batch.content, "ordered": ordered, **fields}
                    if batch.verb == "insert":  # which has no variables
                        content.pop("let", None)
                    reply = self._execution.write(batch.verb, single=False, **content)
                    outcome.add(batch, reply)
                if ordered and outcome.errors:
                    break
        return outcome.result()

    def _write_many(self, batch: Batch, outcome: Outcome, **fields: Any) -> None:
        """Execute one statement on many documents."""
        [parts] = batch.bodies
        result: dict[str, Any] = {"n": 0, "nModified": 0}
        try:
            if batch.verb == "update":
                self._update_all(parts, result, **fields)
            else:
                self._delete_all(parts, result, **fields)
        except WriteError as error:
            result["writeErrors"] = [{**(error.details or {}), "index": 0}]
        if "upserted" in result:
            result["upserted"] = [{"index": 0, "_id": result["upserted"]}]
        outcome.add(batch, result)

    def _update_all(self, parts: Document, result: dict[str, Any], **fields: Any) -> None:
        """Update in batches, and count into ``result``."""
        found = False
        for ids in self._ids(parts, fields):
            found = True
            batch = {**_among(parts, ids), "multi": True, "upsert": False}
            reply = self._write_batch("update", updates=[batch], **fields)
            result["n"] += reply["n"]
            result["nModified"] += reply["nModified"]
        if not found and not parts["upsert"]:  # the server refuses what is wrong all the same
            none = {**_among(parts, []), "multi": False, "upsert": False}
            self._execution.write("update", updates=[none], **fields)
        if parts["upsert"] and not result["n"]:
            reply = self._write_batch("update", updates=[{**parts, "multi": True}], **fields)
            result["n"] += reply["n"]
            result["nModified"] += reply["nModified"]
            for upserted in reply.get("upserted", ()):
                result["upserted"] = upserted["_id"]

    def _delete_all(self, parts: Document, result: dict[str, Any], **fields: Any) -> None:
        """Delete in batches, and count into ``result``. A transaction of the caller holds all that
        it deletes until it ends, so there it is one command."""
        if self._execution.in_transaction:
            batch = {**parts, "limit": 0}
            result["n"] += (self._write_batch("delete", deletes=[batch], **fields))["n"]
            return
        for ids in self._ids(parts, fields):
            batch = {**_among(parts, ids), "limit": 0}
            result["n"] += (self._write_batch("delete", deletes=[batch], **fields))["n"]

    def _write_batch(self, verb: str, **fields: Any) -> Mapping[str, Any]:
        """The reply to a command on many documents, in a transaction."""
        options = write_options(self._execution.codec_options)

        def body(session: ClientSession, located: Located) -> Mapping[str, Any]:
            self._execution.check_writable(located)
            channel = self._execution.channel(located, session)
            reply = channel.send(verb, fields, options, session)
            check_write(reply, single=True)
            return reply

        return self._execution.transact(body)

    def _ids(self, parts: Document, options: Document) -> Iterator[list[Any]]:
        """The ``_id``s of the matching documents, in batches, in ascending order. All that may be
        equal by the statement's collation are in one: it would match them in each."""
        chosen = {name: parts[name] for name in ("hint", "collation") if name in parts}
        fields = {"filter": parts["q"], "projection": {"_id": 1}, "sort": {"_id": 1}}
        fields |= {**chosen, **options, "batchSize": limits.BATCH_DOCUMENTS}
        ids = []
        try:
            for document in Found(self._execution, fields, decodes=False):
                ids.append(id_of(document))
                full = len(ids) >= limits.BATCH_DOCUMENTS
                if full and not collates(parts.get("collation"), ids[-1]):
                    yield ids
                    ids = []
        except OperationFailure as error:
            if (refused := refused_write(error)) is None:
                raise
            raise refused from error
        if ids:
            yield ids


def _among(parts: Document, ids: list[Any]) -> dict[str, Any]:
    """A statement on those of its documents that have one of ``ids``."""
    among = {"$and": [parts["q"], {"_id": {"$in": ids}}]}
    return {**{name: value for name, value in parts.items() if name != "hint"}, "q": among}

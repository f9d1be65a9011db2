"""The operations on a tenant's documents, by PyMongo's names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel, ReturnDocument
from pymongo.errors import BulkWriteError, WriteError
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
    collation_document,
    find_fields,
    given,
    hint_value,
    id_of,
    projection_document,
    statement,
    variables,
    with_id,
)
from ..bulk import Batch, Outcome, Statement, batches, counting_partial, statement_of
from ..directory import Located
from ..errors import NotOffered
from ..fence import check_write
from ..queries import check_filter, check_pipeline, check_replacement, check_update
from ..unsupported import INSTEAD
from .cursors import Found, Results
from .execution import Execution, send, write_options

Update = Document | Sequence[Document]

_ONE_REPLY = 2**31 - 1


class Operations:
    """Operations with PyMongo's names, arguments, results and errors.

    - Every command is fenced to the organization's collection, whatever has its name. No operation
      notices a rename.
    - Single writes are executed once, however often connection or primary is lost, and acknowledged
      by a majority. Those of many documents are executed in their order, or in atomic batches.
    - Filters, updates and pipelines run no code, and reach no other collection: QueryRefused.
    - Each operation ends within 20 seconds, those on many documents within that for each batch, or
      within the caller's ``pymongo.timeout``. On a timeout, or with MongoDB unavailable, PyMongo's
      error is raised, and a write may or may not have been executed.

    All raise StateError where the organization's documents can't be reached.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def __getattr__(self, name: str) -> Any:
        if name in INSTEAD:
            raise NotOffered(name, INSTEAD[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # Reading

    def find(
        self,
        filter: Document | None = None,
        projection: Document | Iterable[str] | None = None,
        skip: int = 0,
        limit: int = 0,
        *,
        sort: Sort | None = None,
        batch_size: int = 0,
        collation: Any = None,
        hint: Any = None,
        max_time_ms: int | None = None,
        allow_disk_use: bool | None = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> Found:
        """The documents that match, read in parts while they are iterated over."""
        fields = find_fields(
            filter, projection, skip, sort, hint, collation, max_time_ms, let, comment, others
        )
        fields |= given(
            {}, limit=limit or None, batchSize=batch_size or None, allowDiskUse=allow_disk_use
        )
        return Found(self._execution, fields)

    def find_one(
        self,
        filter: Any = None,
        projection: Document | Iterable[str] | None = None,
        skip: int = 0,
        *,
        sort: Sort | None = None,
        collation: Any = None,
        hint: Any = None,
        max_time_ms: int | None = None,
        let: Document | None = None,
        comment: Any = None,
        **others: Any,
    ) -> Any:
        """A document that matches, or ``None``. A filter that is no mapping is an ``_id``."""
        if filter is not None and not isinstance(filter, Mapping):
            filter = {"_id": {"$eq": filter}}
        fields = find_fields(
            filter, projection, skip, sort, hint, collation, max_time_ms, let, comment, others
        )
        reply = self._execution.read("find", **fields, limit=1, singleBatch=True)
        return next(iter(reply["cursor"]["firstBatch"]), None)

    def count_documents(
        self,
        filter: Document,
        *,
        skip: int = 0,
        limit: int = 0,
        hint: Any = None,
        collation: Any = None,
        maxTimeMS: int | None = None,
        comment: Any = None,
        **others: Any,
    ) -> int:
        """Count the documents that match, one by one, since the server's counter may be off."""
        check_filter(filter)
        pipeline: list[Document] = [{"$match": filter}]
        pipeline += [{"$skip": skip}] if skip else []
        pipeline += [{"$limit": limit}] if limit else []
        pipeline.append({"$group": {"_id": 1, "n": {"$sum": 1}}})
        fields = given(
            others,
            hint=hint_value(hint),
            collation=collation_document(collation),
            maxTimeMS=maxTimeMS,
            comment=comment,
        )
        reply = self._execution.read("aggregate", pipeline=pipeline, cursor={}, **fields)
        counted = next(iter(reply["cursor"]["firstBatch"]), None)
        return 0 if counted is None else counted["n"]

    def estimated_document_count(
        self,
        *,
        maxTimeMS: int | None = None,
        comment: Any = None,
        **others: Any,
    ) -> int:
        """The server's counter, which may be slightly off after a crash."""
        fields = given(others, maxTimeMS=maxTimeMS, comment=comment)
        return (self._execution.read_between("count", **fields))["n"]

    def distinct(
        self,
        key: str,
        filter: Document | None = None,
        *,
        collation: Any = None,
        hint: Any = None,
        comment: Any = None,
        **others: Any,
    ) -> list[Any]:
        """The different values of a field; those of an array one by one."""
        if not isinstance(key, str):
            raise TypeError("key must be a string")
        filter = {} if filter is None else filter
        check_filter(filter)
        # "distinct" takes no fence, so stages say the same: arrays on the way are unwound, once.
        parts = key.split(".")
        *ways, path = ["$" + ".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        pipeline: list[Document] = [{"$match": filter}]
        for way in ways:
            pipeline += [_unwind(way), {"$match": {"$expr": {"$not": {"$isArray": way}}}}]
        pipeline += [_unwind(path), {"$match": {key: {"$exists": True}}}]
        pipeline += [{"$group": {"_id": path}}, {"$sort": {"_id": 1}}]
        found = self.aggregate(pipeline, hint=hint, collation=collation, comment=comment, **others)
        return [group["_id"] for group in found]

    def aggregate(
        self,
        pipeline: Sequence[Document],
        *,
        let: Document | None = None,
        batchSize: int | None = None,
        allowDiskUse: bool | None = None,
        maxTimeMS: int | None = None,
        hint: Any = None,
        collation: Any = None,
        comment: Any = None,
        **others: Any,
    ) -> Results:
        """The result of ``pipeline``, whose stages must be among ``queries.STAGES``.

        It comes whole in the first reply if it has less than 16 MB.
        """
        check_pipeline(pipeline)
        fields = given(
            others,
            let=variables(let),
            allowDiskUse=allowDiskUse,
            maxTimeMS=maxTimeMS,
            hint=hint_value(hint),
            collation=collation_document(collation),
            comment=comment,
        )
        cursor = {"batchSize": _ONE_REPLY if batchSize is None else batchSize}
        fields |= {"pipeline": list(pipeline), "cursor": cursor}
        results = Results(self._execution, "aggregate", fields)
        results.open()
        return results

    # Writing single documents

    def insert_one(self, document: Any, *, comment: Any = None, **others: Any) -> InsertOneResult:
        """Insert the document. A missing ``_id`` is set in it."""
        document = with_id(document)
        fields = given(others, comment=comment)
        self._execution.write("insert", documents=[document], **fields)
        return InsertOneResult(document["_id"], True)

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

        ``options`` are ``hint``, ``collation``, ``max_time_ms``, ``let`` and ``comment``.
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

        def statements() -> Iterator[Statement]:
            for document in map(with_id, documents):
                ids.append(id_of(document))
                yield Statement("insert", document)

        self._write_all(statements(), ordered, **given(others, comment=comment))
        return InsertManyResult(ids, True)

    def insert_encoded(self, documents: Sequence[RawBSONDocument], *, comment: Any = None) -> int:
        """Insert documents that fit one command and have an ``_id``, in their order, like
        ``insert_many`` but without decoding any; their number. Raises BulkWriteError."""
        content = {"documents": documents, "ordered": True, **given({}, comment=comment)}
        reply = self._execution.write("insert", single=False, **content)
        if errors := reply.get("writeErrors"):
            raise BulkWriteError({"nInserted": reply["n"], "writeErrors": errors})
        return reply["n"]

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
        return BulkWriteResult(self._write_all(statements, ordered, **fields), True)

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
        any; else the error itself.
        """
        parts = statement(filter, hint, collation, array_filters)
        check_update(update)
        fields = given(others, let=variables(let), comment=comment)
        result: dict[str, Any] = {"n": 0, "nModified": 0}
        with counting_partial(lambda: result["nModified"]):
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
        with counting_partial(lambda: result["n"]):
            self._delete_all(parts, result, **fields)
        return DeleteResult(result, True)

    # Indexes

    def create_index(self, keys: Any, *, comment: Any = None, **options: Any) -> str:
        """Make sure that the index exists; return its name. Waits for the build, an hour at most,
        or ``maxTimeMS``."""
        fields = given(
            {name: options.pop(name) for name in ("session",) if name in options},
            comment=comment,
            maxTimeMS=options.pop("maxTimeMS", None),
        )
        index = IndexModel(keys, **options).document
        self._execution.change("createIndexes", indexes=[index], **fields)
        return index["name"]

    def drop_index(self, index_or_name: Any, *, comment: Any = None, **others: Any) -> None:
        """Drop one index, by its name or keys; never all of them."""
        if not isinstance(index_or_name, str):
            index_or_name = IndexModel(index_or_name).document["name"]
        if index_or_name == "*":
            raise NotOffered("drop_index('*')", "drop them one by one")
        fields = given(others, comment=comment)
        self._execution.change("dropIndexes", index=index_or_name, **fields)

    def list_indexes(self, *, comment: Any = None, **others: Any) -> list[Any]:
        """The indexes, as PyMongo describes them; at most 64, so in a list."""
        fields = given(others, comment=comment)
        return (self._execution.read_between("listIndexes", **fields))["cursor"]["firstBatch"]

    def index_information(self, **others: Any) -> dict[str, Any]:
        """The indexes by name, as PyMongo's method of this name tells them."""
        information = {}
        for index in self.list_indexes(**others):
            described = dict(index)
            name, keys = described.pop("name"), described.pop("key")
            information[name] = {"key": list(keys.items()), **described}
        return information

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
        options = self._execution.codec_options

        def body(session: ClientSession, located: Located) -> Any:
            # The command takes no fence. A fenced one before it in the transaction keeps the
            # collection from being renamed until that ends.
            self._execution.look(session, located)
            database = self._execution.database(located)
            command = {"findAndModify": located.name, **fields, **parts, **action}
            return database.command(command, session=session, codec_options=options)

        seconds = limits.TRANSACTION_SECONDS if max_time_ms is None else max_time_ms / 1000
        with pymongo.timeout(seconds):
            return (self._execution.transact(body))["value"]

    def _write_all(
        self, statements: Iterable[Statement], ordered: bool, **fields: Any
    ) -> dict[str, Any]:
        """Execute the statements in their order, and return PyMongo's result."""
        outcome = Outcome()
        with counting_partial(lambda: outcome.done):
            for batch in batches(statements, self._execution.codec_options):
                if batch.verb in ("update", "delete") and batch.many:
                    self._write_many(batch, outcome, **fields)
                else:
                    content = {batch.content: batch.encoded, "ordered": ordered}
                    reply = self._execution.write(batch.verb, single=False, **content, **fields)
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
        for ids in self._ids(parts, fields):
            batch = {**_among(parts, ids), "multi": True, "upsert": False}
            reply = self._write_batch("update", updates=[batch], **fields)
            result["n"] += reply["n"]
            result["nModified"] += reply["nModified"]
        if parts["upsert"] and not result["n"]:
            reply = self._write_batch("update", updates=[{**parts, "multi": True}], **fields)
            result["n"] += reply["n"]
            result["nModified"] += reply["nModified"]
            for upserted in reply.get("upserted", ()):
                result["upserted"] = upserted["_id"]

    def _delete_all(self, parts: Document, result: dict[str, Any], **fields: Any) -> None:
        """Delete in batches, and count into ``result``."""
        for ids in self._ids(parts, fields):
            batch = {**_among(parts, ids), "limit": 0}
            result["n"] += (self._write_batch("delete", deletes=[batch], **fields))["n"]

    def _write_batch(self, verb: str, **fields: Any) -> Mapping[str, Any]:
        """The reply to a command on many documents, in a transaction."""
        options = write_options(self._execution.codec_options)

        def body(session: ClientSession, located: Located) -> Mapping[str, Any]:
            database = self._execution.database(located)
            command = {verb: located.name, **fields}
            reply = send(database, command, located, options, session)
            check_write(reply, single=True)
            return reply

        return self._execution.transact(body)

    def _ids(self, parts: Document, options: Document) -> Iterator[list[Any]]:
        """The ``_id``s of the matching documents, in batches, in ascending order."""
        chosen = {name: parts[name] for name in ("hint", "collation") if name in parts}
        fields = {"filter": parts["q"], "projection": {"_id": 1}, "sort": {"_id": 1}}
        fields |= {**chosen, **options, "batchSize": limits.BATCH_DOCUMENTS}
        ids = []
        for document in Found(self._execution, fields):
            ids.append(id_of(document))
            if len(ids) == limits.BATCH_DOCUMENTS:
                yield ids
                ids = []
        if ids:
            yield ids


def _unwind(path: str) -> Document:
    return {"$unwind": {"path": path, "preserveNullAndEmptyArrays": True}}


def _among(parts: Document, ids: list[Any]) -> dict[str, Any]:
    """A statement on those of its documents that have one of ``ids``."""
    among = {"$and": [parts["q"], {"_id": {"$in": ids}}]}
    return {**{name: value for name, value in parts.items() if name != "hint"}, "q": among}

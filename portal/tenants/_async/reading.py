"""Reading a tenant's documents, by PyMongo's names."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument

from ..arguments import (
    Document,
    Sort,
    collation_document,
    decoded,
    find_fields,
    given,
    hint_value,
    variables,
)
from ..errors import NotOffered
from ..queries import COUNTING, check_filter, check_pipeline
from .cursors import AsyncFound, AsyncResults
from .execution import AsyncExecution

_ONE_REPLY = 2**31 - 1


class AsyncReading:
    """The operations that read."""

    _execution: AsyncExecution

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
    ) -> AsyncFound:
        """The documents that match, read in parts while they are iterated over."""
        fields = find_fields(
            filter, projection, skip, sort, hint, collation, max_time_ms, let, comment, others
        )
        fields |= given(
            {}, limit=limit or None, batchSize=batch_size or None, allowDiskUse=allow_disk_use
        )
        return AsyncFound(self._execution, fields)

    async def find_one(
        self,
        filter: Any = None,
        projection: Document | Iterable[str] | None = None,
        skip: int = 0,
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
    ) -> Any:
        """A document that matches, or ``None``. A filter that is no mapping is an ``_id``."""
        if filter is not None and not isinstance(filter, Mapping):
            filter = {"_id": {"$eq": filter}}
        fields = find_fields(
            filter, projection, skip, sort, hint, collation, max_time_ms, let, comment, others
        )
        fields |= given({}, batchSize=batch_size or None, allowDiskUse=allow_disk_use)
        reply = await self._execution.read("find", **fields, limit=1, singleBatch=True)
        found = next(iter(reply["cursor"]["firstBatch"]), None)
        if isinstance(found, RawBSONDocument):
            return decoded(found, self._execution.codec_options)
        return found

    async def count_documents(
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
        pipeline.append(COUNTING)
        fields = given(
            others,
            hint=hint_value(hint),
            collation=collation_document(collation),
            maxTimeMS=maxTimeMS,
            comment=comment,
        )
        reply = await self._execution.read("aggregate", pipeline=pipeline, cursor={}, **fields)
        counted = next(iter(reply["cursor"]["firstBatch"]), None)
        return 0 if counted is None else counted["n"]

    async def estimated_document_count(
        self, *, maxTimeMS: int | None = None, comment: Any = None, **others: Any
    ) -> int:
        """The server's counter, which may be slightly off after a crash."""
        fields = given(others, maxTimeMS=maxTimeMS, comment=comment)
        return (await self._execution.read_between("count", **fields))["n"]

    async def distinct(
        self,
        key: str,
        filter: Document | None = None,
        *,
        collation: Any = None,
        hint: Any = None,
        comment: Any = None,
        **others: Any,
    ) -> list[Any]:
        """The different values of a field; those of an array one by one. Raises NotOffered for a
        position in an array."""
        if not isinstance(key, str):
            raise TypeError("key must be a string")
        filter = {} if filter is None else filter
        check_filter(filter)
        # "distinct" takes no fence, so stages say the same: arrays on the way are unwound, once.
        parts = key.split(".")
        if any(part.isdecimal() for part in parts[1:]):
            raise NotOffered("distinct", "of a position, group by $arrayElemAt in an aggregation")
        *ways, path = ["$" + ".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        pipeline: list[Document] = [{"$match": filter}]
        for way in ways:
            pipeline += [_unwind(way), {"$match": {"$expr": {"$not": {"$isArray": way}}}}]
        pipeline += [_unwind(path), {"$match": {key: {"$exists": True}}}]
        pipeline += [{"$group": {"_id": path}}, {"$sort": {"_id": 1}}]
        found = await self.aggregate(
            pipeline, hint=hint, collation=collation, comment=comment, **others
        )
        return [group["_id"] async for group in found]

    async def aggregate(
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
    ) -> AsyncResults:
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
        results = AsyncResults(self._execution, "aggregate", fields)
        await results.open()
        return results


def _unwind(path: str) -> Document:
    return {"$unwind": {"path": path, "preserveNullAndEmptyArrays": True}}

"""All operations on a tenant's documents, and those on their indexes."""

from typing import Any

from pymongo import IndexModel

from ..arguments import given, missing
from ..errors import NotOffered
from ..unsupported import INSTEAD
from .cursors import AsyncReceived
from .execution import AsyncExecution
from .reading import AsyncReading
from .writing import AsyncWriting

_INDEX_NOT_FOUND = 27


class AsyncOperations(AsyncReading, AsyncWriting):
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

    def __init__(self, execution: AsyncExecution) -> None:
        self._execution = execution

    def __getattr__(self, name: str) -> Any:
        raise missing(self, name, INSTEAD)

    async def create_index(self, keys: Any, *, comment: Any = None, **options: Any) -> str:
        """Make sure that the index exists; return its name. Waits for the build, an hour at most,
        or ``maxTimeMS``."""
        fields = given(
            {name: options.pop(name) for name in ("session",) if name in options},
            comment=comment,
            maxTimeMS=options.pop("maxTimeMS", None),
        )
        index = IndexModel(keys, **options).document
        await self._execution.change("createIndexes", indexes=[index], **fields)
        return index["name"]

    async def drop_index(self, index_or_name: Any, *, comment: Any = None, **others: Any) -> None:
        """Drop one index, by its name or keys; never all of them. One that is gone already raises
        OperationFailure, but for a try whose answer was lost."""
        if not isinstance(index_or_name, str):
            index_or_name = IndexModel(index_or_name).document["name"]
        if index_or_name == "*":
            raise NotOffered("drop_index('*')", "drop them one by one")
        fields = given(others, comment=comment)
        await self._execution.change(
            "dropIndexes", done=_INDEX_NOT_FOUND, index=index_or_name, **fields
        )

    async def list_indexes(self, *, comment: Any = None, **others: Any) -> AsyncReceived:
        """The indexes, as PyMongo describes them; at most 64, so all at once."""
        fields = given(others, comment=comment)
        reply = await self._execution.read_between("listIndexes", **fields)
        return AsyncReceived(self._execution, reply["cursor"]["firstBatch"])

    async def index_information(self, *, comment: Any = None, **others: Any) -> dict[str, Any]:
        """The indexes by name, as PyMongo's method of this name tells them."""
        information = {}
        for index in await self.list_indexes(comment=comment, **others):
            described = dict(index)
            name, keys = described.pop("name"), described.pop("key")
            information[name] = {"key": list(keys.items()), **described}
        return information

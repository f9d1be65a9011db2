"""Storing and reading documents to the byte, in a transaction.

The server puts ``_id`` in front, and its time in place of an empty timestamp in a document that is
inserted or replaced; PyMongo takes a replacement whose field begins with a dollar for operators.
None of that happens here.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne

from portal.data.document_ids import decoded
from portal.data.handles import RAW
from portal.tenants.bulk import Encoded
from portal.tenants.elements import has_empty_timestamp, id_of


class Insertable(NamedTuple):
    """Documents as a command takes them, and those that are inserted one by one."""

    usual: Encoded
    special: list[RawBSONDocument]

    @classmethod
    def of(cls, documents: Iterable[bytes]) -> Self:
        """These documents, which have their ``_id`` in front."""
        usual, special, size_bytes = list[RawBSONDocument](), list[RawBSONDocument](), 0
        for each in documents:
            if has_empty_timestamp(each):
                special.append(RawBSONDocument(each))
            else:
                usual.append(RawBSONDocument(each))
                size_bytes += len(each)
        return cls(Encoded(usual, usual, size_bytes), special)


def insert_exactly(handle: Any, documents: Insertable | Sequence[bytes]) -> None:
    """Insert documents that fit one command and have their ``_id`` in front. Raises BulkWriteError,
    DuplicateKeyError."""
    made = documents if isinstance(documents, Insertable) else Insertable.of(documents)
    if made.usual:
        handle.insert_encoded(made.usual)
    for each in made.special:
        handle.insert_literal(each)


def replace_exactly(handle: Any, documents: Sequence[bytes]) -> None:
    """Replace the documents that have the ``_id``s of these, which have it in front and fit one
    command. Those that no replacement takes as they are, are deleted and inserted. Raises
    BulkWriteError, OperationFailure."""
    usual: list[ReplaceOne[Any]] = []
    special: list[bytes] = []
    for each in documents:
        if _is_special(each):
            special.append(each)
        else:
            usual.append(ReplaceOne(by_id(id_of(each)), RawBSONDocument(each, RAW)))
    if usual:
        handle.bulk_write(usual)
    delete_exactly(handle, [id_of(each) for each in special])
    insert_exactly(handle, special)


def delete_exactly(handle: Any, ids: Sequence[bytes]) -> None:
    """Delete the documents of these ids, each the BSON of ``{"": _id}``."""
    if ids:
        handle.delete_many(among(ids))


def read_among(
    handle: Any,
    ids: Iterable[bytes],
    query: dict[str, Any] | None = None,
    *,
    most_bytes: int | None = None,
) -> dict[bytes, bytes]:
    """The documents of these ids that match, by the id as it is stored, in the order of ``_id``;
    none behind the one with which they are larger than ``most_bytes``."""
    documents: dict[bytes, bytes] = {}
    size_bytes = 0
    for found in handle.find(among(ids, query), sort=[("_id", 1)]):
        document = bytes(found.raw)
        documents[id_of(document)] = document
        size_bytes += len(document)
        if most_bytes is not None and size_bytes > most_bytes:
            break
    return documents


def among(ids: Iterable[bytes], query: dict[str, Any] | None = None) -> dict[str, Any]:
    """The filter for those documents of these ids that match."""
    wanted: dict[str, Any] = {"_id": {"$in": [decoded(each) for each in ids]}}
    return {"$and": [query, wanted]} if query else wanted


def read_one(handle: Any, document_id: bytes) -> bytes | None:
    """The document of this id, if there is one."""
    found = next(iter(handle.find(by_id(document_id), limit=1)), None)
    return None if found is None else bytes(found.raw)


def by_id(document_id: bytes) -> dict[str, Any]:
    """The filter for the document of this id."""
    return {"_id": {"$eq": decoded(document_id)}}


def _is_special(document: bytes) -> bool:
    """Tell whether PyMongo would refuse it as a replacement, or the server change it."""
    try:
        names = list(RawBSONDocument(document, RAW))
    except InvalidBSON:  # such as text that is no UTF-8
        return True
    return has_empty_timestamp(document) or any(name.startswith("$") for name in names)

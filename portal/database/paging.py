"""Reads of lists: keyset pagination, batches, and the ``$lookup`` of read models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mongoengine import Document

BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, in its order, with the sort keys of the adjacent pages.

    ``before`` and ``after`` are the sort keys of the first and the last row, ``None`` where the
    list has nothing before or after them.
    """

    rows: list[Any]
    before: Any = None
    after: Any = None

    @property
    def is_all(self) -> bool:
        """True where these are all rows of the list."""
        return self.before is None and self.after is None


def keyset_stages(
    key: str, *, size: int, before: Any = None, after: Any = None, descending: bool = False
) -> list[dict[str, Any]]:
    """The aggregation stages that read the rows for ``page_from``.

    ``key`` is the field that the list is sorted by, unique to each row.
    """
    backwards = before is not None
    ascending = backwards == descending
    start = before if backwards else after
    bound = {"$match": {key: {"$gt" if ascending else "$lt": start}}}
    return [
        *([bound] if start is not None else []),
        {"$sort": {key: 1 if ascending else -1}},
        {"$limit": size + 1},
    ]


def page_from(
    rows: list[Any], *, key: str, size: int, before: Any = None, after: Any = None
) -> Page:
    """The page of up to ``size`` + 1 ``rows``, read from ``after`` on in the list's order, or from
    ``before`` on against it."""
    more, rows = len(rows) > size, rows[:size]
    if before is not None:
        rows.reverse()
    if not rows:
        return Page(rows)
    backwards, forwards = (more, True) if before is not None else (after is not None, more)
    return Page(
        rows,
        before=rows[0][key] if backwards else None,
        after=rows[-1][key] if forwards else None,
    )


def in_batches(
    document: type[Document], wanted: dict[str, Any], *fields: str
) -> Iterator[list[dict[str, Any]]]:
    """All documents that match ``wanted``, in pages by ``_id``, with only these fields."""
    collection = document._get_collection()
    after: dict[str, Any] = {}
    projection = {"_id": 1, **dict.fromkeys(fields, 1)}
    while True:
        found = collection.find({**wanted, **after}, projection).sort("_id", 1)
        rows = list(found.limit(BATCH_SIZE))
        if not rows:
            return
        yield rows
        after = {"_id": {"$gt": rows[-1]["_id"]}}


def join(
    document: type[Document],
    local: str,
    foreign: str,
    name: str,
    pipeline: list[dict[str, Any]],
    **options: Any,
) -> dict[str, Any]:
    """A ``$lookup`` of the documents whose field ``foreign`` equals ``local``, put through the
    ``pipeline``, as the array ``name``."""
    return {
        "$lookup": {
            "from": document._get_collection_name(),
            "localField": local,
            "foreignField": foreign,
            "as": name,
            "pipeline": pipeline,
            **options,
        }
    }

"""Pages of long lists, found by key rather than by number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mongoengine import Document

WALKED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, in its order, and the keys to go on from.

    ``before`` and ``after`` are the keys of the first and the last row, ``None`` where the
    list has nothing before or after them.
    """

    rows: list[Any]
    before: Any = None
    after: Any = None

    @property
    def is_all(self) -> bool:
        """Whether the list has no more rows than these."""
        return self.before is None and self.after is None


def rows_by_key(
    key: str, *, size: int, before: Any = None, after: Any = None, descending: bool = False
) -> list[dict[str, Any]]:
    """The stages of an aggregation that read what ``page_from`` makes a page of.

    ``key`` is a field with a value of its own in each row; the list's order is by it.
    """
    backwards = before is not None
    ascending = backwards == descending
    key_on = before if backwards else after
    bound = {"$match": {key: {"$gt" if ascending else "$lt": key_on}}}
    return [
        *([bound] if key_on is not None else []),
        {"$sort": {key: 1 if ascending else -1}},
        {"$limit": size + 1},
    ]


def page_from(
    rows: list[Any], *, key: str, size: int, before: Any = None, after: Any = None
) -> Page:
    """The page that ``rows`` make: up to ``size`` + 1 of them, read from ``after`` on in the
    list's order, or from ``before`` on against it."""
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


def pages_of(
    document: type[Document], wanted: dict[str, Any], *fields: str
) -> Iterator[list[dict[str, Any]]]:
    """All documents that are as ``wanted``, in pages by their ids, with these fields alone."""
    collection = document._get_collection()
    after: dict[str, Any] = {}
    projection = {"_id": 1, **dict.fromkeys(fields, 1)}
    while True:
        found = (
            collection.find({**wanted, **after}, projection).sort("_id", 1).limit(WALKED_AT_ONCE)
        )
        rows = list(found)
        if not rows:
            return
        yield rows
        after = {"_id": {"$gt": rows[-1]["_id"]}}

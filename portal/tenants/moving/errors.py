"""Errors of moving documents. Others are PyMongo's: after those the same may be done again."""

from dataclasses import dataclass
from typing import Any

from ..errors import TenantError


class MovingError(TenantError):
    """The base of these errors."""


@dataclass(eq=False)
class Overtaken(MovingError):
    """Another process has taken the move over since, or it has ended. Nothing was written."""

    words = "move {move} isn't attempt {attempt} any more: another process carries it out"
    move: Any
    attempt: int


@dataclass(eq=False)
class PlaceGone(MovingError):
    """The collection isn't in its database any more."""

    words = "the collection {uuid} of organization {organization} is gone from {database!r}"
    organization: Any
    database: str
    uuid: Any


class SourceGone(PlaceGone):
    """The collection that is followed was dropped."""


@dataclass(eq=False)
class StreamLost(MovingError):
    """The change stream can't go on where it ended, so that changes were missed: only copying
    from the first document on, from a new token, brings the target up to date."""

    words = (
        "the source's oplog no longer has what was written since (code {code}): copy again, "
        "with a larger oplog or with fewer writes meanwhile"
    )
    code: int | None


@dataclass(eq=False)
class NotReached(MovingError):
    """The change stream didn't come as far as it should in time."""

    words = "the change stream hasn't seen {awaited} within {seconds} s"
    awaited: Any
    seconds: float


@dataclass(eq=False)
class DocumentTooLarge(MovingError):
    """A document that MongoDB doesn't take at the target, where it is some bytes larger. ``id`` is
    BSON."""

    words = "a document of {size_bytes} bytes doesn't fit into a shared collection"
    id: bytes
    size_bytes: int


@dataclass(eq=False)
class DuplicatesRemain(MovingError):
    """A unique index can't be built at the target, however often its documents are applied."""

    words = (
        "the target has documents of the same key in the unique index {index}, again and again: "
        "look for such documents at the source"
    )
    index: str

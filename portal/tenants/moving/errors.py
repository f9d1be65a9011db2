"""Errors of moving documents. Others are PyMongo's: after those the same may be done again."""

from collections.abc import Sequence
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


class IdTooLarge(StreamLost):
    """A document has an ``_id`` that is larger than the stream can tell. What is written behind it
    can be followed."""

    words = (
        "a document has an _id of several MB, which MongoDB's change streams can't tell: give it a "
        "smaller one"
    )


@dataclass(eq=False)
class ClusterTimeUnknown(MovingError):
    """The server tells no cluster time. It begins to a moment after its start."""

    words = "the server of {database!r} was just started, and doesn't tell its cluster's time yet"
    database: str


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


@dataclass(eq=False)
class StructureUnfit(MovingError):
    """The source's collection was changed so that it can't move there any more. ``reasons`` are
    sentences."""

    words = "the collection was changed meanwhile, and can't move there any more: {told}"
    reasons: Sequence[str]

    @property
    def told(self) -> str:
        return " ".join(self.reasons)

    def __str__(self) -> str:
        return self.words.format(told=self.told)


@dataclass(eq=False)
class StructureChanged(MovingError):
    """Options or indexes of the source's collection were changed at the last moment, and the
    target's aren't the same yet."""

    words = "these were changed meanwhile and must be brought along first: {what}"
    what: str


@dataclass(eq=False)
class VerificationFailed(MovingError):
    """Documents at the target differ from the source's however often they are applied. ``ids`` are
    the first of them, in words."""

    words = "{number} documents at the target aren't those of the source, such as {first}"
    ids: Sequence[str]
    number: int

    def __str__(self) -> str:
        return self.words.format(number=self.number, first=self.ids[0])


@dataclass(eq=False)
class TargetDiffers(MovingError):
    """A key of a unique index belongs to a document of the target that the source doesn't have."""

    words = (
        "a document that isn't in the source stands in the way of another in the target of "
        "organization {organization}: copy again"
    )
    organization: Any

"""Edits, their changes, and the reasons for which they leave documents alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from bson import ObjectId


class EditKind(StrEnum):
    """The kinds of edits."""

    INSERT = "insert"
    CHANGE = "change"
    DELETE = "delete"
    BULK = "bulk"
    IMPORT = "import"
    UNDO = "undo"
    ERASE = "erase"


class EditState(StrEnum):
    """The state of an edit: ``OPEN`` while batches may follow."""

    OPEN = "open"
    DONE = "done"


class Refusal(StrEnum):
    """The reasons for which an edit of many leaves a document as it is."""

    CHANGED_LATER = "changed later"
    DELETED_LATER = "deleted later"
    ERASED = "erased"
    NOT_KEPT = "not kept"
    DUPLICATE = "duplicate key"
    INVALID = "breaks a rule"
    FIELD_EXISTS = "the new name exists"
    NOT_A_DOCUMENT = "no field can be set there"
    TOO_LARGE = "too large"
    REFUSED = "refused by MongoDB"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a document, by the BSON of ``{"": _id}``: its bytes before, and after; ``None``
    where there was, or is, no document."""

    id: bytes
    before: bytes | None = field(repr=False)
    after: bytes | None = field(repr=False)

    @property
    def changes_nothing(self) -> bool:
        """True where the document stays to the byte."""
        return self.before == self.after


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A document that an edit of many left as it is; ``detail`` may name an index, no value."""

    id: bytes
    refusal: Refusal
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit of many documents, as far as it is: the number of its ``batch``es, rows and bytes;
    what its work ``counts``, and the ``position`` from which that goes on."""

    organization: ObjectId
    id: ObjectId
    kind: EditKind
    expires_at: datetime
    batch: int = 0
    documents: int = 0
    rows: int = 0
    size_bytes: int = 0
    position: Any = None
    counts: Mapping[str, int] = field(default_factory=dict)
    state: EditState = EditState.OPEN

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From its row."""
        return cls(
            organization=row["_id"]["o"],
            id=row["_id"]["i"],
            kind=EditKind(row["kind"]),
            expires_at=row["expires_at"],
            batch=row["batch"],
            documents=row["documents"],
            rows=row["rows"],
            size_bytes=row["size"],
            position=row.get("position"),
            counts=row.get("counts", {}),
            state=EditState(row["state"]),
        )

    @property
    def key(self) -> dict[str, ObjectId]:
        """The ``_id`` of its row."""
        return {"o": self.organization, "i": self.id}

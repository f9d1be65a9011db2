"""Counts of a writer, for its result and for whoever continues it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Written:
    """Counts of all that was written so far.

    ``wrapped`` documents stand as base64 of their BSON, since the format can't carry them.
    ``long_cells`` are cut by spreadsheets. ``left_out`` counts, by field, the documents whose field
    has no column; in an untyped CSV file only.
    """

    documents: int = 0
    wrapped: int = 0
    long_cells: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """A document from which ``Written.of`` makes it again."""
        return {**asdict(self), "left_out": list(self.left_out.items())}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The counts that were ``stored``."""
        return cls(**{**stored, "left_out": dict(stored["left_out"])})

"""Masks: fields that not everybody who reads documents may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MASKED = "•••"
"""What stands in place of a masked value, of null, and of none."""


@dataclass(frozen=True, slots=True)
class Mask:
    """The fields of an organization that somebody may not see, as dotted paths."""

    paths: frozenset[str] = frozenset()

    def hide(self, document: bytes) -> bytes:
        """The document with MASKED in place of what is masked."""
        return document

    def check_filter(self, query: Mapping[str, Any]) -> None:
        """Raise FieldMasked where a filter reads a masked field."""

    def check_sort(self, sort: Mapping[str, int]) -> None:
        """Raise FieldMasked where a sort reads a masked field."""

    def check_projection(self, projection: Mapping[str, Any] | None) -> None:
        """Raise FieldMasked where a projection computes with a masked field."""

    def check_update(self, update: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Raise FieldMasked where an update reads, sets, renames or replaces a masked field."""

    def visible(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The pipeline over documents without their masked fields. Raises FieldMasked where that
        would mean something else."""
        return list(pipeline)


NOTHING_MASKED = Mask()

"""Counts of use, as batches, hours and days have them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over a time, as ``documents/usage.py`` defines them."""

    operations: int = 0
    commands: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    slow: int = 0
    milliseconds: int = 0
    waited: int = 0
    refused: int = 0
    direct: int = 0

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The counts in a stored document; what isn't there is nothing, and so is what is none."""
        return cls(**{name: _whole(stored.get(name, 0)) for name in NAMES})

    @classmethod
    def sum(cls, stored: Iterable[Mapping[str, Any]]) -> Self:
        """The counts of several such documents together."""
        sums = dict.fromkeys(NAMES, 0)
        for each in stored:  # thousands of minutes: so no call for each
            for name, value in each.items():
                if name in sums and isinstance(value, int) and 0 <= value < _MOST:
                    sums[name] += value
        return cls(**sums)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    def stored(self) -> dict[str, int]:
        """The counts that aren't nothing."""
        return {name: value for name in NAMES if (value := getattr(self, name))}


NAMES = tuple(field.name for field in fields(Counts))


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < _MOST else 0

"""The choice of organizations: what was typed, and filters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Self

from bson import ObjectId

NARROWED_BY = ("state", "strategy", "size", "used", "plan", "region", "cluster")


@dataclass(frozen=True, slots=True)
class OrganizationFilter:
    """All organizations that aren't purged, or those that are found by ``search`` and match every
    filter that is set. The value is what addresses, forms, jobs and commands carry.

    ``state`` is one of ``ListedState``, ``strategy`` of ``Strategy``, ``size`` of ``SizeClass``,
    ``used`` of ``UseClass``: used within that time, or ``older``. ``created_from`` and
    ``created_to`` are days, in UTC, both included.
    """

    search: str | None = None
    state: str | None = None
    strategy: str | None = None
    size: str | None = None
    used: str | None = None
    plan: str | None = None
    region: str | None = None
    cluster: str | None = None
    created_from: date | None = None
    created_to: date | None = None

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> Self:
        """From the arguments of an address, a form or a job; what isn't valid is left out."""
        raise NotImplementedError

    def to_args(self) -> dict[str, str]:
        """The arguments that ``from_args`` makes an equal filter of; of what is set alone."""
        values = {own.name: getattr(self, own.name) for own in fields(self)}
        return {name: str(value) for name, value in values.items() if value}

    @property
    def in_words(self) -> str:
        """The choice in words: “state active, cluster fra-1”; “all organizations”."""
        raise NotImplementedError

    def matching_ids(self) -> Iterator[ObjectId]:
        """The ids of all organizations that match, each once, however many: also where a list says
        “first 300” or “1,001+”. What changed before the call is fed into the listing first."""
        raise NotImplementedError

    def count(self, most: int = 1001) -> int:
        """The number of those that match, counted to ``most``."""
        raise NotImplementedError

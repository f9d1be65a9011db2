"""Needs: things that an operator should do something about, by the source that found them.

A source says when it was looked at. One that finds nothing is quiet, one that was not looked at for
too long is a need by itself: the two must never look alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

TOLD_OF_EACH = 5


@dataclass(frozen=True, slots=True)
class Way:
    """A way on: a link, or a button that ``posts`` a form."""

    words: str
    endpoint: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    posts: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs an operator: what, why, and the ways on. What ``failed`` comes before
    what only will."""

    title: str
    words: str
    failed: bool = False
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A source of needs, as looked at last: ``None`` is never. ``trouble`` says why it was not
    looked at since, when it should have been."""

    name: str
    title: str
    needs: tuple[Need, ...] = ()
    looked_at: datetime | None = None
    trouble: str | None = None
    more: int = 0  # needs beside those that are told
    page: str | None = None  # the endpoint that shows all

    @property
    def number(self) -> int:
        """The number of needs, those that are not told included."""
        return len(self.needs) + self.more


def source_of(
    name: str,
    title: str,
    needs: Sequence[Need],
    looked_at: datetime | None,
    *,
    trouble: str | None = None,
    more: int = 0,
    page: str | None = None,
) -> Source:
    """A source with its first TOLD_OF_EACH needs; the rest are counted, with ``more``."""
    told = tuple(needs[:TOLD_OF_EACH])
    return Source(name, title, told, looked_at, trouble, more + len(needs) - len(told), page)


@dataclass(frozen=True, slots=True)
class Needs:
    """All that needs an operator, what failed first, as of ``at``."""

    at: datetime
    sources: tuple[Source, ...]

    @property
    def told(self) -> list[Need]:
        """The needs of all sources."""
        found = [need for source in self.sources for need in source.needs]
        return sorted(found, key=lambda need: not need.failed)

    @property
    def number(self) -> int:
        """The number of needs."""
        return sum(source.number for source in self.sources)

    @property
    def unseen(self) -> list[Source]:
        """The sources that were not looked at in time."""
        return [source for source in self.sources if source.trouble or source.looked_at is None]

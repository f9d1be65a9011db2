"""What organizations used, for pages, programs and commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bson import ObjectId

from portal.documents.organizations import Organization


class Span(StrEnum):
    """The times that use is shown of: by minute, by ten minutes, by hour."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


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


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which some of the use may be missing."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of a time, by ``step``; ``None`` where nothing was measured. ``known_until`` is the
    time up to which all that was reported is in it, ``None`` where nothing ever was."""

    since: datetime
    until: datetime
    step: timedelta
    points: tuple[tuple[datetime, Counts | None], ...]
    total: Counts
    gaps: tuple[Gap, ...]
    known_until: datetime | None


@dataclass(frozen=True, slots=True)
class Loud:
    """An organization's use in the last hour. ``share`` is that of its cluster's operations,
    ``day`` its operations by hour in the last 24, ``limit`` that of operations per second."""

    id: ObjectId
    name: str
    slug: str
    strategy: str
    placement: str
    cluster: str
    share: float
    operations_per_second: float
    counts: Counts
    day: tuple[float | None, ...]
    limit: int | None


@dataclass(frozen=True, slots=True)
class Loudness:
    """The organizations that used most in the last hour, the loudest first. ``known_until`` tells
    *nothing found* from *not looked since*."""

    organizations: tuple[Loud, ...]
    known_until: datetime | None
    gaps: tuple[Gap, ...]


def loudest(count: int = 20, *, cluster: str | None = None) -> Loudness:
    """The ``count`` organizations with the most operations in the last hour, of all clusters or of
    one. Costs a few reads by index, whatever the number of organizations."""
    raise NotImplementedError


def usage_of(organization: Organization | ObjectId, span: Span = Span.DAY) -> Usage:
    """An organization's use in the time that ends now."""
    raise NotImplementedError


def usage_of_clusters(clusters: Sequence[str], span: Span = Span.DAY) -> dict[str, Usage]:
    """The use of clusters by all their organizations, likewise."""
    raise NotImplementedError

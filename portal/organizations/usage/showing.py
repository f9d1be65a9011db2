"""Use and limits as pages show them: charts, figures and words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from humanize import intcomma

from portal.documents.limits import LimitNotice
from portal.documents.organizations import Organization
from portal.organizations.usage.limits import Limit, LimitKind, limits_of
from portal.organizations.usage.reading import Counts, Span, Usage, usage_of
from portal.tenants.collections import Figures
from portal.web import template_filters
from portal.web.charts import Chart, Meter, line_chart, meter

STALE_AFTER = timedelta(minutes=3)
"""The age from which on what was rolled up is told to be old."""

SPAN_WORDS = {Span.HOUR: "1 hour", Span.DAY: "24 hours", Span.MONTH: "30 days"}
KIND_WORDS = {
    LimitKind.DOCUMENTS: "Documents",
    LimitKind.BYTES: "Size",
    LimitKind.OPERATIONS: "Operations",
}
_ATTENTION, _DANGER = 0.8, 1.0


@dataclass(frozen=True, slots=True)
class ShownLimit:
    """A limit in words, and how much of it is used as a meter; ``measured_at`` is set where that
    was measured earlier."""

    words: str
    allowed: str
    used: str
    meter: Meter | None
    signal: str
    by_plan: bool
    measured_at: datetime | None


@dataclass(frozen=True, slots=True)
class ShownUsage:
    """The use of a time: its figures, a chart of operations per second and one of what is written,
    and the limits."""

    span: Span
    usage: Usage
    operations: Chart
    operations_finding: str
    written: Chart
    written_finding: str
    limits: tuple[ShownLimit, ...]
    stale: bool

    @property
    def per_second(self) -> float:
        """The operations per second on average."""
        return self.usage.total.operations / self.span.length.total_seconds()

    @property
    def waited(self) -> timedelta:
        """The time that operations waited for a limit."""
        return timedelta(milliseconds=self.usage.total.waited)

    @property
    def in_database(self) -> timedelta:
        """The time that commands took."""
        return timedelta(milliseconds=self.usage.total.milliseconds)


def span_of(given: str | None) -> Span:
    """The span in an argument; a day where that is none."""
    return Span(given) if given in tuple(Span) else Span.DAY


def shown_usage(organization: Organization, span: Span, now: datetime) -> ShownUsage:
    """The use of an organization, for a page."""
    usage, limits = usage_of(organization, span), limits_of(organization)
    allowed = limits[LimitKind.OPERATIONS].allowed
    step_seconds = usage.step.total_seconds()
    operations = _series(usage, lambda counts: counts.operations / step_seconds)
    written = _series(usage, lambda counts: counts.bytes_in)
    limit_words = f"Limit {intcomma(allowed)} / s" if allowed else ""
    return ShownUsage(
        span,
        usage,
        line_chart(operations, per_second, limit=allowed, limit_words=limit_words),
        _finding(operations, lambda value: f"{per_second(value)} operations a second"),
        line_chart(written, size),
        _finding(written, size),
        tuple(shown_limit(limit) for limit in limits.values()),
        usage.known_until is None or now - usage.known_until > STALE_AFTER,
    )


def shown_limit(limit: Limit) -> ShownLimit:
    """A limit, for a page."""
    share = limit.share
    signal = ""
    if share is not None and share >= _ATTENTION:
        signal = "danger" if share >= _DANGER else "attention"
    return ShownLimit(
        KIND_WORDS[limit.kind],
        "none" if limit.allowed is None else amount(limit.kind, limit.allowed),
        "–" if limit.used is None else amount(limit.kind, limit.used),
        None if share is None else meter(share),
        signal,
        limit.by_plan,
        limit.measured_at,
    )


def shown_kept(limits: Mapping[LimitKind, Limit], kept: Figures | None) -> tuple[ShownLimit, ...]:
    """The limits that were not measured, of what is ``kept`` as its figures tell; without that of
    operations where there is none."""
    used: dict[LimitKind, float | None] = {}
    if kept and not kept.partial:
        used = {LimitKind.DOCUMENTS: kept.documents, LimitKind.BYTES: kept.size_bytes}
    return tuple(
        shown_limit(replace(limit, used=used.get(limit.kind, limit.used)))
        for limit in limits.values()
        if limit.allowed or limit.kind != LimitKind.OPERATIONS
    )


def amount(kind: LimitKind, value: float) -> str:
    """So many documents, bytes, or operations per second, in words."""
    if kind == LimitKind.BYTES:
        return size(value)
    return f"{per_second(value)} / s" if kind == LimitKind.OPERATIONS else intcomma(round(value))


def per_second(value: float) -> str:
    """“4,120”, “0.3”."""
    return intcomma(round(value)) if value >= 10 or value == 0 else f"{value:.2g}"


def size(value: float) -> str:
    """“9.1 GB”."""
    return template_filters.size(round(value))


def notices_of(organization: Organization) -> list[LimitNotice]:
    """The notices of limits that owners got and that still hold."""
    return list(LimitNotice.objects(organization=organization.id))


def _series(usage: Usage, value: Callable[[Counts], float]) -> list[tuple[datetime, float | None]]:
    return [(at, None if counts is None else value(counts)) for at, counts in usage.points]


def _finding(points: list[tuple[datetime, float | None]], words: Callable[[float], str]) -> str:
    measured = [value for _, value in points if value is not None]
    if not measured:
        return "Nothing was measured in this time."
    gaps = ", with gaps where nothing was measured" if len(measured) < len(points) else ""
    return f"At most {words(max(measured))}{gaps}."

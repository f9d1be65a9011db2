"""The fullness of each cluster, and the day when it is full, by readings that are at most a minute
old where the cluster answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter

from humanize import intcomma

from portal.database.clusters import KnownCluster, known_clusters
from portal.database.periodic import Record
from portal.operators.overview.needs import Need, Source, Way, source_of
from portal.placement import capacity
from portal.placement.capacity import Gauge, Reading
from portal.placement.policies import Policy
from portal.web.charts import Chart, Forecast, Point, line_chart

SOON_DAYS = 30
NEARLY_FULL_PERCENT = 80
FARTHEST_DAYS = 3650
DRAWN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A cluster and its last reading, ``None`` where nothing was read for long. ``silent`` says why
    it can't be read now. ``gauges`` are what limits it; the ``growing`` one is drawn, and is the
    first to be full: at ``full_at`` at ``rate`` organizations a day, if that can be told."""

    cluster: KnownCluster
    reading: Reading | None
    silent: str | None
    gauges: tuple[Gauge, ...]
    full_at_percent: int
    growing: Gauge | None = None
    rate: float | None = None
    full_at: datetime | None = None

    @property
    def read_at(self) -> datetime | None:
        """The time of the last reading."""
        return self.reading.at if self.reading else None

    @property
    def tightest(self) -> Gauge | None:
        """The gauge with the least room."""
        return max(self.gauges, key=lambda gauge: gauge.percent, default=None)

    @property
    def wall(self) -> int | None:
        """The number at which the growing gauge is full."""
        return self.growing.limit * self.full_at_percent // 100 if self.growing else None

    @property
    def is_full(self) -> bool:
        """True where nothing more is put there."""
        return any(gauge.room(self.full_at_percent) < 1 for gauge in self.gauges)

    @property
    def needs_room(self) -> bool:
        """True where it is full, nearly, or will be soon."""
        nearly = any(gauge.percent >= NEARLY_FULL_PERCENT for gauge in self.gauges)
        return nearly or self.is_full or self.is_full_soon

    @property
    def is_full_soon(self) -> bool:
        """True where the forecast is less than SOON_DAYS ahead."""
        if self.full_at is None or self.reading is None:
            return False
        return self.full_at - self.reading.at < timedelta(days=SOON_DAYS)


def states(
    record: Record, trends: Mapping[str, Sequence[Reading]], policy: Policy
) -> list[ClusterState]:
    """The state of each cluster, the first one first, by the record of reading them and their
    readings."""
    notes = record.notes
    return [
        _state(cluster, trends.get(cluster.name), notes.get(cluster.name), policy)
        for cluster in known_clusters()
    ]


def source(at: datetime, record: Record, clusters: list[ClusterState]) -> Source:
    """The needs of clusters."""
    needs = [need for state in clusters if (need := _need(state))]
    trouble = record.trouble(capacity.READ_EVERY_SECONDS, at)
    return source_of("clusters", "Clusters", needs, record.done_at, trouble=trouble)


def find(clusters: list[ClusterState], name: str | None) -> ClusterState:
    """The cluster of this name; the one that is the first to be full where there is none."""
    named = [state for state in clusters if state.cluster.name == name]
    fullest = max(clusters, key=lambda state: state.tightest.percent if state.tightest else 0)
    return named[0] if named else fullest


def chart_of(state: ClusterState) -> Chart | None:
    """The cluster's growing gauge by day; ``None`` where nothing of it is known."""
    gauge, reading = state.growing, state.reading
    if gauge is None or reading is None:
        return None
    readings = capacity.readings_since(state.cluster.name, reading.at - DRAWN)
    return line_chart(
        list(_points(readings, gauge)),
        intcomma,
        last_words=f"{gauge.held:,} now",
        limit=state.wall,
        limit_words=f"Full at {state.wall:,}",
        forecast=_forecast(state),
    )


def _points(readings: list[Reading], gauge: Gauge) -> Iterator[Point]:
    """A point for each day, with ``None`` where the cluster was not read."""
    by_day = {reading.at.date(): reading for reading in readings}
    day = readings[0].at
    while day.date() <= readings[-1].at.date():
        if reading := by_day.get(day.date()):
            yield reading.at, reading.held(gauge.what)
        else:
            yield day, None
        day += timedelta(days=1)


def _forecast(state: ClusterState) -> Forecast | None:
    """The end of the dotted line: the wall, or as far ahead as it was drawn back."""
    if not (state.growing and state.reading and state.rate and state.full_at and state.wall):
        return None
    rate = f"{state.rate:,.0f} a day"
    end = state.reading.at + DRAWN
    if state.full_at <= end:
        return Forecast(state.full_at, state.wall, (f"full {state.full_at:%-d %b}", rate))
    grown = state.rate * state.growing.each * DRAWN.days
    return Forecast(end, state.growing.held + grown, (f"full {state.full_at:%b %Y}", rate))


def _state(
    cluster: KnownCluster,
    readings: Sequence[Reading] | None,
    silent: str | None,
    policy: Policy,
) -> ClusterState:
    full_at_percent = policy.guard.full_at_percent
    if not readings:
        return ClusterState(cluster, None, silent, (), full_at_percent)
    last = readings[-1]
    gauges = tuple(capacity.gauges_of(last, policy.limits_of(cluster.name)))
    known = partial(ClusterState, cluster, last, silent, gauges, full_at_percent)
    ahead = [
        (max(0, gauge.room(full_at_percent)) / rate, gauge, rate)
        for gauge in gauges
        if (rate := capacity.rate_a_day(gauge, readings, last.at))
    ]
    if not ahead:
        counted = [
            gauge for gauge in gauges if gauge.what in (capacity.FILES, capacity.COLLECTIONS)
        ]
        return known(max(counted, key=lambda gauge: gauge.percent, default=None))
    days, growing, rate = min(ahead, key=itemgetter(0))
    return known(growing, rate, last.at + timedelta(days=days) if days < FARTHEST_DAYS else None)


def _need(state: ClusterState) -> Need | None:
    name = state.cluster.name
    capacity_way = Way("Capacity", ".show_capacity", {"cluster": name})
    ways = (capacity_way,)
    if state.cluster.lost_at:
        return None
    if state.silent:
        known = (
            f"Its figures are of {state.reading.at:%-d %B, %H:%M} UTC. " if state.reading else ""
        )
        gone = f"If it is gone for ever, “flask clusters lost {name}” gives it up."
        words = f"{_sentence(state.silent)} {known}Other clusters go on. {gone}"
        there = Way("Its organizations", "operator_listing.show", {"cluster": name})
        return Need(f"Cluster {name} can’t be reached", words, failed=True, ways=(there, *ways))
    if state.reading and not state.gauges:
        words = "So new organizations share collections there. The placement policy can tell it."
        return Need(f"Cluster {name} doesn’t tell how much it may hold", words, ways=ways)
    if not state.needs_room:
        return None
    moves = Way("Plan moves", "operator_listing.show", {"cluster": name, "sort": "-size"})
    return Need(_fullness(state), _outlook(state), ways=(moves, capacity_way))


def _fullness(state: ClusterState) -> str:
    if state.is_full:
        return f"Cluster {state.cluster.name} is full"
    if state.full_at and state.is_full_soon:
        return f"Cluster {state.cluster.name} is full on {state.full_at:%-d %B}"
    return f"Cluster {state.cluster.name} is nearly full"


def _outlook(state: ClusterState) -> str:
    gauge = state.tightest
    held = f"{gauge.held:,} of {gauge.limit:,} {gauge.what}, {gauge.wall}." if gauge else ""
    rate = f" At {state.rate:,.0f} new organizations a day." if state.rate else ""
    then = "New" if state.is_full else "From then on new"
    return f"{held}{rate} {then} organizations share collections."


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."

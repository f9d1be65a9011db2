"""The geometry of charts, which pages draw as SVG: lines, bars, sparklines, meters.

A value that is ``None`` was not measured: it is drawn as a gap, never as nothing. Each chart comes
wide and narrow, so that no text shrinks on a phone, and with its figures for a table.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from math import ceil, floor, log10

from portal import clock
from portal.web.template_filters import page_zone

Words = Callable[[float], str]
Point = tuple[datetime, float | None]

NOT_MEASURED = "not measured"

_HEIGHT, _NARROW_HEIGHT = 272, 232
_WIDTH, _NARROW_WIDTH = 960, 360
_ASIDE_WIDTH, _ASIDE_HEIGHT = 320, 104
_ABOVE, _BELOW, _RIGHT = 28, 24, 8
_DIGIT, _AXIS_GAP = 8, 8
_WORDS_WIDTH, _LINE_HEIGHT = 100, 16
_MOST_STEPS = 4
_WIDE_TICKS, _NARROW_TICKS = 7, 4
_MOST_TABLE_ROWS = 400
_NICE = (1, 2, 2.5, 5, 10)
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_EDGE = 96, 20, 2
_STEPS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
    timedelta(days=1),
    timedelta(days=2),
    timedelta(days=7),
)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, with its words; ``anchor`` is the side on which they are held."""

    at: float
    words: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that has words, in lines, the first of them at the height ``said_y``."""

    x: float
    y: float
    words: tuple[str, ...]
    anchor: str
    said_y: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One of the bars. Of one that is ``partial`` the time isn't over."""

    x: float
    y: float
    width: float
    height: float
    partial: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart at one width. ``lines`` and ``areas`` are paths, one for each part without a gap."""

    width: int
    height: int
    left: float
    right: float
    bottom: float
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    lines: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    last: Mark | None = None
    forecast: str | None = None
    forecast_end: Mark | None = None
    limit: Tick | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart at its widths, and its figures: (moment, value) pairs in words."""

    wide: Plot
    narrow: Plot
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The point that a line goes on to, and the words at it."""

    at: datetime
    value: float
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Meter:
    """The filled part of a meter, and the share in percent."""

    width: int
    filled: int
    percent: int


def line_chart(
    points: Sequence[Point],
    words: Words,
    *,
    last_words: str = "",
    limit: float | None = None,
    limit_words: str = "",
    forecast: Forecast | None = None,
) -> Chart:
    """A line over time, in the order of ``points``, with the words of values. The latest may have
    ``last_words``; a ``limit`` is a line of its own, a ``forecast`` a dotted one. A narrow chart
    has the ``limit_words`` before a dash."""
    drawn = _Drawn(points, words, last_words, limit, limit_words, forecast)
    return Chart(
        drawn.plot(_WIDTH, _HEIGHT, _WIDE_TICKS),
        drawn.plot(_NARROW_WIDTH, _NARROW_HEIGHT, _NARROW_TICKS),
        _figures(points, words),
    )


def bar_chart(points: Sequence[Point], words: Words, *, partial: bool = False) -> Chart:
    """A bar for each point, of equal widths; with ``partial`` the time of the latest one isn't
    over."""
    wide = _bars(points, words, partial, _WIDTH, _HEIGHT, _WIDE_TICKS)
    narrow = _bars(points, words, partial, _ASIDE_WIDTH, _ASIDE_HEIGHT, _NARROW_TICKS)
    return Chart(wide, narrow, _figures(points, words))


def sparkline(values: Sequence[float | None]) -> tuple[str, ...]:
    """The paths of a line of 96 by 20 without axes, one for each part without a gap."""
    most = max((value for value in values if value is not None), default=0)
    step = (_SPARK_WIDTH - 2 * _SPARK_EDGE) / max(len(values) - 1, 1)
    tall = _SPARK_HEIGHT - 2 * _SPARK_EDGE
    placed = [
        (
            _SPARK_EDGE + index * step,
            None if value is None else _SPARK_HEIGHT - _SPARK_EDGE - tall * value / (most or 1),
        )
        for index, value in enumerate(values)
    ]
    return tuple(_path(part) for part in _unbroken(placed))


def meter(share: float, width: int = 72) -> Meter:
    """A meter for a share, of which more than all is drawn as all and said as it is."""
    filled = round(width * min(max(share, 0), 1))
    return Meter(width, max(filled, 1) if share > 0 else 0, round(share * 100))


def short_moment(time: datetime, span: timedelta) -> str:
    """A moment on an axis or in a table of this span: “14:05”, “1 Sep 14:00”, “1 Sep”; in the time
    zone of the page."""
    return _in_words(time.astimezone(clock.zone_of(page_zone())), span)


def _in_words(local: datetime, span: timedelta) -> str:
    if span <= _DAY:
        return f"{local:%H:%M}"
    return f"{local:%-d %b}" if _is_daily(span) else f"{local:%-d %b %H:%M}"


def _is_daily(span: timedelta) -> bool:
    return span > 8 * _DAY


@dataclass(frozen=True, slots=True)
class _Drawn:
    points: Sequence[Point]
    words: Words
    last_words: str
    limit: float | None
    limit_words: str
    forecast: Forecast | None

    def plot(self, width: int, height: int, most_ticks: int) -> Plot:
        values = [value for _, value in self.points if value is not None]
        values += [self.limit or 0, self.forecast.value if self.forecast else 0]
        times = [at for at, _ in self.points] or [clock.now()]
        begin, end = times[0], max(times[-1], self.forecast.at if self.forecast else times[-1])
        scale = _Scale(width, height, max(values), self.words)
        span_seconds = max((end - begin).total_seconds(), 1)

        def x(time: datetime) -> float:
            share = (time - begin).total_seconds() / span_seconds
            return round(scale.left + share * (scale.right - scale.left), 1)

        placed = [(x(at), None if value is None else scale.y(value)) for at, value in self.points]
        parts = list(_unbroken(placed))
        last = parts[-1][-1] if parts else None
        there = limit = None
        if self.forecast and last:
            there = x(self.forecast.at), scale.y(self.forecast.value)
        if self.limit is not None:
            said = self.limit_words if width == _WIDTH else self.limit_words.split(" – ")[0]
            limit = Tick(scale.y(self.limit), said)
        return Plot(
            width,
            height,
            scale.left,
            scale.right,
            scale.bottom,
            scale.rows,
            tuple(_columns(begin, end, x, most_ticks, scale)),
            tuple(_path(part) for part in parts),
            tuple(_area(part, scale.bottom) for part in parts),
            last=_mark(last, (self.last_words,), scale, limit, there)
            if last and self.last_words
            else None,
            forecast=_path([last, there]) if last and there else None,
            forecast_end=_mark(there, self.forecast.words, scale, limit)
            if there and self.forecast
            else None,
            limit=limit,
        )


class _Scale:
    """The vertical axis, and the box beside it."""

    def __init__(self, width: int, height: int, most: float, words: Words) -> None:
        self.step = _step(most)
        self.top = max(ceil(most / self.step), 1) * self.step
        self.bottom = height - _BELOW
        self.right = width - _RIGHT
        step = round(self.step) if self.step >= 1 else self.step
        values = [step * index for index in range(round(self.top / self.step) + 1)]
        self.left = _AXIS_GAP + _DIGIT * max(len(words(value)) for value in values)
        self.rows = tuple(Tick(self.y(value), words(value), "end") for value in values)

    def y(self, value: float) -> float:
        return round(self.bottom - (self.bottom - _ABOVE) * value / self.top, 1)


def _step(most: float) -> float:
    """A round number, of which at most _MOST_STEPS reach ``most``."""
    if most <= 0:
        return 1
    wanted = most / _MOST_STEPS
    power = 10 ** floor(log10(wanted))
    steps = [nice * power for nice in _NICE if nice * power >= wanted * (1 - 1e-9)]
    if most < 1:
        return steps[0]
    # What is counted comes in whole numbers.
    return next(step for step in steps if step == round(step))


def _unbroken(placed: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    for measured, part in groupby(placed, key=lambda point: point[1] is not None):
        if measured:
            yield [(x, y) for x, y in part if y is not None]


def _path(part: Sequence[tuple[float, float]]) -> str:
    """A line; of one point a dash, so that it is seen between two gaps."""
    if len(part) == 1:
        return f"M{part[0][0] - 1:.1f} {part[0][1]:.1f}h2"
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part)


def _area(part: Sequence[tuple[float, float]], bottom: float) -> str:
    return f"{_path(part)}V{bottom:.1f}H{part[0][0]:.1f}Z"


def _mark(
    place: tuple[float, float],
    words: tuple[str, ...],
    scale: _Scale,
    limit: Tick | None,
    neighbour: tuple[float, float] | None = None,
) -> Mark:
    """The point at ``place``; its words are held so that they stay within the chart, below a limit,
    and below those of its ``neighbour`` to the right."""
    x, y = place
    beyond = x > (scale.left + scale.right) / 2
    said_y = y + 20 if limit is not None and y - limit.at < 40 else y - 10
    if neighbour is not None and neighbour[0] - x < _WORDS_WIDTH:
        said_y = max(y, neighbour[1]) + 20 + 2 * _LINE_HEIGHT
    return Mark(x, y, words, "end" if beyond else "start", round(said_y, 1))


def _columns(
    begin: datetime, end: datetime, x: Callable[[datetime], float], most: int, scale: _Scale
) -> Iterator[Tick]:
    span = end - begin
    step = next((step for step in _STEPS if span / step <= most), None)
    if step is None:
        step = ceil(span / most / (7 * _DAY)) * 7 * _DAY
    local = begin.astimezone(clock.zone_of(page_zone()))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    # By the clock on the wall, so also across a change of it.
    first = ceil((local - midnight) / step)
    for index in range(first, first + most + 2):
        at = midnight + index * step
        if at > end:
            return
        if at.astimezone(UTC).astimezone(at.tzinfo) != at:
            continue  # the clock is put forward over it
        place = x(at)
        if scale.left + 12 <= place <= scale.right - 12:
            yield Tick(place, _tick_words(at, step))


def _tick_words(at: datetime, step: timedelta) -> str:
    return f"{at:%-d %b}" if step >= _DAY or at.hour == at.minute == 0 else f"{at:%H:%M}"


def _bars(
    points: Sequence[Point], words: Words, partial: bool, width: int, height: int, most_ticks: int
) -> Plot:
    scale = _Scale(width, height, max((value or 0 for _, value in points), default=0), words)
    pitch = (scale.right - scale.left) / max(len(points), 1)
    breadth = max(pitch * 0.76, 1)
    bars = []
    for index, (_, value) in enumerate(points):
        if value is None:
            continue
        y = scale.y(value)
        bars.append(
            Bar(
                round(scale.left + index * pitch + (pitch - breadth) / 2, 1),
                y,
                round(breadth, 1),
                round(max(scale.bottom - y, 1 if value else 0), 1),
                partial and index == len(points) - 1,
            )
        )
    every = max(ceil(len(points) / most_ticks), 1)
    span = points[-1][0] - points[0][0] if points else _DAY
    columns = tuple(
        Tick(round(scale.left + (index + 0.5) * pitch, 1), short_moment(points[index][0], span))
        for index in range(every // 2, len(points) - every // 3, every)
    )
    return Plot(
        width, height, scale.left, scale.right, scale.bottom, scale.rows, columns, bars=tuple(bars)
    )


def _figures(points: Sequence[Point], words: Words) -> tuple[tuple[str, str], ...]:
    """The latest figures first."""
    span = points[-1][0] - points[0][0] if points else _DAY
    shortest = min((after[0] - before[0] for before, after in pairwise(points)), default=_DAY)
    if _is_daily(span) and shortest < _DAY:  # a day has several
        span = 2 * _DAY
    zone = clock.zone_of(page_zone())  # once for all rows
    shown = [(at.astimezone(zone), value) for at, value in reversed(points[-_MOST_TABLE_ROWS:])]
    # Where the clock is put back an hour comes twice.
    named = not _is_daily(span) and len({at.utcoffset() for at, _ in shown}) > 1
    return tuple(
        (
            _in_words(at, span) + (f" {at:%Z}" if named else ""),
            NOT_MEASURED if value is None else words(value),
        )
        for at, value in shown
    )

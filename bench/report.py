"""Results, as values and as text."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.machine import Surroundings

_RUN_HEAD = ("of the run", "")
_HEAD = ("part", "what", "figure", "ratio")
_PREFACE = """\
# Figures

Written by `make bench`. Figures are medians where nothing else is said. Both sides of a ratio were
measured in this run, mostly by turns; so compare ratios between machines, not figures. Where a
ratio or figure has a goal, the run says whether it is within it, and fails where it isn't.
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value that was measured, and what ``base`` it is held against: that of ``to``. The ratio,
    or without a base the value, is to be ``most`` at most, where that is a goal."""

    what: str
    value: float
    unit: str
    base: float | None = None
    to: str = ""
    most: float | None = None

    @classmethod
    def in_ms(
        cls,
        what: str,
        seconds: float,
        base: float | None = None,
        to: str = "",
        most: float | None = None,
    ) -> "Figure":
        """A duration; ``base`` is in seconds too."""
        return cls(what, seconds * 1000, "ms", base and base * 1000, to, most)

    @property
    def ratio(self) -> float | None:
        return self.value / self.base if self.base else None

    @property
    def misses(self) -> bool:
        """True where it is over its goal, as it is shown: by less than that no run tells."""
        held = self.value if self.ratio is None else self.ratio
        return self.most is not None and round(held, 2) > self.most


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of a part, and why it gave no more."""

    part: str
    figures: tuple[Figure, ...] = ()
    failure: str = ""


def missed(results: Sequence[Result]) -> list[str]:
    """The figures that are over their goals, a line each."""
    return [
        f"{result.part}: {figure.what}, {_measured(figure)}, {_goal(figure)}"
        for result in results
        for figure in result.figures
        if figure.misses
    ]


def document(surroundings: Surroundings, results: Sequence[Result]) -> str:
    """The text of ``results.md``."""
    return f"{_PREFACE}\n{tables(surroundings, results)}"


def tables(surroundings: Surroundings, results: Sequence[Result]) -> str:
    """The machine, the versions and all figures, in Markdown."""
    figures = [row for result in results for row in _rows(result)]
    return f"{_table([_RUN_HEAD, *surroundings.rows()])}\n{_table([_HEAD, *figures])}"


def _rows(result: Result) -> list[tuple[str, ...]]:
    failed = [(result.part, "not measured", result.failure, "")]
    return [
        (result.part, figure.what, _measured(figure), _goal(figure)) for figure in result.figures
    ] + (failed if result.failure else [])


def _measured(figure: Figure) -> str:
    """The value, in as many digits as a measurement is worth."""
    digits = 2 if figure.value < 10 else 1 if figure.value < 100 else 0
    return f"{figure.value:,.{digits}f} {figure.unit}"


def _goal(figure: Figure) -> str:
    """The ratio, and whether the goal is kept, where there is any."""
    told = [] if figure.ratio is None else [f"{figure.ratio:.2f} × {figure.to}"]
    if figure.most is not None:
        told.append(f"{'MISSES' if figure.misses else 'within'} {figure.most:.2f}")
    return ", ".join(told)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """In columns that line up also where nothing renders Markdown."""
    head, *others = [tuple(cell.replace("|", r"\|") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *others, strict=True)]
    rule = tuple("-" * max(width, 3) for width in widths)
    return "".join(_line(row, widths) for row in (head, rule, *others))


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"| {' | '.join(cells)} |\n"

"""The pace of a build: how long the step that the server is at will take still."""

from dataclasses import dataclass, field

from portal.web.counting import counted

_LEAST_SECONDS = 3  # seen, before a pace is told
_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a build: the ``step`` that the server is at, and how much of it is done."""

    step: str
    done: int
    total: int

    @property
    def percent(self) -> int:
        """The share of the step that is done."""
        return self.done * 100 // self.total


@dataclass(slots=True)
class Pace:
    """The pace of a step, from when it was first seen."""

    _first: tuple[Progress, float] | None = None
    _last: tuple[Progress, float] | None = field(default=None, repr=False)

    def see(self, progress: Progress, at: float) -> None:
        """Take notice of the progress ``at`` some seconds; a new step begins anew."""
        if self._first is None or self._first[0].step != progress.step:
            self._first = (progress, at)
        self._last = (progress, at)

    @property
    def seconds_left(self) -> float | None:
        """The seconds that the step will take still, as it went so far; ``None`` where too little
        was seen of it."""
        if self._first is None or self._last is None:
            return None
        (first, begin), (last, end) = self._first, self._last
        done, took = last.done - first.done, end - begin
        if done <= 0 or took < _LEAST_SECONDS:
            return None
        return (last.total - last.done) * took / done

    @property
    def words(self) -> str | None:
        """The time left, in words."""
        seconds = self.seconds_left
        if seconds is None:
            return None
        if seconds < _MINUTE:
            return "less than a minute left of that"
        return f"about {counted(round(seconds / _MINUTE), 'minute')} left of that"

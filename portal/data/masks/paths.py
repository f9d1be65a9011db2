"""Masked paths: how they are written, and which other paths reach them.

A path is written with dots, and means each element of the lists on its way: a position is no part
of it. ``a.b`` also masks the field that is called ``a.b``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from portal.data.masks.errors import IdMasked, MaskOutOfBounds, PositionMasked

MAX_PARTS = 6
"""The longest path: each part deepens the stage that takes it out of a pipeline."""
MAX_CHARACTERS = 200

Parts = tuple[str, ...]


def parse_path(text: str) -> str:
    """The path as it is kept. Raises InvalidMask for one of ``_id``, which is in URLs, one with a
    position, and one that is too long."""
    parts = text.split(".")
    if not text or "\0" in text or len(text) > MAX_CHARACTERS or len(parts) > MAX_PARTS:
        raise MaskOutOfBounds(MAX_PARTS, MAX_CHARACTERS)
    if parts[0] == "_id":
        raise IdMasked
    if any(part.isdecimal() for part in parts[1:]):
        raise PositionMasked
    return text


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """The ``paths`` without those below another of them, in order."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: path.split(".")):
        if not kept or not _is_below(path, kept[-1]):
            kept.append(path)
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class MaskedPaths:
    """Paths of which none is below another."""

    paths: tuple[str, ...]

    def covering(self, path: str) -> str | None:
        """The masked path that ``path`` is, or is below."""
        asked = _without_positions(path)
        return next((each for each in self.paths if _begins(asked, _parts(each))), None)

    def related(self, path: str) -> str | None:
        """The masked path that ``path`` reaches: it, one below it, or a parent of it."""
        asked = _without_positions(path)
        for each in self.paths:
            own = _parts(each)
            if _begins(asked, own) or _begins(own, asked):
                return each
        return None


def ways_to(path: str) -> Iterator[Parts]:
    """The ways in which fields can be nested so that their names, joined by dots, are the path:
    first the one that a query means by it."""
    parts = _parts(path)
    for bits in range(1 << (len(parts) - 1)):
        way = [parts[0]]
        for position, part in enumerate(parts[1:]):
            if bits >> position & 1:
                way[-1] += f".{part}"
            else:
                way.append(part)
        yield tuple(way)


def _parts(path: str) -> Parts:
    return tuple(path.split("."))


def _without_positions(path: str) -> Parts:
    """The parts of a query's or update's path, without indexes and positional operators. At the
    beginning a number is a name."""
    first, *others = path.split(".")
    return (first, *(part for part in others if not _is_position(part)))


def _is_position(part: str) -> bool:
    return part.isdecimal() or part == "$" or (part.startswith("$[") and part.endswith("]"))


def _begins(path: Parts, beginning: Parts) -> bool:
    return path[: len(beginning)] == beginning


def _is_below(path: str, other: str) -> bool:
    return _begins(_parts(path), _parts(other))

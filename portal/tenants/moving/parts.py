"""All that travels with an organization: one tuple of parts, by which a move goes, and by which it
is told that all has arrived.

A part has steps for phases of a move. Each may run any number of times, also after another process
began it: it looks at what there is, and does what is missing. Parts of rooms above join in a tuple
of their own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from bson import ObjectId

from ..placements import SHARED
from .errors import StructureChanged, StructureUnfit
from .places import Place
from .structures import (
    Structure,
    build_indexes,
    differences,
    put_indexes_to_sleep,
    read_structure,
    remove_validator,
    same_indexes,
    set_images,
    set_validator,
    unfit,
    wake_indexes,
)
from .verifying import digest_of


class Phase(StrEnum):
    """The phases of a move in which its parts do something.

    ``PREPARE`` comes before the first document is copied, and when a way back begins;
    ``BEFORE_READY`` once all are there, again whenever the source's structure changed, and before
    each fence; ``AFTER_FENCE`` when nobody writes any more, within the pause; ``UNDO`` where the
    source got its name back instead of the switch.
    """

    PREPARE = "prepare"
    BEFORE_READY = "before ready"
    AFTER_FENCE = "after the fence"
    UNDO = "undo"


@dataclass(slots=True, eq=False)
class Sides:
    """The source and target of a move that is carried out by an ``attempt``. ``apply`` has the
    target's documents of some ids be as the source's; ``meanwhile`` is called about each second in
    what takes long. ``unchanged`` is set where nobody changed the source's structure since a phase
    before, in which the target was given the same."""

    source: Place
    target: Place
    move: ObjectId
    attempt: int
    apply: Callable[[Iterable[bytes]], object]
    meanwhile: Callable[[], object] = lambda: None
    unchanged: bool = False
    _structure: Structure | None = field(default=None, init=False)

    @property
    def structure(self) -> Structure:
        """The source's structure, read once in a phase."""
        if self._structure is None:
            self._structure = read_structure(self.source)
        return self._structure

    def forget(self) -> None:
        """Read the source's structure again when it is needed."""
        self._structure = None


S_contra = TypeVar("S_contra", bound=Sides, contravariant=True)


@dataclass(frozen=True, slots=True)
class Part(Generic[S_contra]):
    """A part of what travels. ``check`` tells in a few words each what hasn't arrived, after a move
    in which nobody wrote since."""

    name: str
    steps: Mapping[Phase, Callable[[S_contra], object]]
    check: Callable[[S_contra], list[str]]


def run(phase: Phase, parts: Iterable[Part[S_contra]], sides: S_contra) -> None:
    """Carry the phase out for all parts in their order. Raises StructureUnfit, StructureChanged,
    DuplicatesRemain, PlaceGone, and what rooms above raise."""
    if not sides.unchanged:
        sides.forget()
    for part in parts:
        if step := part.steps.get(phase):
            step(sides)


def _bring_structure(sides: Sides) -> None:
    reasons = unfit(sides.structure, sides.target.strategy)
    if reasons:
        raise StructureUnfit(reasons)
    set_images(sides.target, sides.structure)
    build_indexes(sides.target, sides.structure, apply=sides.apply, meanwhile=sides.meanwhile)


def _ensure_same_structure(sides: Sides) -> None:
    if sides.unchanged:
        return
    reasons = unfit(sides.structure, sides.target.strategy)
    if reasons:
        raise StructureUnfit(reasons)
    if sides.target.strategy == SHARED:
        return
    there = read_structure(sides.target)
    if not same_indexes(there.asleep, sides.structure.asleep):
        raise StructureChanged(", ".join(differences(there.asleep, sides.structure.asleep)))


def _set_validator(sides: Sides) -> None:
    if sides.structure.validation:  # else it has none
        set_validator(sides.target, sides.structure)


def _structure_differences(sides: Sides) -> list[str]:
    if SHARED in (sides.source.strategy, sides.target.strategy):
        return []
    return differences(sides.structure, read_structure(sides.target))


def _document_differences(sides: Sides) -> list[str]:
    same = digest_of(sides.source) == digest_of(sides.target)
    return [] if same else ["documents"]


DOCUMENTS: Part[Sides] = Part("documents", {}, _document_differences)
"""All documents with their ids, which the mover copies, applies and verifies."""

STRUCTURE: Part[Sides] = Part(
    "indexes and options",
    {Phase.BEFORE_READY: _bring_structure, Phase.AFTER_FENCE: _ensure_same_structure},
    _structure_differences,
)
"""Indexes by all their options. What a collection is born with, such as its collation, is there
from ``create_target``."""

EXPIRY: Part[Sides] = Part(
    "expiry",
    {
        Phase.PREPARE: lambda sides: put_indexes_to_sleep(sides.target),
        Phase.AFTER_FENCE: lambda sides: wake_indexes(sides.target, sides.structure),
        Phase.UNDO: lambda sides: put_indexes_to_sleep(sides.target),
    },
    _structure_differences,
)
"""Indexes by which documents expire: at the source alone until nobody writes there."""

VALIDATOR: Part[Sides] = Part(
    "validator",
    {
        Phase.PREPARE: lambda sides: remove_validator(sides.target),
        Phase.AFTER_FENCE: _set_validator,
        Phase.UNDO: lambda sides: remove_validator(sides.target),
    },
    _structure_differences,
)
"""The validator: it doesn't check what movers write, which was checked when it was written."""

PARTS: tuple[Part[Sides], ...] = (DOCUMENTS, STRUCTURE, EXPIRY, VALIDATOR)
"""All parts that are kept with the documents."""

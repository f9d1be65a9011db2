"""Three versions of a document, field by field: as it was opened, as it is stored now, and as
somebody typed it meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from portal.data.editing import opened
from portal.data.editing.entries import Entry, Tree, is_masked, key_of, outcome_of
from portal.data.editing.shown_values import in_words, words_of_type
from portal.data.errors import words_of
from portal.data.masks.masks import Mask
from portal.data.patching import (
    ARRAY,
    Append,
    Change,
    Path,
    Set,
    Unset,
    differences,
    elements,
)

_WELL_KNOWN = {"text", "null", "boolean", "object", "list", "date", "ObjectId"}


class Side(StrEnum):
    """The version that a field is taken from."""

    THEIRS = "theirs"
    YOURS = "yours"


@dataclass(frozen=True, slots=True)
class Cell:
    """A field in one of the versions: missing without ``words``. ``value`` is there where the field
    can be given it."""

    words: str | None
    type_words: str = ""
    value: bytes | None = None
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """A field that differs. Without ``chosen`` it needs a choice, unless both did the same."""

    path: Path
    key: str
    name: str
    before: Cell | None
    theirs: Cell
    yours: Cell
    note: str
    same: bool = False
    chosen: Side | None = None
    fault: str = ""
    entry: Entry | None = None

    @property
    def needs_choice(self) -> bool:
        """True where both changed it differently and nobody chose yet."""
        return not self.same and self.chosen is None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The fields that differ, and how many top-level fields are equal in all versions."""

    fields: tuple[Field, ...]
    equal: int
    knows_opened: bool

    @property
    def open_choices(self) -> int:
        """The number of fields that need a choice."""
        return sum(each.needs_choice for each in self.fields)


def compare(
    packed: str,
    stored: bytes,
    entries: Sequence[Entry],
    mask: Mask,
    zone: str,
    choices: Mapping[str, str],
) -> Comparison:
    """The comparison of what was opened, as it was ``packed``, what is stored, and what was typed.
    ``choices`` are sides by the keys of fields."""
    found = opened.unpack(packed)
    before, limit = found if found else (None, 0)
    now = opened.reduced(stored, limit) if found else stored
    theirs = differences(before, now) if before is not None else []
    maker = _Comparer(before, now, stored, mask, zone)
    mine = [maker.typed(entry, theirs) for entry in entries]
    typed = [entry.path for entry in entries]
    others = [
        maker.changed_by_them(path)
        for path in theirs
        if path and not is_masked(mask, path) and not any(_overlap(path, each) for each in typed)
    ]
    fields = tuple(_chosen(each, choices) for each in (*mine, *others))
    touched = {each.path[0] for each in fields if each.path}
    equal = sum(each.name not in touched for each in elements(stored))
    return Comparison(fields, equal, knows_opened=before is not None)


def changes_of(stored: bytes, comparison: Comparison, mask: Mask) -> list[Change]:
    """The changes of the ``stored`` document by which each field is as chosen."""
    entries = [each.entry for each in comparison.fields if each.entry and _is_yours(each)]
    changes = list(outcome_of(stored, entries, mask).changes)
    for each in comparison.fields:
        if each.entry is not None or not _is_yours(each):
            continue
        if each.yours.words is None:
            changes.append(Unset(each.path))
        elif each.yours.value is not None:
            changes.append(Set(each.path, each.yours.value))
    return changes


def is_all_there(stored: bytes, entries: Sequence[Entry], mask: Mask) -> bool:
    """Tell whether all that was typed is stored already, as after a form that was sent twice."""
    return all(_is_there(stored, entry, mask) for entry in entries)


class _Comparer:
    def __init__(
        self, before: bytes | None, now: bytes, stored: bytes, mask: Mask, zone: str
    ) -> None:
        self._before = Tree(before) if before is not None else None
        self._now, self._stored = Tree(now), Tree(stored)
        self._document, self._mask, self._zone = stored, mask, zone

    def typed(self, entry: Entry, theirs: Sequence[Path]) -> Field:
        """The field that an entry is about."""
        outcome = outcome_of(self._document, [entry], self._mask)
        fault = outcome.faults.get(0, "")
        yours = self._yours(entry, outcome.changes, fault)
        before = self._cell(self._before, entry.path) if self._before else None
        stored = self._cell(self._stored, entry.path)
        same = not outcome.changes and not fault
        moved = any(_overlap(path, entry.path) and path != entry.path for path in theirs)
        untouched = before is not None and not moved and self._is_untouched(entry.path)
        appends = any(isinstance(change, Append) for change in outcome.changes)
        if same:
            note = "both the same"
        elif fault or not (untouched or appends):
            note = fault or "both changed it"
        else:
            note = _note("you", yours, before)
        alone = not fault and not same and (untouched or appends)
        return Field(
            entry.path, key_of(entry.path), words_of(entry.path), before, stored, yours, note,
            same, Side.YOURS if alone else None, fault, entry,
        )  # fmt: skip

    def changed_by_them(self, path: Path) -> Field:
        """A field that only somebody else changed."""
        before = self._cell(self._before, path)
        stored = self._cell(self._stored, path)
        return Field(
            path, key_of(path), words_of(path), before, stored, before,
            _note("they", stored, before), chosen=Side.THEIRS,
        )  # fmt: skip

    def _is_untouched(self, path: Path) -> bool:
        was = self._before.element(path) if self._before else None
        now = self._now.element(path)
        return (was and was.value) == (now and now.value)

    def _yours(self, entry: Entry, changes: Sequence[Change], fault: str) -> Cell:
        if fault:
            return Cell(entry.typed.text if entry.typed else None, is_open=False)
        if entry.typed is None:
            return Cell(None)
        change = changes[0] if changes else None
        if isinstance(change, Set | Append):
            return self._value(change.value)
        return self._cell(self._stored, entry.path)

    def _cell(self, tree: Tree | None, path: Path) -> Cell:
        element = tree.element(path) if tree else None
        return self._value(element.value) if element is not None else Cell(None)

    def _value(self, value: bytes) -> Cell:
        if opened.is_digest(value):
            return Cell("a large value", is_open=False)
        words = words_of_type(value)
        shown = "" if words in _WELL_KNOWN else words
        whole = not _has_digest(value)
        return Cell(in_words(value, self._zone, 400), shown, value if whole else None, whole)


def _has_digest(value: bytes) -> bool:
    if opened.is_digest(value):
        return True
    inner = value[6:-1] if value[4] in (0x03, 0x04) else None
    return inner is not None and any(_has_digest(each.value) for each in elements(inner))


def _note(who: str, now: Cell, before: Cell | None) -> str:
    if before is None:
        return f"only {who} changed it"
    if now.words is None:
        return f"{who} removed it"
    return f"{who} added it" if before.words is None else f"only {who} changed it"


def _chosen(field: Field, choices: Mapping[str, str]) -> Field:
    choice = choices.get(field.key)
    if field.same or choice not in (Side.THEIRS, Side.YOURS):
        return field
    if choice == Side.YOURS and not field.yours.is_open:
        return field
    return replace(field, chosen=Side(choice))


def _is_yours(field: Field) -> bool:
    return field.chosen == Side.YOURS and not field.same


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _is_there(stored: bytes, entry: Entry, mask: Mask) -> bool:
    tree = Tree(stored)
    element = tree.element(entry.path)
    path = entry.path
    if entry.added and element is not None and element.kind == ARRAY:
        path = (*path, max(0, len(tree.children(path)) - 1))
    if entry.added and element is None:
        return False
    outcome = outcome_of(stored, [Entry(path, entry.typed)], mask)
    return not outcome.changes and not outcome.faults

"""The rows of a document's form: made of the document's own fields and types, and of what was typed
already."""

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from portal import clock
from portal.data.editing import dates, shown_values
from portal.data.editing.entries import Entry, Outcome, Tree, digest_of, is_masked, key_of
from portal.data.editing.shown_values import OLD, in_words, shown, words_of_type
from portal.data.editing.typed_values import WORDS, Kind, Typed
from portal.data.masks.masks import MASKED, Mask
from portal.data.patching import ARRAY, DOCUMENT, Element, Path, count_elements
from portal.data.texts import visible, visible_lines

MOST_ROWS = 100
"""The number of fields that a form shows; a search finds the others."""
_MOST_WALKED = 200_000
_FIRST_ELEMENTS = 2
_MOST_SEARCHED = 1000  # of a list; of a longer one elements are found by their position
_LONGEST_INLINE = 2048
_LONGEST_LINE = 80


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the form: a field with its control, the head of a document or list, or a field that
    is only shown."""

    key: str
    name: str
    note: str
    depth: int
    type_words: str
    control: str
    typed: Typed | None = None
    text: str = ""
    remark: str = ""
    opened: str = ""
    state: str = ""
    was: str = ""
    fault: str = ""
    offset: str = ""
    download: str | None = None
    more: int = 0
    can_add: bool = False
    removable: bool = True
    parent: str = ""

    @property
    def words(self) -> str:
        """Its value for a reader."""
        if self.typed is None:
            return self.text
        if self.control == "date":
            return self.typed.text.replace("T", " ")
        return visible_lines(self.typed.text)

    @property
    def control_id(self) -> str:
        """The id of its control."""
        return f"n-{self.key}" if self.control.startswith("new") else f"v-{self.key}"


@dataclass(frozen=True, slots=True)
class View:
    """The part of a document that its form shows: lists at these paths whole, fields that have
    ``search`` in their names. Dates are in the ``zone``."""

    zone: str
    lists: frozenset[Path] = frozenset()
    search: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that a form shows, and how many fields there are, or at least."""

    rows: tuple[Row, ...]
    fields: int
    left_out: bool
    partial: bool
    search: str = ""
    lists: tuple[str, ...] = ()

    def without_id(self) -> Self:
        """The rows of all fields but ``_id``."""
        own = key_of(("_id",))
        return replace(self, rows=tuple(row for row in self.rows if row.key != own))

    @property
    def shown(self) -> int:
        """The number of fields that are shown."""
        return sum(row.control not in ("head", "new field", "new element") for row in self.rows)

    @property
    def changed(self) -> int:
        """The number of fields that saving would write."""
        new = ("new field", "new element")
        return sum(bool(row.state) or (row.control in new) for row in self.rows)


def rows_of(
    document: bytes, entries: Sequence[Entry], outcome: Outcome, mask: Mask, view: View
) -> Rows:
    """The rows of a document with what was typed."""
    return _Maker(document, entries, outcome, mask, view).rows()


@dataclass(frozen=True, slots=True)
class _Node:
    """An element on the way through a document, and its path as it is searched for."""

    path: Path
    words: str
    element: Element
    depth: int
    is_head: bool


class _Maker:
    def __init__(
        self,
        document: bytes,
        entries: Sequence[Entry],
        outcome: Outcome,
        mask: Mask,
        view: View,
    ) -> None:
        self._tree, self._mask, self._view = Tree(document), mask, view
        self._entries = {entry.path: entry for entry in entries if not entry.added}
        self._added = [(index, entry) for index, entry in enumerate(entries) if entry.added]
        self._faults = {
            entries[index].path: words
            for index, words in outcome.faults.items()
            if not entries[index].added
        }
        self._added_faults = outcome.faults
        self._changed = frozenset(outcome.changed)
        self._open = {path[:depth] for path in self._entries for depth in range(1, len(path))}
        self._sought = view.search.casefold()

    def rows(self) -> Rows:
        made: list[Row] = []
        heads: list[_Node] = []
        values, fields, left_out, partial = 0, 0, False, False
        for node in self._walk((), "", 0):
            fields += not node.is_head
            if fields > _MOST_WALKED:
                partial = True
                break
            heads = [head for head in heads if head.depth < node.depth]
            typed = node.path in self._entries or node.path in self._faults
            if not typed and (values >= MOST_ROWS or self._sought not in node.words.casefold()):
                left_out = True
                heads += [node] if node.is_head else []
                continue
            made += [self._row(head) for head in heads]
            heads = []
            made.append(self._row(node))
            values += not node.is_head
            if node.is_head:
                left_out |= count_elements(node.element.value[6:-1]) > MOST_ROWS
                made += self._added_rows(node.path, node.depth + 1)
        lists = tuple(key_of(path) for path in sorted(self._view.lists, key=repr))
        shown_rows = (*made, *self._added_rows((), 0))
        return Rows(shown_rows, fields, left_out, partial, self._view.search, lists)

    def _walk(self, parent: Path, words: str, depth: int) -> Iterator[_Node]:
        within = self._tree.element(parent)
        in_list = within is not None and within.kind == ARRAY
        wanted = self._wanted(parent, words, within) if within is not None and in_list else None
        for element in self._tree.children(parent, wanted):
            part = element.position if in_list else self._tree.part_of(parent, element)
            path, full = (*parent, part), f"{words}{part}"
            is_head = self._is_head(path, full, element, in_list=in_list)
            yield _Node(path, full, element, depth, is_head)
            if is_head:
                yield from self._walk(path, f"{full}.", depth + 1)

    def _wanted(self, path: Path, words: str, within: Element) -> Container[int]:
        """The positions of a list that are looked at: its first ones, those with what was typed,
        and of a long one only those that the search names."""
        typed = {
            each[len(path)] for each in (*self._entries, *self._open) if self._is_in(each, path)
        }
        count = count_elements(within.value[6:-1])
        if not self._sought:
            most = MOST_ROWS if path in self._view.lists else _FIRST_ELEMENTS
            return {*range(min(most, count)), *typed}
        if count <= _MOST_SEARCHED:
            return range(count)
        numbered = ((each, f"{words}{each}".casefold()) for each in range(count))
        sought = self._sought
        return {each for each, name in numbered if sought in name or sought.startswith(f"{name}.")}

    @staticmethod
    def _is_in(path: Path, parent: Path) -> bool:
        return len(path) > len(parent) and path[: len(parent)] == parent

    def _is_head(self, path: Path, words: str, element: Element, *, in_list: bool) -> bool:
        if element.inner is None or is_masked(self._mask, path) or path == ("_id",):
            return False
        if path in self._entries:
            return self._entries[path].typed is None
        if path in self._open or not in_list:
            return True
        if len(element.value) > _LONGEST_INLINE or self._sought.startswith(f"{words.casefold()}."):
            return True
        return not self._sought and shown(element.value, self._view.zone) is None

    def _row(self, node: _Node) -> Row:
        path, element = node.path, node.element
        row = Row(
            key=key_of(path),
            name=_name_of(element),
            note=self._note_of(path, element),
            depth=node.depth,
            type_words=words_of_type(element.value),
            control="kept",
            opened=digest_of(element.value),
            parent=key_of(path[:-1]),
        )
        if path == ("_id",):
            fixed = _id_words(element.value, self._view.zone)
            return replace(row, text=fixed[0], remark=fixed[1], removable=False)
        if is_masked(self._mask, path):
            return replace(row, type_words="", text=MASKED, removable=False, control="masked")
        if node.is_head:
            return self._head(row, path, element)
        return self._with_value(row, path, element)

    def _head(self, row: Row, path: Path, element: Element) -> Row:
        is_list, inner = element.kind == ARRAY, element.value[6:-1]
        count = count_elements(inner)
        unit = ("element" if is_list else "field") + ("" if count == 1 else "s")
        whole = path in self._view.lists or count <= _FIRST_ELEMENTS or bool(self._sought)
        removed = path in self._entries
        return replace(
            row,
            control="head",
            type_words=f"{WORDS[Kind.LIST if is_list else Kind.OBJECT]}, {count} {unit}",
            more=count if is_list and not whole else 0,
            remark=f"The first {MOST_ROWS}. Search for others by their position."
            if is_list and path in self._view.lists and count > MOST_ROWS
            else "",
            can_add=not removed,
            state="removed" if removed else "",
            fault=self._faults.get(path, ""),
        )

    def _with_value(self, row: Row, path: Path, element: Element) -> Row:
        zone = self._view.zone
        is_file = element.kind == 0x05 and _is_file(element.value)
        typed = None if is_file else shown(element.value, zone)
        entry = self._entries.get(path)
        fault = self._faults.get(path, "")
        if entry is not None and entry.typed is None:
            return replace(row, state="removed", text=in_words(element.value, zone), fault=fault)
        changed = path in self._changed or bool(fault)
        if entry is not None and changed:
            typed = entry.typed
        row = replace(
            row,
            typed=typed,
            fault=fault,
            state="changed" if changed else "",
            was=_quoted(element.value, zone) if changed else "",
        )
        if typed is not None:
            return replace(
                row,
                control=_control_of(typed),
                remark=_remark(typed, element.value),
                offset=_offset(typed, element.value),
            )
        if element.kind == 0x05:
            return replace(
                row,
                control="file",
                download=json.dumps([str(part) for part in path]),
                text=shown_values.first_bytes(element.value),
                more=shown_values.size_of(element.value),
                remark="Stays as it is unless you choose a file.",
            )
        return replace(row, text=in_words(element.value, zone), remark=_why_kept(element))

    def _note_of(self, path: Path, element: Element) -> str:
        if isinstance(path[-1], int):
            within = self._tree.element(path[:-1])
            if within is not None and within.kind == ARRAY:
                return ""
            return "its name is there twice"
        if element.kind == 0x05 and shown_values.subtype_of(element.value) != 4:
            return f"subtype {shown_values.subtype_of(element.value)}"
        if not element.name:
            return "its name is empty"
        if "." in element.name:
            return "one field, its name has a dot"
        return "its name begins with a dollar" if element.name.startswith("$") else ""

    def _added_rows(self, parent: Path, depth: int) -> Iterator[Row]:
        for index, entry in self._added:
            within = self._tree.element(entry.path)
            to_list = within is not None and within.kind == ARRAY
            place = entry.path if to_list else entry.path[:-1]
            if place != parent or entry.typed is None:
                continue
            yield Row(
                key=str(index),
                name="" if to_list or not entry.path else str(entry.path[-1]),
                note="",
                depth=depth,
                type_words="",
                control="new element" if to_list else "new field",
                typed=entry.typed,
                fault=self._added_faults.get(index, ""),
                parent=key_of(parent),
            )


def _name_of(element: Element) -> str:
    name = element.name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return shown_values.escaped(name) or "“”"


def _id_words(value: bytes, zone: str) -> tuple[str, str]:
    text = in_words(value, zone)
    if value[4] != 0x07:
        return text, "Fixed; duplicate the document for another."
    made = clock.zone_of(zone)
    moment = dates.moment_of(int.from_bytes(value[6:10], "big") * 1000).astimezone(made)
    return text, f"made {moment:%-d %b %Y %H:%M:%S}. Fixed; duplicate the document for another."


def _quoted(value: bytes, zone: str) -> str:
    text = in_words(value, zone)
    return f"“{text}”" if value[4] == 0x02 else text


def _is_file(value: bytes) -> bool:
    return shown_values.size_of(value) > shown_values.MOST_HEX_BYTES


def _control_of(typed: Typed) -> str:
    match typed.kind:
        case Kind.NULL:
            return "null"
        case Kind.BOOLEAN if typed.text in ("true", "false"):
            return "boolean"
        case Kind.DATE if not typed.text.endswith("Z") and len(typed.text) <= len(
            "2026-11-25T08:00:00.000"
        ):
            return "date"
    is_long = "\n" in typed.text or len(typed.text) > _LONGEST_LINE
    return "area" if is_long else "line"


def _remark(typed: Typed, value: bytes) -> str:
    if typed.kind == Kind.DATE and value[4] == 0x09:
        milliseconds = int.from_bytes(value[6:14], "little", signed=True)
        if not dates.is_within_years(milliseconds):
            return "Beyond the years 1 to 9999: in UTC, as stored."
        return f"Stored {dates.utc_text(milliseconds)}"
    if typed.kind == Kind.TEXT and (told := _unseen(typed.text)):
        return told
    if typed.kind == Kind.INT64 and len(typed.text) > 15:
        return "Kept to the last digit."
    return ""


def _unseen(text: str) -> str:
    """Words on the characters of a text that its control does not show."""
    told = []
    if visible_lines(text) != text:
        place = next(i for i, (a, b) in enumerate(zip(text, visible_lines(text), strict=False))
                     if a != b)  # fmt: skip
        told.append(f"Has {visible(text[place])} at character {place + 1}.")
    spaces = [where for where, end in (("Begins", text[:1]), ("Ends", text[-1:])) if end == " "]
    return " ".join([*told, *(f"{where} with a space." for where in spaces)])


def _offset(typed: Typed, value: bytes) -> str:
    """The offset of a date's zone on that day."""
    milliseconds = int.from_bytes(value[6:14], "little", signed=True) if value[4] == 0x09 else 0
    if typed.kind != Kind.DATE or value[4] != 0x09 or not dates.is_within_years(milliseconds):
        return ""
    return dates.offset_words(milliseconds, clock.zone_of(typed.zone))


def _why_kept(element: Element) -> str:
    if element.kind in OLD:
        return "An old type: kept, can be removed, not retyped."
    if len(element.value) > shown_values.LONGEST_TEXT:
        return "Too large to type here: kept, can be removed."
    if element.kind in (DOCUMENT, ARRAY):
        return "Kept, can be removed."
    return "No text stands for exactly these bytes: kept, can be removed."

"""Entries for fields of a document, as typed, and the changes that they stand for."""

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.data.editing.shown_values import json_text
from portal.data.editing.typed_values import Kind, NotOfKind, Typed, read
from portal.data.errors import words_of
from portal.data.masks.masks import Mask
from portal.data.patching import (
    ARRAY,
    Append,
    Change,
    Element,
    Path,
    Set,
    Unset,
    elements,
)

_MOST_TYPED = 10_000
_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry for the field at ``path``, as typed; without ``typed`` the field is to be removed.

    One that is ``added`` has the name of the new field at the end of its path; to a list an element
    is added at its end, and the path is the list's. ``opened`` is the digest of the value that the
    form showed.
    """

    path: Path
    typed: Typed | None
    added: bool = False
    opened: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The changes that entries stand for, the paths that they change, and what is wrong with others
    by their place among the entries."""

    changes: tuple[Change, ...]
    changed: tuple[Path, ...]
    faults: Mapping[int, str]


class Tree:
    """The elements of a document, found by path; each level of documents is read once."""

    def __init__(self, document: bytes) -> None:
        """Begin with an encoded document."""
        self._document = document
        self._levels: dict[Path, dict[str | int, Element]] = {}
        self._repeated: dict[Path, set[str]] = {}

    def element(self, path: Path) -> Element | None:
        """The element at ``path``."""
        if not path:
            return None
        parent, part = self.element(path[:-1]), path[-1]
        if parent is not None and parent.kind == ARRAY and isinstance(part, int):
            return next(elements(parent.value[6:-1], (part,)), None)
        return self._level(path[:-1], parent).get(part)

    def children(self, path: Path, wanted: Container[int] | None = None) -> list[Element]:
        """The elements of the document or list at ``path``, in their order; of a list only those at
        the ``wanted`` positions, if any are given."""
        parent = self.element(path)
        if parent is not None and parent.kind == ARRAY:
            return list(elements(parent.value[6:-1], wanted))
        level = self._level(path, parent)
        return [element for name, element in level.items() if isinstance(name, int)]

    def part_of(self, parent: Path, element: Element) -> str | int:
        """The part of a path that stands for an element of a document: its name, or its position
        where the name is there twice."""
        if parent not in self._repeated:
            count = Counter(each.name for each in self.children(parent))
            self._repeated[parent] = {name for name, times in count.items() if times > 1}
        return element.position if element.name in self._repeated[parent] else element.name

    def _level(self, path: Path, parent: Element | None) -> dict[str | int, Element]:
        if path not in self._levels:
            inner = self._document if not path else parent.inner if parent else None
            level: dict[str | int, Element] = {}
            for each in elements(inner) if inner is not None else ():
                level[each.position] = each
                level.setdefault(each.name, each)
            self._levels[path] = level
        return self._levels[path]


def digest_of(value: bytes) -> str:
    """A digest by which a value is known again."""
    digest = hashlib.sha256(value).digest()[:_DIGEST_BYTES]
    return base64.urlsafe_b64encode(digest).decode()


def outcome_of(document: bytes, entries: Sequence[Entry], mask: Mask) -> Outcome:
    """The changes that the entries make in the ``document``, as far as they can be read."""
    tree = Tree(document)
    changes: list[Change] = []
    changed: list[Path] = []
    faults: dict[int, str] = {}
    taken: set[Path] = set()
    for index, entry in enumerate(entries):
        try:
            change = _change_of(tree, entry, taken, mask)
        except NotOfKind as error:
            faults[index] = str(error)
            continue
        if change is not None:
            changes.append(change)
            changed.append(entry.path)
    return Outcome(tuple(changes), tuple(changed), faults)


def without_unchanged(entries: Iterable[Entry]) -> list[Entry]:
    """The entries that differ from what their form showed."""
    return [entry for entry in entries if not _is_as_opened(entry)]


def entries_at(paths: Iterable[Path], before: bytes, after: bytes) -> list[Entry]:
    """The entries by which a document becomes as ``after`` at these paths."""
    old, new = Tree(before), Tree(after)
    found = []
    for path in paths:
        element = new.element(path)
        text = json_text(element.value) if element else ""
        typed = Typed(Kind.JSON, text) if element else None
        added = old.element(path) is None and element is not None
        found.append(Entry(path, typed, added=added))
    return found


def packed(entries: Iterable[Entry]) -> str:
    """The entries as a text that a form can carry."""
    rows = [
        {"p": entry.path, "a": entry.added}
        | (
            {"k": entry.typed.kind, "v": entry.typed.text, "z": entry.typed.zone}
            if entry.typed
            else {}
        )
        for entry in entries
    ]
    return json.dumps(rows)


def unpacked(text: str) -> list[Entry]:
    """The entries in such a text; none where somebody changed it."""
    try:
        return [_entry_of(row) for row in json.loads(text or "[]")[:_MOST_TYPED]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def key_of(path: Path) -> str:
    """The path as a part of the name of a control."""
    return base64.urlsafe_b64encode(json.dumps(path).encode()).rstrip(b"=").decode()


def path_of(key: str) -> Path | None:
    """The path in the name of a control; ``None`` for another text."""
    try:
        return _path(json.loads(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        return None


def _path(parts: Any) -> Path:
    if not isinstance(parts, list) or not all(type(part) in (str, int) for part in parts):
        raise TypeError("no path")
    for part in parts:
        str(part).encode(errors="surrogateescape")  # raises ValueError for other surrogates
    return tuple(parts)


def _entry_of(row: Mapping[str, Any]) -> Entry:
    typed = Typed(Kind(row["k"]), str(row["v"]), str(row["z"])) if "k" in row else None
    if typed is not None:
        typed.text.encode()  # raises ValueError for half of a pair
    return Entry(_path(row["p"]), typed, added=bool(row["a"]))


def _change_of(tree: Tree, entry: Entry, taken: set[Path], mask: Mask) -> Change | None:
    shown = words_of(entry.path)
    element = tree.element(entry.path)
    if is_masked(mask, entry.path):
        raise NotOfKind(f"{shown} is masked for you, and stays as it is")
    if entry.path[:1] == ("_id",):
        raise NotOfKind("The _id stays: duplicate the document for another")
    if entry.added and not (element is not None and element.kind == ARRAY):
        return _addition(tree, entry, taken)
    if entry.typed is None:
        return None if element is None else Unset(entry.path)
    if element is None:
        raise NotOfKind(f"{shown} is not there any more")
    value = _value(entry, None if entry.added else element.value, shown)
    if entry.added:
        return Append(entry.path, value)
    return None if value == element.value else Set(entry.path, value)


def _addition(tree: Tree, entry: Entry, taken: set[Path]) -> Change:
    name = entry.path[-1] if entry.path else ""
    if not name or not isinstance(name, str) or entry.typed is None:
        raise NotOfKind("Name the new field")
    if "\0" in name:
        raise NotOfKind("Name the new field without U+0000")
    if tree.element(entry.path) is not None or entry.path in taken:
        raise NotOfKind(f"Choose another name: there is a field {words_of(entry.path)}")
    taken.add(entry.path)
    return Set(entry.path, _value(entry, None, words_of(entry.path)))


def _value(entry: Entry, before: bytes | None, shown: str) -> bytes:
    try:
        return read(entry.typed or Typed(Kind.NULL, ""), before)
    except NotOfKind as error:
        raise NotOfKind(f"Write {shown} {error}") from error


def _is_as_opened(entry: Entry) -> bool:
    if entry.typed is None or entry.added or entry.opened is None:
        return False
    texts = [entry.typed]
    if entry.typed.kind == Kind.TEXT:  # line breaks that the browser made alike
        lines = entry.typed.text.replace("\r\n", "\n").replace("\n", "\r\n")
        texts.append(Typed(Kind.JSON, json.dumps(lines)))
    try:
        return any(digest_of(read(text)) == entry.opened for text in texts)
    except NotOfKind:
        return False


def is_masked(mask: Mask, path: Path) -> bool:
    """Tell whether the field at ``path`` is hidden; positions in lists don't count."""
    dotted = ".".join(part for part in path if isinstance(part, str))
    return bool(mask.paths) and bool(dotted) and mask.is_masked(dotted)

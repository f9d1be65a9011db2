"""Changes of single fields of encoded documents. What no change names stays to the byte, order
included.

A path is literal: a name stands for the first field that is called exactly so, dots and dollars
included; a number for the field or element at this position, so a name that is there twice has two
paths. All paths of a call mean the document as it was given.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from portal.data.errors import FieldExists, PathNotFound
from portal.tenants.elements import end_of_value, framed, framed_id

Path = tuple[str | int, ...]

DOCUMENT, ARRAY = 0x03, 0x04


@dataclass(frozen=True, slots=True)
class Set:
    """Give a field the value in ``value``, the BSON of ``{"": value}``.

    A field that is missing is added at the end of its document; parents that are missing are added
    as documents.
    """

    path: Path
    value: bytes


@dataclass(frozen=True, slots=True)
class Unset:
    """Remove a field, or an element of a list, whose later ones move up. A missing one is no
    error."""

    path: Path


@dataclass(frozen=True, slots=True)
class Rename:
    """Call a field ``name``, in its place. A missing one is no error."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Append:
    """Add an element at the end of a list."""

    path: Path
    value: bytes


Change = Set | Unset | Rename | Append


@dataclass(frozen=True, slots=True)
class Element:
    """A field of a document or an element of a list, as it is stored.

    ``name`` keeps bytes that aren't UTF-8 as surrogates; ``value`` is the BSON of ``{"": value}``.
    """

    position: int
    name: str
    value: bytes

    @property
    def kind(self) -> int:
        """The number of its type in BSON."""
        return self.value[4]

    @property
    def inner(self) -> bytes | None:
        """The document or list that it has; ``None`` for another value."""
        return self.value[6:-1] if self.kind in (DOCUMENT, ARRAY) else None


def elements(document: bytes, wanted: Container[int] | None = None) -> Iterator[Element]:
    """The elements of a document or list in their order, one level of them; only those at the
    ``wanted`` positions, if any are given."""
    for position, (start, key_end, end) in enumerate(_spans(document)):
        if wanted is not None and position not in wanted:
            continue
        value = framed(bytes((document[start], 0)) + document[key_end + 1 : end])
        yield Element(position, _name_of(document[start + 1 : key_end]), value)


def count_elements(document: bytes) -> int:
    """The number of elements of a document or list, one level of them."""
    return sum(1 for _ in _spans(document))


def element_at(document: bytes, path: Path) -> Element | None:
    """The element at this path; ``None`` where there is none."""
    found: Element | None = None
    inner: bytes | None = document
    for part in path:
        if inner is None:
            return None
        found = next((each for each in elements(inner) if part in (each.position, each.name)), None)
        if found is None:
            return None
        inner = found.inner
    return found


def patch(document: bytes, changes: Iterable[Change]) -> bytes:
    """The document with all of the changes; the same bytes without one.

    Raises PathNotFound where a path leads through a value that has no fields, or to a position
    that isn't there, and FieldExists where a document would have a new name twice. Two changes of
    the same element, but for its value and its name, are a ValueError.
    """
    pending = [(change.path, change) for change in changes]
    return _patch(document, pending, ()) if pending else document


def with_document_id(document: bytes, document_id: bytes) -> bytes:
    """The document with the ``_id`` in the BSON of ``{"": _id}`` in front, in place of its own."""
    rest = _patch(document, [(("_id",), Unset(("_id",)))], ())
    return framed(framed_id(document_id)[4:-1] + rest[4:-1])


def differences(before: bytes, after: bytes) -> list[Path]:
    """The paths, by name, of what differs between two documents: fields of documents one by one, a
    list as a whole. The order of fields is not compared.

    Where a document has a name twice, it differs as a whole.
    """
    return list(_differences(before, after, ()))


_Pending = Sequence[tuple[Path, Change]]


def _spans(document: bytes) -> Iterator[tuple[int, int, int]]:
    """The positions of each element's begin, of the end of its name, and of its end."""
    position, end = 4, len(document) - 1
    while position < end:
        key_end = document.index(0, position + 1)
        value_end = end_of_value(document, document[position], key_end + 1)
        yield position, key_end, value_end
        position = value_end


def _name_of(key: bytes) -> str:
    return key.decode(errors="surrogateescape")


def _key_of(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _patch(document: bytes, pending: _Pending, where: Path, *, is_list: bool = False) -> bytes:
    groups: dict[str | int, list[tuple[Path, Change]]] = {}
    for (head, *rest), change in pending:
        groups.setdefault(head, []).append((tuple(rest), change))
    parts: list[bytes] = []
    new_keys: list[bytes] = []
    copied, removed = 4, 0
    for position, (start, key_end, end) in enumerate(_spans(document)):
        if not groups and not removed:
            break
        key = document[start + 1 : key_end]
        name = _name_of(key)
        mine = groups.pop(name, []) + groups.pop(position, [])
        if not mine and not removed:
            continue
        parts.append(document[copied:start])
        copied = end
        changed = _change(document[start], key, document[key_end + 1 : end], mine, (*where, name))
        if changed is None:
            removed += is_list
            continue
        kind, new_key, value = changed
        if new_key != key:
            new_keys.append(new_key)
        if removed:
            new_key = str(position - removed).encode()
        parts.append(bytes((kind,)) + new_key + b"\0" + value)
    parts.append(document[copied:-1])
    for head, missing in groups.items():
        added = _add(head, missing, where)
        if added is not None:
            new_keys.append(_key_of(str(head)))
            parts.append(added)
    patched = framed(b"".join(parts))
    if new_keys:
        _check_new(patched, new_keys, where, is_list=is_list)
    return patched


def _change(
    kind: int, key: bytes, value: bytes, mine: _Pending, where: Path
) -> tuple[int, bytes, bytes] | None:
    """The type, key and value of an element after the changes of it; ``None`` if it is removed."""
    own = [change for path, change in mine if not path]
    inside = [(path, change) for path, change in mine if path]
    appended = [change.value for change in own if isinstance(change, Append)]
    replaced = [change for change in own if isinstance(change, Set)]
    renamed = [change for change in own if isinstance(change, Rename)]
    kinds_of_change = bool(appended or inside) + len(replaced)
    if any(isinstance(change, Unset) for change in own):
        if len(own) + len(inside) > 1:
            raise ValueError("two changes of one element")
        return None
    if kinds_of_change > 1 or len(renamed) > 1:
        raise ValueError("two changes of one element")
    if renamed:
        key = _key_of(renamed[0].name)
    if replaced:
        return replaced[0].value[4], key, replaced[0].value[6:-1]
    if (inside and kind not in (DOCUMENT, ARRAY)) or (appended and kind != ARRAY):
        raise PathNotFound(where)
    if inside:
        value = _patch(value, inside, where, is_list=kind == ARRAY)
    if appended:
        value = _append(value, appended)
    return kind, key, value


def _append(encoded: bytes, values: list[bytes]) -> bytes:
    count = count_elements(encoded)
    added = [
        value[4:5] + str(count + index).encode() + b"\0" + value[6:-1]
        for index, value in enumerate(values)
    ]
    return framed(encoded[4:-1] + b"".join(added))


def _add(head: str | int, missing: _Pending, where: Path) -> bytes | None:
    """The element for changes of one that is not there; ``None`` if they add nothing."""
    adding = [(path, change) for path, change in missing if isinstance(change, Set | Append)]
    if not adding:
        return None
    if isinstance(head, int) or any(isinstance(change, Append) for _, change in adding):
        raise PathNotFound((*where, head))
    path, change = adding[0]
    key = _key_of(head)
    if not path and isinstance(change, Set):
        if len(adding) > 1:
            raise ValueError("two changes of one element")
        return change.value[4:5] + key + b"\0" + change.value[6:-1]
    return bytes((DOCUMENT,)) + key + b"\0" + _patch(framed(b""), adding, (*where, head))


def _check_new(document: bytes, new_keys: list[bytes], where: Path, *, is_list: bool) -> None:
    if is_list:
        raise PathNotFound((*where, _name_of(new_keys[0])))
    count = Counter(document[start + 1 : key_end] for start, key_end, _ in _spans(document))
    for key in new_keys:
        if count[key] > 1:
            raise FieldExists((*where, _name_of(key)))
        if b"\0" in key:
            raise ValueError("a name has no U+0000")


def _differences(before: bytes, after: bytes, where: Path) -> Iterator[Path]:
    if before == after:
        return
    old = {each.name: each for each in elements(before)}
    new = {each.name: each for each in elements(after)}
    if len(old) != count_elements(before) or len(new) != count_elements(after):
        yield where
        return
    for name in dict.fromkeys((*old, *new)):
        was, now = old.get(name), new.get(name)
        if was is not None and now is not None and was.kind == now.kind == DOCUMENT:
            yield from _differences(was.value[6:-1], now.value[6:-1], (*where, name))
        elif was is None or now is None or was.value != now.value:
            yield (*where, name)

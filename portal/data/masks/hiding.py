"""Documents without their masked values, byte for byte otherwise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from portal.data.masks.errors import FieldMasked
from portal.data.masks.paths import ways_to
from portal.tenants.elements import elements_of, framed

MASKED = "•••"
"""The text in place of a masked value, of null and of a missing one alike."""

_DOCUMENT, _ARRAY, _STRING = 0x03, 0x04, 0x02
_TEXT = MASKED.encode() + b"\0"
_VALUE = len(_TEXT).to_bytes(4, "little") + _TEXT


@dataclass(slots=True)
class _Fields:
    """The fields of a document that lead to masked values: ``below`` by name, ``None`` for a masked
    one, and the masked ones that stand there even if they are ``missing``."""

    below: dict[bytes, "_Fields | None"] = field(default_factory=dict)
    missing: list[bytes] = field(default_factory=list)

    def add(self, way: tuple[str, ...], *, shown: bool) -> None:
        name = way[0].encode()
        if len(way) > 1:
            below = self.below.setdefault(name, _Fields())
            if below is not None:
                below.add(way[1:], shown=shown)
            return
        self.below[name] = None
        if shown:
            self.missing.append(name)


@dataclass(frozen=True, slots=True)
class _Element:
    """A field: its name, the type of its value, and both encoded."""

    name: bytes
    kind: int
    value: bytes

    @property
    def encoded(self) -> bytes:
        return bytes((self.kind,)) + self.name + b"\0" + self.value


def hide(document: bytes, paths: tuple[str, ...], shown: tuple[str, ...]) -> bytes:
    """The document with MASKED for each value at one of the ``paths``, at the end of what it is
    in; also where there is none at one of those ``shown``, if there is what it would be in."""
    return _hidden(document, _fields(paths, shown))


def find_masked(document: bytes, paths: tuple[str, ...], *, text: bool = False) -> str | None:
    """The path of a field of the document that is masked, or that has the ``text`` MASKED there;
    ``None`` without one."""
    for path, element in _masked_in(document, _fields(paths, ()), ""):
        if not text or (element.kind, element.value) == (_STRING, _VALUE):
            return path
    return None


def merge(document: bytes, stored: bytes, paths: tuple[str, ...]) -> bytes:
    """The replacement ``document`` of ``stored``, with the stored values where it has MASKED.

    Raises FieldMasked where a value at one of the ``paths`` isn't MASKED as it was shown, so that
    it would be changed, moved or lost.
    """
    if document == hide(stored, paths, paths):
        return stored
    return _merged(document, stored, _fields(paths, paths), "")


@lru_cache(maxsize=256)
def _fields(paths: tuple[str, ...], shown: tuple[str, ...]) -> _Fields:
    root = _Fields()
    for path in paths:
        for number, way in enumerate(ways_to(path)):
            root.add(way, shown=number == 0 and path in shown)
    return root


def _elements(document: bytes) -> Iterator[_Element]:
    for kind, name, start, end in elements_of(document):
        yield _Element(name, kind, document[start:end])


def _hidden(document: bytes, fields: _Fields) -> bytes:
    # What is masked stands at the end, so that its place doesn't tell whether there was a value.
    kept, masked = [], list(fields.missing)
    copied = 4
    for kind, name, start, end in elements_of(document):
        if name not in fields.below:
            continue
        below = fields.below[name]
        kept.append(document[copied : start - len(name) - 2])
        if below is not None:
            shown = _Element(name, kind, _hidden_value(kind, document[start:end], below))
            kept.append(shown.encoded)
        elif name not in masked:
            masked.append(name)
        copied = end
    kept.append(document[copied:-1])
    return framed(b"".join(kept) + b"".join(_masked(name) for name in masked))


def _hidden_value(kind: int, value: bytes, fields: _Fields) -> bytes:
    if kind == _DOCUMENT:
        return _hidden(value, fields)
    if kind == _ARRAY:
        return framed(
            b"".join(
                bytes((inner,)) + name + b"\0" + _hidden_value(inner, value[start:end], fields)
                for inner, name, start, end in elements_of(value)
            )
        )
    return value


def _hidden_element(element: _Element, fields: _Fields) -> _Element:
    hidden = _hidden_value(element.kind, element.value, fields)
    return _Element(element.name, element.kind, hidden)


def _masked(name: bytes) -> bytes:
    return bytes((_STRING,)) + name + b"\0" + _VALUE


def _masked_in(document: bytes, fields: _Fields, within: str) -> Iterator[tuple[str, _Element]]:
    for each in _elements(document):
        if each.name not in fields.below:
            continue
        below = fields.below[each.name]
        path = _join(within, each.name)
        if below is None:
            yield path, each
        else:
            yield from _masked_in_value(each, below, path)


def _masked_in_value(
    element: _Element, fields: _Fields, path: str
) -> Iterator[tuple[str, _Element]]:
    if element.kind == _DOCUMENT:
        yield from _masked_in(element.value, fields, path)
    elif element.kind == _ARRAY:
        for each in _elements(element.value):
            yield from _masked_in_value(each, fields, path)


def _merged(document: bytes, stored: bytes | None, fields: _Fields, within: str) -> bytes:
    known: dict[bytes, _Element] = {}
    for each in _elements(stored or framed(b"")):
        if each.name in known and each.name in fields.below:
            raise FieldMasked(_join(within, each.name))  # twice there: neither can be told
        known[each.name] = each
    merged: list[_Element] = []
    given = set()
    for each in _elements(document):
        path = _join(within, each.name)
        if each.name not in fields.below:
            merged.append(each)
            continue
        if each.name in given:
            raise FieldMasked(path)
        given.add(each.name)
        below, former = fields.below[each.name], known.get(each.name)
        if below is None:
            if (each.kind, each.value) != (_STRING, _VALUE):
                raise FieldMasked(path)
        else:
            merged.append(_merged_element(each, former, below, path))
    for name, below in fields.below.items():
        if name not in given and stored is not None and _is_shown(name, below, known, fields):
            raise FieldMasked(_join(within, name))
    masked = {name for name, below in fields.below.items() if below is None and name in known}
    return framed(b"".join(each.encoded for each in _in_order(merged, known, masked)))


def _merged_element(
    element: _Element, former: _Element | None, fields: _Fields, path: str
) -> _Element:
    if element.kind == _DOCUMENT and (former is None or former.kind == _DOCUMENT):
        inner = None if former is None else former.value
        return _Element(element.name, _DOCUMENT, _merged(element.value, inner, fields, path))
    if former is not None and element == _hidden_element(former, fields):
        return former
    if _holds_masked(former, fields) or next(_masked_in_value(element, fields, path), None):
        raise FieldMasked(path)  # elements of a list could come to another's value
    return element


def _is_shown(
    name: bytes, below: _Fields | None, known: Mapping[bytes, _Element], fields: _Fields
) -> bool:
    """Tell whether the field, of a document that is stored, is shown as MASKED or has such in
    it."""
    if below is None:
        return name in fields.missing or name in known
    return _holds_masked(known.get(name), below)


def _holds_masked(element: _Element | None, fields: _Fields) -> bool:
    """Tell whether a field, as it is shown, has a masked value in it."""
    if element is None or element.kind not in (_DOCUMENT, _ARRAY):
        return False
    return next(_masked_in_value(_hidden_element(element, fields), fields, ""), None) is not None


def _in_order(
    merged: list[_Element], known: Mapping[bytes, _Element], masked: set[bytes]
) -> list[_Element]:
    """The fields with the stored masked ones, each behind the field that it was stored behind."""
    ordered = list(merged)
    given = {each.name for each in merged}
    before: bytes | None = None
    for name, element in known.items():
        if name in masked:
            names = [each.name for each in ordered]
            ordered.insert(names.index(before) + 1 if before is not None else 0, element)
        if name in given or name in masked:
            before = name
    return ordered


def _join(within: str, name: bytes) -> str:
    own = name.decode(errors="replace")
    return f"{within}.{own}" if within else own

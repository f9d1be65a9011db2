"""Changes that are the same in many documents: of fields, which are set, renamed, removed; or the
deletion of the documents."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Protocol

import bson

from portal.data import extended_json, shell_syntax
from portal.data.condition_values import in_zone, moment_of
from portal.data.conditions import check_field
from portal.data.edits import Refusal
from portal.data.errors import FieldExists, InvalidExtendedJson, InvalidQuery, PathNotFound
from portal.data.history.errors import (
    ChangeRefused,
    FieldChangedTwice,
    FieldMissing,
    IdChanged,
    NewNameMissing,
    TypeMissing,
    ValueOfAnotherType,
    WrongNumberOfChanges,
)
from portal.data.literal_fields import field_of, names_in, words_of_field
from portal.data.masks.masks import Mask
from portal.data.patching import ARRAY, Change, Path, Rename, Set, Unset, element_at, patch
from portal.tenants.elements import framed

MOST_CHANGES = 10
LONGEST_FIELD = 200
LARGEST_DOCUMENT_BYTES = 16 * 1024 * 1024
KINDS = {
    "text": "text",
    "int32": "number, int32",
    "int64": "number, int64",
    "double": "number, double",
    "decimal": "number, decimal",
    "date": "date",
    "boolean": "true or false",
    "null": "null",
    "objectid": "ObjectId",
    "uuid": "UUID",
    "json": "Extended JSON",
}
"""The types of values that a field can be set to, in words."""


@dataclass(frozen=True, slots=True)
class SetField:
    """Set a field, by its dotted path, to the value in the BSON of ``{"": value}``."""

    field: str
    value: bytes

    words = "set"


@dataclass(frozen=True, slots=True)
class RenameField:
    """Call a field otherwise, in its place."""

    field: str
    name: str

    words = "rename"


@dataclass(frozen=True, slots=True)
class RemoveField:
    """Remove a field."""

    field: str

    words = "remove"


FieldChange = SetField | RenameField | RemoveField


class Changes(Protocol):
    """Changes that are made in each document of many."""

    @property
    def fields(self) -> list[str]:
        """The fields that are named."""

    @property
    def title(self) -> str:
        """The changes in words, without values."""

    def title_for(self, count: int) -> str:
        """The changes of so many documents in words, without values."""

    def check(self, mask: Mask) -> None:
        """Raise FieldMasked where a masked field is named."""

    def applied(self, document: bytes) -> bytes | Refusal | None:
        """The document with the changes, ``None`` where it is deleted, or why it can't have
        them."""

    def stored(self) -> list[dict[str, Any]]:
        """The changes as documents of BSON."""


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """Changes that are made in each document of many, together."""

    changes: tuple[FieldChange, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.changes) <= MOST_CHANGES:
            raise WrongNumberOfChanges(MOST_CHANGES)
        for change in self.changes:
            _check_field(change.field)
            if isinstance(change, RenameField) and (not change.name or "\0" in change.name):
                raise NewNameMissing(change.field)
        for one, other in permutations([change.field for change in self.changes], 2):
            if _names(other)[: len(_names(one))] == _names(one):
                raise FieldChangedTwice(words_of_field(one))

    @property
    def fields(self) -> list[str]:
        """The fields that are named."""
        named: dict[str, None] = {}
        for change in self.changes:
            *before, own = _names(change.field)
            named[".".join([*before, own])] = None
            if isinstance(change, RenameField):
                named[".".join([*before, change.name])] = None
        return list(named)

    @property
    def title(self) -> str:
        """The changes in words, without values."""
        told = ", ".join(f"{each.words} {words_of_field(each.field)}" for each in self.changes)
        return told[:1].upper() + told[1:]

    def title_for(self, count: int) -> str:
        """The changes of so many documents in words, without values."""
        return f"{self.title} in {_documents(count)}"

    def check(self, mask: Mask) -> None:
        """Raise FieldMasked where a masked field is named."""
        for field in self.fields:
            mask.check_path(field)

    def applied(self, document: bytes) -> bytes | Refusal:
        """The document with the changes, or why it can't have them. What they don't name stays to
        the byte."""
        try:
            changed = patch(document, list(self._at(document)))
        except FieldExists:
            return Refusal.FIELD_EXISTS
        except PathNotFound:
            return Refusal.NOT_A_DOCUMENT
        return changed if len(changed) <= LARGEST_DOCUMENT_BYTES else Refusal.TOO_LARGE

    def stored(self) -> list[dict[str, Any]]:
        """The changes as documents of BSON."""
        return [_stored(change) for change in self.changes]

    def _at(self, document: bytes) -> Iterator[Change]:
        for change in self.changes:
            path = _path(document, change.field)
            match change:
                case SetField():
                    yield Set(path, change.value)
                case RemoveField():
                    if element_at(document, path) is not None:
                        yield Unset(path)
                case RenameField():
                    if element_at(document, path) is not None:
                        yield Rename(path, change.name)


@dataclass(frozen=True, slots=True)
class DeleteDocuments:
    """The deletion of each document of many."""

    title = "Delete documents"

    @property
    def fields(self) -> list[str]:
        """None: no field is named."""
        return []

    def title_for(self, count: int) -> str:
        """The deletion of so many documents in words."""
        return f"Delete {_documents(count)}"

    def check(self, mask: Mask) -> None:
        """Names no field: who may write may delete what is masked, as of one document."""

    def applied(self, document: bytes) -> None:
        """Nothing stays of any document."""

    def stored(self) -> list[dict[str, Any]]:
        """The deletion as documents of BSON."""
        return [{"delete": True}]


def changes_from(stored: Sequence[dict[str, Any]]) -> Changes:
    """The changes from their ``stored``."""
    if stored == DeleteDocuments().stored():
        return DeleteDocuments()
    made: list[FieldChange] = []
    for each in stored:
        field = each["field"]
        if "set" in each:
            made.append(SetField(field, bytes(each["set"])))
        elif "rename" in each:
            made.append(RenameField(field, each["rename"]))
        else:
            made.append(RemoveField(field))
    return FieldChanges(tuple(made))


def read_value(kind: str, text: str, zone: str = "") -> bytes:
    """The BSON of ``{"": value}`` for what was typed, a date in the ``zone``. Raises
    InvalidChange."""
    reader = _READERS.get(kind)
    if reader is None:
        raise TypeMissing
    try:
        return reader(in_zone(text, zone) if kind == "date" else text)
    except (InvalidExtendedJson, InvalidQuery) as error:
        if kind == "date" and isinstance(error, InvalidQuery):
            raise ChangeRefused(error.reason) from error
        raise ValueOfAnotherType(text[:40], KINDS[kind]) from error


def sibling(field: str, name: str) -> str:
    """The field of another name that is beside it."""
    return field_of([*_names(field)[:-1], name])


def _check_field(field: str) -> None:
    if not field or "\0" in field or len(field) > LONGEST_FIELD:
        raise FieldMissing
    try:
        check_field(field)
    except InvalidQuery as error:
        raise ChangeRefused(error.reason) from error
    if _names(field)[0] == "_id":
        raise IdChanged


def _names(field: str) -> list[str]:
    """The names that lead to a field, positions among them."""
    return list(names_in(field) or field.split("."))


def _documents(count: int) -> str:
    return f"{count:,} {'document' if count == 1 else 'documents'}"


def _path(document: bytes, field: str) -> Path:
    """The path of a field: in a list, a number is a position."""
    if names := names_in(field):
        return names
    path: list[str | int] = []
    for part in field.split("."):
        inside = element_at(document, tuple(path)) if path else None
        in_list = inside is not None and inside.kind == ARRAY
        path.append(int(part) if in_list and part.isdecimal() else part)
    return tuple(path)


def _stored(change: FieldChange) -> dict[str, Any]:
    match change:
        case SetField():
            return {"field": change.field, "set": change.value}
        case RenameField():
            return {"field": change.field, "rename": change.name}
    return {"field": change.field, "remove": True}


def _typed(name: str) -> Callable[[str], bytes]:
    return lambda text: extended_json.parse_value(json.dumps({name: text.strip()}))


def _one_of(*words: str) -> Callable[[str], bytes]:
    def read(text: str) -> bytes:
        if text.strip() not in words:
            raise InvalidQuery("")
        return extended_json.parse_value(text)

    return read


_READERS: dict[str, Callable[[str], bytes]] = {
    "text": lambda text: bson.encode({"": text}),
    "int32": _typed("$numberInt"),
    "int64": _typed("$numberLong"),
    "double": _typed("$numberDouble"),
    "decimal": _typed("$numberDecimal"),
    "date": lambda text: bson.encode({"": moment_of(text)}),
    "boolean": _one_of("true", "false"),
    "null": lambda text: framed(b"\x0a\0"),
    "objectid": _typed("$oid"),
    "uuid": _typed("$uuid"),
    "json": lambda text: shell_syntax.read(extended_json.parse_value, text),
}

"""Reasons, in words, why documents break rules."""

from collections.abc import Callable
from dataclasses import dataclass

from portal.data.bson_types import ALIASES, LIST, OBJECT, TEXT, WORDS
from portal.data.rules.schemas import ITEMS, Clause, text_of
from portal.data.shape.words import value_in_words
from portal.tenants.elements import elements_of

_BY_ALIAS = {alias: WORDS[kind] for kind, alias in ALIASES.items()} | {"number": "number"}
_LONGEST_PATTERN = 60


@dataclass(frozen=True, slots=True)
class Broken:
    """A clause that is broken, by how many documents, and one of them by its address, with the
    reason in words."""

    clause: Clause
    words: str
    line: int
    documents: int
    address: str

    @property
    def filter(self) -> str:
        """The filter of the documents that break the clause, as Extended JSON."""
        return text_of(self.clause.breaking)


def words_of_broken(clause: Clause, document: bytes) -> str:
    """The fault of the document's value in words, without the name of the field."""
    if clause.keyword == "required":
        return "is missing"
    if ITEMS in clause.path:
        return f"has an element that breaks {_rule(clause)}"
    found = _find(document, clause.path)
    worded = _WORDS.get(clause.keyword)
    if found is None or worded is None:
        return f"breaks {_rule(clause)}"
    kind, start, end = found
    value = value_in_words(kind, document, start, end)
    return worded(clause, _Value(kind, value, _length(kind, document, start, end)))


@dataclass(frozen=True, slots=True)
class _Value:
    kind: int
    words: str
    length: int

    @property
    def typed(self) -> str:
        """The value with its type, unless that says it all."""
        word = WORDS[self.kind]
        return word if self.words == word else f"the {word} {self.words}"


def _at_least(clause: Clause, value: _Value) -> str:
    return f"has {value.length}, fewer than {clause.value}" if value.length else "is empty"


def _one_of(clause: Clause, value: _Value) -> str:
    number = len(clause.value) if isinstance(clause.value, list) else 0
    return f"is {value.words}, not one of the {number}"


def _of_type(clause: Clause, value: _Value) -> str:
    return f"is {value.typed}, not {_types(clause.value)}"


def _matching(clause: Clause, value: _Value) -> str:
    pattern = str(clause.value)[:_LONGEST_PATTERN]
    return f"is {value.words or 'empty'}, which doesn’t match {pattern}"


_WORDS: dict[str, Callable[[Clause, _Value], str]] = {
    "bsonType": _of_type,
    "type": _of_type,
    "enum": _one_of,
    "pattern": _matching,
    "minimum": lambda clause, value: f"is {value.words}, under {clause.value}",
    "maximum": lambda clause, value: f"is {value.words}, over {clause.value}",
    "minLength": _at_least,
    "minItems": _at_least,
    "maxLength": lambda clause, value: f"has {value.length}, more than {clause.value}",
    "maxItems": lambda clause, value: f"has {value.length}, more than {clause.value}",
    "additionalProperties": lambda clause, value: "has fields that the rules don’t name",
    "additionalItems": lambda clause, value: "has elements beyond those that the rules describe",
}


def _rule(clause: Clause) -> str:
    return f"{clause.keyword} {text_of(clause.value)[:_LONGEST_PATTERN]}"


def _types(value: object) -> str:
    named = value if isinstance(value, list) else [value]
    return " or ".join(_BY_ALIAS.get(str(each), str(each)) for each in named)


def _length(kind: int, document: bytes, start: int, end: int) -> int:
    if kind == TEXT:
        return len(document[start + 4 : end - 1].decode("utf-8", "replace"))
    return sum(1 for _ in elements_of(document, start)) if kind == LIST else 0


def _find(document: bytes, path: tuple[str, ...]) -> tuple[int, int, int] | None:
    """The type, and begin and end of the value at a path of objects."""
    if not path:
        return OBJECT, 0, len(document)
    start = 0
    for position, step in enumerate(path):
        wanted = step.encode()
        found = next((each for each in elements_of(document, start) if each[1] == wanted), None)
        if found is None:
            return None
        kind, _, start, end = found
        if position == len(path) - 1:
            return kind, start, end
        if kind != OBJECT:
            return None
    return None

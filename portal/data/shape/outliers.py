"""Outliers of fields, each with a filter that matches the documents which have it, no others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import gt, lt, or_
from typing import Any

from bson.datetime_ms import DatetimeMS

from portal.data.bson_types import (
    ALIASES,
    LIST,
    NULL,
    OBJECT_ID,
    TEXT,
    WORDS,
    family_of,
)
from portal.data.literal_fields import value_of
from portal.data.shape.fields import FIRST_DATE, LAST_DATE, MOST_TEXTS, Node, Path, Step, Survey
from portal.data.shape.words import STRAY

_FAR = 3
_NOT_LIST: Mapping[str, Any] = {"$not": {"$type": "array"}}


@dataclass(frozen=True, slots=True)
class Outlier:
    """Documents that stand out: their number among those that were read, and their filter."""

    words: str
    documents: int
    filter: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Condition:
    """A condition on a value: as operators, and as an expression of what ``value`` is."""

    operators: dict[str, Any]
    test: Any

    def expression(self, value: Any) -> Any:
        """The condition on the expression ``value``."""
        return self.test(value)


def outliers_of(survey: Survey, path: Path, node: Node, above: Node) -> list[Outlier]:
    """The outliers of the field at this path."""
    found = []
    for words, bits, condition in _standing_out(survey, path, node, above):
        filtered = filter_of(survey.root, path, condition)
        if bits and filtered is not None:
            found.append(Outlier(words, bits.bit_count(), filtered))
    return found


def filter_of(root: Node, path: Path, condition: _Condition) -> dict[str, Any] | None:
    """The filter of documents with a value at the path that the condition holds for; ``None`` where
    a filter can't tell: a step is folded, or a name inside of a list isn't plain."""
    if any(isinstance(step, Step) and step is not Step.ITEM for step in path):
        return None
    if all(_is_plain(step) for step in path):
        return _plain(root, path, condition)
    if Step.ITEM in path:
        return None
    return {"$expr": condition.expression(value_of([str(step) for step in path]))}


def of_type(kind: int) -> _Condition:
    """The condition of being of this type, not a list of such."""
    alias = ALIASES[kind]
    operators = {"$type": alias, **({} if kind == LIST else _NOT_LIST)}
    return _Condition(operators, lambda value: {"$eq": [{"$type": value}, alias]})


def equal_to(text: str) -> _Condition:
    """The condition of being this text."""
    operators = {"$eq": text, **_NOT_LIST}
    return _Condition(operators, lambda value: {"$eq": [value, {"$literal": text}]})


EXISTS = _Condition({"$exists": True}, lambda value: {"$ne": [{"$type": value}, "missing"]})
EMPTY_LIST = _Condition({"$size": 0}, lambda value: {"$eq": [value, []]})


def _has_element(kind: int) -> _Condition:
    inside = of_type(kind)

    def test(value: Any) -> Any:
        elements = {"$cond": [{"$isArray": value}, value, []]}
        found = {"$filter": {"input": elements, "cond": inside.expression("$$this")}}
        return {"$ne": [{"$size": found}, 0]}

    return _Condition({"$elemMatch": inside.operators}, test)


def _beyond(operator: str, limit: Any, alias: str) -> _Condition:
    def test(value: Any) -> Any:
        typed = {"$isNumber": value} if alias == "number" else {"$eq": [{"$type": value}, alias]}
        return {"$and": [typed, {operator: [value, limit]}]}

    return _Condition({operator: limit, **_NOT_LIST}, test)


def _standing_out(
    survey: Survey, path: Path, node: Node, above: Node
) -> Iterator[tuple[str, int, _Condition]]:
    if path[-1] is Step.ITEM:
        # Told with the list.
        return
    usual = family_of(max(node.kinds, key=lambda kind: node.kinds[kind].values))
    for kind, tally in sorted(node.kinds.items(), key=lambda each: -each[1].values):
        if kind != NULL and family_of(kind) != usual:
            yield _words_of_type(path, kind, usual, node), tally.bits, of_type(kind)
    for kind, words, condition in (
        (TEXT, "empty text", equal_to("")),
        (LIST, "empty list", EMPTY_LIST),
    ):
        empty = node.empty.get(kind)
        if empty and empty.values <= node.kinds[kind].values / 2:
            yield words, empty.bits, condition
    if Step.ITEM not in path:
        yield from _values_out(node)
        if len(path) == 1 and node.tally.documents <= survey.documents * STRAY / 2:
            yield "have it", node.tally.bits, EXISTS
    item = node.children.get(Step.ITEM)
    if item and len(item.kinds) > 1:
        usual = family_of(max(item.kinds, key=lambda kind: item.kinds[kind].values))
        for kind, tally in item.kinds.items():
            if family_of(kind) != usual:
                yield f"{WORDS[kind]} in the list", tally.bits, _has_element(kind)


def _words_of_type(path: Path, kind: int, usual: int, node: Node) -> str:
    if path == ("_id",):
        return f"{WORDS[kind]} ids"
    ids_as_text = kind == TEXT and usual == OBJECT_ID
    if ids_as_text and node.hex_texts.values == node.kinds[TEXT].values:
        return "ids kept as text"
    return WORDS[kind]


def _values_out(node: Node) -> Iterator[tuple[str, int, _Condition]]:
    if node.late.values:
        yield "after 9999", node.late.bits, _beyond("$gt", DatetimeMS(LAST_DATE), "date")
    if node.early.values:
        yield "before year 1", node.early.bits, _beyond("$lt", DatetimeMS(FIRST_DATE), "date")
    yield from _rare_texts(node)
    yield from _far_numbers(node)


def _rare_texts(node: Node) -> Iterator[tuple[str, int, _Condition]]:
    """Texts that are another one but for capitals and blanks around them, and much rarer."""
    if node.many_texts or len(node.texts) > MOST_TEXTS:
        return
    by_form: dict[str, list[str]] = {}
    for text in node.texts:
        by_form.setdefault(text.strip().casefold(), []).append(text)
    for alike in by_form.values():
        usual = max(alike, key=lambda text: node.texts[text].values)
        for text in alike:
            tally = node.texts[text]
            if text != usual and tally.values * 10 <= node.texts[usual].values:
                yield f"“{text}”", tally.bits, equal_to(text)


def _far_numbers(node: Node) -> Iterator[tuple[str, int, _Condition]]:
    """Numbers far above or below the middle half of all."""
    numbers = sorted(float(number) for number, _ in node.numbers)
    if len(numbers) < 20 or numbers[0] == float("-inf") or numbers[-1] == float("inf"):
        return
    low, high = numbers[len(numbers) // 4], numbers[len(numbers) * 3 // 4]
    reach = _FAR * (high - low)
    if not reach:
        return
    for operator, words, far in (("$gt", "over", high + reach), ("$lt", "under", low - reach)):
        limit = float(f"{far:.2g}")
        beyond = gt if operator == "$gt" else lt
        out = [bit for number, bit in node.numbers if beyond(number, limit)]
        if out and len(out) <= max(1, len(numbers) * STRAY):
            bits = reduce(or_, out)
            yield f"{words} {limit:,.10g}", bits, _beyond(operator, limit, "number")


def _plain(root: Node, path: Path, condition: _Condition) -> dict[str, Any]:
    """The filter by a dotted path, which is about elements of a list where a step says so, and
    not where none does."""
    conditions: dict[str, Any] = {}
    node = root
    names: list[str] = []
    for position, step in enumerate(path):
        node = node.children[step]
        if step is Step.ITEM:
            rest = path[position + 1 :]
            inner = _plain(node, rest, condition)
            if rest and rest[0] is Step.ITEM:  # a list in a list has no name
                inner = inner[""]
            conditions[".".join(names)] = {"$elemMatch": inner if rest else condition.operators}
            return conditions
        names.append(str(step))
        last = position == len(path) - 1
        into_list = not last and path[position + 1] is Step.ITEM
        if not last and not into_list and LIST in node.kinds:
            conditions[".".join(names)] = dict(_NOT_LIST)
    conditions[".".join(names)] = condition.operators
    return conditions


def _is_plain(step: str | Step) -> bool:
    """Tell whether a step can be part of a dotted path."""
    if isinstance(step, Step):
        return True
    return bool(step) and "." not in step and "$" not in step[:1] and not step.isdecimal()

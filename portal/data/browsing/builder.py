"""The filter builder: a condition while it is made, and what it offers by a field's types."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from portal.data import literal_fields
from portal.data.browsing.errors import BoundsReversed, ValueMissing, ValueOfNoKind, ValuesMissing
from portal.data.browsing.fields import Sample
from portal.data.condition_values import KIND_WORDS, in_zone, kinds_of
from portal.data.conditions import LONGEST_VALUE, OPERATORS, Condition
from portal.data.selections import Args, Selection

_OF_TEXT = ("contains", "contains_any_case", "begins_with")
_ORDER = ("more_than", "at_least", "less_than", "at_most", "between")
_EQUAL = ("is", "is_not", "is_not_present", "one_of")
WITHOUT_VALUE = ("missing", "null", "empty_text", "empty_list", "missing_or_null", "present")
WORDS: Mapping[str, tuple[str, str]] = {
    "is": ("is", ""),
    "is_not": ("is not", "missing counts"),
    "is_not_present": ("is there and is not", ""),
    "one_of": ("is one of", ""),
    "contains": ("contains", "these characters, literally"),
    "contains_any_case": ("contains, in any case", "A like a"),
    "begins_with": ("begins with", ""),
    "more_than": ("is more than", ""),
    "at_least": ("is at least", ""),
    "less_than": ("is less than", ""),
    "at_most": ("is at most", ""),
    "between": ("is between", "both in one element"),
    "present": ("is there", "whatever it is"),
    "missing": ("is missing", "no such field"),
    "null": ("is null", ""),
    "empty_text": ('is empty text ""', ""),
    "empty_list": ("is an empty list [ ]", ""),
    "missing_or_null": ("is missing or null", ""),
}
_OF_DATES = {
    "is": "is on",
    "is_not": "is not on",
    "more_than": "is after",
    "at_least": "is on or after",
    "less_than": "is before",
    "at_most": "is on or before",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A radio button: its value, words, a remark, and whether it is chosen."""

    value: str
    words: str
    remark: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Builder:
    """A condition being made, as typed: ``edited`` is the place of the one that it replaces."""

    field: str = ""
    operator: str = "is"
    kinds: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    edited: tuple[int, int] | None = None
    fault: str = ""

    @property
    def is_open(self) -> bool:
        return bool(self.field)

    @property
    def field_words(self) -> str:
        """The field for people."""
        return literal_fields.words_of_field(self.field)


def builder_from(args: Args, selection: Selection, sample: Sample) -> Builder:
    """The condition that the parameters of a URL make, or open for a change."""
    place = _place(args.get("edit") or "", selection)
    if place and not args.get("field"):
        group, index = place
        condition = selection.groups[group][index]
        return Builder(
            condition.field, condition.operator, condition.kinds, condition.values, place
        )
    operator = args.get("operator") or "is"
    values = [value[:LONGEST_VALUE] for value in args.getlist("value")]
    if operator == "one_of" and len(values) == 1:
        values = [line for line in values[0].replace("\r\n", "\n").split("\n") if line]
    kinds = tuple((args.get("kind") or "").split("+")) if args.get("kind") else ()
    name = _named(args.get("field") or "", sample)
    known = operator in OPERATORS and operator in WORDS
    return Builder(name, operator if known else "is", kinds, tuple(values), place)


def applied(
    builder: Builder, selection: Selection, sample: Sample, zone: str, join: str
) -> Selection:
    """The selection with the condition, as another alternative of the last one where ``join`` is
    "or". Raises InvalidQuery for one that can't be."""
    condition = _condition(builder, sample, zone)
    _ = condition.filter  # raises where a value isn't of its kind
    if condition.is_reversed:
        raise BoundsReversed
    groups = [list(group) for group in selection.groups]
    if builder.edited:
        group, index = builder.edited
        groups[group][index] = condition
    elif join == "or" and groups:
        groups[-1].append(condition)
    else:
        groups.append([condition])
    return replace(selection, groups=tuple(map(tuple, groups)))


def without(selection: Selection, group: int, index: int) -> Selection:
    """The selection without one of its conditions."""
    groups = [list(each) for each in selection.groups]
    del groups[group][index]
    return replace(selection, groups=tuple(tuple(each) for each in groups if each))


def operators_for(builder: Builder, sample: Sample) -> tuple[list[Choice], list[Choice]]:
    """The conditions to choose from: those with a value, by the field's types, and those
    without, with how often each is fulfilled in the sample."""
    kinds = set(_kinds_in(sample, builder.field)) or {"text", "number", "date"}
    names = list(_EQUAL)
    names += _OF_TEXT if "text" in kinds else ()
    names += _ORDER if kinds & {"number", "date"} else ()
    if builder.operator in WORDS and builder.operator not in (*names, *WITHOUT_VALUE):
        names.append(builder.operator)
    dates = _OF_DATES if kinds == {"date"} else {}
    having = [_choice(name, builder, dates.get(name), WORDS[name][1]) for name in names]
    remarks = _absences(builder.field, sample)
    lacking = [_choice(name, builder, None, remarks.get(name, "")) for name in WITHOUT_VALUE]
    return having, lacking


def readings(field: str, values: tuple[str, ...], kinds: tuple[str, ...]) -> list[Choice]:
    """The kinds that a value may be compared as, if it reads as more than text."""
    text = next((value for value in values if value), "")
    found = kinds_of(text) if text else []
    if len(found) < 2:
        return []
    both = "+".join(found)
    chosen = "+".join(kinds) if kinds else both
    words = " and the ".join(KIND_WORDS[kind] for kind in found)
    choices = [Choice(both, f"the {words}")]
    choices += [Choice(kind, f"the {KIND_WORDS[kind]} only") for kind in found]
    return [replace(each, chosen=each.value == chosen) for each in choices]


def _condition(builder: Builder, sample: Sample, zone: str) -> Condition:
    operator = OPERATORS[builder.operator]
    if operator.values == 0:
        return Condition(builder.field, builder.operator)
    values = builder.values[: operator.values or len(builder.values)]
    needed = operator.values or 1
    spaces = builder.operator in (*_EQUAL, *_OF_TEXT)
    least = 0 if builder.operator in _EQUAL else 1
    if len(values) < needed or any(
        len(value if spaces else value.strip()) < least for value in values
    ):
        raise ValuesMissing if needed == 2 else ValueMissing
    kinds = builder.kinds or _resolved(builder, sample, values)
    if {"objectid", "uuid"} & set(kinds):  # an id is pasted with blanks, and never stored so
        values = tuple(value.strip() for value in values)
    if "date" in kinds:
        values = tuple(in_zone(value, zone) for value in values)
    return Condition(builder.field, builder.operator, kinds, values)


def _named(typed: str, sample: Sample) -> str:
    """The field that is meant by what was typed: a path, or else a field that is called so."""
    if typed in sample.fields:
        return typed
    path = typed.strip()
    literal = literal_fields.field_of([path])
    if path in sample.fields or literal == path or literal_fields.names_in(path):
        return path
    is_path = all(map(literal_fields.is_plain, path.split(".")))
    return literal if path and (not is_path or literal in sample.fields) else path


def _resolved(builder: Builder, sample: Sample, values: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds that are meant where nobody chose: what the values read as, and the field has. A
    value that reads as an ObjectId, UUID or date is compared as text, too."""
    allowed = OPERATORS[builder.operator].kinds
    read = [kind for kind in kinds_of(values[0]) if all(kind in kinds_of(each) for each in values)]
    read = [kind for kind in read if kind in allowed]
    seen = _kinds_in(sample, builder.field)
    if builder.operator not in _EQUAL:
        likely = [kind for kind in read if kind in seen] or [
            kind for kind in read if kind in allowed
        ]
        if not likely:
            raise ValueOfNoKind(KIND_WORDS[kind] for kind in allowed)
        return (likely[0],)
    found = [
        kind for kind in read if not seen or kind in seen or kind in ("objectid", "uuid", "date")
    ]
    if "text" in read and {"objectid", "uuid", "date"} & set(found) and "text" not in found:
        found.append("text")
    return tuple(found or read)


def _kinds_in(sample: Sample, name: str) -> list[str]:
    found = sample.fields.get(name)
    return [kind for kind, _ in found.kinds.most_common()] if found else []


def _absences(name: str, sample: Sample) -> dict[str, str]:
    found = sample.fields.get(name)
    if found is None or not sample.documents:
        return {}
    missing = sample.documents - found.documents
    counts = {"missing": missing, "null": found.nulls, "empty_text": found.empty_texts,
              "empty_list": found.empty_lists}  # fmt: skip
    return {each: _share(count, sample.documents) for each, count in counts.items()}


def _share(count: int, of: int) -> str:
    return f"{max(1, round(100 * count / of))} %" if count else "none in the sample"


def _choice(name: str, builder: Builder, words: str | None, remark: str) -> Choice:
    return Choice(name, words or WORDS[name][0], remark, name == builder.operator)


def _place(text: str, selection: Selection) -> tuple[int, int] | None:
    group, _, index = text.partition(".")
    if not (group.isdecimal() and index.isdecimal() and len(text) < 8):
        return None
    place = int(group), int(index)
    within = place[0] < len(selection.groups) and place[1] < len(selection.groups[place[0]])
    return place if within else None

"""Records that are no documents, or that the database refuses: counted by reason, and told without
values of other documents."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from portal.data.errors import DocumentInvalid, DuplicateDocument
from portal.data.formats.records import Fault, Record
from portal.errors import PortalError

MOST_GROUPS = 50
MOST_FIRST = 20
OTHER = "Other reasons"
_LONGEST = 200


@dataclass(slots=True)
class Group:
    """The records that fail for one reason in one column, of which ``value``, ``line`` and
    ``record`` are of the first."""

    reason: str
    column: str | None
    value: str | None
    line: int
    record: int
    count: int = 0


@dataclass(slots=True)
class Tally:
    """Failed records by reason: MOST_GROUPS of them, the rest as OTHER; and the first ones."""

    groups: dict[tuple[str, str | None], Group] = field(default_factory=dict)
    first: list[Group] = field(default_factory=list)

    def add(self, refused: Iterable[tuple[Record, Fault]]) -> None:
        """Count these."""
        for record, fault in refused:
            group = Group(
                fault.reason[:_LONGEST],
                fault.column,
                fault.value and fault.value[:_LONGEST],
                record.line,
                record.number,
                1,
            )
            if len(self.first) < MOST_FIRST:
                self.first.append(group)
            key = (group.reason, group.column)
            if key not in self.groups and len(self.groups) >= MOST_GROUPS:
                key = (OTHER, None)
                group = replace(group, reason=OTHER, column=None)
            if key in self.groups:
                self.groups[key].count += 1
            else:
                self.groups[key] = replace(group)

    def stored(self) -> dict[str, Any]:
        """A document from which ``Tally.of`` makes it again."""
        return {
            "groups": [_stored(group) for group in self.groups.values()],
            "first": [_stored(group) for group in self.first],
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> Self:
        """The tally that was ``stored``."""
        if stored is None:
            return cls()
        groups = [Group(*each) for each in stored["groups"]]
        first = [Group(*each) for each in stored["first"]]
        return cls({(group.reason, group.column): group for group in groups}, first)


def fault_of(error: PortalError) -> Fault:
    """The reason for which the database refuses a document, from what the write raised."""
    details = _details_of(error)
    if isinstance(error, DuplicateDocument):
        keys = error.index_keys or "a unique index"
        column = next(iter(details.get("keyPattern") or {}), None)
        return Fault(f"Another document has the same {keys}, which is unique", column)
    if isinstance(error, DocumentInvalid):
        told = details.get("errInfo", {}).get("details", {})
        return broken_rule(*next(_broken_rules(told), (None, "")))
    return Fault(error.words.removesuffix(" Nothing was changed.").removesuffix("."))


def broken_rule(column: str | None, keyword: str) -> Fault:
    """The fault of a document that breaks a rule."""
    return Fault(f"It breaks a rule of the collection: {keyword}".removesuffix(": "), column)


def _details_of(error: PortalError) -> Mapping[str, Any]:
    details = getattr(error.__cause__, "details", None) or {}
    return (details.get("writeErrors") or [details])[0]


def _broken_rules(told: Any, path: str = "") -> Iterator[tuple[str | None, str]]:
    """The paths in what a validator tells, each with the keyword of its rule; no values."""
    if isinstance(told, list):
        for each in told:
            yield from _broken_rules(each, path)
        return
    if not isinstance(told, Mapping):
        return
    if "propertyName" in told:
        path = f"{path}.{told['propertyName']}" if path else str(told["propertyName"])
    missing = told.get("missingProperties")
    if missing:
        named = [f"{path}.{name}" if path else name for name in missing]
        yield named[0], "required"
    nested = [told[name] for name in _NESTED if name in told]
    if nested:
        for each in nested:
            yield from _broken_rules(each, path)
    elif not missing and "operatorName" in told:
        yield path or None, str(told["operatorName"])


_NESTED = (
    "schemaRulesNotSatisfied",
    "propertiesNotSatisfied",
    "clausesNotSatisfied",
    "details",
)


def _stored(group: Group) -> list[Any]:
    return [group.reason, group.column, group.value, group.line, group.record, group.count]

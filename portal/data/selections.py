"""Selections of documents: from and to a URL, as a filter, in words.

A URL's parameters ``c`` are conditions, which are lists, as JSON; a list of conditions is an
alternative: any of them. What no condition can say stands beside them as Extended JSON, in
``filter``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from portal.bidi import isolated
from portal.data import queries, shell_syntax
from portal.data.conditions import Condition, any_of, check_sort_field
from portal.data.errors import (
    ConditionNotJson,
    ConditionNotTexts,
    TooManyConditions,
    UnappliedFilter,
)
from portal.data.server_errors import reading
from portal.tenants.queries import check_filter

MOST_CONDITIONS = 20
MOST_COLUMNS = 100
NEWEST_FIRST = {"_id": -1}


class Args(Protocol):
    """The parameters of a URL, as Werkzeug has them."""

    def getlist(self, key: str) -> list[str]: ...
    def get(self, key: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Documents as somebody chose them: ``groups`` of conditions, of each of which one is
    fulfilled, a filter as Extended JSON beside them, a sort and columns."""

    groups: tuple[tuple[Condition, ...], ...] = ()
    extended_json: str = ""
    sort: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @property
    def filter(self) -> dict[str, Any]:
        """The filter, as PyMongo encodes it; empty for all documents. Raises InvalidQuery,
        InvalidExtendedJson."""
        parts = [any_of([each.filter for each in group]) for group in self.groups]
        if self.extended_json:
            given = shell_syntax.read(queries.parse_query, self.extended_json)
            with reading():
                check_filter(given)
            parts += [given] if given else []
        return _all_of(parts)

    @property
    def order(self) -> dict[str, int]:
        """The sort, or the one that pages have without any."""
        return dict(self.sort) or NEWEST_FIRST

    def sort_words(self) -> str:
        """The sort in words."""
        told = [
            f"{isolated(name)} {'descending' if way < 0 else 'ascending'}"
            for name, way in self.order.items()
        ]
        return f"by {', then '.join(told)}"

    def words(self) -> str:
        """The filter in words."""
        told = [" or ".join(each.words for each in group) for group in self.groups]
        if len(told) > 1 or self.extended_json:
            told = [
                f"({each})" if len(group) > 1 else each
                for each, group in zip(told, self.groups, strict=True)
            ]
        if self.extended_json:
            told.append(f"Extended JSON {isolated(self.extended_json)}")
        return " and ".join(told) or "all documents"

    def query_args(self) -> list[tuple[str, str]]:
        """The parameters of a URL from which ``selection_from`` reads the same."""
        args = [("c", _as_json(group)) for group in self.groups]
        args += [("filter", self.extended_json)] if self.extended_json else []
        args += [("sort", f"-{name}" if way < 0 else name) for name, way in self.sort.items()]
        return args + [("column", name) for name in self.columns]


def selection_from(args: Args, *, building: bool = False) -> Selection:
    """The selection in the parameters of a URL. Raises InvalidQuery, InvalidExtendedJson for a text
    that is no JSON, and UnappliedFilter where a condition was begun that isn't part of it.

    Where one is ``building`` a selection it may have begun, and the ``filter`` isn't read yet.
    """
    if not building and (args.get("field") or args.get("value")):
        raise UnappliedFilter
    groups = tuple(_group(text) for text in args.getlist("c") if text)
    if sum(map(len, groups)) > MOST_CONDITIONS:
        raise TooManyConditions(MOST_CONDITIONS)
    selection = Selection(
        groups,
        shell_syntax.normalized((args.get("filter") or "").strip()),
        _sort([name for name in args.getlist("sort") if name]),
        tuple(dict.fromkeys(name for name in args.getlist("column") if name))[:MOST_COLUMNS],
    )
    if not building:
        _ = selection.filter  # raises where a value isn't of its kind
    return selection


def _group(text: str) -> tuple[Condition, ...]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConditionNotJson from error
    several = given if isinstance(given, list) and given and isinstance(given[0], list) else [given]
    return tuple(_condition(each) for each in several)


def _condition(given: object) -> Condition:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ConditionNotTexts
    name, operator, kinds, *values = (*given, "", "", "")[: max(len(given), 3)]
    return Condition(name, operator, tuple(kinds.split("+")) if kinds else (), tuple(values))


def _sort(names: Sequence[str]) -> dict[str, int]:
    sort = {name.removeprefix("-"): -1 if name.startswith("-") else 1 for name in names}
    for name in sort:
        check_sort_field(name)
    return sort


def _as_json(group: tuple[Condition, ...]) -> str:
    lists = [each.as_list() for each in group]
    given: object = lists[0] if len(lists) == 1 else lists
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"))


def _all_of(filters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not filters:
        return {}
    return filters[0] if len(filters) == 1 else {"$and": list(filters)}

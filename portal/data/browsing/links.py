"""URLs of the page of documents, each with all that was selected."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flask import url_for

from portal.data.browsing.builder import without
from portal.data.browsing.saved_views import query_of
from portal.data.selections import MOST_COLUMNS, Args, Selection
from portal.data.uuid_readings import texts_of

TABLE, JSON = "table", "json"


@dataclass(frozen=True, slots=True)
class Links:
    """Links from a page that shows a ``selection`` of an organization."""

    slug: str
    selection: Selection
    form: str = TABLE
    view: str = ""
    uuids: Mapping[str, str] = field(default_factory=dict)
    wide: tuple[str, ...] = ()
    """The columns that show more of a value."""
    back: str | None = None
    """The parameters that lead back to this page, where they aren't too long to carry."""

    def here(self, **others: Any) -> str:
        """The same, with other parameters."""
        return self._to("browsing.show", **others)

    def count(self) -> str:
        """The count of the documents, a part of the page."""
        return self._to("browsing.count")

    def to(self, endpoint: str, **values: Any) -> str:
        """Another page about the same documents."""
        return self._to(endpoint, **values)

    def cleared(self) -> str:
        """All documents, sorted and in columns as now."""
        return self._with(groups=(), extended_json="")

    def without(self, group: int, index: int) -> str:
        """Without a condition."""
        return replace(self, selection=without(self.selection, group, index)).here()

    def without_json(self) -> str:
        """Without the filter in Extended JSON."""
        return self._with(extended_json="")

    def as_form(self, form: str) -> str:
        """The same as a table or as JSON."""
        return replace(self, form=form).here()

    def read_as(self, reading: str) -> str:
        """With another reading of old UUIDs, where a field has none of its own."""
        others = {name: own for name, own in self.uuids.items() if name}
        return replace(self, uuids={"": reading, **others} if reading else others).here()

    def sorted_by(self, name: str, direction: int) -> str:
        """Sorted by a field."""
        return self._with(sort={name: direction})

    def with_column(self, name: str, columns: tuple[str, ...]) -> str:
        """With one more column."""
        return self._with(columns=(*columns, name))

    def kept(self) -> list[tuple[str, str]]:
        """The parameters of a form that stands on the page."""
        own = {"as": self.form if self.form != TABLE else "", "view": self.view}
        return [
            *self.selection.query_args(),
            *((name, value) for name, value in own.items() if value),
            *(("uuid", text) for text in texts_of(self.uuids)),
            *(("wide", path) for path in self.wide),
        ]

    def query(self) -> str:
        """The parameters that a view keeps of it."""
        form = self.form if self.form != TABLE else ""
        return query_of(self.selection, form=form, uuids=self.uuids, wide=self.wide)

    def _with(self, **changes: Any) -> str:
        return replace(self, selection=replace(self.selection, **changes)).here()

    def _to(self, endpoint: str, **others: Any) -> str:
        args: dict[str, Any] = {}
        for name, value in self.kept():
            args.setdefault(name, []).append(value)
        return url_for(endpoint, slug=self.slug, **{**args, **others})


def wide_columns(args: Args) -> tuple[str, ...]:
    """The columns that show more of a value, of the parameters of a URL."""
    return tuple(dict.fromkeys(path for path in args.getlist("wide") if path))[:MOST_COLUMNS]

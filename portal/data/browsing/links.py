"""URLs of the page of documents, each with all that was selected."""

from dataclasses import dataclass, replace
from typing import Any

from flask import url_for

from portal.data.browsing.builder import without
from portal.data.browsing.saved_views import query_of
from portal.data.selections import Selection

TABLE, JSON = "table", "json"


@dataclass(frozen=True, slots=True)
class Links:
    """Links from a page that shows a ``selection`` of an organization."""

    slug: str
    selection: Selection
    form: str = TABLE
    view: str = ""
    legacy_uuid: str = ""
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

    def read_as(self, legacy_uuid: str) -> str:
        """With another reading of old UUIDs."""
        return replace(self, legacy_uuid=legacy_uuid).here()

    def sorted_by(self, name: str, direction: int) -> str:
        """Sorted by a field."""
        return self._with(sort={name: direction})

    def with_column(self, name: str, columns: tuple[str, ...]) -> str:
        """With one more column."""
        return self._with(columns=(*columns, name))

    def kept(self) -> list[tuple[str, str]]:
        """The parameters of a form that stands on the page."""
        own = {"as": self.form if self.form != TABLE else "", "view": self.view}
        own["uuid"] = self.legacy_uuid
        return [
            *self.selection.query_args(),
            *((name, value) for name, value in own.items() if value),
        ]

    def query(self) -> str:
        """The parameters that a view keeps of it."""
        form = self.form if self.form != TABLE else ""
        return query_of(self.selection, form=form, legacy_uuid=self.legacy_uuid)

    def _with(self, **changes: Any) -> str:
        return replace(self, selection=replace(self.selection, **changes)).here()

    def _to(self, endpoint: str, **others: Any) -> str:
        args: dict[str, Any] = {}
        for name, value in self.kept():
            args.setdefault(name, []).append(value)
        return url_for(endpoint, slug=self.slug, **{**args, **others})

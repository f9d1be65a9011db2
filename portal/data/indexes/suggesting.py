"""Indexes that would have helped queries which were refused, or stopped for taking too long."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from portal.data.indexes.listing import IndexSpec, ListedIndex
from portal.data.lacking_indexes import MOST_KEPT
from portal.documents.index_suggestions import IndexSuggestion
from portal.documents.organizations import Organization

MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The keys of an index, and the queries that lacked it."""

    keys: dict[str, int]
    refused: int
    slow: int
    at: datetime

    @property
    def spec(self) -> IndexSpec:
        """The index."""
        return IndexSpec(self.keys)


def suggestions_for(organization: Organization, indexes: Iterable[ListedIndex]) -> list[Suggestion]:
    """The indexes that were lacked most, but for those that are there by now."""
    there = {json.dumps(index.keys) for index in indexes if index.state != "failed"}
    found = IndexSuggestion.objects(organization=organization.id).order_by(
        "-refused", "-slow", "-at"
    )
    suggested = [one for one in found.limit(MOST_KEPT) if one.keys not in there][:MOST_SHOWN]
    return [Suggestion(json.loads(one.keys), one.refused, one.slow, one.at) for one in suggested]

"""Indexes that would have helped queries which were refused, or stopped for taking too long."""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from portal import clock
from portal.data.indexes import IndexSpec, ListedIndex
from portal.documents.index_suggestions import IndexSuggestion
from portal.documents.organizations import Organization

MOST_KEPT = 50
MOST_SHOWN = 5
_LONGEST_KEYS = 1000

log = structlog.get_logger()


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


def note_refused(organization: Organization, keys: Mapping[str, int]) -> None:
    """Count a query that was refused for want of an index with these keys."""
    _note(organization, keys, "refused")


def note_slow(organization: Organization, keys: Mapping[str, int]) -> None:
    """Count a query that was stopped, and an index with these keys would have served. Written by a
    thread of its own, since the time of the request is over."""
    noting = threading.Thread(target=_note, args=(organization, keys, "slow"), daemon=True)
    noting.start()


def suggestions_for(organization: Organization, indexes: Iterable[ListedIndex]) -> list[Suggestion]:
    """The indexes that were lacked most, but for those that are there by now."""
    there = {json.dumps(index.keys) for index in indexes if index.state != "failed"}
    found = IndexSuggestion.objects(organization=organization.id).order_by(
        "-refused", "-slow", "-at"
    )
    suggested = [one for one in found.limit(MOST_KEPT) if one.keys not in there][:MOST_SHOWN]
    return [Suggestion(json.loads(one.keys), one.refused, one.slow, one.at) for one in suggested]


def _note(organization: Organization, keys: Mapping[str, Any], count: str) -> None:
    text = json.dumps(dict(keys))
    if not keys or len(text) > _LONGEST_KEYS:
        return
    known = {"organization": organization.id, "keys": text}
    collection = IndexSuggestion._get_collection()
    try:
        change = {"$inc": {count: 1}, "$set": {"at": clock.now()}}
        if collection.update_one(known, change).matched_count:
            return
        if collection.count_documents({"organization": organization.id}) < MOST_KEPT:
            other = {"slow": "refused", "refused": "slow"}[count]
            collection.update_one(known, {**change, "$setOnInsert": {other: 0}}, upsert=True)
    except PyMongoError as error:  # the query is refused all the same
        log.warning("index_suggestion.not_noted", error=str(error)[:200])

"""Queries that were refused for want of an index, or stopped for taking too long, are noted."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from portal import clock
from portal.documents.index_suggestions import IndexSuggestion
from portal.documents.organizations import Organization

MOST_KEPT = 50
_LONGEST_KEYS = 1000

log = structlog.get_logger()


def note_refused(organization: Organization, keys: Mapping[str, int]) -> None:
    """Count a query that was refused for want of an index with these keys."""
    _note(organization, keys, "refused")


def note_slow(organization: Organization, keys: Mapping[str, int]) -> None:
    """Count a query that was stopped, and an index with these keys would have served. Written by a
    thread of its own, since the time of the request is over."""
    noting = threading.Thread(target=_note, args=(organization, keys, "slow"), daemon=True)
    noting.start()


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

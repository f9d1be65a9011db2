"""The number of documents that would break a rule by a change of many, told before it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pymongo

from portal.data.access import DocumentAccess
from portal.data.document_ids import decoded, is_readable
from portal.data.errors import QueryTooSlow
from portal.data.handles import documents_of
from portal.data.history.field_changes import FieldChanges
from portal.data.masks.errors import FieldMasked
from portal.data.recording import BATCH_BYTES
from portal.data.rules.rules import MODERATE, REFUSE, visible_rules
from portal.data.rules.trials import breaking_filter, matching_among
from portal.data.server_errors import reading
from portal.documents.organizations import Strategy
from portal.tenants.elements import id_of

MOST_TRIED = 1000
TRYING_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Breaking:
    """The number of documents that would break a rule, so that they are left alone, of those that
    were ``tried``: all that match, or a random sample of them."""

    documents: int
    tried: int


def would_break(
    access: DocumentAccess, query: dict[str, Any], changes: FieldChanges
) -> Breaking | None:
    """Try the change on up to MOST_TRIED documents that match. ``None`` where no rule refuses
    anything, or some rule reads what the caller may not see, or it takes too long."""
    organization = access.organization
    if organization.placement.strategy == Strategy.SHARED:
        return None
    try:
        rules = visible_rules(access)
        if (rules.schema is None and not rules.others) or rules.action != REFUSE:
            return None
        breaks = breaking_filter(rules)
        with reading(), pymongo.timeout(TRYING_SECONDS):
            documents = _tried(access, query)
            changed = _changed(documents, changes)
            if rules.level == MODERATE:
                for document_id in _already(access, changed, breaks):
                    del changed[document_id]
            broken = matching_among(organization, breaks, list(changed.values()))
            return Breaking(len(broken), len(documents))
    except (FieldMasked, QueryTooSlow):
        return None


def _tried(access: DocumentAccess, query: dict[str, Any]) -> list[bytes]:
    drawn = [{"$match": query}, {"$sample": {"size": MOST_TRIED}}]
    taken: list[bytes] = []
    size_bytes = 0
    for document in documents_of(access.organization).aggregate(drawn):
        size_bytes += len(document.raw)
        if taken and size_bytes > BATCH_BYTES:
            break
        taken.append(bytes(document.raw))
    return taken


def _changed(documents: Sequence[bytes], changes: FieldChanges) -> dict[bytes, bytes]:
    """The documents that would be written, as they would be, by id; those that no query can name
    are not."""
    named = (document for document in documents if is_readable(id_of(document)))
    made = ((document, changes.applied(document)) for document in named)
    return {id_of(was): now for was, now in made if isinstance(now, bytes) and now != was}


def _already(
    access: DocumentAccess, changed: dict[bytes, bytes], breaks: dict[str, Any]
) -> list[bytes]:
    """The ids of those that break the rules as they are, which moderate rules let be."""
    among = {"_id": {"$in": [decoded(each) for each in changed]}}
    found = documents_of(access.organization).find({"$and": [among, breaks]}, {"_id": 1})
    return [id_of(bytes(document.raw)) for document in found]

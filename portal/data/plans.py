"""Refuses queries that would scan a large collection without an index."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo.errors import OperationFailure

from portal.data.errors import IndexNeeded, NeedsOwnPlacement, QueryTooSlow
from portal.data.lacking_indexes import note_refused, note_slow
from portal.database.clusters import database_of
from portal.documents.organizations import Organization, Strategy
from portal.tenants import Tenant

MOST_SCANNED = 100_000
_WHOLE_INDEX = ["[MinKey, MaxKey]"], ["[MaxKey, MinKey]"]
_RANGES = frozenset({"$gt", "$gte", "$lt", "$lte", "$ne", "$nin", "$not", "$exists", "$regex"})


def check_find(
    organization: Organization, handle: Tenant, query: Mapping[str, Any], sort: Mapping[str, int]
) -> str | None:
    """The index by which many documents are searched, if it was asked for.

    Raises IndexNeeded where a filter, among many documents, would be looked for in all of them, or
    all be sorted in memory; NeedsOwnPlacement where it can have no index.
    """
    if (query or list(sort) != ["_id"]) and _has_many(organization, handle):
        return _check(organization, {"find": "", "filter": query, "sort": sort}, query, sort)
    return None


def check_aggregate(
    organization: Organization, handle: Tenant, pipeline: Sequence[Mapping[str, Any]]
) -> None:
    """Raise IndexNeeded where the filter that a pipeline begins with would be looked for in all
    documents. A pipeline without one is about all of them: its time limit bounds it."""
    query = pipeline[0].get("$match") if pipeline else None
    if query and _has_many(organization, handle):
        command = {"aggregate": "", "pipeline": [{"$match": query}], "cursor": {}}
        _check(organization, command, query, {})


@contextmanager
def noting_slow(
    organization: Organization, query: Mapping[str, Any], sort: Mapping[str, int]
) -> Iterator[None]:
    """Suggest an index for the query if it is stopped for taking too long."""
    try:
        yield
    except QueryTooSlow:
        if organization.placement.strategy != Strategy.SHARED:
            note_slow(organization, index_for(query, sort))
        raise


def index_for(query: Mapping[str, Any], sort: Mapping[str, int]) -> dict[str, int]:
    """The keys of an index that serves a filter and a sort: fields compared for equality first,
    then the sort, then ranges."""
    equal: dict[str, int] = {}
    ranges: dict[str, int] = {}
    for name, condition in _conditions(query):
        ranged = isinstance(condition, Mapping) and not _RANGES.isdisjoint(condition)
        (ranges if ranged else equal)[name] = 1
    sorts = {name: direction for name, direction in sort.items() if name not in equal}
    others = {name: 1 for name in ranges if name not in equal and name not in sorts}
    return {**equal, **sorts, **others}


def index_of(
    organization: Organization, query: Mapping[str, Any], sort: Mapping[str, int]
) -> str | None:
    """The index by which the server finds what a filter wants; ``None`` for none, and where it
    can't be told."""
    if organization.placement.strategy == Strategy.SHARED:
        return None
    return _index_in(_stages(_explain(organization, {"find": "", "filter": query, "sort": sort})))


def _conditions(query: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, condition in query.items():
        if name == "$and" and isinstance(condition, list):
            for each in condition:
                if isinstance(each, Mapping):
                    yield from _conditions(each)
        elif not name.startswith("$"):
            yield name, condition


def _has_many(organization: Organization, handle: Tenant) -> bool:
    if organization.placement.strategy == Strategy.SHARED:  # where they are counted one by one
        return handle.count_documents({}, limit=MOST_SCANNED + 1) > MOST_SCANNED
    return handle.estimated_document_count() > MOST_SCANNED


def _check(
    organization: Organization,
    command: dict[str, Any],
    query: Mapping[str, Any],
    sort: Mapping[str, int],
) -> str | None:
    if organization.placement.strategy == Strategy.SHARED:
        if not any(name == "_id" for name, _ in _conditions(query)):
            raise NeedsOwnPlacement(f"a search through more than {MOST_SCANNED:,} documents")
        return None
    plan = _explain(organization, command)
    stages = list(_stages(plan))
    scans = any(stage["stage"] == "COLLSCAN" or _reads_whole_index(stage) for stage in stages)
    sorts = any(stage["stage"] == "SORT" for stage in stages) and not query
    if scans or sorts:
        keys = index_for(query, sort)
        note_refused(organization, keys)
        raise IndexNeeded(str(keys).replace("'", '"'))
    return _index_in(stages)


def _index_in(stages: Iterable[Mapping[str, Any]]) -> str | None:
    return next((each["indexName"] for each in stages if each["stage"] == "IXSCAN"), None)


def _explain(organization: Organization, command: dict[str, Any]) -> Any:
    """The server's plan; none where the query itself is refused likewise, or follows its collection
    elsewhere."""
    kind, placement = next(iter(command)), organization.placement
    explained = {**command, kind: placement.collection, "collectionUUID": placement.uuid}
    try:
        database = database_of(placement)
        return database.command(
            {"explain": explained, "verbosity": "queryPlanner"},
            codec_options=database.client.codec_options,
        )
    except OperationFailure:
        return {}


def _reads_whole_index(stage: Mapping[str, Any]) -> bool:
    """Tell whether a filter is looked for in all documents, in the order of an index."""
    scan = stage.get("inputStage") or {}
    return (
        stage["stage"] == "FETCH"
        and "filter" in stage
        and scan.get("stage") == "IXSCAN"
        and all(bounds in _WHOLE_INDEX for bounds in scan["indexBounds"].values())
    )


def _stages(plan: Any) -> Iterator[dict[str, Any]]:
    """The stages of winning plans, at any depth."""
    unseen = [plan]
    while unseen:
        seen = unseen.pop()
        if isinstance(seen, Mapping):
            if "stage" in seen:
                yield dict(seen)
            unseen += [each for name, each in seen.items() if name not in _ASIDE]
        elif isinstance(seen, list):
            unseen += seen


_ASIDE = frozenset({"rejectedPlans", "command", "parsedQuery", "filter", "serverParameters"})

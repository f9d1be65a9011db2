"""Refuses queries that would scan a large collection without an index."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from bson.regex import Regex
from pymongo.errors import OperationFailure

from portal.data.errors import IndexNeeded, QueryTooSlow, SearchTooWide
from portal.data.lacking_indexes import note_refused, note_slow
from portal.data.queries import lists_on, unsortable
from portal.data.server_errors import within
from portal.database.clusters import database_of
from portal.documents.organizations import Organization, Strategy
from portal.tenants import Tenant

MOST_SCANNED = 100_000
_LOOKED_SECONDS = 1
_WHOLE_INDEX = ["[MinKey, MaxKey]"], ["[MaxKey, MinKey]"]
# What the index of ``_id`` bounds.
_BOUNDS = frozenset({"$eq", "$in", "$gt", "$gte", "$lt", "$lte"})
# Behind them are other documents than the collection's, of all of these.
_GATHERING = frozenset({"$bucket", "$bucketAuto", "$count", "$group", "$sample", "$sortByCount"})
_RANGES = frozenset({"$gt", "$gte", "$lt", "$lte", "$ne", "$nin", "$not", "$exists", "$regex"})


def check_find(
    organization: Organization, handle: Tenant, query: Mapping[str, Any], sort: Mapping[str, int]
) -> str | None:
    """The index by which many documents are searched, if it was asked for.

    Raises IndexNeeded where a filter, among many documents, would be looked for in all of them, or
    all be sorted in memory; NeedsOwnPlacement where it can have no index.
    """
    if (query or list(sort) != ["_id"]) and _has_many(organization, handle):
        if organization.placement.strategy == Strategy.SHARED:
            _check_few(handle, query, query, sort)
            return None
        return _check(organization, {"find": "", "filter": query, "sort": sort}, query, sort)
    return None


def check_aggregate(
    organization: Organization, handle: Tenant, pipeline: Sequence[Mapping[str, Any]]
) -> None:
    """Raise IndexNeeded where, among many documents, what a pipeline filters would be looked for in
    all of them, or all be sorted; NeedsOwnPlacement where it can have no index.

    A pipeline that gathers them first is about all of them: its time limit bounds it.
    """
    query, sort = _sought(pipeline)
    by_id = not query and list(sort) == ["_id"] and "$sort" in pipeline[0]
    if not (query or sort) or by_id or not _has_many(organization, handle):
        return
    if organization.placement.strategy == Strategy.SHARED:
        leading = [stage["$match"] for stage in takewhile(_filters, pipeline)]
        _check_few(handle, {"$and": leading} if leading else {}, query, sort)
    else:
        command = {"aggregate": "", "pipeline": list(pipeline), "cursor": {}}
        _check(organization, command, query, sort)


def check_sortable(
    organization: Organization,
    handle: Tenant,
    query: Mapping[str, Any],
    sort: Mapping[str, int],
    comment: str | None = None,
) -> None:
    """Raise InvalidQuery where a document that matches has a list in what is sorted by.

    MongoDB sorts a list by one of its elements, and the bounds of a page compare the list: it would
    be on two pages, or on none. An index that gives the order knows whether it has any. Without
    one, documents are looked at one by one, for _LOOKED_SECONDS at most: what isn't found by then
    is told where a page ends at it.
    """
    lists = lists_on(sort)
    names = [name for name in sort if name != "_id"]
    if not lists or _knows_no_lists(organization, query, sort, names):
        return
    wanted = {"$and": [query, lists]} if query else lists
    try:
        with within(_LOOKED_SECONDS):
            found = [*handle.find(wanted, {"_id": 1}, limit=1, comment=comment)]
    except QueryTooSlow:
        return
    if found:
        raise unsortable(" or ".join(names))


@contextmanager
def noting_slow(
    organization: Organization, query: Mapping[str, Any], sort: Mapping[str, int]
) -> Iterator[None]:
    """Suggest an index for the query if it is stopped for taking too long."""
    try:
        yield
    except QueryTooSlow:
        keys = index_for(query, sort)
        if organization.placement.strategy != Strategy.SHARED and list(keys) != ["_id"]:
            note_slow(organization, keys)
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


def _knows_no_lists(
    organization: Organization,
    query: Mapping[str, Any],
    sort: Mapping[str, int],
    names: Sequence[str],
) -> bool:
    if organization.placement.strategy == Strategy.SHARED:
        return False
    stages = _stages(_explain(organization, {"find": "", "filter": query, "sort": sort}))
    sources = [each for each in stages if "inputStage" not in each and "inputStages" not in each]
    return bool(sources) and all(
        source["stage"] == "IXSCAN"
        and set(names) <= set(source["keyPattern"])
        and not any(
            source.get("multiKeyPaths", {}).get(name, source["isMultiKey"]) for name in names
        )
        for source in sources
    )


def _conditions(query: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, condition in query.items():
        if name == "$and" and isinstance(condition, list):
            for each in condition:
                if isinstance(each, Mapping):
                    yield from _conditions(each)
        elif not name.startswith("$"):
            yield name, condition


def _sought(pipeline: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """By what a pipeline filters and sorts the collection's documents, before it gathers all or
    goes on with few of them."""
    queries: list[Mapping[str, Any]] = []
    sort: Mapping[str, Any] = {}
    for stage in pipeline:
        [(name, body)] = stage.items()
        if name == "$match" and body and isinstance(body, Mapping):
            queries.append(body)
        elif name == "$sort" and not sort and isinstance(body, Mapping):
            sort = body
        elif name == "$facet" and isinstance(body, Mapping):
            parts = [_sought(part) for part in body.values()]
            if parts and not queries and not sort and all(any(part) for part in parts):
                return parts[0]
            break
        elif name in _GATHERING or (
            name == "$limit" and isinstance(body, int | float) and body <= MOST_SCANNED
        ):
            break
    return {"$and": queries} if queries else {}, sort


def _filters(stage: Mapping[str, Any]) -> bool:
    return bool(stage.get("$match"))


def _check_few(
    handle: Tenant, found_by: Mapping[str, Any], query: Mapping[str, Any], sort: Mapping[str, Any]
) -> None:
    """Raise NeedsOwnPlacement unless the index of ``_id``, the only one there, serves all of the
    query and sort, or its bounds in the filter that documents are ``found_by`` leave few."""
    if found_by == query and _is_by_id(query) and list(sort) in ([], ["_id"]):
        return
    bounds = [
        each for name, condition in _conditions(found_by) for each in _bounds(name, condition)
    ]
    few = {"$and": bounds}
    if not bounds or handle.count_documents(few, limit=MOST_SCANNED + 1) > MOST_SCANNED:
        raise SearchTooWide(MOST_SCANNED)


def _is_by_id(query: Mapping[str, Any]) -> bool:
    """Tell whether the filter is of bounds of ``_id`` and of nothing else."""
    return bool(query) and all(
        all(isinstance(each, Mapping) and _is_by_id(each) for each in condition)
        if name == "$and" and isinstance(condition, list)
        else len(_bounds(name, condition)) == len(_operators(condition))
        for name, condition in query.items()
    )


def _bounds(name: str, condition: Any) -> list[dict[str, Any]]:
    """The conditions by which the index finds where ``_id``s begin and end."""
    return [
        {"_id": {operator: value}}
        for operator, value in _operators(condition).items()
        if name == "_id" and operator in _BOUNDS and not _has_pattern(value)
    ]


def _operators(condition: Any) -> Mapping[str, Any]:
    if isinstance(condition, Mapping) and next(iter(condition), "").startswith("$"):
        return condition
    return {"$eq": condition}


def _has_pattern(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(isinstance(each, Regex | re.Pattern) for each in values)


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

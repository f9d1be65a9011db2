"""Which organizations an action is on is frozen, and counted exactly, before anybody decides."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from bson import ObjectId

from portal import clock
from portal.documents.bulk_actions import BulkAction, BulkItem, BulkOutcome, BulkState
from portal.documents.figures import OrganizationFigures
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.restrictions import Suspension
from portal.jobs.running import JobKind, Run
from portal.operators.bulk.kinds import kind_named
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.organizations.planning import DOCUMENTS_GO, PlannedAction, facts_of_each
from portal.operators.organizations.reading import sizes_of_each

AT_ONCE = 1000


def freeze(
    bulk: BulkAction, ids: Iterable[ObjectId], report: Callable[[int], None] = lambda number: None
) -> dict[str, Any]:
    """Write the organizations with these ids, but for purged ones, as the items of the action; its
    values when it is planned with them. Begins anew where an earlier attempt was killed."""
    discard_items(bulk.id)
    totals: Counter[str] = Counter()
    states: Counter[str] = Counter()
    digest = hashlib.sha256(json.dumps([bulk.action, dict(bulk.arguments)]).encode())
    kind = kind_named(bulk.action)
    for batch in _batches(ids):
        rows = list(_described(batch, kind.planned))
        if kind.lifts:
            _add_suspensions(rows, bulk.arguments["cause"])
        items = [_item(bulk, totals["total"] + number, row) for number, row in enumerate(rows)]
        if items:
            BulkItem._get_collection().insert_many(items)
        for row in rows:
            digest.update(row["_id"].binary)
            states[_state_of(row)] += 1
            for name in ("measured", "documents", "bytes", "members", "owners"):
                totals[name] += row[name]
        totals["total"] += len(rows)
        report(totals["total"])
    return {
        **totals,
        "states": dict(states),
        "digest": digest.hexdigest(),
        "state": BulkState.PLANNED,
        "planned_at": clock.now(),
    }


def discard_items(bulk: ObjectId) -> None:
    """Delete the items of an action, some at a time: a million at once take longer than a command
    may."""
    items = BulkItem._get_collection()
    while ids := [row["_id"] for row in items.find({"bulk": bulk}, {"_id": 1}).limit(AT_ONCE)]:
        items.delete_many({"_id": {"$in": ids}})


def _count(run: Run) -> dict[str, Any]:
    bulk = BulkAction.objects(id=run.job.parameters["bulk"], state=BulkState.COUNTING).first()
    if bulk is None:
        return {}

    def report(number: int) -> None:
        run.check()
        run.report(number, "counting")

    if bulk.retries:
        ids = left_over_by(bulk.retries)
    else:
        ids = OrganizationFilter.from_args(bulk.filter or {}).matching_ids()
    values = freeze(bulk, ids, report)
    run.check()
    BulkAction.objects(id=bulk.id, state=BulkState.COUNTING).update_one(
        **{f"set__{name}": value for name, value in values.items()}
    )
    return {"organizations": values.get("total", 0)}


COUNTING = JobKind("bulk count", goes_on="goes on by itself", work=_count)
"""The kind of jobs that freeze all organizations that match a filter."""

# A kind of its own: a version that knows no retries would freeze every organization.
COUNTING_RETRY = JobKind("bulk retry count", goes_on="goes on by itself", work=_count)
"""The kind of jobs that freeze what another action left over."""

KINDS = (COUNTING, COUNTING_RETRY)


def left_over_by(bulk_id: ObjectId) -> Iterator[ObjectId]:
    """The organizations that an action was not done to: refused, or not reached before its end."""
    items = BulkItem._get_collection()
    found = (
        items.find({"bulk": bulk_id, "outcome": outcome}, {"organization": 1}).sort("number", 1)
        for outcome in (BulkOutcome.FAILED, BulkOutcome.WAITING)
    )
    return (row["organization"] for row in chain.from_iterable(found))


def _batches(ids: Iterable[ObjectId]) -> Iterator[list[ObjectId]]:
    rest = iter(ids)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch


def _add_suspensions(rows: list[dict[str, Any]], cause: str) -> None:
    """Add to each its suspensions for the cause that are open now."""
    by_id = {row["_id"]: row for row in rows}
    for row in rows:
        row["suspensions"] = []
    open_ones = Suspension.objects(organization__in=list(by_id), open=True, cause=cause)
    for suspension_id, organization_id in open_ones.scalar("id", "organization"):
        by_id[organization_id]["suspensions"].append(suspension_id)


_SHOWN = ("name", "slug", "state", "version", "operation.kind", "held")
_PLANNED_BY = (*_SHOWN, "restricted", "placement", "credentials")


def _described(ids: list[ObjectId], planned: PlannedAction | None) -> Iterator[dict[str, Any]]:
    """The organizations of these that aren't purged, in this order, with their figures, and with
    the facts of a plan where the action is one that is planned."""
    among = {"$in": ids}
    wanted = {"_id": among, "state": {"$ne": OrganizationState.PURGED}}
    shown = dict.fromkeys(_PLANNED_BY if planned else _SHOWN, 1)
    found = {row["_id"]: row for row in Organization._get_collection().find(wanted, shown)}
    organizations = [Organization._from_son(row) for row in found.values()] if planned else []
    facts = facts_of_each(organizations)
    sizes = sizes_of_each(organizations) if planned in DOCUMENTS_GO else {}
    figures = {
        row["_id"]: row
        for row in OrganizationFigures._get_collection().find(
            {"_id": among}, {"documents": 1, "bytes": 1, "measured": {"$literal": 1}}
        )
    }
    is_owner = {"$cond": [{"$eq": ["$role", Role.OWNER]}, 1, 0]}
    counted = Membership._get_collection().aggregate(
        [
            {"$match": {"organization": among}},
            {
                "$group": {
                    "_id": "$organization",
                    "members": {"$sum": 1},
                    "owners": {"$sum": is_owner},
                }
            },
        ]
    )
    people = {row["_id"]: row for row in counted}
    none = {"measured": 0, "documents": 0, "bytes": 0, "members": 0, "owners": 0}
    for organization_id in ids:
        if row := found.get(organization_id):
            known = {**figures.get(organization_id, {}), **people.get(organization_id, {})}
            if size := sizes.get(organization_id):
                known |= {"measured": 1, "documents": size[0], "bytes": size[1]}
            yield {**none, **known, **row, "facts": facts.get(organization_id)}


def _state_of(row: dict[str, Any]) -> str:
    """The state that decides whether the action can begin on it."""
    if "operation" in row:
        return "changing"
    return "held" if row.get("held") else str(row["state"])


def _item(bulk: BulkAction, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """A ``BulkItem`` as it is stored: of a million, documents would take most of the time."""
    documents = {"documents": row["documents"]} if row["measured"] else {}
    return {
        **({"facts": row["facts"], **documents} if row["facts"] else {}),
        **({"suspensions": row["suspensions"]} if "suspensions" in row else {}),
        "bulk": bulk.id,
        "number": number,
        "organization": row["_id"],
        "name": row["name"],
        "slug": row["slug"],
        "state": row["state"],
        "version": row.get("version") or 0,
        "outcome": BulkOutcome.WAITING,
        "created_at": bulk.created_at,
    }

"""The directory: read-only views of master data, by which applications find organizations.

An application's MongoDB user may read the three views and nothing else of the master database: a
view needs no right to its collection. (Verified on 6.0.5: ``$lookup`` from a view, change streams,
the view's definition and writing are refused, code 13.)

``directory_organizations`` has a document for each organization, found by ``_id``:

- ``slug``, ``state``, ``version``: grows with each change of placement, state or operation;
- ``placement``: ``strategy``, ``cluster`` and ``database``; for a collection of its own
  ``collection`` and ``uuid``, which is missing while it is being created; for a shared one its
  ``pool``; after a move ``moved_from``, the UUID of the collection before, ``left_at``, the time of
  its cluster up to which changes there were the organization's, and ``moved_at``, the time of this
  place's cluster after which changes here are;
- ``operation``, while one runs: its ``kind``, and the ``collection`` that it is about;
- ``limits``, its own, and ``plan`` with ``plan_limits``: at most so many ``documents`` and
  ``bytes``, and ``operations`` per second;
- ``home``, the tenant database of the first cluster, where changed limits and budgets are;
- ``epoch`` of the installation, within which versions are comparable;
- ``format`` of the view: a later one may have further fields, none of another meaning.

The ``state`` of one that leaves a shared collection is ``moving`` from before the fence until it is
at its new place; of an active one that is suspended it is ``read-only``, ``locked`` or ``hidden``.
What doesn't know such a state reads and writes nothing.

``directory_slugs`` has the ``organization`` and ``state`` of each slug, ``current`` or ``old``,
found by ``_id``.

``directory_pools`` has the shared collections, found by the number in ``_id``: ``cluster``,
``database``, ``uuid``, and the ``generation`` of the name, ``shared_<_id>_<generation>``. While
that changes, ``next_generation`` is the next one: the collection has either name.
"""

from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import OperationFailure

from portal.documents.installation import INSTALLATION, Installation
from portal.documents.organizations import (
    MAIN_CLUSTER,
    OperationKind,
    OrganizationState,
    Strategy,
)

ORGANIZATIONS = "directory_organizations"
SLUGS = "directory_slugs"
POOLS = "directory_pools"
FORMAT = 4

_NAMESPACE_EXISTS = 48
_WITH_PLAN_LIMITS = {
    "$lookup": {
        "from": "plan_limits",
        "localField": "plan",
        "foreignField": "_id",
        "as": "plan_limits",
    }
}
_NOW_SECONDS = {"$toLong": {"$divide": [{"$toLong": "$$NOW"}, 1000]}}


def prepare(master: Database, tenant_database: str) -> None:
    """Create the views, or bring them to this version's definition. Those of a later format, made
    by a newer portal beside this one, stay."""
    _create_views(master, tenant_database, _write_epoch({"$ifNull": ["$epoch", _NOW_SECONDS]}))


def find_organization(master: Database, organization_id: ObjectId) -> dict[str, Any] | None:
    """The organization's entry, as applications read it."""
    return master[ORGANIZATIONS].find_one({"_id": organization_id})


def raise_epoch(master: Database, tenant_database: str) -> int:
    """Begin an epoch, and return it. It is higher than any before it also where the record of those
    was restored: applications then believe versions that are lower than what they remember."""
    _, defined = _rank(_stored_pipeline(master, ORGANIZATIONS))
    recorded = {"$ifNull": ["$epoch", 0]}
    higher = {"$max": [{"$add": [recorded, 1]}, defined + 1, _NOW_SECONDS]}
    epoch = _write_epoch(higher)
    _create_views(master, tenant_database, epoch)
    return epoch


def _write_epoch(epoch: dict[str, Any]) -> int:
    written = Installation._get_collection().find_one_and_update(
        {"_id": INSTALLATION},
        [{"$set": {"epoch": epoch}}],
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return written["epoch"]


def _create_views(master: Database, tenant_database: str, epoch: int) -> None:
    for name, (collection, pipeline) in _definitions(tenant_database, epoch).items():
        try:
            master.create_collection(name, viewOn=collection, pipeline=pipeline, check_exists=False)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
            _redefine(master, name, collection, pipeline)


def _definitions(tenant_database: str, epoch: int) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    placement = {
        "strategy": {"$ifNull": ["$placement.strategy", Strategy.COLLECTION]},
        "cluster": {"$ifNull": ["$placement.cluster", MAIN_CLUSTER]},
        "database": {"$ifNull": ["$placement.database", {"$literal": tenant_database}]},
        "collection": 1,
        "uuid": 1,
        "pool": 1,
        "moved_from": 1,
        "moved_at": 1,
        "left_at": 1,
    }
    leaving = {
        "$and": [
            {"$eq": ["$placement.strategy", Strategy.SHARED]},
            {"$eq": ["$operation.kind", OperationKind.MOVE]},
            {"$eq": ["$state", OrganizationState.ACTIVE]},
        ]
    }
    suspended = {
        "$and": [
            {"$eq": ["$state", OrganizationState.ACTIVE]},
            {"$gt": ["$restricted", None]},
        ]
    }
    state = {"$cond": [suspended, "$restricted", "$state"]}
    organization = {
        "slug": 1,
        "state": {"$cond": [leaving, "moving", state]},
        "version": {"$ifNull": ["$version", 0]},  # the first versions wrote none
        "placement": placement,
        "operation.kind": 1,
        "operation.collection": 1,
        "limits": 1,
        "plan": 1,
        "plan_limits": {"$first": "$plan_limits.limits"},
        "home": {"$literal": tenant_database},
        "epoch": {"$literal": epoch},
        "format": {"$literal": FORMAT},
    }
    pool = {
        "cluster": 1,
        "database": {"$ifNull": ["$database", {"$literal": tenant_database}]},
        "uuid": 1,
        "generation": 1,
        "next_generation": 1,
        "epoch": {"$literal": epoch},
        "format": {"$literal": FORMAT},
    }
    # The target of a rename is not yet the organization's, unless it was before.
    regained = {"state": "target", "held_until": {"$exists": True}}
    leading = {"$or": [{"state": {"$in": ["current", "old"]}}, regained]}
    slug = {
        "organization": 1,
        "state": {"$cond": [{"$eq": ["$state", "current"]}, "current", "old"]},
        "epoch": {"$literal": epoch},
        "format": {"$literal": FORMAT},
    }
    return {
        ORGANIZATIONS: ("organizations", [_WITH_PLAN_LIMITS, {"$project": organization}]),
        SLUGS: ("slugs", [{"$match": leading}, {"$project": slug}]),
        POOLS: ("pools", [{"$project": pool}]),
    }


def _redefine(master: Database, name: str, collection: str, pipeline: list[dict[str, Any]]) -> None:
    stored = _stored_pipeline(master, name)
    if stored == pipeline or _rank(stored) > _rank(pipeline):
        return
    master.command("collMod", name, viewOn=collection, pipeline=pipeline)


def _stored_pipeline(master: Database, name: str) -> list[dict[str, Any]]:
    listed = next(master.list_collections(filter={"name": name}), None)
    return listed["options"].get("pipeline", []) if listed else []


def _rank(pipeline: list[dict[str, Any]]) -> tuple[int, int]:
    """The format and the epoch of a view with this definition."""
    project = pipeline[-1]["$project"] if pipeline else {}
    return tuple(project.get(field, {}).get("$literal", 0) for field in ("format", "epoch"))

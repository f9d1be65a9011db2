"""Stuck lifecycle operations."""

from collections.abc import Iterator

from bson import ObjectId

from portal.doctor.findings import Finding, Kind, NotRepaired, Row
from portal.documents.organizations import Organization
from portal.organizations.lifecycle import runner
from portal.organizations.lifecycle.engine import PLANS

STUCK = Kind(
    "stuck_operation",
    "Lifecycle operations that are stuck",
    "--repair resumes them. Portals do so by themselves: if none runs, start one; else its "
    "log says why it fails.",
)

LATE_SECONDS = 60
MANY_ATTEMPTS = 5

_LATE = {"$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": LATE_SECONDS}}
_STUCK = {
    "operation.lease_until": {"$exists": True},  # the partial index
    "$or": [
        {"$expr": {"$lt": ["$operation.lease_until", _LATE]}},
        {"operation.attempt": {"$gte": MANY_ATTEMPTS}, "operation.last_error": {"$ne": None}},
    ],
}


def find_stuck() -> Iterator[Finding]:
    """Operations whose lease expired long ago, and those that failed repeatedly."""
    stuck = Organization._get_collection()
    for row in stuck.find(_STUCK, {"name": 1, "slug": 1, "operation": 1}):
        same = {"_id": row["_id"], "operation.id": row["operation"]["id"]}
        if stuck.find_one({**same, **_STUCK}):
            yield _finding(row)


def _finding(row: Row) -> Finding:
    operation = row["operation"]
    since = f"{operation['started_at']:%Y-%m-%d %H:%M:%S} UTC"
    why = operation.get("last_error") or "nothing resumes it"
    words = (
        f"{row['name']}: {operation['kind']} since {since}, attempt {operation['attempt']}, {why}"
    )
    return Finding(
        STUCK, row["slug"], words, row["_id"], lambda: _recover(row["_id"], operation["id"])
    )


def _recover(organization: ObjectId, operation: ObjectId) -> str | None:
    runner.recover_due_operations()
    running = Organization.objects(id=organization, operation__id=operation).first()
    if running is None:
        return "completed"
    if running.operation.kind not in PLANS:
        raise NotRepaired("only a newer version of the portal knows it")
    raise NotRepaired("not done yet: it is tried again, and the log says why it failed")

"""The traffic of organizations' own MongoDB users, which goes past the store.

The server counts what is done with a collection; what the store counted of the same time is taken
off. A reading is held against the one before once all that was reported of the time between is
added up. What is left is an estimate: less than a twentieth of what was counted is taken for none.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from pymongo.errors import PyMongoError

from portal import clock
from portal.database.clusters import database_of
from portal.database.leases import summary
from portal.database.periodic import Notes, Task
from portal.documents.credentials import Credential
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.usage import DirectReading, UsageHour
from portal.errors import Unavailable
from portal.organizations.usage.reading import commands_between, known_until
from portal.tenants.collections import CollectionError, send

SAMPLED_EVERY_SECONDS = 300

_LONGEST = timedelta(hours=2)
_NOTICEABLE_SHARE = 0.05
_OPERATIONS = [
    {"$collStats": {"latencyStats": {}}},
    {"$project": {"done": {"$add": ["$latencyStats.reads.ops", "$latencyStats.writes.ops"]}}},
]


def sample(check: Callable[[], None]) -> Notes:
    """Read the server's counters of the organizations that have MongoDB users, and add what these
    did to their use."""
    notes: Notes = {}
    known = known_until()
    for organization in _with_users():
        check()
        try:
            _sample_one(organization, known)
        except (CollectionError, PyMongoError, Unavailable) as error:
            notes[str(organization.id)] = summary(error)
    return notes


def _with_users() -> list[Organization]:
    ids = Credential.objects.distinct("organization")
    found = Organization.objects(id__in=ids, state=OrganizationState.ACTIVE)
    return [each for each in found.only("placement") if each.placement.uuid is not None]


def _sample_one(organization: Organization, known: datetime | None) -> None:
    placement = organization.placement
    before = DirectReading.objects(id=organization.id).first()
    if before is not None and before.waits_for and before.uuid == placement.uuid:
        if known is None or known < before.waits_for:
            return
        _add(organization, before)
    at, done = clock.now(), _operations(organization, placement.uuid)
    follows = (
        before is not None
        and before.uuid == placement.uuid
        and before.operations <= done
        and at - before.read_at < _LONGEST
    )
    reading = DirectReading(id=organization.id, uuid=placement.uuid, operations=done, read_at=at)
    if before is not None and follows:
        reading.since, reading.waits_for = before.read_at, at
        reading.done = done - before.operations
    reading.save()


def _operations(organization: Organization, uuid: UUID) -> int:
    placement = organization.placement
    command = {"aggregate": placement.collection, "pipeline": _OPERATIONS, "cursor": {}}
    [found] = send(database_of(placement), command, uuid)["cursor"]["firstBatch"]
    return int(found["done"])


def _add(organization: Organization, reading: DirectReading) -> None:
    """Add what is left of a reading to the use of its last minute."""
    counted = commands_between(organization.id, reading.since, reading.waits_for)
    direct = round(reading.done - counted)
    if direct <= max(counted * _NOTICEABLE_SHARE, 1):
        return
    hour = reading.waits_for.replace(minute=0, second=0, microsecond=0)
    UsageHour.objects(organization=organization.id, hour=hour).update_one(
        __raw__={
            "$inc": {
                "total.operations": 0,
                "total.direct": direct,
                f"minutes.{reading.waits_for.minute}.direct": direct,
            },
            "$set": {"cluster": organization.placement.cluster, "unfolded": True},
        },
        upsert=True,
    )


TASK = Task("direct_use", SAMPLED_EVERY_SECONDS, sample)

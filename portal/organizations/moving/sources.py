"""Checks of the collection that a move is from: who works on it, and what doesn't fit elsewhere."""

from collections.abc import Iterator

from pymongo.errors import ExecutionTimeout

from portal.documents.jobs import ItemState, Job, JobItem
from portal.documents.organizations import Organization, Strategy
from portal.organizations.moving.wishes import Check, Wish
from portal.tenants.moving.blockers import find_blockers
from portal.tenants.moving.places import Place
from portal.tenants.moving.structures import Structure
from portal.tenants.moving.writing import MAX_DOCUMENT_BYTES

# By which an ``_id`` in a shared collection is longer.
_WRAPPING_BYTES = 23
_SOUGHT_MS = 5_000


def check_source(
    organization: Organization, wish: Wish, place: Place, structure: Structure, size_bytes: int
) -> Iterator[Check]:
    """The checks of an organization's collection, which has documents of so many bytes. Raises
    PlaceGone, PyMongoError."""
    yield from _check_operations(place, structure)
    yield from _check_scripts(organization)
    if wish.strategy == Strategy.SHARED and not place.shared:
        yield _check_largest(place, size_bytes)


def _check_operations(place: Place, structure: Structure) -> Iterator[Check]:
    blockers = find_blockers(place)
    if blockers is None:
        yield Check("The portal may not see who works on its collection: it lacks inprog there")
        return
    told = [blocker for blocker in blockers if not blocker.by_time]
    for blocker in told:
        yield Check(f"Its collection is in use by {blocker}: wait until that ends", passed=False)
    for blocker in blockers:
        if blocker.by_time:
            yield Check(f"The switch will wait for {blocker}, if that touched its documents")
    if structure.building and not told:
        names = ", ".join(structure.building)
        yield Check(f"An index is being built ({names}): wait until it is there", passed=False)
    if not blockers and not structure.building:
        yield Check("Nobody works on its collection as a whole")


def _check_scripts(organization: Organization) -> Iterator[Check]:
    """A script may set indexes and validators anew; of a job that ended none runs any more."""
    running = JobItem.objects(organization=organization.id, state=ItemState.RUNNING)
    for item in running:
        if Job.objects(kind=item.kind, subject=item.subject, open=True).first():
            words = f"The script {item.subject} is at work on it: wait until it is done"
            yield Check(words, passed=False)


def _check_largest(place: Place, size_bytes: int) -> Check:
    """All documents are looked at, unless together they are smaller than one that is too large."""
    most = MAX_DOCUMENT_BYTES - _WRAPPING_BYTES
    fits = Check("All its documents fit into a shared collection")
    if size_bytes <= most:
        return fits
    too_large = {"$expr": {"$gt": [{"$bsonSize": "$$ROOT"}, most]}}
    pipeline = [{"$match": too_large}, {"$limit": 1}, {"$project": {"_id": 1}}]
    command = {"pipeline": pipeline, "cursor": {}, "maxTimeMS": _SOUGHT_MS}
    try:
        found = place.read("aggregate", command)["cursor"]["firstBatch"]
    except ExecutionTimeout:
        return Check("Documents of almost 16 MB were not looked for, since it has too many")
    if not found:
        return fits
    words = (
        "It has a document of almost 16 MB, which is too large by some bytes for a shared "
        "collection: make it smaller, or choose another place"
    )
    return Check(words, passed=False)

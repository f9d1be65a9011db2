"""Tenant collections compared with the organizations they belong to, by UUID."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from uuid import UUID

from bson import ObjectId

from portal.database.connection import tenant_database
from portal.database.paging import BATCH_SIZE, in_batches
from portal.database.transactions import transaction
from portal.doctor.findings import Finding, Kind, NotRepaired, Row, found_by
from portal.documents.organizations import OperationKind, Organization, OrganizationState
from portal.organizations.adopting import uuid_of_nobodys, write_adoption
from portal.organizations.lifecycle.engine import repair_organization
from portal.tenants import collections
from portal.tenants.collections import Found
from portal.web.context import RequestContext

STRAY = Kind(
    "stray_collection",
    "Collections that belong to no organization",
    "--repair sets them aside as stray_<uuid>. It drops nothing.",
)
SET_ASIDE = Kind(
    "set_aside_collection",
    "Collections that were set aside",
    "Look into them, then drop them by hand when nobody misses them.",
    harmless=True,
)
MISSING = Kind(
    "missing_collection",
    "Organizations whose collection is gone",
    "Bring it back from a backup with its UUID (mongorestore --preserveUUID), or delete the "
    "organization and purge it.",
)
RESTORED = Kind(
    "restored_collection",
    "Organizations whose name is held by a collection with another UUID",
    "mongorestore without --preserveUUID and an application's $out leave them so: an owner takes "
    "one over on the organization's page, flask doctor --adopt-restored all of them. If it isn't "
    "the organization's, rename it.",
    explicit=True,
)
MISNAMED = Kind(
    "misnamed_collection",
    "Collections under another name than recorded",
    "--repair gives them the recorded name.",
)

_BIRTH_NAME = re.compile(r"new_([0-9a-f]{24})")
_SETTLED = {"state": {"$ne": OrganizationState.PURGED}, "operation": None}
_FIELDS = ("name", "slug", "state", "placement", "audit_head.seq")


def find_strays() -> Iterator[Finding]:
    """Collections that belong to no organization."""
    every = collections.list_collections(tenant_database())
    while page := list(islice(every, BATCH_SIZE)):
        owned = _owned({found.uuid for found in page})
        suspects = [found for found in page if found.uuid not in owned]
        restored = _restored(suspects)
        for found in suspects:
            if found not in restored and _is_stray(found):
                yield _stray(found)


def find_misplaced() -> Iterator[Finding]:
    """Organizations whose collection is missing, or has another name than recorded."""
    for page in in_batches(Organization, _SETTLED, *_FIELDS):
        names = [row["placement"]["collection"] for row in page]
        listed = collections.list_collections(tenant_database(), name={"$in": names})
        here = {found.name: found.uuid for found in listed}
        suspects = [
            row
            for row in page
            if here.get(row["placement"]["collection"], "") != row["placement"].get("uuid")
        ]
        yield from _misplaced(suspects)


def _owned(uuids: set[UUID]) -> set[UUID]:
    rows = found_by(Organization, "placement.uuid", uuids, "placement.uuid", "state")
    return {row["placement"]["uuid"] for row in rows if row["state"] != OrganizationState.PURGED}


def find_restored() -> Iterator[Finding]:
    """Organizations whose collection is missing while nobody's has its name. Their repair takes
    over that collection, and no other."""
    return (finding for finding in find_misplaced() if finding.kind is RESTORED)


def _restored(suspects: list[Found]) -> set[Found]:
    """Select from nobody's collections those that an organization may take over."""
    named = {found.name: found for found in suspects}
    wanted = {"placement.collection": {"$in": list(named)}, **_SETTLED}
    rows = list(Organization._get_collection().find(wanted, {"placement": 1}))
    actual = _actual_names(rows)
    return {
        named[row["placement"]["collection"]]
        for row in rows
        if row["placement"].get("uuid") not in actual
    }


def _is_stray(found: Found) -> bool:
    # A new collection's UUID is recorded just after its creation, and stays recorded as long as the
    # collection exists; so one without an owner both before and after it was seen is a stray.
    return not _has_owner(found) and _name_of(found) is not None and not _has_owner(found)


def _has_owner(found: Found) -> bool:
    if _owned({found.uuid}):
        return True
    born = _BIRTH_NAME.fullmatch(found.name)
    return born is not None and bool(
        Organization.objects(
            id=ObjectId(born[1]), operation__kind=OperationKind.CREATE, placement__uuid=None
        ).first()
    )


def _name_of(found: Found) -> str | None:
    return collections.names_of(tenant_database(), [found.uuid]).get(found.uuid)


def _stray(found: Found) -> Finding:
    if found.name == _aside(found):
        return Finding(SET_ASIDE, found.name, "set aside by an earlier repair")
    return Finding(STRAY, found.name, f"UUID {found.uuid}", repair=lambda: _set_aside(found))


def _set_aside(found: Found) -> str | None:
    name = _name_of(found)
    if name is None:
        return None
    current = Found(name, found.uuid)
    if _restored([current]) or not _is_stray(current):
        return None
    collections.rename_collection(tenant_database(), found.uuid, name, _aside(found))
    return f"renamed to {_aside(found)}"


def _aside(found: Found) -> str:
    return f"stray_{found.uuid}"


def _misplaced(rows: list[Row]) -> Iterator[Finding]:
    """Findings for those of the organizations that are unchanged since they were read, and whose
    collection is missing or misnamed."""
    names = _actual_names(rows)
    settled = {row["_id"]: row for row in _settled(row["_id"] for row in rows)}
    names_again = _actual_names(rows)  # a repair in between leaves no other trace
    for row in rows:
        name, uuid = row["placement"]["collection"], row["placement"].get("uuid")
        actual = names.get(uuid)
        if settled.get(row["_id"]) == row and actual == names_again.get(uuid) != name:
            yield _misplacement(row, actual)


def _misplacement(row: Row, actual: str | None) -> Finding:
    name, organization = row["placement"]["collection"], row["_id"]
    if actual is None:
        recorded = row["placement"].get("uuid")
        if found := uuid_of_nobodys(name):
            documents = tenant_database()[name].estimated_document_count()
            words = (
                f"{row['name']}: {name} has UUID {found}, not {recorded}; documents: {documents}"
            )
            repair = partial(_adopt, organization, name, recorded, found)
            return Finding(RESTORED, row["slug"], words, organization, repair)
        words = f"{row['name']}: {name}, UUID {recorded}"
        return Finding(MISSING, row["slug"], words, organization)
    words = f"{row['name']}: is {actual}, should be {name}"
    return Finding(MISNAMED, row["slug"], words, organization, lambda: _restore_name(organization))


def _adopt(organization: ObjectId, name: str, recorded: UUID | None, found: UUID) -> str | None:
    """Take over the collection ``found``, unless anything has changed since it was shown."""
    came_back = collections.names_of(tenant_database(), filter(None, [recorded]))
    if came_back or uuid_of_nobodys(name) != found:
        return None
    origin = RequestContext().origin
    adopted = transaction(partial(write_adoption, organization, name, recorded, found, origin))
    return "taken over" if adopted else None


def _actual_names(rows: list[Row]) -> dict[UUID, str]:
    uuids = (row["placement"].get("uuid") for row in rows)
    return collections.names_of(tenant_database(), filter(None, uuids))


def _settled(organizations: Iterable[ObjectId]) -> list[Row]:
    """The organizations without a running operation. Every change but a repair shows in
    the placement or in ``audit_head``."""
    wanted = {"_id": {"$in": list(organizations)}, **_SETTLED}
    return list(Organization._get_collection().find(wanted, dict.fromkeys(_FIELDS, 1)))


def _restore_name(organization: ObjectId) -> str | None:
    if not list(_misplaced(_settled([organization]))):
        return None
    repaired = repair_organization(Organization.objects.get(id=organization), RequestContext())
    if repaired.operation:
        raise NotRepaired("its repair has begun, and a portal will complete it")
    return f"renamed to {repaired.placement.collection}"

"""Tenant collections compared with the organizations they belong to, by UUID."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from uuid import UUID

from bson import ObjectId
from pymongo.database import Database

from portal import settings
from portal.database.clusters import (
    client_of,
    database_of,
    forget_registry,
    is_available,
    known_clusters,
)
from portal.database.paging import BATCH_SIZE, in_batches
from portal.database.transactions import transaction, within_transaction
from portal.doctor.findings import Finding, Kind, NotRepaired, Row, found_by
from portal.documents.clusters import Cluster
from portal.documents.moves import Move
from portal.documents.organizations import (
    KNOWN_STRATEGY,
    MAIN_CLUSTER,
    OperationKind,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.documents.pools import Pool
from portal.organizations.adopting import uuid_of_nobodys, write_adoption
from portal.organizations.lifecycle.engine import repair_organization
from portal.organizations.moving.leftovers import moves_of_collections
from portal.placement.proposals import outside_regions
from portal.tenants import collections
from portal.tenants.budgets import BUDGETS
from portal.tenants.collections import Found
from portal.tenants.quotas import LIMITS
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

UNKNOWN = Kind(
    "unknown_strategy",
    "Organizations that only a newer version of the portal can reach",
    "Update this portal: until then it answers 503 for them, and touches nothing of theirs.",
)
OUTSIDE_REGION = Kind(
    "outside_region",
    "Organizations outside the region that they are bound to",
    "flask moves start takes each to a cluster of its region, as the runs of the placement "
    "policy do by themselves. Where the cluster's region is wrong: flask clusters change.",
)

# The portal's own beside the organizations': on the main cluster alone.
_OWN_NAMES = frozenset({BUDGETS, LIMITS})
_TARGET_NAME = re.compile(r"move_([0-9a-f]{24})")
_POOL_NAME = re.compile(r"shared_([0-9]{1,9})_[0-9]+")
_BIRTH_NAME = re.compile(r"new_([0-9a-f]{24})")
_SETTLED = {"state": {"$ne": OrganizationState.PURGED}, "operation": None}
# The first versions wrote no strategy, nor cluster.
_OWN = {"placement.strategy": {"$in": [None, Strategy.COLLECTION, Strategy.DATABASE]}}
_FIELDS = ("name", "slug", "state", "placement", "audit_head.seq")


def reached_clusters() -> list[str]:
    """The names of the clusters that answer now."""
    return [known.name for known in known_clusters() if is_available(known.name)]


def find_strays() -> Iterator[Finding]:
    """Collections in tenant databases that belong to no organization, pool or portal."""
    for cluster in reached_clusters():
        database = client_of(cluster)[settings.current().tenant_db]
        others = [] if cluster != MAIN_CLUSTER else sorted(_OWN_NAMES)
        every = collections.list_collections(database, name={"$nin": others})
        while page := list(islice(every, BATCH_SIZE)):
            yield from _strays_among(page, cluster, database)


def find_misplaced() -> Iterator[Finding]:
    """Organizations whose own collection is missing, or has another name than recorded."""
    within = {"placement.cluster": {"$in": [None, *reached_clusters()]}}
    for page in in_batches(Organization, {**_SETTLED, **_OWN, **within}, *_FIELDS):
        for database, rows in _by_database(page):
            names = [row["placement"]["collection"] for row in rows]
            listed = collections.list_collections(database, name={"$in": names})
            here = {found.name: found.uuid for found in listed}
            suspects = [
                row
                for row in rows
                if here.get(row["placement"]["collection"], "") != row["placement"].get("uuid")
            ]
            yield from _misplaced(suspects, database)


def find_unknown() -> Iterator[Finding]:
    """Organizations that are placed by a strategy of a newer version."""
    known = Organization.objects(__raw__={"$nor": [KNOWN_STRATEGY]}).only(
        "name", "slug", "placement"
    )
    for found in known:
        words = f"{found.name}: {found.placement.strategy}"
        yield Finding(UNKNOWN, found.slug, words, found.id)


def find_outside_region() -> Iterator[Finding]:
    """Organizations whose cluster isn't in the region that they are bound to. The portal lets none
    get there; earlier versions and older backups of the master database may have."""
    forget_registry()
    for row in outside_regions({"state": {"$ne": OrganizationState.PURGED}}):
        if finding := transaction(partial(_outside_region, row["_id"])):
            yield finding


def find_restored() -> Iterator[Finding]:
    """Organizations whose collection is missing while nobody's has its name. Their repair takes
    over that collection, and no other."""
    return (finding for finding in find_misplaced() if finding.kind is RESTORED)


@within_transaction
def _outside_region(organization: ObjectId) -> Finding | None:
    found = Organization.objects(id=organization).only("name", "slug", "region", "placement").get()
    here = Cluster.objects(name=found.placement.cluster).first()
    region = here.region if here else None
    if found.region in (None, region):
        return None
    words = (
        f"{found.name}: bound to {found.region}, on {found.placement.cluster} "
        f"in {region or 'no region'}"
    )
    return Finding(OUTSIDE_REGION, found.slug, words, found.id)


def _by_database(rows: list[Row]) -> Iterator[tuple[Database, list[Row]]]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        placement = row["placement"]
        place = placement.get("cluster", MAIN_CLUSTER), placement.get("database", "")
        groups.setdefault(place, []).append(row)
    for group in groups.values():
        yield database_of(Placement._from_son(group[0]["placement"])), group


def _strays_among(page: list[Found], cluster: str, database: Database) -> Iterator[Finding]:
    owned = _owned({found.uuid for found in page})
    suspects = [found for found in page if found.uuid not in owned]
    restored = _restored(suspects, cluster, database)
    for found in suspects:
        if found not in restored and _is_stray(found, database):
            yield _stray(found, cluster, database)


def _owned(uuids: set[UUID]) -> set[UUID]:
    rows = found_by(Organization, "placement.uuid", uuids, "placement.uuid", "state")
    kept = {row["placement"]["uuid"] for row in rows if row["state"] != OrganizationState.PURGED}
    pools = {row["uuid"] for row in found_by(Pool, "uuid", uuids, "uuid")}
    # Copies that a move needs; of those that it left over the check of moves tells.
    return kept | pools | set(moves_of_collections(uuids))


def _restored(suspects: list[Found], cluster: str, database: Database) -> set[Found]:
    """Select from nobody's collections those that an organization may take over."""
    named = {found.name: found for found in suspects}
    # In a database of its own it is not among the strays.
    here = {"placement.cluster": {"$in": [cluster, *([None] if cluster == MAIN_CLUSTER else [])]}}
    wanted = {"placement.collection": {"$in": list(named)}, "placement.database": None, **here}
    rows = list(Organization._get_collection().find({**wanted, **_SETTLED}, {"placement": 1}))
    actual = _actual_names(rows, database)
    return {
        named[row["placement"]["collection"]]
        for row in rows
        if row["placement"].get("uuid") not in actual
    }


def _is_stray(found: Found, database: Database) -> bool:
    # A new collection's UUID is recorded just after its creation, and stays recorded as long as the
    # collection exists; so one without an owner both before and after it was seen is a stray.
    if _has_owner(found) or _name_of(found, database) is None:
        return False
    return not _has_owner(found)


def _has_owner(found: Found) -> bool:
    if _owned({found.uuid}):
        return True
    if (pool := _POOL_NAME.fullmatch(found.name)) and _is_unrecorded(int(pool[1])):
        return True
    if target := _TARGET_NAME.fullmatch(found.name):  # recorded in a moment
        return Move.objects(id=target[1], open=True).count() > 0
    if (born := _BIRTH_NAME.fullmatch(found.name)) is None:
        return False
    birth = ObjectId(born[1])
    being_created = Organization.objects(
        id=birth, operation__kind=OperationKind.CREATE, placement__uuid=None
    )
    return bool(being_created.first() or Pool.objects(birth=birth, uuid=None).first())


def _is_unrecorded(pool: int) -> bool:
    """Tell whether organizations are placed in a pool that there is no record of: its collection
    may be the one that has its name."""
    kept = OrganizationState.ACTIVE, OrganizationState.TRASHED
    placed = Organization.objects(placement__pool=pool, state__in=kept).first()
    return placed is not None and Pool.objects(id=pool).first() is None


def _name_of(found: Found, database: Database) -> str | None:
    return collections.names_of(database, [found.uuid]).get(found.uuid)


def _stray(found: Found, cluster: str, database: Database) -> Finding:
    subject = found.name if cluster == MAIN_CLUSTER else f"{cluster}: {found.name}"
    if found.name == _aside(found):
        return Finding(SET_ASIDE, subject, "set aside by an earlier repair")
    repair = partial(_set_aside, found, cluster, database)
    return Finding(STRAY, subject, f"UUID {found.uuid}", repair=repair)


def _set_aside(found: Found, cluster: str, database: Database) -> str | None:
    name = _name_of(found, database)
    if name is None:
        return None
    current = Found(name, found.uuid)
    if _restored([current], cluster, database) or not _is_stray(current, database):
        return None
    collections.rename_collection(database, found.uuid, name, _aside(found))
    return f"renamed to {_aside(found)}"


def _aside(found: Found) -> str:
    return f"stray_{found.uuid}"


def _misplaced(rows: list[Row], database: Database) -> Iterator[Finding]:
    """Findings for those of the organizations that are unchanged since they were read, and whose
    collection is missing or misnamed."""
    names = _actual_names(rows, database)
    settled = {row["_id"]: row for row in _settled(row["_id"] for row in rows)}
    names_again = _actual_names(rows, database)  # a repair in between leaves no other trace
    for row in rows:
        name, uuid = row["placement"]["collection"], row["placement"].get("uuid")
        actual = names.get(uuid)
        if settled.get(row["_id"]) == row and actual == names_again.get(uuid) != name:
            yield _misplacement(row, actual, database)


def _misplacement(row: Row, actual: str | None, database: Database) -> Finding:
    name, organization = row["placement"]["collection"], row["_id"]
    if actual is None:
        recorded = row["placement"].get("uuid")
        if found := uuid_of_nobodys(database, name):
            documents = database[name].estimated_document_count()
            words = (
                f"{row['name']}: {name} has UUID {found}, not {recorded}; documents: {documents}"
            )
            repair = partial(_adopt, organization, database, name, recorded, found)
            return Finding(RESTORED, row["slug"], words, organization, repair)
        words = f"{row['name']}: {name}, UUID {recorded}"
        return Finding(MISSING, row["slug"], words, organization)
    words = f"{row['name']}: is {actual}, should be {name}"
    repair = partial(_restore_name, organization, database)
    return Finding(MISNAMED, row["slug"], words, organization, repair)


def _adopt(
    organization: ObjectId, database: Database, name: str, recorded: UUID | None, found: UUID
) -> str | None:
    """Take over the collection ``found``, unless anything has changed since it was shown."""
    came_back = collections.names_of(database, filter(None, [recorded]))
    if came_back or uuid_of_nobodys(database, name) != found:
        return None
    origin = RequestContext().origin
    adopted = transaction(partial(write_adoption, organization, name, recorded, found, origin))
    return "taken over" if adopted else None


def _actual_names(rows: list[Row], database: Database) -> dict[UUID, str]:
    uuids = (row["placement"].get("uuid") for row in rows)
    return collections.names_of(database, filter(None, uuids))


def _settled(organizations: Iterable[ObjectId]) -> list[Row]:
    """The organizations without a running operation. Every change but a repair shows in
    the placement or in ``audit_head``."""
    wanted = {"_id": {"$in": list(organizations)}, **_SETTLED}
    return list(Organization._get_collection().find(wanted, dict.fromkeys(_FIELDS, 1)))


def _restore_name(organization: ObjectId, database: Database) -> str | None:
    if not list(_misplaced(_settled([organization]), database)):
        return None
    repaired = repair_organization(Organization.objects.get(id=organization), RequestContext())
    if repaired.operation:
        raise NotRepaired("its repair has begun, and a portal will complete it")
    return f"renamed to {repaired.placement.collection}"

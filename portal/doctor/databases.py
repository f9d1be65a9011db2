"""Databases of organizations' own compared with the organizations they belong to. Nothing in them
but one collection is the portal's, so the rest is told, and left."""

import re
from collections.abc import Iterator

from bson import ObjectId
from pymongo.database import Database

from portal import settings
from portal.database.clusters import client_of
from portal.database.portal_role import MOVED_COLLECTIONS, MOVING_COLLECTION, OWN_COLLECTION
from portal.doctor.findings import Finding, Kind
from portal.doctor.placements import reached_clusters
from portal.documents.organizations import Organization, OrganizationState
from portal.organizations.moving.leftovers import has_open_move, moves_of_collections
from portal.tenants import collections

STRAY_DATABASE = Kind(
    "stray_database",
    "Databases that look like organizations' own and belong to none",
    "Look into them, then drop them by hand when nobody misses them.",
)
OTHER_COLLECTIONS = Kind(
    "other_collections",
    "Collections in organizations' own databases that the portal doesn't know",
    "An application or somebody by hand made them. They stay when the organization is purged: move "
    "them elsewhere, or drop them by hand.",
    harmless=True,
)
OUTSIDE = Kind(
    "own_collection_outside",
    f"Collections called {OWN_COLLECTION} or {MOVING_COLLECTION} in other databases than "
    "organizations' own",
    "Applications may write collections of these names in any database. No organization has it: "
    "look into it, then rename it or drop it by hand.",
)

OWN_DATABASE = re.compile(r"^t_([0-9a-f]{24})$")
"""The names of organizations' own databases."""

MOVES_COLLECTIONS = (MOVING_COLLECTION, *MOVED_COLLECTIONS)
# By applications, in any database: their role can't name organizations' own ones alone.
_WRITABLE = (OWN_COLLECTION, MOVING_COLLECTION)
_SYSTEM = frozenset({"admin", "config", "local"})


def find_amiss() -> Iterator[Finding]:
    """Databases without organization, and collections that shouldn't be where they are."""
    for cluster in reached_clusters():
        client = client_of(cluster)
        # Strays in the tenant database are found as such.
        for name in sorted({*client.list_database_names()} - {settings.current().tenant_db}):
            if own := OWN_DATABASE.fullmatch(name):
                yield from _amiss_in(client[name], cluster, ObjectId(own[1]))
            elif name not in _SYSTEM:
                found = [each for each in _WRITABLE if collections.uuid_of(client[name], each)]
                if found:
                    yield Finding(OUTSIDE, name, f"cluster {cluster}: {', '.join(found)}")


def _amiss_in(database: Database, cluster: str, organization_id: ObjectId) -> Iterator[Finding]:
    listed = list(collections.list_collections(database))
    # Read after: a new collection's organization is recorded before it, or with it.
    organization = Organization.objects(
        id=organization_id,
        placement__cluster=cluster,
        placement__database=database.name,
        state__ne=OrganizationState.PURGED,
    ).first()
    of_moves = set(moves_of_collections(found.uuid for found in listed))
    if has_open_move(organization_id, cluster):
        of_moves |= {found.uuid for found in listed if found.name in MOVES_COLLECTIONS}
    listed = [found for found in listed if found.uuid not in of_moves]
    if organization is None:
        still_there = {found.uuid for found in collections.list_collections(database)}
        if names := sorted(found.name for found in listed if found.uuid in still_there):
            yield Finding(STRAY_DATABASE, database.name, f"cluster {cluster}: {', '.join(names)}")
        return
    recorded = organization.placement.uuid
    others = sorted(found.name for found in listed if found.uuid != recorded)
    if recorded and others:
        words = f"{organization.name}: {', '.join(others)} in {database.name}"
        yield Finding(OTHER_COLLECTIONS, organization.slug, words, organization.id)

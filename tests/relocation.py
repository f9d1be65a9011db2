"""A move as the portal's readers and writers meet it: the fence, another place, the name. What is
written meanwhile is refused, so that all can be copied in between."""

from contextlib import contextmanager, suppress

from bson import ObjectId

from portal.database.clusters import client_of, database_of
from portal.database.write_records import records_of
from portal.documents.organizations import MAIN_CLUSTER, OperationKind, Organization, Strategy
from portal.documents.pools import Pool
from portal.organizations.lifecycle import engine, pools
from portal.settings import current
from portal.tenants import collections
from tests.factories import a_context, intend


class UndoneError(Exception):
    """Has a move undone."""


@contextmanager
def relocating(organization, cluster=MAIN_CLUSTER):
    """The body runs between two places, of which the second is a collection in ``cluster``."""
    move = ObjectId()
    moving = intend(organization, engine.new_operation(OperationKind.MOVE, None, a_context()))
    source = moving.placement
    shared = source.strategy == Strategy.SHARED
    if shared:
        pools.fence(source.pool)
        left = database_of(source)[Pool.objects.get(id=source.pool).collection]
    else:
        left = database_of(source)[f"moving_{move}"]
        database_of(source)[source.collection].rename(left.name)
    try:
        yield
    except UndoneError:
        if not shared:
            left.rename(source.collection)
        end(organization)
        raise
    there = client_of(cluster)[current().tenant_db].create_collection(f"move_{move}")
    query = {"_id.o": organization.id} if shared else {}
    documents = [{**each, "_id": each["_id"]["i"]} if shared else each for each in left.find(query)]
    if documents:
        there.insert_many(documents)
    records, own = records_of(source.cluster), {"organization": organization.id}
    if cluster != source.cluster and (known := list(records.find(own))):
        records_of(cluster).insert_many(known)
    placement = {
        "strategy": Strategy.COLLECTION,
        "cluster": cluster,
        "collection": there.name,
        "uuid": collections.uuid_of(there.database, there.name),
    }
    name = f"org_{organization.slug.replace('-', '_')}"
    change(organization, placement=placement, **{"operation.collection": name})
    there.rename(name)
    change(organization, **{"placement.collection": name})
    end(organization)


@contextmanager
def between_places(organization):
    """The organization stands between two places; then the move is undone."""
    with suppress(UndoneError), relocating(organization):
        yield
        raise UndoneError


def change(organization, **fields):
    update = {"$set": fields, "$inc": {"version": 1}}
    Organization._get_collection().update_one({"_id": organization.id}, update)


def end(organization):
    update = {"$unset": {"operation": ""}, "$inc": {"version": 1}}
    Organization._get_collection().update_one({"_id": organization.id}, update)

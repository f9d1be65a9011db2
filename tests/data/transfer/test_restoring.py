"""One organization comes back from a backup alone, as docs/operating.md says, whatever its place."""

import bson
import pytest
from bson import CodecOptions, MaxKey, ObjectId
from bson.binary import UuidRepresentation
from bson.raw_bson import RawBSONDocument

from portal.database.clusters import database_of
from portal.documents.organizations import Strategy
from portal.documents.pools import Pool
from portal.organizations.storage import tenant_of
from tests.factories import an_organization

AWARE = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
STORED = [{"_id": 1, "n": 1}, {"_id": 1.5}, {"_id": "a"}, {"_id": ObjectId(), "n": [{"_id": 0}]}]


@pytest.fixture
def scratch(admin):
    """A database on no server that the portal knows, as a backup is restored into first."""
    database = admin.get_database("scratch", codec_options=AWARE)
    yield database
    admin.drop_database("scratch")


def dumped(collection):
    """Its documents as mongodump writes them."""
    raw = collection.with_options(AWARE.with_options(document_class=RawBSONDocument))
    return b"".join(each.raw for each in raw.find())


def backup_of(organization):
    """The dump of the collection that it was in, its neighbours' documents included."""
    placement = organization.placement
    pool = Pool.objects(id=placement.pool).first()
    return dumped(database_of(placement)[pool.collection if pool else placement.collection])


def picked_out(backup, organization_id, scratch):
    """Of a shared collection's dump the organization's documents, by the commands of the papers."""
    scratch.shared_1_1.insert_many(bson.decode_all(backup, AWARE))
    o = organization_id
    own = {"$gt": {"o": o}, "$lt": {"o": o, "i": MaxKey(), "x": 0}}
    scratch.shared_1_1.aggregate(
        [{"$match": {"_id": own}}, {"$set": {"_id": "$_id.i"}}, {"$out": "one"}]
    )
    return dumped(scratch.one)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_one_organization_comes_back_alone(app, command, tmp_path, scratch, strategy):
    acme, kestrel = (an_organization(name, strategy=strategy) for name in ("Acme", "Kestrel"))
    for each in (acme, kestrel):
        tenant_of(each).insert_many(map(dict, STORED))
    backup = backup_of(acme)
    for each in (acme, kestrel):
        tenant_of(each).delete_one({"_id": "a"})
        tenant_of(each).update_one({"_id": 1}, {"$set": {"n": 2}})
        tenant_of(each).insert_one({"_id": "since"})
    neighbours = tenant_of(kestrel).find().to_list()
    if strategy == Strategy.SHARED:
        backup = picked_out(backup, acme.id, scratch)
    file = tmp_path / "acme.bson"
    file.write_bytes(backup)
    told = command("data", "import", "acme", str(file), "--replace", "_id")
    assert (told.returncode, told.stdout) == (0, "1 inserted, 3 replaced, 0 errors\n"), told.stderr
    found = {str(each["_id"]): each for each in tenant_of(acme).find()}
    assert found.pop("since")
    assert found == {str(each["_id"]): each for each in STORED}
    assert tenant_of(kestrel).find().to_list() == neighbours

"""A write that is sent again after a move to another cluster is still done once."""

from datetime import timedelta

import pytest
from bson import Int64, ObjectId

from portal import clock
from portal.data.handles import documents_of
from portal.data.idempotency import Progress, write_once
from portal.database.connection import client, server_time
from portal.database.write_records import COLLECTION, KEPT, records_of
from portal.documents.organizations import Strategy
from portal.organizations.lifecycle.trashing import purge_organization
from portal.organizations.moving.ways_back import end_way_back
from portal.organizations.moving.write_records import RECORDS, WRITE_RECORDS
from portal.settings import current
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.parts import Phase, Sides, run
from portal.tenants.moving.places import Place
from portal.tenants.moving.writing import TOKENS
from portal.tenants.placements import COLLECTION as OWN
from portal.web.context import IdempotencyKey
from tests.clusters.conftest import europe  # noqa: F401
from tests.data.conftest import DataProgram
from tests.factories import a_context, an_organization, fresh
from tests.factories import a_key as an_api_key
from tests.organizations.moving import carrying

MOVE, ATTEMPT = ObjectId(), 3


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def sides(acme, admin):
    """A source, and a target whose cluster is another one as far as records know."""
    tenants = admin[current().tenant_db]

    def place(internal):
        uuid, name = acme.placement.uuid, acme.placement.collection
        return Place(acme.id, OWN, tenants, admin[internal], uuid, name)

    name = current().tenant_db
    made = Sides(
        place(f"{name}_internal"), place(f"{name}_reports"), MOVE, ATTEMPT, lambda ids: None
    )
    made.target.internal[TOKENS].insert_one({"_id": MOVE, "attempt": ATTEMPT})
    return made


@pytest.fixture
def copied(sides):
    """Copies what was changed since the last time; how many records there were."""

    def copy():
        return RECORDS.copy(sides.source, sides.target, MOVE, ATTEMPT)

    return copy


def a_key(name):
    return IdempotencyKey(id=name, macs=("content",))


def write(acme, name, answer="done"):
    """Write a document with a key of this name."""
    return write_once(acme, a_key(name), lambda handle: {"answer": answer})


def records_at(place):
    return {record["_id"]: record for record in place.internal[COLLECTION].find()}


def test_records_travel_and_later_only_what_was_changed_since(sides, copied, acme):
    other = an_organization("Other", None)
    for n in range(3):
        write(acme, f"key {n}")
    write(other, "another's")
    assert copied() == 3
    assert copied() == 0
    write(acme, "key 4")
    assert copied() == 1
    assert records_at(sides.target).keys() == {"key 0", "key 1", "key 2", "key 4"}
    theirs = records_at(sides.source)
    assert all(theirs[name] == record for name, record in records_at(sides.target).items())
    assert WRITE_RECORDS.check(sides) == []


def test_those_of_a_cluster_whose_clock_is_ahead_hide_none_that_come_later(sides, copied, acme):
    """As where the organization came from such a cluster a moment ago."""
    write(acme, "brought along")
    ahead = server_time() + timedelta(minutes=1)
    sides.source.internal[COLLECTION].update_one({}, {"$set": {"changed": ahead}})
    assert copied() == 1
    assert copied() == 0
    write(acme, "used here")
    run(Phase.AFTER_FENCE, [WRITE_RECORDS], sides)
    assert records_at(sides.target).keys() == {"brought along", "used here"}
    assert WRITE_RECORDS.check(sides) == []


def test_an_import_in_parts_goes_on_where_it_was(sides, copied, acme):
    """Its record is of an hour ago, and what changes in it is its progress."""
    handle_key = a_key("import")
    progress = Progress.of(documents_of(acme), handle_key, {"inserted": 0})
    for batch in range(1, 4):
        further = Progress(batch, b"%d" % batch, {"inserted": batch * 500})
        with client().start_session() as session:
            progress.advance(acme, handle_key, further, session)
        progress = further
        assert copied() == 1
        [record] = records_at(sides.target).values()
        assert record["progress"] == {
            "batch": batch,
            "after": b"%d" % batch,
            "counts": {"inserted": batch * 500},
        }


def test_who_was_overtaken_copies_nothing_over_what_is_newer(sides, copied, acme):
    write(acme, "key 1")
    tokens = sides.target.internal[TOKENS]
    tokens.update_one({"_id": MOVE}, {"$set": {"attempt": ATTEMPT + 1}})
    with pytest.raises(Overtaken):
        copied()
    tokens.delete_one({"_id": MOVE})
    with pytest.raises(Overtaken):
        copied()
    assert records_at(sides.target) == {}


def test_what_a_former_stay_left_there_is_replaced(sides, copied, acme):
    write(acme, "key 1", "new")
    old = {"_id": "key 1", "organization": acme.id, "answer": {"answer": "old"}, "at": clock.now()}
    sides.target.internal[COLLECTION].insert_one(old)
    assert WRITE_RECORDS.check(sides) == ["1 idempotency records"]
    run(Phase.BEFORE_READY, [WRITE_RECORDS], sides)
    assert records_at(sides.target)["key 1"]["answer"] == {"answer": "new"}
    assert WRITE_RECORDS.check(sides) == []


def test_records_of_an_earlier_version_travel_too(sides, copied, acme):
    record = {"_id": "old", "organization": acme.id, "at": clock.now(), "n": Int64(3)}
    sides.source.internal[COLLECTION].insert_one(record)
    assert copied() == 1
    assert copied() == 0
    sides.source.internal[COLLECTION].update_one({"_id": "old"}, {"$set": {"answer": {}}})
    assert copied() == 1


def test_within_a_cluster_there_is_nothing_to_copy(sides, acme):
    write(acme, "key 1")
    assert RECORDS.copy(sides.source, sides.source, MOVE, ATTEMPT) == 0
    assert write(acme, "key 1") == ({"answer": "done"}, True)


def test_a_key_may_be_used_again_after_its_time(sides, acme):
    write(acme, "key 1", "first")
    records = sides.source.internal[COLLECTION]
    earlier = fresh(acme).created_at - KEPT - timedelta(minutes=1)
    records.update_one({"_id": "key 1"}, {"$set": {"at": earlier, "progress": {"batch": 1}}})
    assert write(acme, "key 1", "second") == ({"answer": "second"}, False)
    assert "progress" not in records.find_one({"_id": "key 1"})


def test_none_stays_at_a_cluster_that_was_left_or_behind_a_purge(acme, europe):  # noqa: F811
    def keys(cluster):
        return set(records_of(cluster).distinct("_id"))

    write(acme, "key 1")
    write(an_organization("Other", None), "another's")
    moved = carrying.move(acme, Strategy.DATABASE, "europe")
    assert (keys("main"), keys("europe")) == ({"key 1", "another's"}, {"key 1"})
    end_way_back(str(moved.id), a_context())
    carrying.run_due_movers()
    assert (keys("main"), keys("europe")) == ({"another's"}, {"key 1"})
    purge_organization(fresh(acme), None, a_context())
    assert (keys("main"), keys("europe")) == ({"another's"}, set())


def test_a_write_is_done_once_though_it_is_sent_again_at_another_cluster(app, acme, europe):  # noqa: F811
    program = DataProgram(app, an_api_key(acme, None, ["documents.read", "documents.write"]))
    once = {"Idempotency-Key": "once"}
    first = program.insert('{"n": 1}', headers=once)
    moved = carrying.move(acme, Strategy.DATABASE, "europe")
    assert fresh(acme).placement.cluster == "europe", repr(moved.to_mongo())
    again = program.insert('{"n": 1}', headers=once)
    assert again.status_code == first.status_code == 201
    assert again.json == {**first.json, "repeated": 1}
    assert len(carrying.documents_of(acme)) == 1
    assert program.insert('{"n": 2}', headers=once).status_code == 422

"""The directory tells applications where an organization's documents are, and nothing else."""

import secrets
from uuid import uuid4

import pytest
from bson import Timestamp
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from portal import clock
from portal.database import directory
from portal.database.transactions import transactional
from portal.documents.limits import PlanLimits
from portal.documents.organizations import OperationKind, OwnLimits, Restriction, SlugState
from portal.documents.pools import Pool
from portal.documents.restrictions import Cause
from portal.organizations.access.lookup import access_to
from portal.organizations.lifecycle import engine, slugs
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.restricting import (
    Reason,
    lift_suspension,
    suspend_organization,
)
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import a_context, a_person, an_organization, fresh, intend, the_owner

VIEWS = (directory.ORGANIZATIONS, directory.SLUGS, directory.POOLS)
UNAUTHORIZED = 13


@pytest.fixture
def acme():
    return an_organization("Acme Corp")


@pytest.fixture
def entry(master_db):
    """What the directory says of an organization."""
    return lambda organization: master_db[directory.ORGANIZATIONS].find_one(organization.id)


@pytest.fixture
def application(server, bare_client, master_db):
    """The master database, for a MongoDB user that may read the three views."""
    name, password = f"reader_{secrets.token_hex(4)}", secrets.token_hex(8)
    allowed = [
        {"resource": {"db": master_db.name, "collection": view}, "actions": ["find"]}
        for view in VIEWS
    ]
    home = bare_client.admin  # only a role there may reach another database
    home.command("createRole", name, privileges=allowed, roles=[])
    home.command("createUser", name, pwd=password, roles=[name])
    own = {"username": name, "password": password, "authSource": home.name}
    with MongoClient(server.uri, **own) as client:
        yield client[master_db.name]
    home.command("dropUser", name)
    home.command("dropRole", name)


def test_an_entry_tells_slug_state_and_placement(acme, entry, tenant_db):
    found = entry(acme)
    epoch = found.pop("epoch")
    assert found == {
        "_id": acme.id,
        "slug": "acme-corp",
        "state": "active",
        "version": fresh(acme).version,
        "placement": {
            "strategy": "collection",
            "cluster": "main",
            "database": tenant_db.name,
            "collection": "org_acme_corp",
            "uuid": acme.placement.uuid,
        },
        "home": tenant_db.name,
        "format": directory.FORMAT,
    }
    assert epoch > 1_700_000_000


@pytest.mark.parametrize("kind", list(Restriction))
def test_a_suspension_is_a_state_that_what_does_not_know_it_stops_at(acme, entry, kind):
    before = entry(acme)["version"]
    reason = Reason(Cause.OTHER, "support@portal.example")
    suspension = suspend_organization(acme, kind, reason, a_context())
    assert (entry(acme)["state"], entry(acme)["version"] > before) == (kind, True)
    trashed = trash_organization(fresh(acme), None, a_context())
    assert entry(acme)["state"] == "trashed"
    lift_suspension(trashed, suspension.id, a_context())


def test_an_entry_of_a_shared_placement_names_its_pool(acme, entry, master_db, tenant_db):
    shared = {"strategy": "shared", "cluster": "main", "pool": 3}
    master_db.organizations.update_one({"_id": acme.id}, {"$set": {"placement": shared}})
    assert entry(acme)["placement"] == {**shared, "database": tenant_db.name}


def test_an_entry_tells_its_limits_and_those_of_its_plan(acme, entry):
    PlanLimits(id="large", limits=OwnLimits(bytes=10), changed_at=clock.now()).save()
    acme.modify(set__plan="large", set__limits=OwnLimits(documents=5))
    found = entry(acme)
    assert found["plan"] == "large"
    assert found["limits"] == {"documents": 5}
    assert found["plan_limits"] == {"bytes": 10}


def test_one_that_leaves_a_pool_has_a_state_that_older_libraries_refuse(acme, entry, master_db):
    """They know no other reason not to write into the pool."""

    def state(strategy, **fields):
        change = {"placement.strategy": strategy, "operation.kind": "move", **fields}
        master_db.organizations.update_one({"_id": acme.id}, {"$set": change})
        return entry(acme)["state"]

    assert state("shared") == "moving"
    assert state("collection") == "active"
    assert state("shared", state="trashed") == "trashed"


def test_an_entry_tells_where_it_came_from_and_since_when(acme, entry, master_db):
    times = {"moved_at": Timestamp(1_800_000_000, 7), "left_at": Timestamp(1_900_000_000, 1)}
    came = {"moved_from": uuid4(), **times}
    change = {f"placement.{name}": value for name, value in came.items()}
    master_db.organizations.update_one({"_id": acme.id}, {"$set": change})
    assert came.items() <= entry(acme)["placement"].items()
    assert fresh(acme).placement.moved_at == came["moved_at"]


def test_a_pool_tells_its_generation_and_the_next(master_db, tenant_db):
    uuid = uuid4()
    Pool(id=3, uuid=uuid, generation=4, next_generation=5).save()
    found = master_db[directory.POOLS].find_one(3)
    assert found.pop("epoch") > 1_700_000_000
    assert found == {
        "_id": 3,
        "cluster": "main",
        "database": tenant_db.name,
        "uuid": uuid,
        "generation": 4,
        "next_generation": 5,
        "format": directory.FORMAT,
    }


def test_an_entry_tells_the_target_of_a_running_operation(acme, entry):
    trash = engine.new_operation(OperationKind.TRASH, f"trash_{acme.id}", a_context())
    intend(acme, trash)
    assert entry(acme)["operation"] == {"kind": "trash", "collection": f"trash_{acme.id}"}


def test_slugs_lead_to_organizations_old_ones_too(acme, master_db):
    rename_organization(acme, "Acme Limited", a_context())
    found = {slug["_id"]: slug for slug in master_db[directory.SLUGS].find()}
    assert {name: slug["state"] for name, slug in found.items()} == {
        "acme-corp": "old",
        "acme-limited": "current",
    }
    assert {slug["organization"] for slug in found.values()} == {acme.id}


def test_a_claimed_slug_leads_nowhere_before_its_rename_is_done(acme, master_db):
    rename = engine.new_operation(OperationKind.RENAME, "org_other", a_context(), slug="other")
    intend(acme, rename)
    master_db["slugs"].insert_one({"_id": "other", "organization": acme.id, "state": "target"})
    assert master_db[directory.SLUGS].find_one("other") is None


def test_an_old_slug_leads_on_while_the_organization_takes_it_back(acme, master_db):
    by_owner = a_context(the_owner(acme))
    rename_organization(acme, "Acme Limited", by_owner)
    back = engine.new_operation(
        OperationKind.RENAME, "org_acme_corp", by_owner, name="Acme Corp", slug="acme-corp"
    )
    claim_back(fresh(acme), back)
    assert master_db[directory.SLUGS].find_one("acme-corp")["state"] == "old"
    assert access_to("acme-corp", a_person(the_owner(acme))).organization == acme


@transactional
def claim_back(organization, operation):
    """As a rename does first."""
    engine.write_intent(organization, operation, a_context())
    slugs.claim_slug(
        operation.slug, organization.id, SlugState.TARGET, a_context(), organization.id
    )


def test_a_version_grows_with_each_change(acme, entry):
    versions = [entry(acme)["version"]]

    def note():
        versions.append(entry(acme)["version"])
        return fresh(acme)

    rename_organization(acme, "Acme Limited", a_context())
    trash_organization(note(), None, a_context())
    restore_organization(note(), None, a_context())
    current = note()
    intend(current, engine.new_operation(OperationKind.REPAIR, "org_acme_limited", a_context()))
    engine.run(note())
    purge_organization(note(), None, a_context())
    note()
    assert versions == sorted(set(versions))


def test_an_organization_of_the_first_version_counts_from_nought(acme, entry, master_db):
    master_db["organizations"].update_one({"_id": acme.id}, {"$unset": {"version": 1}})
    assert entry(acme)["version"] == 0
    rename_organization(fresh(acme), "Acme Limited", a_context())
    assert entry(acme)["version"] > 0


def test_entries_are_read_by_index(acme, master_db):
    Pool(id=1).save()
    for view, key in zip(VIEWS, (acme.id, "acme-corp", 1), strict=True):
        explained = master_db.command(
            "explain", {"find": view, "filter": {"_id": key}}, verbosity="executionStats"
        )
        found = explained.get("stages", [{"$cursor": explained}])[0]["$cursor"]
        assert found["executionStats"]["totalDocsExamined"] == 1
        assert "COLLSCAN" not in str(explained)


@pytest.mark.attack("X3")
def test_an_application_reads_the_views_and_nothing_behind_them(acme, application):
    view = application[directory.ORGANIZATIONS]
    majority = view.with_options(read_concern=ReadConcern("majority"))
    assert majority.find_one(acme.id)["slug"] == "acme-corp"
    with application.client.start_session() as session, session.start_transaction():
        assert view.find_one(acme.id, session=session)["slug"] == "acme-corp"
    joined = {"from": "accounts", "localField": "_id", "foreignField": "_id", "as": "stolen"}
    for attempt in (
        application["organizations"].find_one,
        application["accounts"].find_one,
        lambda: list(view.aggregate([{"$lookup": joined}])),
        lambda: list(view.aggregate([{"$unionWith": "accounts"}])),
        lambda: view.insert_one({}),
        lambda: view.update_one({}, {"$set": {"state": "purged"}}),
        lambda: application.command("collMod", view.name, viewOn="accounts", pipeline=[]),
        application["system.views"].find_one,
        lambda: next(view.watch(max_await_time_ms=1)),
        lambda: application.drop_collection(view.name),
    ):
        with pytest.raises(OperationFailure) as refused:
            attempt()
        assert refused.value.code in (UNAUTHORIZED, 166)  # CommandNotSupportedOnView: watch


def test_a_portal_that_starts_later_leaves_what_a_newer_one_made(app, acme, entry, master_db):
    [listed] = master_db.list_collections(filter={"name": directory.ORGANIZATIONS})
    pipeline = listed["options"]["pipeline"]
    later = {**pipeline[-1]["$project"], "format": {"$literal": directory.FORMAT + 1}}
    newer = [*pipeline[:-1], {"$project": later}]
    master_db.command("collMod", directory.ORGANIZATIONS, viewOn="organizations", pipeline=newer)
    try:
        directory.prepare(master_db, "tenant_test")
        assert entry(acme)["format"] == directory.FORMAT + 1
    finally:
        master_db.command(
            "collMod", directory.ORGANIZATIONS, viewOn="organizations", pipeline=pipeline
        )


def test_a_view_of_an_earlier_definition_is_brought_up_to_date(acme, entry, master_db):
    earlier = [{"$project": {"slug": 1}}]
    master_db.command("collMod", directory.ORGANIZATIONS, viewOn="organizations", pipeline=earlier)
    directory.prepare(master_db, "tenant_test")
    assert entry(acme)["placement"]["collection"] == "org_acme_corp"


def test_taking_over_what_was_restored_begins_an_epoch(acme, entry, command):
    before = entry(acme)["epoch"]
    assert command("doctor", "--adopt-restored", "--yes").returncode == 0
    assert entry(acme)["epoch"] > before

"""What a credential reaches: its organization's collection, whatever happens to that, and nothing
else. MongoDB itself refuses the rest."""

from functools import partial

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.database import users
from portal.documents.audit import AuditEvent
from portal.documents.credentials import Credential, Reach
from portal.organizations.access.errors import OrganizationRenamed
from portal.organizations.credentials import managing
from portal.organizations.lifecycle.errors import CredentialsNotCarried, SlugTaken
from portal.organizations.lifecycle.privileges import PREFIX
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import (
    a_context,
    a_credential,
    an_access,
    an_organization,
    fresh,
    steps_of,
    the_owner,
)

REFUSED = (13, 18)  # unauthorized, authentication failed


@pytest.fixture
def acme():
    return an_organization("Acme Corp")


@pytest.fixture
def theirs(acme, connect):
    """The database as Acme's customers see it, by a credential that may write."""
    return connect(a_credential(acme)).get_default_database()


def refused(call, *arguments, **options):
    with pytest.raises(OperationFailure) as refusal:
        call(*arguments, **options)
    assert refusal.value.code in REFUSED, refusal.value


@pytest.mark.attack("X2")
def test_nothing_but_its_own_collection(acme, theirs, tenant_db, master_db):
    an_organization("Kestrel")
    tenant_db.org_kestrel.insert_one({"_id": "theirs"})
    mine, other = theirs.org_acme_corp, theirs.org_kestrel
    mine.insert_one({"_id": 1})
    assert mine.find_one() == {"_id": 1}
    for attempt in (other, theirs.trash_x, theirs.new_x, theirs["system.users"], theirs.anything):
        refused(attempt.find_one)
        refused(attempt.insert_one, {"_id": 2})
        refused(attempt.drop)
    for stage in (
        {"$lookup": {"from": "org_kestrel", "pipeline": [], "as": "x"}},
        {"$unionWith": "org_kestrel"},
        {"$graphLookup": {"from": "org_kestrel", "startWith": 1, "connectFromField": "a", "connectToField": "b", "as": "x"}},
        {"$out": "org_kestrel"},
        {"$out": "brand_new"},
        {"$merge": {"into": "org_kestrel"}},
        {"$merge": {"into": {"db": master_db.name, "coll": "accounts"}}},
    ):  # fmt: skip
        refused(mine.aggregate, [stage])
    for command in (
        {"drop": "org_acme_corp"},
        {"collMod": "org_acme_corp", "validator": {}},
        {"createIndexes": "org_acme_corp", "indexes": [{"key": {"a": 1}, "name": "a"}]},
        {"create": "org_more"},
        {"create": "view", "viewOn": "org_kestrel"},
        {"usersInfo": 1},
        {"rolesInfo": 1},
        {"grantRolesToUser": "anybody", "roles": ["readWrite"]},
        {"createUser": "more", "pwd": "x", "roles": []},
        {"dropDatabase": 1},
        {"dbStats": 1},
        {"listCollections": 1},
    ):
        refused(theirs.command, command)
    admin = theirs.client.admin
    for command in (
        {"renameCollection": f"{theirs.name}.org_acme_corp", "to": f"{theirs.name}.mine"},
        {"listDatabases": 1, "nameOnly": False, "authorizedDatabases": False},
        {"getParameter": "*"},
        {"replSetGetStatus": 1},
        {"killAllSessions": []},
        {"shutdown": 1},
        {"currentOp": 1, "$all": True},
    ):
        refused(admin.command, command)
    for database in (master_db.name, f"{theirs.name}_internal", "admin", "local", "config"):
        refused(theirs.client[database].accounts.find_one)
        refused(theirs.client[database].accounts.insert_one, {})
    refused(theirs.watch)
    assert list(tenant_db.org_kestrel.find()) == [{"_id": "theirs"}]


@pytest.mark.attack("X2")
def test_a_reading_one_writes_nothing(acme, connect, tenant_db):
    mine = connect(a_credential(acme, Reach.READ)).get_default_database().org_acme_corp
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    assert mine.count_documents({}) == 1
    for write in (
        lambda: mine.insert_one({}),
        lambda: mine.update_one({}, {"$set": {"a": 1}}),
        lambda: mine.delete_many({}),
        lambda: mine.aggregate([{"$out": "org_acme_corp"}]),
    ):
        refused(write)
    assert list(tenant_db.org_acme_corp.find()) == [{"_id": 1}]


@pytest.mark.attack("X2")
def test_after_a_rename_it_reaches_the_new_name_and_no_longer_the_old(acme, theirs, tenant_db):
    theirs.org_acme_corp.insert_one({"_id": 1})
    rename_organization(acme, "Other", a_context())
    refused(theirs.org_acme_corp.insert_one, {"_id": 2})
    assert theirs.org_other.find_one() == {"_id": 1}
    assert tenant_db.list_collection_names() == ["org_other"]
    tenant_db.org_acme_corp.insert_one({"_id": "another's now"})
    refused(theirs.org_acme_corp.find_one)


@pytest.mark.attack("X2")
def test_in_the_trash_it_reaches_nothing_and_restored_the_same_user_works(acme, theirs):
    theirs.org_acme_corp.insert_one({"_id": 1})
    trash_organization(acme, None, a_context())
    for name in ("org_acme_corp", f"trash_{acme.id}"):
        refused(theirs[name].find_one)
        refused(theirs[name].insert_one, {})
    restore_organization(fresh(acme), "Back", a_context())
    assert theirs.org_back.find_one() == {"_id": 1}
    refused(theirs.org_acme_corp.find_one)


@pytest.mark.attack("X2")
@pytest.mark.parametrize("trashed", [False, True])
def test_a_purge_leaves_neither_user_nor_role(acme, theirs, tenant_db, trashed):
    """Row U3."""
    assert theirs.org_acme_corp.find_one() is None
    if trashed:
        trash_organization(acme, None, a_context())
    purge_organization(fresh(acme), None, a_context())
    refused(theirs.org_acme_corp.find_one)
    assert not users.users_in(tenant_db, PREFIX) | set(users.roles_in(tenant_db, PREFIX))
    assert not Credential.objects


@pytest.mark.attack("X2")
def test_a_revoked_one_is_refused_on_open_connections_at_once(
    acme, connect, tenant_db, bare_client
):
    """Row U5: the next batch of a cursor, a change stream, and the commit of a transaction."""
    uri = a_credential(acme)
    client = connect(uri)
    mine = client.get_default_database().org_acme_corp
    mine.insert_many([{"_id": n} for n in range(20)])
    cursor = mine.find(batch_size=2)
    next(cursor)
    stream = mine.watch(max_await_time_ms=10)
    assert stream.try_next() is None
    session = client.start_session()
    session.start_transaction()
    mine.insert_one({"_id": "in a transaction"}, session=session)
    access = an_access(acme)
    context = a_context(the_owner(acme))
    _, done = managing.revoke_credential(access, Credential.objects.get().id, context)
    assert done
    refused(list, cursor)
    tenant_db.org_acme_corp.insert_one({"_id": "seen by nobody"})
    refused(stream.try_next)
    refused(session.commit_transaction)
    refused(mine.insert_one, {})
    # Nobody may end it now, and it keeps its locks until the server does.
    bare_client.admin.command("killAllSessions", [])
    assert tenant_db.org_acme_corp.find_one({"_id": "in a transaction"}) is None
    with MongoClient(uri) as again:
        refused(again.get_default_database().org_acme_corp.find_one)


@pytest.mark.attack("X2")
def test_while_the_collection_has_no_settled_name_it_reaches_neither(acme, theirs, running_rename):
    """An insert under the old name would make a collection there, which nobody owns."""
    organization = fresh(acme)
    take, rename, give, _ = steps_of("rename")
    take(organization)
    refused(theirs.org_acme_corp.insert_one, {})
    rename(organization)
    for name in ("org_acme_corp", "org_other"):
        refused(theirs[name].insert_one, {})
    give(organization)
    assert theirs.org_other.insert_one({}).acknowledged
    refused(theirs.org_acme_corp.insert_one, {})


def test_a_rename_that_is_rolled_back_gives_the_old_name_back(acme, theirs, tenant_db):
    theirs.org_acme_corp.insert_one({"_id": 1})
    tenant_db.create_collection("org_other")
    with pytest.raises(SlugTaken):
        rename_organization(acme, "Other", a_context())
    assert theirs.org_acme_corp.find_one() == {"_id": 1}
    refused(theirs.org_other.find_one)


def test_privileges_are_given_on_the_organizations_own_collection_alone(acme, theirs, tenant_db):
    """Not on one that somebody put in its place."""
    tenant_db.org_acme_corp.rename("elsewhere")
    tenant_db.create_collection("org_acme_corp")
    tenant_db.create_collection("org_other")
    with pytest.raises(SlugTaken):
        rename_organization(acme, "Other", a_context())
    refused(theirs.org_acme_corp.find_one)


@pytest.mark.parametrize("change", ["rename", "trash"])
def test_where_mongodb_refuses_to_change_users_nothing_is_changed(
    acme, theirs, fail_command, change
):
    changes = {
        "rename": lambda: rename_organization(acme, "Other", a_context()),
        "trash": lambda: trash_organization(acme, None, a_context()),
    }
    with fail_command("revokePrivilegesFromRole", 13), pytest.raises(CredentialsNotCarried):
        changes[change]()
    assert (fresh(acme).slug, fresh(acme).operation) == ("acme-corp", None)
    assert theirs.org_acme_corp.find_one() is None
    [event] = AuditEvent.objects(action=f"organization.{change}_failed")
    assert event.details["reason"] == "MongoDB users can't be changed"
    changes[change]()
    refused(theirs.org_acme_corp.find_one)


def test_an_organization_without_credentials_costs_no_further_command(acme, commands):
    rename_organization(acme, "Other", a_context())
    without = sorted(commands)
    assert not {"rolesInfo", "revokePrivilegesFromRole", "grantPrivilegesToRole"} & set(without)
    a_credential(fresh(acme))
    commands.clear()
    rename_organization(fresh(acme), "Third", a_context())
    further = sorted(commands)
    for name in without:
        further.remove(name)
    assert sorted(set(further)) == [
        "find",
        "grantPrivilegesToRole",
        "listCollections",
        "revokePrivilegesFromRole",
        "rolesInfo",
    ]


@pytest.mark.attack("X2")
@pytest.mark.parametrize("moment", ["before it is made", "before it is told"])
def test_a_user_that_is_made_while_a_rename_runs_is_dropped(acme, tenant_db, monkeypatch, moment):
    """Else one that somebody has could make a collection under the old name."""
    rename = partial(rename_organization, acme, "Other", a_context())
    create, prove = users.create_user, managing.prove_user

    def create_late(*arguments):
        rename()
        create(*arguments)

    def prove_early(*arguments):
        new = prove(*arguments)
        rename()
        return new

    if moment == "before it is made":
        monkeypatch.setattr(users, "create_user", create_late)
    else:
        monkeypatch.setattr(managing, "prove_user", prove_early)
    with pytest.raises(OrganizationRenamed):
        managing.create_credential(
            an_access(acme), "Weekly report", Reach.WRITE, a_context(the_owner(acme))
        )
    assert not users.users_in(tenant_db, PREFIX) | set(users.roles_in(tenant_db, PREFIX))
    assert not Credential.objects
    assert fresh(acme).credentials == 0
    assert tenant_db.list_collection_names() == ["org_other"]

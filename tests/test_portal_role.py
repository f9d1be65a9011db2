"""The portal's MongoDB user has what it needs, and nothing that would make it more."""

import stat
from dataclasses import replace

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.database import connection, portal_role
from portal.database.connection import client, master_database, tenant_database
from portal.database.portal_role import ROLE, rights
from portal.serving import mongod, settings_docs

UNAUTHORIZED = 13
EVERYTHING = {"resource": {"anyResource": True}, "actions": ["anyAction"]}


def test_the_portal_looks_after_a_database_of_an_organizations_own(app, admin):
    """By the names of its collections: nothing else there is the portal's."""
    own, name = client()[f"t_{ObjectId()}"], portal_role.OWN_COLLECTION
    with client().start_session() as session, session.start_transaction():
        own.create_collection(name, session=session)
    own[name].insert_one({})
    for source, target in (
        (name, portal_role.TRASHED_COLLECTION),
        (portal_role.TRASHED_COLLECTION, name),
    ):
        client().admin.command(
            "renameCollection", f"{own.name}.{source}", to=f"{own.name}.{target}"
        )
    admin[own.name].reports.insert_one({})
    assert {name, "reports"} == set(own.list_collection_names())
    assert own.name in client().list_database_names()
    assert refused(own.reports.find_one)
    own.drop_collection(name)


def refused(attempt):
    with pytest.raises(OperationFailure) as refusal:
        attempt()
    return refusal.value.code == UNAUTHORIZED


def test_the_portal_of_the_tests_has_its_role_and_is_no_administrator(app):
    [user] = client().admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
    assert user["user"] == ROLE
    assert connection.missing_rights() == []


def test_the_portal_can_not_make_itself_more(app):
    admin, tenant = client().admin, tenant_database()
    beyond = {"resource": {"db": master_database().name, "collection": ""}, "actions": ["find"]}
    for attempt in (
        lambda: admin.command("createUser", "evil", pwd="x", roles=["root"]),
        lambda: admin.command("grantRolesToUser", ROLE, roles=["root"]),
        lambda: admin.command("grantPrivilegesToRole", ROLE, privileges=[EVERYTHING]),
        lambda: admin.command("updateRole", ROLE, privileges=[EVERYTHING]),
        lambda: admin.command("updateUser", "admin", pwd="x"),
        lambda: admin.command("usersInfo", 1, showCredentials=True),
        lambda: tenant.command("createUser", "evil", pwd="x", roles=[{"role": "root", "db": "admin"}]),
        lambda: tenant.command("createRole", "evil", privileges=[beyond], roles=[]),
        lambda: tenant.command("createRole", "evil", privileges=[EVERYTHING], roles=[]),
        lambda: master_database().command("createUser", "evil", pwd="x", roles=[]),
        lambda: client().elsewhere.documents.insert_one({}),
        client().elsewhere.documents.find_one,
        lambda: client().t_acme.command("createUser", "evil", pwd="x", roles=[]),
        lambda: client().t_acme.command("createRole", "evil", privileges=[], roles=[]),
        lambda: client().admin.command("renameCollection", "elsewhere.documents", to="elsewhere.portal_tenant_documents"),
        lambda: client().drop_database(tenant.name),
        lambda: admin.command("shutdown"),
    ):  # fmt: skip
        assert refused(attempt)


def groups():
    return rights("master_test", "tenant_test")


def missed(group):
    """What the portal misses without it, since it may list collections in every database."""
    if group.database == "":
        return group
    return replace(group, actions=tuple(one for one in group.actions if one != "listCollections"))


@pytest.mark.parametrize("group", groups(), ids=str)
def test_each_right_that_is_missing_is_known(group, portal_without):
    portal_without(group)
    assert connection.missing_rights() == [missed(group)]
    place = "the cluster" if group.database is None else group.database or "every database"
    assert str(group).endswith(place)


def test_a_start_without_a_right_says_which_also_where_it_fails_for_it(
    portal_without, log, monkeypatch
):
    master, *_ = groups()
    portal_without(master)
    monkeypatch.setattr(connection._state, "prepared", False)
    with pytest.raises(OperationFailure):
        connection.prepare()
    [told] = log.named("database.rights_missing")
    assert told["missing"] == [str(missed(master))]
    assert "docs/operating.md" in told["note"]


@pytest.mark.parametrize(
    ("database", "actions", "event", "command"),
    [
        ("master_test", ("insert",), "database.unavailable", "MONGO_URI update in master_test"),
        ("tenant_test", ("renameCollectionSameDB", "dropCollection"), "operation.left_to_runner", "renameCollection"),
    ],
)  # fmt: skip
def test_what_needs_a_missing_right_says_which(
    database, actions, event, command, portal_without, visitor, log
):
    portal_without(portal_role.Rights(database, actions))
    visitor.sign_up("Acme Corp", "mara@acme.example")
    [told] = log.named(event)
    assert command in told["error"]


@pytest.mark.parametrize("path", settings_docs.ROLE_FILES, ids=lambda path: path.name)
def test_compose_and_operators_create_the_same_role(path):
    assert f"// role\n{portal_role.mongosh()}// /role\n" in path.read_text()


@pytest.mark.processes
def test_data_of_an_earlier_version_gets_the_restricted_user(tmp_path):
    """There the portal's own user was the administrator."""
    first = mongod.start(tmp_path, "secret")
    with MongoClient(first.admin_uri) as admin:
        admin.admin.command("grantRolesToUser", ROLE, roles=["root"])
        admin.admin.command("dropUser", "admin")
    first.stop()
    mongod.administrator_file(tmp_path).unlink()
    carried = mongod.start(tmp_path, "secret", databases=("other_master", "other_tenant"))
    try:
        assert stat.S_IMODE(mongod.administrator_file(tmp_path).stat().st_mode) == 0o600
        with MongoClient(carried.uri) as portal, MongoClient(carried.admin_uri) as admin:
            assert not list(
                portal_role.missing_rights(portal, rights("other_master", "other_tenant"))
            )
            assert list(portal_role.missing_rights(portal, rights("master_db", "tenant_db")))
            assert refused(lambda: portal.admin.command("updateUser", "admin", pwd="x"))
            assert admin.admin.command("usersInfo", 1)["users"]
    finally:
        carried.stop()


@pytest.mark.processes
def test_a_server_that_listens_before_it_has_its_configuration_is_waited_for(tmp_path):
    """And not taken for one whose administrator was lost."""
    mongod.start(tmp_path, "secret").stop()
    data = '{failCommands: ["replSetGetConfig"], errorCode: 94}'
    late = "--setParameter", f"failpoint.failCommand={{mode: {{times: 2}}, data: {data}}}"
    mongod.start(tmp_path, "secret", "--setParameter", "enableTestCommands=1", *late).stop()


@pytest.mark.processes
def test_an_administrator_whose_password_was_lost_is_told_of(tmp_path):
    mongod.start(tmp_path, "secret").stop()
    mongod.administrator_file(tmp_path).write_text("another")
    with pytest.raises(mongod.MongodFailed, match=r"mongod\.admin"):
        mongod.start(tmp_path, "secret")

"""MongoDB users that the portal makes for others."""

import re
from functools import partial

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from portal.database import users
from portal.database.users import ConnectionString, Privilege

READS = frozenset({"find"})
WRITES = frozenset({"find", "insert", "update", "remove"})


@pytest.fixture
def database(bare_client):
    """One that holds two collections and no users of ours; as root, whose rights are all."""
    database = bare_client["users_test"]
    database.mine.insert_one({"_id": 1})
    database.theirs.insert_one({"_id": 1})
    yield database
    for name in users.users_in(database, "trial") | set(users.roles_in(database, "trial")):
        users.drop_user(database, name)
    bare_client.drop_database(database)


def on(collection, actions=READS):
    return Privilege("users_test", collection, actions)


def make(database, *privileges):
    name, password = users.random_name("trial"), users.random_password()
    users.create_user(database, name, password, privileges)
    return name, password


def uri_of(server, name, password):
    made = ConnectionString.of(server.uri)
    return made.for_user(
        name, password, database="users_test", auth_source="users_test", replica_set="portal"
    )


def refused(call, *arguments):
    with pytest.raises(OperationFailure) as refusal:
        call(*arguments)
    return refusal.value.code in (13, 18)


def test_a_user_may_do_what_their_role_says_and_nothing_else(server, database):
    name, password = make(database, on("mine"))
    with MongoClient(uri_of(server, name, password)) as theirs:
        mine = theirs.get_default_database().mine
        assert mine.find_one() == {"_id": 1}
        assert refused(mine.insert_one, {})
        assert refused(theirs.users_test.theirs.find_one)
        assert refused(theirs.users_test.list_collection_names)
        assert refused(theirs.admin.command, "replSetGetStatus")
        assert refused(theirs.users_test.command, "usersInfo", 1)


def test_making_a_user_again_where_the_result_is_unknown_changes_nothing(server, database):
    name, password = make(database, on("mine"))
    users.create_user(database, name, password, [on("mine")])
    with MongoClient(uri_of(server, name, password)) as theirs:
        assert theirs.users_test.mine.find_one()


def test_a_role_with_other_privileges_has_them_on_open_connections(server, database):
    name, password = make(database, on("mine"))
    with MongoClient(uri_of(server, name, password)) as theirs:
        assert theirs.users_test.mine.find_one()
        assert users.set_privileges(database, name, [on("theirs", WRITES)])
        assert refused(theirs.users_test.mine.find_one)
        assert theirs.users_test.theirs.insert_one({}).acknowledged
        assert users.set_privileges(database, name, [])
        assert refused(theirs.users_test.theirs.find_one)


def test_what_is_gone_is_done(database):
    name, _ = make(database, on("mine"))
    users.drop_user(database, name)
    users.drop_user(database, name)
    assert not users.set_privileges(database, name, [on("mine")])
    assert not users.users_in(database, "trial")
    assert not users.roles_in(database, "trial")


def test_users_and_roles_are_found_by_the_beginning_of_their_name(database):
    name, _ = make(database, on("mine"))
    assert users.users_in(database, "trial") == {name}
    assert users.users_in(database, "tri.l") == set()
    assert users.roles_in(database, "trial") == {name: frozenset({on("mine")})}
    assert users.roles_in(database, "other") == {}


def test_names_and_passwords_need_no_escape():
    """Row U6."""
    assert re.fullmatch(r"trial[A-Za-z0-9]{12}", users.random_name("trial"))
    assert re.fullmatch(r"[A-Za-z0-9]{40}", users.random_password())
    assert users.random_password() != users.random_password()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mongodb://u:p@a:1,b:2/?replicaSet=rs", "mongodb://me:pw@a:1,b:2/d?authSource=s&tls=false&replicaSet=rs"),
        ("mongodb://a", "mongodb://me:pw@a/d?authSource=s&replicaSet=real&tls=false"),
        ("mongodb://a/?ssl=true", "mongodb://me:pw@a/d?authSource=s&replicaSet=real&ssl=true"),
        ("mongodb+srv://u:p@c.x.example/other?tls=true", "mongodb+srv://me:pw@c.x.example/d?authSource=s&replicaSet=real&tls=true"),
        ("mongodb+srv://c.x.example", "mongodb+srv://me:pw@c.x.example/d?authSource=s&replicaSet=real&tls=true"),
        ("mongodb://u:p%40@a/?authSource=x&authMechanism=PLAIN&appName=p&tlsCAFile=%2Fca&tlsCertificateKeyFilePassword=x&compressors=zstd", "mongodb://me:pw@a/d?authSource=s&replicaSet=real&tls=false&compressors=zstd"),
        ("mongodb://u:p@a?authSource=admin", "mongodb://me:pw@a/d?authSource=s&replicaSet=real&tls=false"),
        ("mongodb://a/?tlsAllowInvalidCertificates=true&tls=true", "mongodb://me:pw@a/d?authSource=s&replicaSet=real&tlsAllowInvalidCertificates=true&tls=true"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/", "mongodb://me:pw@%2Ftmp%2Fmongodb-27017.sock/d?authSource=s&replicaSet=real&tls=false"),
        ("mongodb://[::1]:27018/", "mongodb://me:pw@[::1]:27018/d?authSource=s&replicaSet=real&tls=false"),
    ],
)  # fmt: skip
def test_a_connection_string_writes_out_what_drivers_would_guess(given, expected):
    """Row U6: ``authSource``, ``replicaSet`` and ``tls``; an SRV record stays one."""
    made = ConnectionString.of(given)
    assert made.for_user("me", "pw", database="d", auth_source="s", replica_set="real") == expected


def test_a_proof_signs_in_and_reads(server, database):
    """Row U1."""
    name, password = make(database, on("mine"))
    uri = uri_of(server, name, password)
    [member] = users.prove(uri, "users_test", "mine").proven
    assert member == f"127.0.0.1:{server.running.port}"
    wrong = partial(users.prove, uri.replace(password, "x"), seconds=0.3)
    assert refused(wrong, "users_test", "mine")


def test_a_proof_where_nobody_answers_fails_in_time():
    with pytest.raises(ServerSelectionTimeoutError):
        users.prove("mongodb://127.0.0.1:1/?replicaSet=x", "users_test", "mine", seconds=0.2)


def test_open_connections_are_listed_with_their_application(server, database):
    """Row U2."""
    name, password = make(database, on("mine"))
    assert users.may_list_connections(database.client)
    with MongoClient(uri_of(server, name, password), appname="their shop") as theirs:
        theirs.users_test.mine.find_one()
        listed = users.connections_of(database.client, "users_test", {"$in": [name, "other"]})
        assert {(one.user, one.app_name) for one in listed} == {(name, "their shop")}
        assert users.connections_on_all(server.uri, "users_test", {"$regex": "^trial"}) == listed
        assert users.connections_of(database.client, "users_test", "other") == []


def test_missing_rights_are_named(server, database):
    """An administrator of one database's users needs these rights there alone."""
    assert users.missing_rights(database) == []
    actions = frozenset(users.ADMINISTRATION) - {"dropUser"}
    name, password = make(database, on("", actions), on("mine", WRITES))
    with MongoClient(uri_of(server, name, password)) as administrator:
        assert users.missing_rights(administrator.users_test) == ["dropUser"]
        assert users.missing_rights(administrator.admin) == sorted(users.ADMINISTRATION)
        assert not users.may_list_connections(administrator)


def test_user_administration_of_one_database_suffices(server, database):
    name, password = make(database, on("", frozenset(users.ADMINISTRATION)))
    with MongoClient(uri_of(server, name, password)) as administrator:
        made, _ = make(administrator.users_test, on("mine"))
        assert users.set_privileges(administrator.users_test, made, [on("theirs", WRITES)])
        assert made in users.users_in(administrator.users_test, "trial")
        users.drop_user(administrator.users_test, made)
        assert made not in users.roles_in(administrator.users_test, "trial")

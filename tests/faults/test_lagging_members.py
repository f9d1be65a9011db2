"""A MongoDB user is tried on each member of a set before anybody gets it."""

import pytest
from pymongo import MongoClient

from portal.database import users
from portal.database.users import ConnectionString, Privilege
from tests.faults.servers import ThreeMembers
from tests.processes import wait_until


@pytest.fixture
def three_members(tmp_path):
    server = ThreeMembers(tmp_path, "--setParameter", "enableTestCommands=1")
    yield server
    server.end()


@pytest.mark.full
def test_a_proof_names_members_that_lag_and_members_that_are_down(three_members):
    """Row U1."""
    wait_until(three_members.all_are_well)
    with MongoClient(three_members.admin_uri, timeoutMS=20_000) as admin:
        admin.lag.org_acme.insert_one({})
        have_all_follow_the_primary(admin)
        primary, secondaries = admin.primary, sorted(admin.secondaries)
        name, password = users.random_name("trial"), users.random_password()
        privileges = [Privilege("lag", "org_acme", frozenset({"find"}))]
        lagging, other = secondaries
        options = {"username": "admin", "password": password_in(three_members.admin_uri)}
        with MongoClient(*lagging, directConnection=True, **options) as member:
            stop = {"configureFailPoint": "stopReplProducer"}
            member.admin.command({**stop, "mode": "alwaysOn"})
            try:
                users.create_user(admin.lag, name, password, privileges)
                uri = ConnectionString.of(three_members.uri).for_user(
                    name, password, database="lag", auth_source="lag", replica_set="three"
                )
                proof = users.prove(uri, "lag", "org_acme", seconds=1)
                assert set(proof.proven) == {shown(primary), shown(other)}, proof
                assert (proof.lagging, proof.down) == ((shown(lagging),), ())
            finally:
                member.admin.command({**stop, "mode": "off"})
        everywhere = {shown(one) for one in (primary, *secondaries)}
        wait_until(lambda: set(users.prove(uri, "lag", "org_acme").proven) == everywhere)
        with three_members.stopped(other[1]):
            proof = users.prove(uri, "lag", "org_acme", seconds=1)
            assert (proof.down, proof.lagging) == ((shown(other),), ())
            assert shown(primary) in proof.proven
        with MongoClient(uri, appName="their shop") as theirs:
            theirs.lag.org_acme.find_one()
            found = users.connections_on_all(three_members.admin_uri, "lag", name)
            assert {one.app_name for one in found} == {"their shop"}


def have_all_follow_the_primary(admin):
    """Else one may follow the one that lags."""
    config = admin.admin.command("replSetGetConfig")["config"]
    config["settings"]["chainingAllowed"] = False
    config["version"] += 1
    admin.admin.command("replSetReconfig", config)

    def all_do():
        members = admin.admin.command("replSetGetStatus")["members"]
        sources = {m["syncSourceHost"] for m in members if m["stateStr"] == "SECONDARY"}
        return sources == {shown(admin.primary)}

    wait_until(all_do)


def shown(address):
    return "{}:{}".format(*address)


def password_in(uri):
    return uri.split(":")[2].split("@")[0]

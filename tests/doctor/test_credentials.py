"""MongoDB users of credentials that nobody counts, and credentials whose user is gone (row U3)."""

import pytest
from pymongo import MongoClient

from portal.database import users
from portal.documents.audit import AuditEvent
from portal.documents.credentials import Credential
from portal.organizations.lifecycle.privileges import PREFIX, privileges_on
from portal.organizations.lifecycle.trashing import trash_organization
from tests.factories import a_context, a_credential, an_organization, fresh


@pytest.fixture
def acme():
    return an_organization("Acme Corp")


@pytest.fixture
def user(acme):
    """The name of the user of a credential that Acme has."""
    a_credential(acme)
    return Credential.objects.get().users[0].name


def reached(tenant_db, name):
    return {one.collection for one in users.roles_in(tenant_db, PREFIX)[name]}


def test_a_credential_as_it_should_be_is_no_finding(acme, user, found):
    assert found() == []
    trash_organization(acme, None, a_context())
    assert found() == []


def test_a_user_without_a_record_is_taken_over(acme, found, repair, tenant_db):
    """Row U4: as after an older backup of the master database."""
    uri = a_credential(acme)
    [name] = users.users_in(tenant_db, PREFIX)
    Credential.objects.delete()
    acme.update(set__credentials=0)
    assert found() == [("unrecorded_user", name)]
    assert repair() == [("unrecorded_user", name, "taken over")]
    assert found() == []
    credential = Credential.objects.get()
    assert (credential.organization, credential.reach) == (acme.id, "write")
    assert fresh(acme).credentials == 1
    assert AuditEvent.objects(action="credential.taken_over")
    with MongoClient(uri) as client:
        assert client.get_default_database().org_acme_corp.find_one() is None


def test_a_user_that_reaches_nothing_is_dropped_where_somebody_asks_for_it(
    found, repair, command, tenant_db
):
    half, whole = users.random_name(PREFIX), users.random_name(PREFIX)
    tenant_db.command("createRole", half, privileges=[], roles=[])
    users.create_user(tenant_db, whole, "secret", privileges_on("tenant_test", "org_gone", "read"))
    tenant_db.command("createRole", "theirs", privileges=[], roles=[])
    expected = [("dead_user", name) for name in sorted((half, whole))]
    assert found() == expected
    assert {did for _, _, did in repair()} == {None}
    asked = command("doctor", "--drop-users")
    assert "Drop these 2?" in asked.stderr
    assert asked.returncode == 1
    assert found() == expected
    assert command("doctor", "--drop-users", "--yes").returncode == 0
    assert found() == []
    assert [role["role"] for role in tenant_db.command("rolesInfo", 1)["roles"]] == ["theirs"]
    tenant_db.command("dropRole", "theirs")


def test_a_credential_whose_user_is_gone_is_revoked(acme, user, found, repair, tenant_db):
    users.drop_user(tenant_db, user)
    assert found() == [("missing_user", user)]
    assert repair() == [("missing_user", user, "revoked")]
    assert found() == []
    assert not Credential.objects
    assert fresh(acme).credentials == 0
    assert AuditEvent.objects(action="credential.revoked")


def test_privileges_that_somebody_changed_are_set_right(acme, user, found, repair, tenant_db):
    """Row U4: edited by hand."""
    for collection in ("org_else", None):
        wrong = privileges_on("tenant_test", collection, "write") if collection else ()
        users.set_privileges(tenant_db, user, wrong)
        assert found() == [("wrong_privileges", user)]
        assert repair() == [("wrong_privileges", user, "given its privileges")]
        assert reached(tenant_db, user) == {"org_acme_corp"}
        assert found() == []


def test_privileges_in_the_trash_are_taken(acme, user, found, repair, tenant_db):
    trash_organization(acme, None, a_context())
    users.set_privileges(tenant_db, user, privileges_on("tenant_test", "org_acme_corp", "write"))
    assert found() == [("wrong_privileges", user)]
    assert repair() == [("wrong_privileges", user, "given its privileges")]
    assert reached(tenant_db, user) == set()


def test_further_roles_are_told(user, found, repair, bare_client, tenant_db):
    roles = [{"role": "read", "db": tenant_db.name}]
    bare_client[tenant_db.name].command("grantRolesToUser", user, roles=roles)
    assert found() == [("further_roles", user)]
    assert repair() == [("further_roles", user, None)]


@pytest.mark.usefixtures("real_limits")
def test_hosts_that_lead_nowhere_are_told(user, found, settings_with):
    with settings_with(credentials_uri="mongodb://127.0.0.1:1/"):
        assert found() == [("wrong_hosts", "127.0.0.1:1")]


def test_without_the_right_to_look_it_says_so(user, found, bare_client, settings):
    data = {"failCommands": ["usersInfo"], "errorCode": 13, "appName": "portal"}
    fail = {"configureFailPoint": "failCommand", "data": data}
    bare_client.admin.command({**fail, "mode": "alwaysOn"})
    try:
        assert found() == [("unseen_users", settings.tenant_db)]
        Credential.objects.delete()
        assert found() == []
    finally:
        bare_client.admin.command({**fail, "mode": "off"})

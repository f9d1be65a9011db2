"""Users and roles are looked for in all databases of organizations, whatever is counted (row U3)."""

import pytest

from portal.database import portal_role, users
from portal.doctor import support
from portal.documents.credentials import Credential
from portal.documents.organizations import Organization, Strategy
from portal.organizations.lifecycle.privileges import PREFIX, privileges_on
from portal.organizations.support.reading import PREFIX as READER
from tests.factories import an_organization


@pytest.fixture
def own(app, admin):
    """The database of an organization's own, of whose users master data know nothing."""
    organization = an_organization("Own", strategy=Strategy.DATABASE)
    assert {organization.credentials, organization.support_users} == {None}
    return admin[organization.placement.database]


@pytest.fixture
def administered(own, admin):
    """The portal may administer users in it."""
    privilege = {
        "resource": {"db": own.name, "collection": ""},
        "actions": list(users.ADMINISTRATION),
    }
    admin.admin.command("createRole", own.name, privileges=[privilege], roles=[])
    admin.admin.command("grantRolesToUser", portal_role.ROLE, roles=[own.name])
    yield own
    admin.admin.command("dropRole", own.name)


@pytest.fixture
def operator(server, monkeypatch):
    monkeypatch.setenv("MONGO_ADMIN_URI", server.admin_uri)


def make(database, name, *privileges):
    users.create_user(database, name, "secret", privileges)


def as_of(database):
    organization = Organization.objects.get()
    return privileges_on(database.name, organization.placement.collection, "read")


def test_a_user_that_an_older_backup_does_not_know_is_taken_over(administered, found, repair):
    make(administered, f"{PREFIX}left", *as_of(administered))
    assert found() == [("unrecorded_user", f"{PREFIX}left")]
    assert repair() == [("unrecorded_user", f"{PREFIX}left", "taken over")]
    assert found() == []
    organization = Organization.objects.get()
    assert (Credential.objects.get().organization, organization.credentials) == (organization.id, 1)


def test_users_and_roles_of_grants_are_found_and_dropped(administered, found, repair):
    make(administered, f"{READER}left", *as_of(administered))
    administered.command("createRole", f"{READER}role", privileges=[], roles=[])
    left = [("unrecorded_reader", f"{READER}{name}") for name in ("left", "role")]
    assert found() == left
    assert repair() == [(*one, "dropped") for one in left]
    assert found() == []
    assert users.roles_in(administered, READER) == {}


def test_a_role_alone_is_found_in_the_tenant_database_too(app, tenant_db, repair):
    tenant_db.command("createRole", f"{READER}role", privileges=[], roles=[])
    assert repair() == [("unrecorded_reader", f"{READER}role", "dropped")]
    assert list(support.find_unrecorded()) == []


@pytest.mark.parametrize("dropped", [False, True], ids=["there", "dropped"])
def test_an_administrator_sees_those_that_the_portal_may_not(
    own, admin, operator, command, found, dropped
):
    """Users outlive their database."""
    names = [f"{PREFIX}left", f"{READER}left"]
    for name in names:
        make(own, name)
    if dropped:
        admin.drop_database(own.name)
        Organization.objects.delete()
    assert not {kind for kind, _ in found()} & {"dead_user", "unrecorded_reader", "unseen_users"}
    told = command("doctor").stdout
    assert all(name in told for name in names)
    command("doctor", "--repair")
    command("doctor", "--drop-users", "--yes")
    assert users.users_in(own, "") == set()
    assert users.roles_in(own, "") == {}


def test_where_nothing_is_recorded_a_look_takes_few_commands(administered, commands, found):
    found()
    assert commands.count("usersInfo") == 2 * 2  # credentials and readers, in two databases

"""Organizations' MongoDB users, by where the organization is."""

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.clusters import managing as registry
from portal.clusters.managing import Changes
from portal.database import portal_role, users
from portal.database.clusters import client_of
from portal.database.portal_role import OWN_COLLECTION
from portal.documents.credentials import Credential
from portal.documents.organizations import Organization, Strategy
from portal.organizations.credentials import managing, tending
from portal.organizations.credentials.errors import MissingRights, SharedCollection
from portal.organizations.credentials.hosts import try_hosts
from portal.organizations.lifecycle.privileges import PREFIX
from portal.organizations.lifecycle.trashing import purge_organization
from portal.web.context import RequestContext
from tests.factories import an_access, an_account, an_organization, the_owner
from tests.processes import wait_until

PAGE = "/organizations/acme-corp/connect"
PATH = "/organizations/acme-corp/credentials"


def make(organization):
    return managing.create_credential(
        an_access(organization), "Reporting", "write", RequestContext()
    )


@pytest.fixture
def own_database(app, admin):
    """Has an organization's collection in a database of its own."""

    def place(organization):
        database = admin[f"t_{organization.id}"]
        database.create_collection(OWN_COLLECTION)
        [found] = database.list_collections()
        organization.modify(
            set__placement__strategy=Strategy.DATABASE,
            set__placement__database=database.name,
            set__placement__collection=OWN_COLLECTION,
            set__placement__uuid=found["info"]["uuid"],
        )
        return organization, database

    return place


@pytest.fixture
def granted(admin):
    """Gives the portal's user the administration of users in a database for a while."""
    made = []

    def grant(database):
        resource = {"db": database.name, "collection": ""}
        privileges = [{"resource": resource, "actions": list(users.ADMINISTRATION)}]
        admin.admin.command("createRole", database.name, privileges=privileges, roles=[])
        admin.admin.command("grantRolesToUser", portal_role.ROLE, roles=[database.name])
        made.append(database.name)

    yield grant
    for name in made:
        admin.admin.command("dropRole", name)


def test_a_user_on_another_cluster_is_made_there_and_connects_there(in_europe, there):
    organization = in_europe("Acme Corp")
    made = make(organization)
    assert made.proof.proven
    assert made.by_customers_hosts
    with MongoClient(made.uri) as client:
        assert client.address == client_of("europe").address
        assert client.tenant_test.org_acme_corp.count_documents({}) == 1
        client.tenant_test.org_acme_corp.insert_one({})
        with pytest.raises(OperationFailure):
            client.tenant_test.org_globex.find_one()
    [user] = Credential.objects.get().users
    assert users.users_in(there.tenant_test, PREFIX) == {user.name}
    managing.revoke_credential(an_access(organization), made.credential, RequestContext())
    assert not users.users_in(there.tenant_test, PREFIX)
    assert not Credential.objects


@pytest.mark.usefixtures("real_limits")
def test_customers_get_the_hosts_that_were_chosen_for_the_cluster(in_europe):
    organization = in_europe("Acme Corp")
    chosen = Changes(credentials_uri="mongodb://127.0.0.1:1/?replicaSet=portal")
    registry.change_cluster("europe", chosen, RequestContext())
    made = make(organization)
    assert "@127.0.0.1:1/tenant_test?" in made.uri
    assert not made.by_customers_hosts


@pytest.mark.usefixtures("real_limits")
def test_a_member_that_never_becomes_primary_is_advertised_too(europe, passive):
    own = "{}:{}".format(*client_of("europe").address)
    chosen = Changes(credentials_uri=f"mongodb://{own}/?replicaSet=portal")
    registry.change_cluster("europe", chosen, RequestContext())
    assert try_hosts("europe").advertised == (passive,)


@pytest.mark.usefixtures("real_limits")
def test_hosts_of_another_set_of_the_same_name_are_told(europe, settings_with, visitor):
    """Row U6."""
    mara = an_account("mara@acme.example")
    an_organization("Acme Corp", mara, cluster="europe")
    an_organization("Globex", mara)
    visitor.log_in()
    assert not any(try_hosts(name).foreign for name in ("main", "europe"))
    main, europe = ("{}:{}".format(*client_of(name).address) for name in ("main", "europe"))
    swapped = Changes(credentials_uri=f"mongodb://{main}/?replicaSet=portal")
    registry.change_cluster("europe", swapped, RequestContext())
    with settings_with(credentials_uri=f"mongodb://{europe}/?replicaSet=portal"):
        assert try_hosts("europe").foreign == (main,)
        assert try_hosts().foreign == (europe,)
        for slug, setting in (
            ("acme-corp", "flask clusters change europe --credentials-uri."),
            ("globex", "CREDENTIALS_URI."),
        ):
            page = visitor.get(f"/organizations/{slug}/connect")
            assert "These hosts lead elsewhere" in page.text
            assert setting in page.text


def test_who_connected_there_is_seen(in_europe):
    organization = in_europe("Acme Corp")
    with MongoClient(make(organization).uri, appname="their shop") as client:
        client.tenant_test.org_acme_corp.find_one()
        tending.run_once()
    [user] = Credential.objects.get().users
    assert user.seen_by == ["their shop"]


@pytest.mark.usefixtures("real_limits")
def test_a_credential_is_revoked_while_its_cluster_is_away_and_dropped_once_it_is_back(
    in_europe, europe, visitor, there
):
    organization = in_europe("Acme Corp")
    make(organization)
    visitor.log_in(the_owner(organization).email)
    [credential] = Credential.objects
    europe.kill()
    assert visitor.post(f"{PATH}/{credential.id}/revoke").status == 303
    page = visitor.get(PAGE)
    assert "It is revoked here. MongoDB did not answer" in page.text
    assert "the cluster europe" in page.text
    assert not page.html.find("a", string="Make a MongoDB user…")
    europe.start_again()

    def tended():
        Credential.objects.update(set__due_at="2026-01-01")
        tending.run_once()
        return not Credential.objects

    wait_until(tended)
    assert not users.users_in(there.tenant_test, PREFIX)


def test_in_a_database_of_its_own_the_portal_says_what_it_lacks(own_database, visitor):
    organization, database = own_database(an_organization("Acme Corp"))
    with pytest.raises(MissingRights) as refusal:
        make(organization)
    assert database.name in refusal.value.words
    visitor.log_in(the_owner(organization).email)
    page = visitor.get(PAGE)
    assert "createUser, dropRole, dropUser" in page.text
    assert f"on the database {database.name}" in page.text


def test_with_the_right_to_it_users_are_made_there_and_a_purge_leaves_none(
    own_database, granted, admin
):
    organization, database = own_database(an_organization("Acme Corp"))
    granted(database)
    made = make(organization)
    assert f"/{database.name}?authSource={database.name}" in made.uri
    with MongoClient(made.uri) as client:
        client.get_default_database()[OWN_COLLECTION].insert_one({"_id": 1})
        with pytest.raises(OperationFailure):
            client.get_default_database().other.insert_one({})
    organization = Organization.objects.get(id=organization.id)
    purge_organization(organization, None, RequestContext())
    assert not database.command("usersInfo", 1)["users"]
    assert not database.command("rolesInfo", 1)["roles"]
    assert database.name not in admin.list_database_names()
    assert not Credential.objects


def test_in_a_shared_collection_there_are_none_and_the_page_says_why(visitor):
    organization = an_organization("Acme Corp")
    organization.modify(set__placement__strategy=Strategy.SHARED)
    with pytest.raises(SharedCollection):
        make(organization)
    visitor.log_in(the_owner(organization).email)
    page = visitor.get(PAGE)
    assert "a user would reach all of them" in page.text
    assert "whoever runs the portal can move it" in page.text
    assert not page.html.find("a", string="Make a MongoDB user…")

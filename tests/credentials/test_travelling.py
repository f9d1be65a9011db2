"""Credentials of an organization that moves to another cluster."""

import re

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.clusters import managing as registry
from portal.clusters.managing import Changes
from portal.database import users
from portal.documents.credentials import Credential
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization, Strategy
from portal.organizations.credentials import managing, tending, travelling
from portal.organizations.credentials.errors import NotTravelling
from portal.organizations.lifecycle.privileges import PREFIX
from portal.organizations.moving.managing import abort_move, switch_move
from portal.organizations.moving.planning import Wish, plan_move
from portal.organizations.moving.ways_back import end_way_back, go_back
from portal.web.context import RequestContext
from tests.factories import a_context, an_access, fresh
from tests.organizations.moving.carrying import begin, run_due_movers, run_movers
from tests.program import Program, fault

PAGE = "/organizations/acme-corp/connect"
PATH = "/organizations/acme-corp/credentials"


@pytest.fixture
def europe(second_cluster):
    registry.add_cluster("europe", Changes(second_cluster.uri), RequestContext())
    return second_cluster


@pytest.fixture
def there(europe):
    """The users at the new place."""
    with MongoClient(europe.admin_uri) as client:
        yield lambda: users.users_in(client.tenant_test, PREFIX)


@pytest.fixture
def acme(mara, europe):
    return Organization.objects.get(slug="acme-corp")


@pytest.fixture
def make(acme):
    """Makes a credential; it and its string."""

    def make(name="Reporting"):
        made = managing.create_credential(an_access(acme), name, "write", RequestContext())
        return made.credential, made.uri

    return make


def begin_move(organization, **options):
    begun = begin(organization, Strategy.COLLECTION, "europe", **options)
    run_movers()
    return Move.objects.get(id=begun.id)


def prepare(organization, credential):
    access = an_access(fresh(organization))
    return travelling.prepare_credential(access, credential, RequestContext())


def test_owners_make_new_strings_before_the_switch_which_waits_for_them(
    acme, mara, make, connect, there, tenant_db
):
    credential, old_uri = make()
    old, documents = connect(old_uri), "org_acme_corp"
    old.get_default_database()[documents].insert_one({"_id": 1})
    plan = plan_move(fresh(acme), Wish(Strategy.COLLECTION, "europe"))
    assert plan.obstacles == ()
    assert any("Reporting" in left.what and left.warning for left in plan.left_behind)
    move = begin_move(fresh(acme))
    assert move.state == MoveState.READY
    assert "Reporting" in move.waits_for

    assert "move to europe" in mara.get(PAGE).html.select_one(".flash.attention").get_text()
    page = mara.post(f"{PATH}/{credential}/move")
    assert page.status == 200
    assert page.response.headers["Cache-Control"] == "no-store"
    assert (
        "It reaches the documents from the switch on" in page.html.select_one(".door .fresh").text
    )
    new = connect(page.html.select_one("code.secret").get_text())
    assert re.search("user on europe", mara.get("/organizations/acme-corp/activity").text)
    with pytest.raises(OperationFailure, match="not authorized"):
        new.get_default_database()[documents].find_one()
    assert "Each user has a string" in mara.get(PAGE).text

    run_due_movers()
    assert fresh(acme).placement.cluster == "europe"
    assert new.get_default_database()[documents].find_one() == {"_id": 1}
    new.get_default_database()[documents].insert_one({"_id": 2})
    with pytest.raises(OperationFailure, match="not authorized"):
        old.get_default_database()[documents].insert_one({})
    [row] = mara.get(PAGE).html.select("#mongodb-user tbody tr")
    assert "Works" in row.get_text()

    go_back(str(move.id), a_context())
    run_due_movers()
    assert fresh(acme).placement.cluster == "main"
    assert old.get_default_database()[documents].count_documents({}) == 2
    with pytest.raises(OperationFailure):
        new.get_default_database()[documents].find_one()
    assert there() == set()
    assert len(Credential.objects.get().all_users) == 1


def test_another_string_for_the_move_ends_the_first(app, acme, make, connect, there):
    credential, _ = make()
    program = Program(app)
    program.log_in()
    by_json = f"/org/acme-corp/credentials/{credential}/prepare-move"
    assert fault(program.post(by_json))[:2] == (409, NotTravelling.code)
    move = begin_move(fresh(acme))
    first = prepare(acme, credential)
    key = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}
    second = program.post(by_json, **key)
    assert second.status_code == 200
    assert len(there()) == 1
    with pytest.raises(OperationFailure):
        connect(first.uri).admin.command("ping")
    connect(second.json["connection_string"]).admin.command("ping")
    again = program.post(by_json, **key)
    assert again.json["credential"]["id"] == str(credential)
    assert "connection_string" not in again.json
    abort_move(str(move.id), None, a_context())
    run_due_movers()
    assert there() == set()
    [user] = Credential.objects.get().all_users
    assert user.ready_at
    with pytest.raises(NotTravelling):
        prepare(acme, credential)


def test_a_move_may_end_those_without_a_new_string(acme, mara, make, connect, tenant_db):
    _, uri = make()
    waiting = begin_move(fresh(acme))
    assert waiting.state == MoveState.READY
    switch_move(str(waiting.id), a_context(), ends_credentials=True)
    run_due_movers()
    move = Move.objects.get(id=waiting.id)
    assert (move.state, move.outcome) == (MoveState.DONE, Outcome.MOVED)
    with pytest.raises(OperationFailure, match="not authorized"):
        connect(uri).get_default_database().org_acme_corp.find_one()
    assert "Reporting" not in mara.get(PAGE).text
    end_way_back(str(move.id), a_context())
    run_due_movers()
    assert users.users_in(tenant_db, PREFIX) == set()
    assert not Credential.objects
    assert not fresh(acme).credentials


def test_a_revoked_credential_loses_its_users_everywhere(acme, make, there, tenant_db):
    credential, _ = make()
    begin_move(fresh(acme))
    prepare(acme, credential)
    managing.revoke_credential(an_access(fresh(acme)), credential, RequestContext())
    tending.run_once()
    assert there() == users.users_in(tenant_db, PREFIX) == set()
    assert not Credential.objects
    run_due_movers()
    assert fresh(acme).placement.cluster == "europe"


def test_users_stay_where_only_the_collection_changes(acme, make):
    make()
    assert travelling.travelling(fresh(acme), fresh(acme).placement) == []

"""An operator looks at an organization, because an owner lets them."""

from contextvars import Context, copy_context
from datetime import timedelta

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal import clock
from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.data.browsing import views
from portal.database.users import ConnectionString
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Restriction, Strategy
from portal.documents.sessions import Session
from portal.documents.support import SupportGrant
from portal.organizations.access.errors import LooksOnly
from portal.organizations.lifecycle import renaming
from portal.organizations.lifecycle.privileges import home_of
from portal.organizations.storage import tenant_of
from portal.organizations.support import reading, tending
from portal.settings import sealing
from portal.web.acting_operator import ActingOperator, acting_operator, contained, note_operator
from portal.web.context import RequestContext
from tests.factories import a_context, a_suspension, an_organization, fresh, the_owner
from tests.relocation import relocating

from .conftest import CANARY, end

PAGES = ("", "/members", "/activity", "/settings", "/connect", "/placement", "/support")
DATA = ("/data", "/data?as=json", "/data/shape")


def users_of(grant):
    return list(SupportGrant.objects.get(id=grant.id).users)


def names_in(tenant_db):
    return {user["user"] for user in tenant_db.command("usersInfo")["users"]}


def test_an_operator_looks_at_what_a_viewer_sees(desk, planted, looking):
    looking(planted)
    for page in PAGES:
        seen = desk.get(f"/organizations/acme-corp{page}")
        assert seen.status == 200, page
        assert "You look by support access" in seen.text
        assert seen.response.headers["Cache-Control"] == "no-store"
    for page in DATA:
        assert desk.get(f"/organizations/acme-corp{page}").status == 200, page
    documents = desk.get("/organizations/acme-corp/data")
    assert f"{CANARY}-1" in documents.text
    # There is nothing to do with ticked ones.
    assert not documents.html.select("tbody [type=checkbox]")


@pytest.mark.attack("O1")
def test_each_page_with_its_query_is_in_the_customers_trail(desk, planted, looking):
    grant = looking(planted)
    desk.get("/organizations/acme-corp/data?filter=%7B%22city%22%3A%22Graz%22%7D")
    [event] = AuditEvent.objects(chain=planted.id, action="support.seen")
    assert event.details == {
        "page": "/organizations/acme-corp/data?filter=%7B%22city%22%3A%22Graz%22%7D"
    }
    assert (event.actor_kind, event.actor_name) == ("operator", "the operator")
    assert event.target == grant.id
    assert SupportGrant.objects.get(id=grant.id).pages == 1


def test_a_grant_without_documents_shows_none(desk, planted, looking):
    looking(planted, with_documents=False)
    assert desk.get("/organizations/acme-corp/members").status == 200
    refused = desk.get("/organizations/acme-corp/data")
    assert refused.status == 403
    assert CANARY not in refused.text
    assert users_of(SupportGrant.objects.get()) == []


def test_sensitive_fields_stay_hidden(desk, planted, looking):
    planted.update(set__masked_fields=["iban"])
    looking(planted)
    seen = desk.get("/organizations/acme-corp/data?as=json").text
    assert f"{CANARY}-1" in seen
    assert f"{CANARY}-iban" not in seen


@pytest.mark.attack("O1")
def test_history_and_files_are_out_of_reach(desk, planted, looking):
    looking(planted)
    for page in ("/data/history", "/data/imports"):
        refused = desk.get(f"/organizations/acme-corp{page}")
        assert refused.heading == "Support access ends at the documents", page


def test_documents_are_read_by_a_user_who_reaches_nothing_else(planted, looking, tenant_db, server):
    other = an_organization("Borealis")
    [user] = users_of(looking(planted))
    uri = ConnectionString.of(server.uri).for_user(
        user.name,
        sealing.unseal(user.password),
        database=user.database,
        auth_source=user.database,
        replica_set=None,
    )
    with MongoClient(uri) as bare:
        database = bare[tenant_db.name]
        assert database[planted.placement.collection].count_documents({}) == 3
        for attempt in (
            database[other.placement.collection].find_one,
            lambda: database[planted.placement.collection].insert_one({}),
            database.list_collection_names,
            bare["master_test"].accounts.find_one,
        ):
            with pytest.raises(OperationFailure) as refused:
                attempt()
            assert refused.value.code == 13


def test_nothing_is_shown_once_an_owner_ended_it(desk, planted, looking, tenant_db):
    grant = looking(planted)
    [user] = users_of(grant)
    assert user.name in names_in(tenant_db)
    end(planted, grant)
    assert user.name not in names_in(tenant_db)
    refused = desk.get("/organizations/acme-corp/data")
    assert refused.heading == "Support access has ended"
    assert CANARY not in refused.text
    assert fresh(planted).support_until is None
    assert fresh(planted).support_users == 0


def test_time_ends_it_and_drops_its_user(desk, planted, looking, tenant_db, time_machine):
    grant = looking(planted, hours=1)
    assert desk.get("/organizations/acme-corp/data").status == 200
    time_machine.move_to(clock.now() + timedelta(hours=1))
    assert desk.get("/organizations/acme-corp/data").heading == "Support access has ended"
    tending.run_once()
    assert not any(name.startswith("support") for name in names_in(tenant_db))
    assert SupportGrant.objects.get(id=grant.id).state == "expired"
    assert AuditEvent.objects(chain=planted.id, action="support.expired").count() == 1


@pytest.mark.attack("O1")
def test_the_session_gets_another_id_when_it_begins_and_when_it_ends(desk, planted, looking):
    cookie = desk.client.application.config["SESSION_COOKIE_NAME"]
    before, ids = desk.client.get_cookie(cookie).value, {one.id for one in Session.objects}
    looking(planted)
    during, looked = desk.client.get_cookie(cookie).value, {one.id for one in Session.objects}
    assert desk.post("/support/leave", form_at="/organizations/acme-corp/members").status == 303
    after = {one.id for one in Session.objects}
    assert len(ids ^ looked) == len(looked ^ after) == 2
    for old in (before, during):
        desk.client.set_cookie(cookie, old)
        assert desk.get("/organizations/acme-corp/data").location.startswith("/login")


def test_who_left_is_in_the_console_again(desk, planted, looking):
    looking(planted)
    assert desk.get("/operator").heading == "You are looking at a customer’s organization"
    left = desk.post("/support/leave", form_at="/organizations/acme-corp/members")
    assert left.location == f"/operator/organizations/{planted.id}/support"
    assert desk.get(left.location).status == 200
    assert desk.get("/organizations/acme-corp").status == 404
    trail = AuditEvent.objects(chain=planted.id).order_by("seq").scalar("action")
    assert [action for action in trail if action.startswith("support")] == [
        "support.granted", "support.entered", "support.seen", "support.left",
    ]  # fmt: skip


@pytest.mark.attack("O1")
def test_an_operator_who_is_a_member_acts_as_one_of_both(desk, planted, looking):
    ops = Session.objects.first().account
    Membership(
        organization=planted.id, account=ops, role=Role.OWNER, since=planted.created_at
    ).save()
    assert desk.get("/organizations/acme-corp/rename").status == 200
    looking(planted)
    assert desk.get("/organizations/acme-corp/rename").status == 403
    renamed = desk.send(
        "/organizations/acme-corp/rename",
        {"csrf_token": desk.token("/organizations/acme-corp"), "organization_name": "Other"},
    )
    assert renamed.status == 403
    assert fresh(planted).name == "Acme Corp"


def test_looking_goes_on_through_a_rename(desk, planted, looking, tenant_db):
    grant = looking(planted)
    renaming.rename_organization(planted, "Borealis", a_context(the_owner(planted)))
    assert f"{CANARY}-1" in desk.get("/organizations/borealis/data").text
    [user] = users_of(grant)
    [role] = tenant_db.command("rolesInfo", user.name, showPrivileges=True)["roles"]
    assert [one["resource"]["collection"] for one in role["privileges"]] == ["org_borealis"]


def test_in_a_shared_collection_the_store_sees_to_it(app, desk, looking):
    shared = an_organization("Shared Corp", strategy=Strategy.SHARED)
    grant = looking(shared)
    assert desk.get("/organizations/shared-corp/data").status == 200
    assert users_of(grant) == []
    assert (
        "In a collection of its own an operator reads"
        in desk.get("/organizations/shared-corp/support").text
    )


def test_what_is_read_when_it_ends_is_not_shown(desk, planted, looking, monkeypatch):
    grant = looking(planted)
    render = views.render_page

    def ended_meanwhile(*given, **options):
        page = render(*given, **options)
        Context().run(end, planted, grant)  # by an owner, in another request
        return page

    monkeypatch.setattr(views, "render_page", ended_meanwhile)
    refused = desk.get("/organizations/acme-corp/data")
    assert refused.heading == "Support access has ended"
    assert CANARY not in refused.text


def test_a_cursor_that_is_open_when_it_ends_tells_nothing_more(planted, looking, tenant_db):
    grant = looking(planted)
    operator = ActingOperator(Session.objects.get(grant=grant.id).account, grant.id)
    connection = reading.connection_to(operator, planted.id, home_of(planted.placement))
    collection = connection.database(planted.placement.database or tenant_db.name)
    cursor = collection[planted.placement.collection].find(batch_size=2)
    next(cursor), next(cursor)
    end(planted, grant)
    with pytest.raises(OperationFailure) as refused:
        next(cursor)
    assert refused.value.code == 13


def test_looking_goes_on_after_a_move(desk, planted, looking, second_cluster):
    grant = looking(planted)
    [before] = users_of(grant)
    managing.add_cluster("europe", Changes(second_cluster.uri), RequestContext())
    with relocating(fresh(planted), "europe"):
        pass
    assert f"{CANARY}-1" in desk.get("/organizations/acme-corp/data").text
    now = {(user.cluster, bool(user.ended_at)) for user in users_of(grant)}
    assert ("europe", False) in now
    tending.run_once()
    assert [user.cluster for user in users_of(grant)] == ["europe"]
    assert before.name not in {user.name for user in users_of(grant)}


def test_the_store_writes_nothing_for_an_operator(app, desk, looking):
    shared = an_organization("Shared Corp", strategy=Strategy.SHARED)
    tenant_of(shared).insert_one({"_id": 1})
    looking(shared)
    session = Session.objects.get(grant__exists=True)
    operator = ActingOperator(session.account, session.grant)
    context = copy_context()
    context.run(note_operator, operator)
    for write in (
        lambda: tenant_of(shared).insert_one({"_id": 2}),
        lambda: tenant_of(shared).with_transaction(lambda handle: handle.insert_one({"_id": 2})),
        lambda: tenant_of(shared).delete_many({}),
    ):
        with pytest.raises(LooksOnly):
            context.run(write)
    assert [each["_id"] for each in tenant_of(shared).find()] == [1]


def test_what_is_streamed_after_the_request_is_the_operators_still(app):
    """Whoever it acted as is forgotten with its content, and not before."""
    seen = []

    def content():
        seen.append(acting_operator())
        yield b"x"

    def wsgi_app(environ, start_response):
        note_operator(ActingOperator())
        return content()

    assert list(contained(wsgi_app)({}, None)) == [b"x"]
    assert seen == [ActingOperator()]
    assert acting_operator() is None


def test_nobody_begins_to_look_at_what_is_locked(desk, planted, given, tenant_db):
    grant = given(planted)
    a_suspension(planted, Restriction.LOCKED)
    refused = desk.post(f"/operator/organizations/{planted.id}/support/{grant.id}/enter")
    assert refused.status == 423
    assert not any(name.startswith("support") for name in names_in(tenant_db))

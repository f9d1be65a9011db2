"""Pages of credentials, as a person sees them."""

import re
from datetime import timedelta

import pytest
from pymongo.errors import OperationFailure

from portal import clock
from portal.database import connection, users
from portal.documents.audit import AuditEvent
from portal.documents.credentials import Credential, Reach
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.organizations.credentials import hosts, managing, tending, usage
from portal.organizations.lifecycle.privileges import PREFIX
from tests.factories import a_credential, a_member, an_organization
from tests.processes import wait_until
from tests.visitor import Visitor

PAGE = "/organizations/acme-corp/connect"
PATH = "/organizations/acme-corp/credentials"
NEW = f"{PATH}/new"
URI = re.compile(r"mongodb://(credential[A-Za-z0-9]{12}):([A-Za-z0-9]{40})@127\.0\.0\.1:\d+/tenant_test\?authSource=tenant_test&tls=false&replicaSet=portal")  # fmt: skip


def uri_on(page):
    return page.html.select_one("#mongodb-user code.secret").get_text()


def make(visitor, name="Weekly report", reach=Reach.READ, **fields):
    return visitor.post(NEW, {"name": name, "reach": reach, **fields})


def listed_on(page):
    """The words of the only user on the page."""
    [row] = page.html.select("#mongodb-user tbody tr")
    return " ".join(row.get_text(" ").split())


def path_of(credential, page):
    return f"{PATH}/{credential.id}/{page}"


@pytest.mark.attack("L1")
def test_a_user_is_made_proven_and_its_string_shown_once(mara, connect, tenant_db, log):
    """Row U1. Nowhere but there."""
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    assert not mara.get(PAGE).html.select("#mongodb-user table")
    page = make(mara)
    assert page.status == 200
    assert page.response.headers["Cache-Control"] == "no-store"
    name, password = URI.match(uri_on(page)).groups()
    assert "signed in and read on 127.0.0.1" in page.text
    theirs = connect(uri_on(page))
    assert theirs.get_default_database().org_acme_corp.find_one() == {"_id": 1}
    with pytest.raises(OperationFailure, match="not authorized"):
        theirs.tenant_test.org_acme_corp.insert_one({})
    assert mara.get(PATH).location == f"{PAGE}#mongodb-user"
    for shown in (page, mara.get(PAGE)):
        for words in ("Weekly report", name[10:], "read", "you", "Works"):
            assert words in listed_on(shown)
    activity = mara.get("/organizations/acme-corp/activity").text
    assert "Credential “Weekly report” made: read" in activity
    again = mara.get(PAGE)
    assert again.heading == page.heading == "Acme Corp"
    for shown in (
        again.text,
        activity,
        log.text,
        str(Credential.objects.as_pymongo()[0]),
    ):
        assert password not in shown


def test_the_string_works_for_writing_where_that_was_chosen(mara, connect, tenant_db):
    theirs = connect(uri_on(make(mara, reach=Reach.WRITE)))
    collection = theirs.tenant_test.org_acme_corp
    collection.insert_one({"_id": 1})
    collection.update_one({"_id": 1}, {"$set": {"n": 2}})
    assert list(tenant_db.org_acme_corp.find()) == [{"_id": 1, "n": 2}]
    assert collection.delete_one({"_id": 1}).deleted_count == 1


def test_the_collections_that_a_user_may_see_are_listed_as_the_page_says(mara, connect):
    """langchain-mongodb 225, airbyte 9238: tools list all collections first, and are refused."""
    an_organization("Kestrel")
    page = make(mara)
    assert "listCollections: 1, nameOnly: true, authorizedCollections: true" in page.text
    theirs = connect(uri_on(page)).get_default_database()
    with pytest.raises(OperationFailure, match="not authorized"):
        theirs.list_collection_names()
    assert theirs.list_collection_names(authorizedCollections=True) == ["org_acme_corp"]


def test_a_form_that_is_sent_twice_makes_one_user_and_says_so(mara, tenant_db):
    fields = {**mara.hidden(NEW), "name": "Weekly report", "reach": "read"}
    first, second = mara.send(NEW, fields), mara.send(NEW, fields)
    assert (first.status, second.status) == (200, 200)
    assert "mongodb://" not in second.text
    assert "The connection string was in the first answer and is not kept" in second.text
    assert second.html.find("a", string="Rotate…")
    assert len(users.users_in(tenant_db, PREFIX)) == 1
    assert len(AuditEvent.objects(action="credential.created")) == 1


def test_a_form_says_what_is_wrong_with_it(mara, tenant_db):
    page = make(mara, "x")
    assert page.status == 422
    assert page.fault("name") == "Choose a longer name: 2 characters or more"
    assert make(mara, reach="own").status == 422
    assert make(mara, "{{7*7}}").status == 422
    assert not users.users_in(tenant_db, PREFIX)


def test_a_user_is_rotated_with_an_overlap_of_two_users(mara, connect, tenant_db):
    """Row U2: the old one's connections and application are told, and ending it asks again."""
    old = connect(uri_on(make(mara)), appName="their shop")
    credential = Credential.objects.get()
    page = mara.post(path_of(credential, "rotate"), {"overlap": "until-ended"})
    new = connect(uri_on(page))
    assert "until somebody ends it" in page.text
    for client in (old, new):
        client.tenant_test.org_acme_corp.find_one()
    listed = mara.get(PAGE).text
    assert "Rotating" in listed
    assert "by their shop" in listed
    answer = mara.post(path_of(credential, "rotate"), {"overlap": "0"})
    assert (answer.status, answer.heading) == (409, "It is being rotated already")
    asked = mara.post(path_of(credential, "end"))
    assert asked.status == 409
    assert "It is in use" in asked.fault("although_in_use")
    assert "their shop" in asked.fault("although_in_use")
    assert old.tenant_test.org_acme_corp.find_one() is None
    ended = mara.post(path_of(credential, "end"), {"although_in_use": "y"})
    assert (ended.status, ended.location) == (303, PAGE)
    with pytest.raises(OperationFailure, match="requires authentication"):
        old.tenant_test.org_acme_corp.find_one()
    assert new.tenant_test.org_acme_corp.find_one() is None
    assert len(users.users_in(tenant_db, PREFIX)) == 1
    actions = AuditEvent.objects(action__startswith="credential.").distinct("action")
    assert actions == ["credential.created", "credential.overlap_ended", "credential.rotated"]


def test_a_user_that_nobody_uses_any_more_is_ended_without_a_second_question(mara, tenant_db):
    make(mara)
    credential = Credential.objects.get()
    mara.post(path_of(credential, "rotate"), {"overlap": "until-ended"})
    assert mara.post(path_of(credential, "end")).status == 303
    assert len(users.users_in(tenant_db, PREFIX)) == 1
    assert mara.post(path_of(credential, "end")).status == 409


def test_an_overlap_ends_when_it_was_said(mara, tenant_db):
    """Row U2: never by itself unless a date was set; row U5: the end shown is the end."""
    make(mara)
    credential = Credential.objects.get()
    mara.post(path_of(credential, "rotate"), {"overlap": "86400"})
    tending.run_once()
    assert len(users.users_in(tenant_db, PREFIX)) == 2
    [old, new] = Credential.objects.get().users
    assert timedelta(hours=23) < old.ends_at - clock.now() < timedelta(hours=25)
    past = clock.now() - timedelta(seconds=1)
    Credential.objects.update(set__users__0__ends_at=past, set__due_at=past)
    tending.run_once()
    assert users.users_in(tenant_db, PREFIX) == {new.name}
    assert [user.name for user in Credential.objects.get().users] == [new.name]
    assert AuditEvent.objects(action="credential.overlap_ended")


def test_now_drops_the_old_user_once_the_new_one_works(mara, tenant_db):
    make(mara)
    credential = Credential.objects.get()
    page = mara.post(path_of(credential, "rotate"), {"overlap": "0"})
    assert users.users_in(tenant_db, PREFIX) == {URI.match(uri_on(page))[1]}
    for overlap in ("7", "-1", "x", ""):
        assert mara.post(path_of(credential, "rotate"), {"overlap": overlap}).status == 422


def test_a_user_is_revoked_after_a_question(mara, tenant_db):
    make(mara)
    path = path_of(Credential.objects.get(), "revoke")
    assert mara.get(path).heading == "Revoke “Weekly report”?"
    fields = mara.hidden(path)
    for _ in range(2):
        answer = mara.send(path, fields)
        assert (answer.status, answer.location) == (303, PAGE)
    assert "“Weekly report” is revoked" in mara.get(PAGE).text
    assert not users.users_in(tenant_db, PREFIX) | set(users.roles_in(tenant_db, PREFIX))
    assert not Credential.objects
    assert Organization.objects.get().credentials == 0
    assert len(AuditEvent.objects(action="credential.revoked")) == 1


def test_what_mongodb_did_not_answer_is_pending_and_says_since_when(mara, tenant_db, fail_command):
    """Row U4: never “revoked” where it isn't."""
    make(mara)
    path = path_of(Credential.objects.get(), "revoke")
    with fail_command("dropUser"):
        mara.post(path)
    listed = mara.get(PAGE).text
    assert "Revoked here" in listed
    assert "pending in MongoDB since" in listed
    assert "MongoDB did not answer" in listed
    assert "pending in MongoDB" in mara.get(path).text
    assert len(users.users_in(tenant_db, PREFIX)) == 1
    Credential.objects.update(set__due_at=clock.now())
    tending.run_once()
    assert not users.users_in(tenant_db, PREFIX)
    assert not Credential.objects


def test_what_is_gone_already_is_revoked(mara, tenant_db):
    """Row U4."""
    make(mara)
    for name in users.users_in(tenant_db, PREFIX):
        users.drop_user(tenant_db, name)
    assert mara.post(path_of(Credential.objects.get(), "revoke")).status == 303
    assert not Credential.objects


def test_a_user_that_could_not_be_proven_is_not_there(mara, tenant_db, fail_command):
    """Row U1."""
    with fail_command("createUser"):
        assert make(mara).status == 503
    assert not Credential.objects
    assert Organization.objects.get().credentials == 0
    assert not users.roles_in(tenant_db, PREFIX)
    assert not AuditEvent.objects(action="credential.created")
    assert make(mara).status == 200


def test_a_user_whose_maker_died_is_dropped(mara, tenant_db):
    make(mara)
    before = clock.now() - tending.ABANDONED_AFTER
    Credential.objects.update(
        unset__users__0__ready_at=True, set__users__0__created_at=before, set__due_at=before
    )
    assert not mara.get(PAGE).html.select("#mongodb-user table")
    tending.run_once()
    assert not Credential.objects
    assert not users.users_in(tenant_db, PREFIX)


def test_where_the_portal_may_not_make_users_the_page_says_which_right_is_missing(
    mara, tenant_db, monkeypatch
):
    monkeypatch.setattr(managing, "missing_rights", lambda _: ["createUser", "grantRole"])
    page = mara.get(PAGE)
    assert "It lacks createUser, grantRole on the database tenant_test" in page.text
    assert not page.html.find("a", string="Make a MongoDB user…")
    answer = make(mara)
    assert (answer.status, answer.heading) == (503, "The portal may not make MongoDB users")
    assert not Credential.objects


@pytest.mark.parametrize("code", [13, 59, 115, 8000])
def test_a_server_that_lets_nobody_make_users_is_said_to(mara, fail_command, code):
    """As Atlas, and services in MongoDB's place."""
    with fail_command("createRole", code):
        answer = make(mara)
    assert (answer.status, answer.heading) == (503, "The portal may not make MongoDB users")
    assert not Credential.objects
    assert Organization.objects.get().credentials == 0


@pytest.mark.attack("T1")
def test_credentials_of_others_are_not_there(mara):
    a_credential(an_organization("Kestrel"))
    credential = Credential.objects.get()
    for organization in ("acme-corp", "kestrel"):
        for page in ("rotate", "end", "revoke"):
            path = f"/organizations/{organization}/credentials/{credential.id}/{page}"
            assert mara.get(path).status == 404
            assert mara.post(path, {"overlap": "0"}, form_at=NEW).status == 404
    assert mara.get("/organizations/kestrel/credentials").status == 404
    assert not Credential.objects.get().revoked_at


def test_the_pages_are_for_those_who_may(app, mara):
    organization = Organization.objects.get()
    teo = a_member(organization, Role.ADMIN, "teo@acme.example")
    admin = Visitor(app)
    admin.log_in("teo@acme.example")
    assert admin.get(PAGE).html.find("a", href=NEW)
    fields = {**admin.hidden(NEW), "name": "Late", "reach": "read"}
    Membership.objects(account=teo.id).update(set__role=Role.VIEWER)
    page = admin.get(PAGE)
    assert page.status == 200
    assert not page.html.find("a", href=NEW)
    assert admin.get(PATH).status == 403
    assert admin.send(NEW, fields).status == 403
    assert not Credential.objects


def test_while_another_change_runs_none_is_made(mara, running_rename):
    answer = make(mara)
    assert (answer.status, answer.heading) == (409, "Another change is running")
    assert not Credential.objects


def test_where_no_more_are_possible_none_is_offered(mara, monkeypatch):
    monkeypatch.setattr(managing, "MAX_CREDENTIALS", 1)
    make(mara)
    answer = make(mara, "Another")
    assert (answer.status, answer.heading) == (409, "There are too many credentials")


@pytest.mark.usefixtures("real_limits")
def test_hosts_that_customers_may_not_reach_are_told(mara, settings_with, log, monkeypatch):
    """Row U6."""
    monkeypatch.setattr(hosts, "_found", {})
    hosts.try_hosts()
    assert "can be reached from this machine alone" in mara.get(PAGE).text
    with settings_with(credentials_uri="mongodb://127.0.0.1:1/"):
        hosts.try_hosts()
        assert "The portal can’t reach 127.0.0.1:1 itself" in mara.get(PAGE).text
        page = make(mara)
        assert "@127.0.0.1:1/tenant_test?authSource=tenant_test&replicaSet=portal" in uri_on(page)
        assert "the hosts that the portal uses" in page.text
    port = client_port()
    with settings_with(credentials_uri=f"mongodb://localhost:{port}/?replicaSet=portal"):
        hosts.try_hosts()
        assert f"MongoDB sends drivers on to 127.0.0.1:{port}" in mara.get(PAGE).text
    assert len(log.named("credentials.hosts")) == 2


def client_port():
    return connection.client().address[1]


@pytest.mark.parametrize(
    ("uri", "names", "local"),
    [
        ("mongodb://localhost,127.0.0.1:2/", ["localhost:27017", "127.0.0.1:2"], True),
        ("mongodb://[::1]/", ["[::1]:27017"], True),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/", [], True),
        ("mongodb://127.0.0.1,db.example/", ["127.0.0.1:27017", "db.example:27017"], False),
    ],
)
def test_hosts_are_tried_one_by_one(uri, names, local):
    """Row U6."""
    assert hosts._hosts_of(uri) == names
    assert hosts._is_local(uri) is local


def test_who_connected_is_remembered_after_they_left(mara, connect):
    """Row U2."""
    theirs = connect(uri_on(make(mara)), appName="their shop")
    theirs.tenant_test.org_acme_corp.find_one()
    tending.run_once()
    theirs.close()
    name = Credential.objects.get().users[0].name
    wait_until(lambda: not usage.open_connections(Organization.objects.get(), [name]))
    [user] = Credential.objects.get().users
    assert user.seen_by == ["their shop"]
    row = listed_on(mara.get(PAGE))
    assert "by their shop" in row
    assert "now," not in row

"""What programs do with organizations: the contract, field by field."""

from datetime import datetime

import pytest

from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.documents.sessions import Session
from tests.factories import a_member, an_organization
from tests.program import Program, fault
from tests.visitor import PASSWORD

CREATED = {"id", "organization_name", "slug", "collection_name", "created_at"}
SEEN = CREATED | {
    "plan", "region", "role", "documents", "bytes", "partial_figures", "operation", "collection_state", "replacement"
}  # fmt: skip


def test_creating_makes_account_organization_and_collection(program, tenant_db):
    answer = program.sign_up("Acme Corp")
    assert answer.status_code == 201
    assert set(answer.json) == {"status", "organization"}
    assert answer.json["status"] == "success"
    made = answer.json["organization"]
    assert set(made) == CREATED
    assert made["organization_name"] == "Acme Corp"
    assert (made["slug"], made["collection_name"]) == ("acme-corp", "org_acme_corp")
    assert datetime.fromisoformat(made["created_at"]).utcoffset().total_seconds() == 0
    assert made["id"] == str(Organization.objects.get().id)
    assert tenant_db.list_collection_names() == ["org_acme_corp"]


def test_creating_opens_no_session_and_sets_no_cookie(program):
    answer = program.sign_up()
    assert len(Session.objects()) == 0
    assert "Set-Cookie" not in answer.headers


def test_with_a_token_the_name_alone_is_needed(owner):
    answer = owner.post("/org/create", {"organization_name": "Other"})
    assert answer.status_code == 201
    assert len(Account.objects()) == 1
    assert owner.get("/org/other").json["organization"]["role"] == "owner"


def test_with_a_token_credentials_are_refused_rather_than_passed_over(owner):
    answer = owner.sign_up("Other", "other@acme.example")
    assert fault(answer) == (422, "invalid_input", {"email", "password"})
    assert len(Account.objects()) == 1


def test_without_a_token_all_three_are_needed(program):
    answer = program.post("/org/create", {"organization_name": "Acme Corp"})
    assert fault(answer) == (422, "invalid_input", {"email", "password"})


def test_what_is_taken_is_told_with_its_field(program, owner):
    assert fault(program.sign_up("ACME_corp", "other@acme.example")) == (
        409, "name_taken", {"organization_name"},
    )  # fmt: skip
    assert fault(program.sign_up("Other", "MARA@acme.example")) == (409, "email_taken", {"email"})
    assert len(Organization.objects()) == 1


@pytest.mark.parametrize("name", ["acme-corp", "Acme Corp", "ACME corp", "acme  corp"])
def test_an_organization_is_found_by_its_slug_or_its_name_without_case(owner, tenant_db, name):
    tenant_db.org_acme_corp.insert_many([{"text": "x" * 100} for _ in range(3)])
    answer = owner.get(f"/org/{name}")
    assert answer.status_code == 200
    seen = answer.json["organization"]
    assert set(seen) == SEEN
    assert (seen["role"], seen["documents"], seen["operation"]) == ("owner", 3, None)
    assert seen["bytes"] > 300


@pytest.mark.attack("Q1")
def test_a_name_is_a_name_and_no_pattern(owner):
    owner.post("/org/create", {"organization_name": "Acme"})
    for name in ("acme.", "acme-", ".*", "acme%", "ac", "$where", "acme\0", "x" * 500):
        answer = owner.get(f"/org/{name}")
        assert answer.status_code in (200, 404), name
        if answer.status_code == 200:
            assert answer.json["organization"]["slug"] == "acme", name


@pytest.mark.parametrize("by_body", [False, True])
def test_renaming_renames_the_collection_too(owner, tenant_db, by_body):
    body = {"new_organization_name": "Other & Co"}
    if by_body:
        answer = owner.put("/org/update", {"old_organization_name": "acme corp", **body})
    else:
        answer = owner.put("/org/update/acme%20corp", body)
    assert answer.status_code == 200
    seen = answer.json["organization"]
    assert set(seen) == SEEN
    assert (seen["organization_name"], seen["slug"]) == ("Other & Co", "other-co")
    assert seen["collection_name"] == "org_other_co"
    assert tenant_db.list_collection_names() == ["org_other_co"]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("x", 422, "invalid_name"),
        ("a\0b", 422, "invalid_name"),
        ("Acme Corp", 422, "name_unchanged"),
        ("Taken", 409, "name_taken"),
    ],
)
def test_a_new_name_that_can_not_be_is_told_at_the_field_that_was_sent(owner, name, status, code):
    owner.post("/org/create", {"organization_name": "Taken"})
    body = {"new_organization_name": name}
    by_body = {"old_organization_name": "acme-corp", **body}
    for answer in (owner.put("/org/update/acme-corp", body), owner.put("/org/update", by_body)):
        assert fault(answer) == (status, code, {"new_organization_name"})


@pytest.mark.attack("N4")
def test_an_old_name_leads_on_but_for_deleting(owner):
    owner.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    link = '<http://localhost/org/other>; rel="canonical"'
    seen = owner.get("/org/acme-corp")
    assert (seen.status_code, seen.headers["Link"]) == (200, link)
    refused = owner.delete("/org/delete/acme-corp")
    assert fault(refused) == (409, "organization_renamed", set())
    assert "other" in refused.json["error"]["message"]
    renamed = owner.put("/org/update/acme-corp", {"new_organization_name": "Third"})
    assert renamed.status_code == 200
    assert renamed.headers["Link"] == link.replace("other", "third")
    assert "Link" not in owner.get("/org/third").headers


@pytest.mark.parametrize("by_body", [False, True])
def test_deleting_moves_to_the_trash(owner, tenant_db, by_body):
    if by_body:
        answer = owner.delete("/org/delete", {"organization_name": "Acme Corp"})
    else:
        answer = owner.delete("/org/delete/acme-corp")
    assert answer.status_code == 200
    assert set(answer.json) == {"status", "trash"}
    trashed = answer.json["trash"]
    assert set(trashed) == {"id", "organization_name", "trashed_at", "purge_at"}
    kept = datetime.fromisoformat(trashed["purge_at"]) - datetime.fromisoformat(
        trashed["trashed_at"]
    )
    assert kept.days == 30
    assert owner.get("/org/acme-corp").status_code == 404
    assert owner.get("/org/trash").json == {"status": "success", "trash": [trashed]}
    assert [name[:6] for name in tenant_db.list_collection_names()] == ["trash_"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/org/delete/acme-corp?purge=true", None),
        ("/org/delete?purge=true", {"organization_name": "Acme Corp"}),
    ],
)
def test_purging_drops_it_at_once(owner, tenant_db, path, body):
    answer = owner.delete(path, body)
    assert (answer.status_code, answer.json) == (200, {"status": "success", "trash": None})
    assert tenant_db.list_collection_names() == []
    assert owner.get("/org/trash").json["trash"] == []
    assert owner.get("/org/acme-corp").status_code == 404


@pytest.mark.parametrize("query", ["purge=perhaps", "purge=true&purge=false", "purges=true"])
def test_a_query_that_is_not_understood_deletes_nothing(owner, query):
    answer = owner.delete(f"/org/delete/acme-corp?{query}")
    assert (answer.status_code, answer.json["error"]["code"]) == (422, "invalid_input")
    assert owner.get("/org/acme-corp").status_code == 200


def trashed_id(owner, name="acme-corp"):
    return owner.delete(f"/org/delete/{name}").json["trash"]["id"]


@pytest.mark.parametrize("body", [None, {}, {"organization_name": "Acme Corp"}])
def test_restoring_brings_it_back(owner, tenant_db, body):
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    answer = owner.post(f"/org/trash/{trashed_id(owner)}/restore", body)
    assert answer.status_code == 200
    restored = answer.json["organization"]
    assert (restored["slug"], restored["documents"], restored["operation"]) == (
        "acme-corp",
        1,
        None,
    )
    assert owner.get("/org/acme-corp").status_code == 200
    assert owner.get("/org/trash").json["trash"] == []


def test_restoring_under_another_name_where_its_own_is_taken(owner):
    organization_id = trashed_id(owner)
    an_organization("Acme Corp")
    answer = owner.post(f"/org/trash/{organization_id}/restore")
    assert fault(answer) == (409, "name_taken", {"organization_name"})
    answer = owner.post(f"/org/trash/{organization_id}/restore", {"organization_name": "Other"})
    assert answer.json["organization"]["collection_name"] == "org_other"


def test_what_was_purged_is_told_to_who_owned_it_and_to_nobody_else(owner, app):
    organization_id = trashed_id(owner)
    answer = owner.delete(f"/org/trash/{organization_id}")
    assert (answer.status_code, answer.json["trash"]) == (200, None)
    stranger = Program(app)
    stranger.sign_up("Kestrel", "dispatch@kestrel.example")
    stranger.log_in("dispatch@kestrel.example")
    for ask in (
        lambda program: program.post(f"/org/trash/{organization_id}/restore"),
        lambda program: program.delete(f"/org/trash/{organization_id}"),
    ):
        assert fault(ask(owner)) == (409, "organization_purged", set())
        assert fault(ask(stranger)) == (404, "not_found", set())


def test_what_was_restored_is_not_purged_by_its_place_in_the_trash(owner):
    organization_id = trashed_id(owner)
    owner.post(f"/org/trash/{organization_id}/restore")
    answer = owner.delete(f"/org/trash/{organization_id}")
    assert fault(answer) == (409, "not_in_trash", set())
    assert owner.get("/org/acme-corp").status_code == 200


OWNERS = [
    ("GET", "/org/acme-corp", None),
    ("PUT", "/org/update/acme-corp", {"new_organization_name": "Mine"}),
    ("PUT", "/org/update", {"old_organization_name": "acme-corp", "new_organization_name": "Mine"}),
    ("DELETE", "/org/delete/acme-corp", None),
    ("DELETE", "/org/delete", {"organization_name": "acme-corp"}),
]


@pytest.mark.attack("T1")
def test_organizations_of_others_look_like_none_at_all(app):
    stranger = Program(app)
    stranger.sign_up("Kestrel", "dispatch@kestrel.example")
    stranger.log_in("dispatch@kestrel.example")
    unknown = [stranger.ask(*asked).data for asked in OWNERS]
    an_organization("Acme Corp")
    foreign = [stranger.ask(*asked) for asked in OWNERS]
    assert {answer.status_code for answer in foreign} == {404}
    assert [answer.data for answer in foreign] == unknown
    assert Organization.objects.get(slug="acme-corp").name == "Acme Corp"
    assert stranger.get("/org/trash").json["trash"] == []


@pytest.mark.each_case
@pytest.mark.attack("T3")
@pytest.mark.parametrize(("method", "path", "body"), OWNERS)
@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
def test_a_role_may_no_more_than_on_pages(app, role, method, path, body):
    a_member(an_organization("Acme Corp"), role, "teo@acme.example")
    program = Program(app)
    program.log_in("teo@acme.example")
    answer = program.ask(method, path, body)
    allowed = method == "GET" or (method == "PUT" and role == Role.ADMIN)
    assert answer.status_code == (200 if allowed else 403)
    if not allowed:
        assert fault(answer)[1] == "forbidden"
        assert Organization.objects.get().slug == "acme-corp"


@pytest.mark.attack("T2")
def test_a_token_outlives_a_rename_and_not_a_right(app, owner, master_db):
    owner.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    assert owner.get("/org/other").status_code == 200
    master_db.memberships.update_many({}, {"$set": {"role": "viewer"}})
    assert owner.put("/org/update/other", {"new_organization_name": "X Y"}).status_code == 403
    master_db.memberships.delete_many({})
    assert owner.get("/org/other").status_code == 404


def test_the_token_tells_who_it_is_and_what_it_leads_to(owner):
    owner.post("/org/create", {"organization_name": "Zephyr"})
    answer = owner.get("/auth/check").json
    assert set(answer) == {"status", "account", "organizations", "expires_at"}
    assert answer["account"] == {"id": str(Account.objects.get().id), "email": "mara@acme.example"}
    assert answer["organizations"] == [
        {"organization_name": "Acme Corp", "slug": "acme-corp", "role": "owner"},
        {"organization_name": "Zephyr", "slug": "zephyr", "role": "owner"},
    ]


@pytest.mark.attack("Q1")
@pytest.mark.parametrize(
    "body",
    [
        {"organization_name": {"$ne": None}, "email": {"$ne": None}, "password": {"$gt": ""}},
        {"organization_name": ["Acme"], "email": 5, "password": True},
        {"organization_name": None, "email": None, "password": None},
        {"organization_name": "Acme", "email": "mara@acme.example", "password": PASSWORD, "role": "owner"},
        {},
    ],
)  # fmt: skip
def test_wrong_types_and_unknown_fields_are_refused(program, body):
    status, code, fields = fault(program.post("/org/create", body))
    assert (status, code) == (422, "invalid_input")
    assert fields
    assert len(Organization.objects()) == 0

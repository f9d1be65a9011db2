"""A call with an Idempotency-Key that is sent twice is done once, and answered as it was."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock, settings
from portal.api import replay
from portal.database.connection import tenant_database
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.idempotency import KEPT, IdempotencyRecord
from portal.documents.organizations import OperationKind, Organization
from portal.identity.api_keys import credentials
from portal.organizations.lifecycle import runner
from portal.organizations.lifecycle.engine import PLANS
from portal.organizations.support import grants
from portal.tenants import collections
from portal.web.context import OPERATOR, RequestContext
from tests.factories import a_member
from tests.program import Program, fault
from tests.visitor import PASSWORD

SIGN_UP = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}
KEYED = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}
AGAIN = "Idempotency-Replayed"


def same_answer(first, second):
    """The second is the first again, and says so."""
    assert AGAIN not in first.headers
    assert second.headers[AGAIN] == "true"
    assert (second.status_code, second.data) == (first.status_code, first.data)
    return True


def test_a_call_that_is_repeated_is_done_once_and_answered_as_the_first_time(program):
    first = program.post("/org/create", SIGN_UP, **KEYED)
    second = program.post("/org/create", SIGN_UP, **KEYED)
    assert first.status_code == 201
    assert same_answer(first, second)
    assert (len(Organization.objects()), len(Account.objects())) == (1, 1)


CHANGES = [
    ("POST", "/org/create", {"organization_name": "Other"}),
    ("PUT", "/org/update/acme-corp", {"new_organization_name": "Other"}),
    ("PUT", "/org/update/acme-corp", {"new_organization_name": "ACME corp"}),
    ("PUT", "/org/update", {"old_organization_name": "acme corp", "new_organization_name": "Other"}),
    ("DELETE", "/org/delete/acme-corp", None),
    ("DELETE", "/org/delete", {"organization_name": "Acme Corp"}),
    ("DELETE", "/org/delete/acme-corp?purge=true", None),
    ("POST", "/org/trash/{}/restore", None),
    ("POST", "/org/trash/{}/restore", {"organization_name": "Other"}),
    ("DELETE", "/org/trash/{}", None),
]  # fmt: skip


def ready(owner, path):
    """Put the organization where ``path`` changes it; the path."""
    if "trash" in path:
        owner.delete("/org/delete/acme-corp")
    return path.format(Organization.objects.get().id)


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_every_change_may_be_repeated(owner, master_db, method, path, body):
    """Also where the process died between doing it and keeping its answer."""
    path = ready(owner, path)
    first = owner.ask(method, path, body, **KEYED)
    assert first.status_code in (200, 201)
    events = len(AuditEvent.objects())
    second = owner.ask(method, path, body, **KEYED)
    assert same_answer(first, second)
    assert second.headers.get("Link") == first.headers.get("Link")
    master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    assert same_answer(first, owner.ask(method, path, body, **KEYED))
    assert len(AuditEvent.objects()) == events


def nothing(owner):
    return {}


def trashed_by(owner):
    return {"organization_id": owner.delete("/org/delete/acme-corp").json["trash"]["id"]}


def joined_to(owner):
    return {"account_id": a_member(Organization.objects.get(), "viewer").id}


def invited_by(owner):
    body = {"email": "x@y.example", "role": "viewer"}
    return {
        "invitation_id": owner.post("/org/acme-corp/invitations", body).json["invitation"]["id"]
    }


def given_key_by(owner):
    body = {"name": "Nightly export", "role": "viewer"}
    return {"key_id": owner.post("/org/acme-corp/keys", body).json["key"]["id"]}


def indexed_by(owner):
    owner.post("/org/acme-corp/indexes", {"keys": {"title": 1}})
    return {"index_name": "title_1"}


def viewed_by(owner):
    made = owner.post("/org/acme-corp/views", {"name": "First ones", "query": "sort=title"})
    return {"view_id": made.json["view"]["id"]}


def given_credential_by(owner):
    made = owner.post("/org/acme-corp/credentials", {"name": "Weekly report", "reach": "read"})
    return {"credential_id": made.json["credential"]["id"]}


def given_two_users_by(owner):
    ids = given_credential_by(owner)
    owner.post(f"/org/acme-corp/credentials/{ids['credential_id']}/rotate")
    return ids


SHOWN = {"hours": 4, "with_documents": False}


def asked_to_see(owner):
    there, context = Organization.objects.get(), RequestContext(OPERATOR)
    return {"grant_id": grants.ask(there.id, "Help", 4, context, with_documents=False).id}


def seen_by_operators(owner):
    given = owner.post("/org/acme-corp/support", {"reason": "Help", **SHOWN})
    return {"grant_id": given.json["grant"]["id"]}


def provisioned(owner):
    """Asked by a provisioning key from here on."""
    owner.token = credentials.create_provisioning_key("Billing")
    return {}


# A call of each that takes a key: what makes ready for it and gives the ids in its path, its body.
def replaced(owner):
    list(tenant_database().org_acme_corp.aggregate([{"$out": "org_acme_corp"}]))
    return {}


def the_replacement():
    return {"uuid": str(collections.uuid_of(tenant_database(), "org_acme_corp"))}


CALLS = {
    "POST /org/create": (nothing, {"organization_name": "Other"}),
    "PUT /org/update/{name}": (nothing, {"new_organization_name": "Other"}),
    "PUT /org/update": (
        nothing,
        {"old_organization_name": "acme corp", "new_organization_name": "Other"},
    ),
    "DELETE /org/delete/{name}": (nothing, None),
    "DELETE /org/delete": (nothing, {"organization_name": "Acme Corp"}),
    "POST /org/trash/{organization_id}/restore": (trashed_by, None),
    "DELETE /org/trash/{organization_id}": (trashed_by, None),
    "PUT /org/{name}/members/{account_id}": (joined_to, {"role": "admin"}),
    "DELETE /org/{name}/members/{account_id}": (joined_to, None),
    "POST /org/{name}/invitations": (nothing, {"email": "x@y.example", "role": "viewer"}),
    "POST /org/{name}/invitations/{invitation_id}/resend": (invited_by, None),
    "DELETE /org/{name}/invitations/{invitation_id}": (invited_by, None),
    "POST /org/{name}/keys": (nothing, {"name": "Nightly export", "role": "viewer"}),
    "POST /org/{name}/keys/{key_id}/rotate": (given_key_by, None),
    "DELETE /org/{name}/keys/{key_id}": (given_key_by, None),
    "PATCH /org/{name}/plan": (provisioned, {"plan": "large"}),
    "PATCH /org/{name}/external": (provisioned, {"external_id": "C-1042"}),
    "POST /org/{name}/adopt": (replaced, the_replacement),
    "POST /org/{name}/indexes": (nothing, {"keys": {"title": 1}}),
    "DELETE /org/{name}/indexes/{index_name}": (indexed_by, None),
    "PATCH /org/{name}/indexes/{index_name}": (indexed_by, {"hidden": True}),
    "PUT /org/{name}/rules": (nothing, {"schema": {"required": ["title"]}}),
    "POST /org/{name}/masks": (nothing, {"path": "iban"}),
    "DELETE /org/{name}/masks": (nothing, {"path": "iban"}),
    "PUT /org/{name}/history/settings": (nothing, {"records_programs": True}),
    "POST /org/{name}/views": (nothing, {"name": "First ones", "query": "sort=title"}),
    "PUT /org/{name}/views/{view_id}": (viewed_by, {"name": "Firsts", "query": "", "version": 1}),
    "DELETE /org/{name}/views/{view_id}": (viewed_by, None),
    "POST /org/{name}/credentials": (nothing, {"name": "Weekly report", "reach": "read"}),
    "POST /org/{name}/credentials/{credential_id}/rotate": (given_credential_by, None),
    "POST /org/{name}/credentials/{credential_id}/end-overlap": (given_two_users_by, None),
    "DELETE /org/{name}/credentials/{credential_id}": (given_credential_by, None),
    "POST /org/{name}/support": (nothing, {"reason": "Help", **SHOWN}),
    "POST /org/{name}/support/{grant_id}/grant": (asked_to_see, SHOWN),
    "POST /org/{name}/support/{grant_id}/decline": (asked_to_see, None),
    "DELETE /org/{name}/support/{grant_id}": (seen_by_operators, None),
}


# They need another cluster: tests/moving/test_api.py, tests/credentials/test_travelling.py
ELSEWHERE = {
    "POST /org/{name}/move",
    "POST /org/{name}/credentials/{credential_id}/prepare-move",
}


BESIDE = re.compile("^/admin/|/documents|/history/{edit_id}|/imports|/exports")


def calls_that_take_a_key(owner):
    """But for writes of documents, and files of them: what is kept of those stands beside the
    documents. Calls of operators are in tests/operators/test_idempotency.py."""
    paths = owner.get("/docs/openapi.json").json["paths"]
    return {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method, described in methods.items()
        if replay.PARAMETER in str(described) and not BESIDE.search(path)
    }


def test_every_call_that_takes_a_key_is_tried_here(owner):
    assert calls_that_take_a_key(owner) == set(CALLS) | ELSEWHERE


@pytest.mark.parametrize("call", CALLS)
def test_every_call_whose_answer_was_lost_is_answered_again(owner, master_db, call):
    make_ready, body = CALLS[call]
    method, path = call.split()
    path = path.format(name="acme-corp", **make_ready(owner))
    body = body() if callable(body) else body
    first = owner.ask(method, path, body, **KEYED)
    assert first.status_code in (200, 201)
    master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    second = owner.ask(method, path, body, **KEYED)
    assert (second.status_code, second.headers.get(AGAIN)) == (first.status_code, "true")
    assert second.json == replay.without_secrets(first.json)


def test_each_kind_of_plan_that_is_asked_for_is_answered_again():
    # Nobody asks for a repair: whoever finds a wrong name begins one. A move switches by itself.
    # Operators alone ask for a restriction: tests/operators/test_idempotency.py
    unasked = {OperationKind.REPAIR, OperationKind.MOVE, OperationKind.RESTRICT}
    assert set(PLANS) - unasked <= set(replay.REPLAYS)


def test_it_is_the_same_call_whatever_came_between(owner):
    body = {"new_organization_name": "Other"}
    first = owner.put("/org/update/acme-corp", body, **KEYED)
    owner.put("/org/update/other", {"new_organization_name": "Acme Corp"})
    assert same_answer(first, owner.put("/org/update/acme-corp", body, **KEYED))
    assert Organization.objects.get().slug == "acme-corp"


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "made again"])
def test_who_was_removed_learns_nothing_by_an_old_key(owner, master_db, kept):
    body = {"new_organization_name": "Other"}
    owner.put("/org/update/acme-corp", body, **KEYED)
    if not kept:
        master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    master_db.memberships.delete_many({})
    answer = owner.put("/org/update/acme-corp", body, **KEYED)
    assert fault(answer) == (404, "not_found", set())
    assert "Other" not in answer.text


def test_whether_to_purge_is_part_of_the_content(owner):
    owner.delete("/org/delete/acme-corp", **KEYED)
    answer = owner.delete("/org/delete/acme-corp?purge=true", **KEYED)
    assert fault(answer)[:2] == (422, "idempotency_key_reused")


@pytest.mark.parametrize("name", ["Other", "x", "Acme Corp"])
def test_a_key_with_another_content_is_refused(owner, name):
    owner.post("/org/create", {"organization_name": "Kestrel"}, **KEYED)
    answer = owner.post("/org/create", {"organization_name": name}, **KEYED)
    assert fault(answer) == (422, "idempotency_key_reused", set())
    assert len(Organization.objects()) == 2


def test_a_call_that_still_runs_is_not_begun_again(owner, master_db):
    path = "/org/delete/acme-corp"
    owner.delete(path, **KEYED)
    record = master_db.request_keys.find_one_and_update({}, {"$unset": {"answer": 1}})
    running = {"id": record["operation"], "kind": "trash", "started_at": record["at"], "attempt": 1}
    master_db.organizations.update_one({}, {"$set": {"operation": running}})
    answer = owner.delete(path, **KEYED)
    assert fault(answer) == (409, "still_running", set())
    assert int(answer.headers["Retry-After"]) > 0


def test_an_answer_that_it_is_not_finished_is_not_kept(owner, monkeypatch):
    monkeypatch.setattr(
        "portal.organizations.lifecycle.engine.run_now", lambda organization: organization
    )
    assert owner.delete("/org/delete/acme-corp", **KEYED).status_code == 202
    assert fault(owner.delete("/org/delete/acme-corp", **KEYED))[:2] == (409, "still_running")
    monkeypatch.undo()
    Organization.objects.update(set__operation__lease_until=clock.now() - timedelta(minutes=1))
    assert runner.recover_due_operations() == 1
    answer = owner.delete("/org/delete/acme-corp", **KEYED)
    assert (answer.status_code, answer.headers[AGAIN]) == (200, "true")
    assert answer.json["trash"]["trashed_at"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(422, {"organization_name": "x"}), (409, {"organization_name": "Acme Corp"})],
)
def test_an_error_is_not_kept(owner, status, body):
    assert owner.post("/org/create", body, **KEYED).status_code == status
    assert len(IdempotencyRecord.objects()) == 0
    assert owner.post("/org/create", {"organization_name": "Other"}, **KEYED).status_code == 201


def test_what_was_turned_back_may_be_tried_again_with_the_same_key(owner, tenant_db):
    tenant_db.org_other.insert_one({"_id": 1})
    body = {"new_organization_name": "Other"}
    refused = owner.put("/org/update/acme-corp", body, **KEYED)
    assert fault(refused)[:2] == (409, "name_taken")
    assert len(IdempotencyRecord.objects()) == 0
    tenant_db.drop_collection("org_other")
    again = owner.put("/org/update/acme-corp", body, **KEYED)
    assert (again.status_code, AGAIN in again.headers) == (200, False)


def test_whoever_turns_it_back_frees_its_key(owner, tenant_db, monkeypatch):
    body = {"new_organization_name": "Other"}
    monkeypatch.setattr(
        "portal.organizations.lifecycle.engine.run_now", lambda organization: organization
    )
    assert owner.put("/org/update/acme-corp", body, **KEYED).status_code == 202
    monkeypatch.undo()
    tenant_db.org_other.insert_one({"_id": 1})
    Organization.objects.update(set__operation__lease_until=clock.now() - timedelta(minutes=1))
    assert runner.recover_due_operations() == 1
    assert len(IdempotencyRecord.objects()) == 0
    assert fault(owner.put("/org/update/acme-corp", body, **KEYED))[:2] == (409, "name_taken")


def test_a_sign_up_that_was_turned_back_may_be_tried_again(program, tenant_db):
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    assert program.post("/org/create", SIGN_UP, **KEYED).status_code == 409
    assert len(IdempotencyRecord.objects()) == 0
    tenant_db.drop_collection("org_acme_corp")
    assert program.post("/org/create", SIGN_UP, **KEYED).status_code == 201


def test_a_call_with_a_key_takes_two_commands_more(owner, commands):
    owner.get("/org/acme-corp")  # it learns how its figures are proven
    commands.clear()
    owner.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    plain = len(commands)
    commands.clear()
    owner.put("/org/update/other", {"new_organization_name": "Third"}, **KEYED)
    assert len(commands) == plain + 2  # the key with the intent, the answer


# Whose key it is


def test_two_accounts_may_use_the_same_key(app, owner):
    stranger = Program(app)
    stranger.sign_up("Kestrel", "dispatch@kestrel.example")
    stranger.log_in("dispatch@kestrel.example")
    names = ["Northwind", "Zephyr"]
    answers = [
        program.post("/org/create", {"organization_name": name}, **KEYED)
        for program, name in zip([owner, stranger], names, strict=True)
    ]
    assert [answer.json["organization"]["organization_name"] for answer in answers] == names


@pytest.mark.attack("T1")
def test_an_answer_is_repeated_to_nobody_else(app, owner, program):
    owner.delete("/org/delete/acme-corp", **KEYED)
    stranger = Program(app)
    stranger.sign_up("Kestrel", "dispatch@kestrel.example")
    stranger.log_in("dispatch@kestrel.example")
    assert stranger.delete("/org/delete/acme-corp", **KEYED).status_code == 404
    assert program.delete("/org/delete/acme-corp", **KEYED).status_code == 401
    program.token = "wrong"
    assert program.delete("/org/delete/acme-corp", **KEYED).status_code == 401


def test_without_an_account_a_key_is_one_of_its_network(program):
    first = program.post("/org/create", SIGN_UP, **KEYED)
    elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
    answer = program.post("/org/create", SIGN_UP, **KEYED, environ_overrides=elsewhere)
    assert fault(answer)[:2] == (409, "name_taken")
    assert same_answer(first, program.post("/org/create", SIGN_UP, **KEYED))


def test_a_wrong_token_is_refused_whatever_the_key_did(program):
    program.post("/org/create", SIGN_UP, **KEYED)
    program.token = "wrong"
    assert program.post("/org/create", SIGN_UP, **KEYED).status_code == 401


def test_at_another_address_it_is_another_key(owner):
    owner.post("/org/create", {"organization_name": "Other"}, **KEYED)
    for name in ("other", "acme-corp"):
        answer = owner.delete(f"/org/delete/{name}", **KEYED)
        assert (answer.status_code, AGAIN in answer.headers) == (200, False)
    assert len(IdempotencyRecord.objects()) == 3


def test_a_key_is_forgotten_after_24_hours(program, time_machine, master_db):
    program.post("/org/create", SIGN_UP, **KEYED)
    other = {**SIGN_UP, "organization_name": "Other", "email": "other@acme.example"}
    time_machine.move_to(clock.now() + KEPT - timedelta(minutes=1))
    assert program.post("/org/create", other, **KEYED).status_code == 422
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    answer = program.post("/org/create", other, **KEYED)
    assert same_answer(answer, program.post("/org/create", other, **KEYED))
    expiries = [index.get("expireAfterSeconds") for index in master_db.request_keys.list_indexes()]
    assert expiries == [None, 24 * 60 * 60]


# What a key is, and what is kept of it


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é", "\x7f"])
def test_what_is_no_key_is_refused(owner, key):
    headers = {"Idempotency-Key": key}
    answer = owner.delete("/org/delete/acme-corp", headers=headers)
    assert fault(answer) == (422, "invalid_input", {"Idempotency-Key"})
    assert Organization.objects.get().state == "active"


@pytest.mark.parametrize("key", ["!", "~" * 255, '"quoted"', "{{7*7}}", "$where"])
def test_any_visible_characters_are_a_key(owner, key):
    headers = {"Idempotency-Key": key}
    assert owner.delete("/org/delete/acme-corp", headers=headers).status_code == 200


def test_reading_and_logging_in_take_no_key(owner, program):
    headers = {"Idempotency-Key": "no key"}
    assert owner.get("/org/acme-corp", headers=headers).status_code == 200
    credentials = {"email": "mara@acme.example", "password": PASSWORD}
    answers = [program.post("/admin/login", credentials, **KEYED) for _ in range(2)]
    assert answers[0].json["token"] != answers[1].json["token"]
    assert len(IdempotencyRecord.objects()) == 0


def test_nothing_secret_is_kept(program, visitor, master_db):
    program.post("/org/create", SIGN_UP, **KEYED)
    visitor.sign_up("Other", "other@acme.example")
    kept = str(list(master_db.request_keys.find()))
    assert kept.count("ObjectId") >= 4
    assert PASSWORD not in kept
    assert KEYED["headers"]["Idempotency-Key"] not in kept
    stored = [*master_db.organizations.find(), *master_db.audit_events.find()]
    assert all("key" not in document.get("operation", {}).get("origin", {}) for document in stored)


def test_a_secret_in_an_answer_would_not_be_kept():
    answer = {"status": "success", "accounts": [{"token": "secret", "id": "1"}], "password": "p"}
    assert replay.without_secrets(answer) == {"status": "success", "accounts": [{"id": "1"}]}


def test_a_key_stays_good_when_the_secret_is_changed(program, monkeypatch):
    first = program.post("/org/create", SIGN_UP, **KEYED)
    old = settings.current()
    changed = replace(old, secret_key="n" * 48, secret_key_fallbacks=(old.secret_key,))
    monkeypatch.setattr(settings, "_active", [changed])
    assert same_answer(first, program.post("/org/create", SIGN_UP, **KEYED))

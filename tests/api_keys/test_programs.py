"""What a program is let into by a key, and how long."""

from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.audit.trail import ListedEvent
from portal.documents.api_keys import ApiKey
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.organizations.api_keys import managing
from portal.organizations.api_keys.managing import OVERLAPS
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.permissions import FOR_API_KEYS, of_api_key
from tests.factories import (
    a_context,
    a_key,
    a_member,
    an_access,
    an_organization,
    collections_in,
    fresh,
    the_owner,
)
from tests.program import Program, fault
from tests.visitor import Visitor

KEYED = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}
REFUSED = (401, "not_authenticated", set())


def rotate(organization, overlap):
    key = ApiKey.objects.get(organization=organization.id)
    by = a_context(the_owner(organization))
    return managing.rotate_key(an_access(organization), key.id, overlap, by).credential


def test_a_key_says_what_it_is(by_key):
    organization = an_organization("Acme Corp")
    today = clock.now().date()
    program = by_key(a_key(organization, Role.ADMIN, name="Nightly export", expires_on=today))
    key = ApiKey.objects.get()
    answer = program.get("/auth/check")
    assert answer.json == {
        "status": "success",
        "account": None,
        "organizations": [{"organization_name": "Acme Corp", "slug": "acme-corp", "role": "admin"}],
        "key": {
            "id": str(key.id),
            "name": "Nightly export",
            "permissions": sorted(of_api_key(Role.ADMIN)),
        },
        "expires_at": key.expires_at.isoformat(),
    }


def test_a_key_without_a_role_says_what_it_may(by_key):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization, None, ["organization.view"]))
    checked = program.get("/auth/check").json
    assert checked["organizations"][0]["role"] is None
    assert checked["key"]["permissions"] == ["organization.view"]
    assert checked["expires_at"] is None
    seen = program.get("/org/acme-corp").json["organization"]
    assert (seen["slug"], seen["role"]) == ("acme-corp", None)


@pytest.mark.attack("T3")
def test_a_key_does_what_it_may_and_nothing_else(by_key):
    organization = an_organization("Acme Corp")
    reads = by_key(a_key(organization, Role.VIEWER))
    assert reads.get("/org/acme-corp").json["organization"]["role"] == "viewer"
    answer = reads.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    assert fault(answer)[:2] == (403, "forbidden")
    assert "organization.rename" in answer.json["error"]["message"]
    writes = by_key(a_key(organization, None, ["organization.rename"]))
    assert fault(writes.get("/org/acme-corp"))[:2] == (403, "forbidden")
    renamed = writes.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    assert renamed.status_code == 200
    assert fresh(organization).name == "Other"


def test_what_a_person_alone_may_do_is_told(by_key):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization, Role.ADMIN))
    for answer in (
        program.get("/org/trash"),
        program.post("/org/create", {"organization_name": "Another"}),
        program.post("/org/create", {"organization_name": "Another", "email": "a@acme.example"}),
        program.post(f"/org/trash/{organization.id}/restore"),
        program.delete(f"/org/trash/{organization.id}"),
    ):
        assert fault(answer)[:2] == (403, "person_needed")
        assert "/admin/login" in answer.json["error"]["message"]
    assert len(Organization.objects()) == 1


@pytest.mark.attack("T1")
def test_a_key_of_one_organization_sees_nothing_of_another(by_key):
    an_organization("Acme Corp")
    program = by_key(a_key(an_organization("Kestrel"), Role.ADMIN))
    for answer in (
        program.get("/org/acme-corp"),
        program.put("/org/update/acme-corp", {"new_organization_name": "Mine"}),
        program.delete("/org/delete/acme-corp"),
        program.get("/org/acme-corp/keys"),
        program.get("/org/nothing-here"),
    ):
        assert fault(answer) == (404, "not_found", set())


@pytest.mark.attack("T1")
def test_a_person_sees_no_keys_of_others(app, owner):
    theirs = an_organization("Kestrel")
    credential = a_key(theirs)
    key = ApiKey.objects.get()
    for answer in (
        owner.get("/org/kestrel/keys"),
        owner.post("/org/kestrel/keys", {"name": "Mine", "role": "admin"}),
        owner.delete(f"/org/kestrel/keys/{key.id}"),
        owner.delete(f"/org/acme-corp/keys/{key.id}"),
        owner.post(f"/org/acme-corp/keys/{key.id}/rotate"),
        owner.delete("/org/acme-corp/keys/no-id"),
        owner.delete(f"/org/acme-corp/keys/{ObjectId()}"),
    ):
        assert fault(answer) == (404, "not_found", set())
    assert Program(app, credential).get("/org/kestrel").status_code == 200


@pytest.mark.attack("T2")
def test_a_revoked_key_is_refused_at_once(by_key):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization))
    assert program.get("/org/acme-corp").status_code == 200
    managing.revoke_key(
        an_access(organization), ApiKey.objects.get().id, a_context(the_owner(organization))
    )
    assert fault(program.get("/org/acme-corp")) == REFUSED
    assert fault(program.get("/auth/check")) == REFUSED


def test_a_key_expires_with_its_last_day(by_key, time_machine):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization, expires_on=clock.now().date()))
    end = ApiKey.objects.get().expires_at
    time_machine.move_to(end - timedelta(seconds=1), tick=False)
    assert program.get("/org/acme-corp").status_code == 200
    time_machine.move_to(end, tick=False)
    assert fault(program.get("/org/acme-corp")) == REFUSED


def test_a_key_outlives_who_made_it(by_key, master_db):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization))
    master_db.accounts.delete_many({"email": {"$regex": "^maker"}})
    assert program.get("/org/acme-corp").status_code == 200


@pytest.mark.attack("T2")
def test_keys_sleep_in_the_trash_and_wake(by_key):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization))
    trashed = trash_organization(organization, None, a_context())
    assert fault(program.get("/org/acme-corp")) == (404, "not_found", set())
    assert program.get("/auth/check").json["organizations"] == []
    restore_organization(trashed, None, a_context())
    assert program.get("/org/acme-corp").status_code == 200


@pytest.mark.attack("T2")
def test_a_key_follows_a_rename_and_comes_by_the_old_slug(by_key):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization))
    rename_organization(organization, "Other", a_context())
    answer = program.get("/org/acme-corp")
    assert answer.json["organization"]["slug"] == "other"
    assert 'rel="canonical"' in answer.headers["Link"]


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_both_secrets_work_for_as_long_as_was_chosen(by_key, time_machine, overlap):
    organization = an_organization("Acme Corp")
    old = by_key(a_key(organization))
    time_machine.move_to(clock.now(), tick=False)
    begun = clock.now()
    new = by_key(rotate(organization, overlap))
    assert new.get("/org/acme-corp").status_code == 200
    if overlap:
        time_machine.move_to(begun + overlap - timedelta(seconds=1), tick=False)
        assert old.get("/org/acme-corp").status_code == 200
        time_machine.move_to(begun + overlap, tick=False)
    assert fault(old.get("/org/acme-corp")) == REFUSED
    assert new.get("/org/acme-corp").status_code == 200


def test_of_three_secrets_the_first_is_over(by_key):
    organization = an_organization("Acme Corp")
    first = by_key(a_key(organization))
    second = by_key(rotate(organization, OVERLAPS[3]))
    third = by_key(rotate(organization, OVERLAPS[3]))
    statuses = [program.get("/org/acme-corp").status_code for program in (first, second, third)]
    assert statuses == [401, 200, 200]


@pytest.mark.attack("S1")
def test_what_looks_like_a_key_is_none(by_key):
    credential = a_key(an_organization("Acme Corp"))
    other = a_key(an_organization("Other"), name="Another")
    _, key_id, secret = credential.split("_", 2)
    for typed in (
        credential[:-1],
        credential + "A",
        credential.upper(),
        f"pk_{key_id}_{other.split('_', 2)[2]}",
        f"pk_{ObjectId()}_{secret}",
        f"pv_{key_id}_{secret}",
        f"pk_{key_id}_",
        f"pk_{key_id}_" + "-" * 43,
        "pk_",
        "pk_$where_" + secret,
        f"pk_{key_id}_{ApiKey.objects.first().secret_hash}",
        secret,
        "x" * 5000,
        "pk_\u00e9",
    ):
        assert fault(by_key(typed).get("/auth/check")) == REFUSED, typed
    assert by_key(credential).get("/auth/check").status_code == 200


@pytest.mark.attack("S1")
def test_a_key_is_no_token_of_another_kind(app, owner, by_key):
    """Key as cookie, cookie as key, bearer token as key."""
    credential = a_key(Organization.objects.get())
    thief = Visitor(app)
    thief.client.set_cookie("portal_session_test", credential)
    assert thief.get("/organizations").status == 303
    with_header = Visitor(app)
    answer = with_header.get("/organizations", headers={"Authorization": f"Bearer {credential}"})
    assert answer.status == 303
    visitor = Visitor(app)
    visitor.log_in()
    cookie = visitor.client.get_cookie("portal_session_test").value
    for token in (cookie, owner.token):
        for typed in (f"pk_{token}", f"pk_{ObjectId()}_{token}"):
            assert fault(by_key(typed).get("/auth/check")) == REFUSED


def test_unknown_ids_cost_what_known_ones_do(by_key, commands):
    credential = a_key(an_organization("Acme Corp"))
    wrong = credential[:-1] + ("A" if credential[-1] != "A" else "B")
    unknown = f"pk_{ObjectId()}_{credential.split('_', 2)[2]}"
    sent = []
    for typed in (wrong, unknown):
        commands.clear()
        assert fault(by_key(typed).get("/auth/check")) == REFUSED
        sent.append(list(commands))
    assert sent[0] == sent[1] == ["find"]


def test_the_last_use_is_written_once_a_minute(by_key, time_machine, commands):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization))
    time_machine.move_to(clock.now(), tick=False)
    begun = clock.now()
    assert ApiKey.objects.get().used_at is None
    program.get("/auth/check")
    assert ApiKey.objects.get().used_at == begun
    time_machine.move_to(begun + timedelta(seconds=59), tick=False)
    commands.clear()
    program.get("/auth/check")
    assert "update" not in commands
    time_machine.move_to(begun + timedelta(seconds=61), tick=False)
    program.get("/auth/check")
    assert ApiKey.objects.get().used_at == begun + timedelta(seconds=61)
    by_key(program.token[:-1]).get("/auth/check")


def test_the_activity_names_the_key(by_key):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization, name="Nightly export"))
    program.put("/org/update/acme-corp", {"new_organization_name": "Other"})
    event = AuditEvent.objects(chain=organization.id).order_by("-seq").first()
    assert event.action == "organization.renamed"
    assert (event.actor_kind, event.actor) == ("key", ApiKey.objects.get().id)
    assert event.actor_name == "key “Nightly export”"
    assert "email" not in event.personal
    assert ListedEvent.of(event.to_mongo()).actor_shown == "key “Nightly export”"


def test_idempotency_keys_are_the_keys_own(by_key):
    organization = an_organization("Acme Corp")
    one, other = by_key(a_key(organization)), by_key(a_key(organization, name="Another"))
    body = {"new_organization_name": "Other"}
    first = one.put("/org/update/acme-corp", body, **KEYED)
    again = one.put("/org/update/acme-corp", body, **KEYED)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.data == first.data
    others = other.put("/org/update/acme-corp", body, **KEYED)
    assert "Idempotency-Replayed" not in others.headers
    assert fault(others)[:2] == (422, "name_unchanged")


@pytest.mark.attack("L1")
def test_nothing_tells_the_key(app, by_key, log, master_db, tenant_db):
    organization = an_organization("Acme Corp")
    a_member(organization, Role.ADMIN, "teo@acme.example")
    credential = a_key(organization)
    program = by_key(credential)
    secret = credential.split("_", 2)[2]
    told = [
        program.get("/org/acme-corp").text,
        program.get("/auth/check").text,
        program.put("/org/update/acme-corp", {"new_organization_name": "Other"}, **KEYED).text,
        program.delete("/org/delete/other").text,
    ]
    by_key(credential + "x").get("/auth/check")
    visitor = Visitor(app)
    visitor.log_in("teo@acme.example")
    told += [visitor.get(f"/organizations/other{page}").text for page in ("/keys", "/activity")]
    stored = [str(list(master_db[name].find())) for name in collections_in(master_db)]
    assert secret not in "".join([log.text, *told, *stored])
    assert [event["api_key"] for event in log.named("request.answered")[:1]] == [
        str(ApiKey.objects.get().id)
    ]


def test_every_permission_of_keys_can_be_asked_for(by_key):
    organization = an_organization("Acme Corp")
    program = by_key(a_key(organization, None, sorted(FOR_API_KEYS)))
    assert program.get("/auth/check").json["key"]["permissions"] == sorted(FOR_API_KEYS)

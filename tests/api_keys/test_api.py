"""API keys by JSON: persons' tokens make them, no key does."""

import pytest

from portal.documents.api_keys import ApiKey
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from tests.factories import a_key, a_member
from tests.program import Program, fault

KEYED = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}
KEYS = "/org/acme-corp/keys"
READS = {"name": "Nightly export", "role": "viewer"}
AGAIN = "Idempotency-Replayed"


def test_a_key_is_made_listed_rotated_and_revoked(app, owner):
    made = owner.post(KEYS, {**READS, "expires_on": "2031-01-31"})
    assert made.status_code == 201
    key, secret = made.json["key"], made.json["secret"]
    assert (key["name"], key["role"], key["permissions"]) == ("Nightly export", "viewer", [])
    assert (key["made_by"], key["expires_on"]) == ("mara@acme.example", "2031-01-31")
    program = Program(app, secret)
    assert program.get("/org/acme-corp").status_code == 200
    [listed] = owner.get(KEYS).json["keys"]
    assert listed | {"used_at": None} == key
    assert listed["used_at"]
    rotated = owner.post(f"{KEYS}/{key['id']}/rotate", {"overlap_seconds": 3600})
    assert rotated.json["key"]["former_until"]
    assert program.get("/org/acme-corp").status_code == 200
    assert owner.post(f"{KEYS}/{key['id']}/rotate").json["secret"]
    assert program.get("/org/acme-corp").status_code == 401
    revoked = owner.delete(f"{KEYS}/{key['id']}")
    assert (revoked.status_code, revoked.json) == (200, {"status": "success"})
    assert owner.get(KEYS).json["keys"] == []
    assert fault(owner.delete(f"{KEYS}/{key['id']}")) == (404, "not_found", set())


WRONG = [
    ({}, {"name"}),
    ({"name": "Reads"}, {"permissions"}),
    ({"name": "Reads", "role": "owner"}, {"permissions"}),
    ({"name": "Reads", "role": "admin", "permissions": ["audit.view"]}, {"permissions"}),
    ({"name": "Reads", "permissions": ["keys.manage"]}, {"permissions"}),
    ({"name": "Reads", "permissions": {"$ne": None}}, {"permissions"}),
    ({"name": "Reads", "permissions": [{"$ne": None}]}, {"permissions"}),
    ({"name": {"$ne": None}, "role": "admin"}, {"name"}),
    ({"name": "x", "role": "admin"}, {"name"}),
    ({"name": "Reads", "role": "admin", "expires_on": "2020-01-01"}, {"expires_on"}),
    ({"name": "Reads", "role": "admin", "expires_on": "9999-12-31"}, {"expires_on"}),
    ({"name": "Reads", "role": "admin", "expires_on": "tomorrow"}, {"expires_on"}),
    ({"name": "Reads", "role": "admin", "organization": "other"}, {"organization"}),
    ({"name": "x", "expires_on": "2020-01-01"}, {"name", "permissions", "expires_on"}),
]


@pytest.mark.attack("Q1")
def test_what_is_wrong_is_told_at_its_field(owner):
    for body, fields in WRONG:
        answer = owner.post(KEYS, body)
        assert answer.status_code == 422
        assert set(answer.json["error"]["fields"]) == fields, body
    assert len(ApiKey.objects()) == 0


def test_an_overlap_is_one_of_those_there_are(owner):
    key = owner.post(KEYS, READS).json["key"]
    for overlap in (-1, 1, "3600", 3600.5, [3600], None, 2**70):
        answer = owner.post(f"{KEYS}/{key['id']}/rotate", {"overlap_seconds": overlap})
        assert fault(answer) == (422, "invalid_input", {"overlap_seconds"}), overlap
    assert ApiKey.objects.get().former_hash is None


@pytest.mark.attack("T3")
def test_no_key_makes_or_changes_keys(app, owner):
    program = Program(app, a_key(Organization.objects.get(), Role.ADMIN))
    key = ApiKey.objects.get()
    for answer in (
        program.get(KEYS),
        program.post(KEYS, READS),
        program.post(f"{KEYS}/{key.id}/rotate"),
        program.delete(f"{KEYS}/{key.id}"),
    ):
        assert fault(answer)[:2] == (403, "forbidden")
        assert "keys.manage" in answer.json["error"]["message"]
    assert [kept.secret_hash for kept in ApiKey.objects()] == [key.secret_hash]


@pytest.mark.attack("L1")
@pytest.mark.parametrize("lost", [False, True])
def test_a_repeated_call_makes_one_key_and_is_answered_without_the_secret(owner, master_db, lost):
    """No secret is kept to be told again."""
    first = owner.post(KEYS, READS, **KEYED)
    secret = first.json["secret"]
    assert secret.split("_", 2)[2] not in str(list(master_db.request_keys.find()))
    if lost:  # the process died between making it and keeping its answer
        master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    second = owner.post(KEYS, READS, **KEYED)
    assert second.status_code == 201
    assert second.headers[AGAIN] == "true"
    assert "secret" not in second.json
    assert second.json["key"] == first.json["key"]
    assert fault(owner.post(KEYS, {**READS, "role": "admin"}, **KEYED))[:2] == (
        422,
        "idempotency_key_reused",
    )
    assert len(ApiKey.objects()) == 1
    assert len(AuditEvent.objects(action="key.created")) == 1


@pytest.mark.parametrize("lost", [False, True])
def test_a_repeated_rotation_is_one_and_a_repeated_revocation_too(app, owner, master_db, lost):
    def forget():
        if lost:
            master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})

    key = owner.post(KEYS, READS).json["key"]
    path = f"{KEYS}/{key['id']}"
    first = owner.post(f"{path}/rotate", {}, **KEYED)
    forget()
    second = owner.post(f"{path}/rotate", {}, **KEYED)
    assert second.json == {name: told for name, told in first.json.items() if name != "secret"}
    assert Program(app, first.json["secret"]).get("/org/acme-corp").status_code == 200
    assert owner.delete(path, **KEYED).status_code == 200
    forget()
    again = owner.delete(path, **KEYED)
    assert (again.status_code, again.headers[AGAIN]) == (200, "true")
    assert len(AuditEvent.objects(action__in=["key.rotated", "key.revoked"])) == 2


def test_a_list_has_no_secrets(owner):
    made = owner.post(KEYS, READS).json
    told = owner.get(KEYS)
    assert made["secret"].split("_", 2)[2] not in told.text
    assert ApiKey.objects.get().secret_hash not in told.text


@pytest.mark.attack("T3")
def test_a_viewer_makes_no_keys(app, owner):
    a_member(Organization.objects.get(), Role.VIEWER, "teo@acme.example")
    viewer = Program(app)
    viewer.log_in("teo@acme.example")
    assert fault(viewer.post(KEYS, READS))[:2] == (403, "forbidden")
    assert fault(viewer.get(KEYS))[:2] == (403, "forbidden")


@pytest.mark.attack("T3")
@pytest.mark.parametrize(
    "given", [{"role": Role.ADMIN}, {"role": None, "permissions": ["members.manage"]}]
)
def test_a_key_makes_nobody_an_admin(app, owner, given):
    """By a key that they kept, who was removed would come back through
    another account of theirs, which could make keys and invite."""
    acme = Organization.objects.get()
    teo, ann = a_member(acme, Role.VIEWER), a_member(acme, Role.ADMIN, "ann@acme.example")
    program = Program(app, a_key(acme, **given))
    answer = program.put(f"/org/acme-corp/members/{teo.id}", {"role": "admin"})
    assert fault(answer)[:2] == (403, "forbidden")
    needed = "credentials.manage" if given["role"] else "audit.export"
    assert f"needs the permission {needed}" in answer.json["error"]["message"]
    for member in (teo, ann):
        answer = program.put(f"/org/acme-corp/members/{member.id}", {"role": "viewer"})
        assert answer.json["member"]["role"] == "viewer"
    assert fault(program.put(f"/org/acme-corp/members/{ann.id}", {"role": "admin"}))[0] == 403
    [refused] = AuditEvent.objects(action="access.refused")
    assert refused.actor_name == "key “Nightly export”"
    assert owner.put(f"/org/acme-corp/members/{teo.id}", {"role": "admin"}).status_code == 200

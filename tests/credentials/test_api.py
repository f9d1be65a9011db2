"""Credentials by JSON: persons' tokens make them, no API key does."""

import pytest
from pymongo.errors import OperationFailure

from portal.database import users
from portal.documents.audit import AuditEvent
from portal.documents.credentials import Credential
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.privileges import PREFIX
from tests.factories import a_key
from tests.program import Program, fault

KEYED = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}
PATH = "/org/acme-corp/credentials"
READS = {"name": "Weekly report", "reach": "read"}


def test_a_credential_is_made_listed_rotated_ended_and_revoked(owner, connect, tenant_db):
    made = owner.post(PATH, READS)
    assert made.status_code == 201
    credential, uri = made.json["credential"], made.json["connection_string"]
    assert (credential["name"], credential["reach"]) == ("Weekly report", "read")
    assert (credential["made_by"], credential["former"]) == ("mara@acme.example", None)
    assert made.json["proof"]["proven"]
    assert made.json["proof"]["lagging"] == made.json["proof"]["down"] == []
    old = connect(uri, appName="their shop").tenant_test.org_acme_corp
    assert old.find_one() is None
    [listed] = owner.get(PATH).json["credentials"]
    assert listed["user"]["connections"] == 1
    assert listed["user"]["seen_by"] == ["their shop"]
    rotated = owner.post(f"{PATH}/{credential['id']}/rotate")
    new = connect(rotated.json["connection_string"]).tenant_test.org_acme_corp
    assert new.find_one() is None
    assert rotated.json["credential"]["former"]["name"] == credential["user"]["name"]
    in_use = owner.post(f"{PATH}/{credential['id']}/end-overlap")
    assert fault(in_use) == (409, "still_in_use", {"although_in_use"})
    ended = owner.post(f"{PATH}/{credential['id']}/end-overlap", {"although_in_use": True})
    assert ended.json["credential"]["former"] is None
    with pytest.raises(OperationFailure):
        old.find_one()
    revoked = owner.delete(f"{PATH}/{credential['id']}")
    assert (revoked.status_code, revoked.json["pending"]) == (200, False)
    with pytest.raises(OperationFailure):
        new.find_one()
    assert owner.get(PATH).json["credentials"] == []
    assert fault(owner.delete(f"{PATH}/{credential['id']}"))[:2] == (404, "not_found")
    assert not users.users_in(tenant_db, PREFIX)


@pytest.mark.attack("Q1")
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name", "reach"}),
        ({"name": "x", "reach": "all"}, {"name", "reach"}),
        ({"name": {"$ne": None}, "reach": "read"}, {"name"}),
        ({"name": "Report", "reach": {"$ne": None}}, {"reach"}),
        ({"name": "Report", "reach": "read", "collection": "org_b"}, {"collection"}),
    ],
)
def test_what_is_wrong_is_told_at_its_field(owner, body, fields):
    answer = owner.post(PATH, body)
    assert answer.status_code == 422
    assert set(answer.json["error"]["fields"]) == fields
    assert not Credential.objects


@pytest.mark.attack("T3")
def test_no_api_key_makes_or_changes_credentials(app, owner):
    program = Program(app, a_key(Organization.objects.get(), Role.ADMIN))
    credential = owner.post(PATH, READS).json["credential"]
    for answer in (
        program.get(PATH),
        program.post(PATH, READS),
        program.post(f"{PATH}/{credential['id']}/rotate"),
        program.post(f"{PATH}/{credential['id']}/end-overlap"),
        program.delete(f"{PATH}/{credential['id']}"),
    ):
        assert fault(answer)[:2] == (403, "forbidden")
    assert len(Credential.objects.get().users) == 1


@pytest.mark.attack("L1")
@pytest.mark.parametrize("lost", [False, True])
def test_a_repeated_call_makes_one_user_and_is_answered_without_its_string(
    owner, master_db, tenant_db, lost
):
    first = owner.post(PATH, READS, **KEYED)
    password = first.json["connection_string"].split(":")[2].split("@")[0]
    assert password not in str(list(master_db.request_keys.find()))
    if lost:  # the process died between making it and keeping its answer
        master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})
    second = owner.post(PATH, READS, **KEYED)
    assert second.status_code == 201
    assert second.headers["Idempotency-Replayed"] == "true"
    assert "connection_string" not in second.json
    assert second.json["credential"] == first.json["credential"]
    assert len(users.users_in(tenant_db, PREFIX)) == 1
    assert len(AuditEvent.objects(action="credential.created")) == 1


def test_an_overlap_is_one_of_those_there_are(owner):
    credential = owner.post(PATH, READS).json["credential"]
    for overlap in (-1, 1, "3600", 3600.5, [3600], 2**70):
        answer = owner.post(f"{PATH}/{credential['id']}/rotate", {"overlap_seconds": overlap})
        assert fault(answer) == (422, "invalid_input", {"overlap_seconds"}), overlap
    assert len(Credential.objects.get().users) == 1

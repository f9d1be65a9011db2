"""A person gets all that is stored of them, and of nobody else."""

import json

import pytest

from portal.accounts.documents import Session
from portal.audit.documents import AuditEvent, Origin
from portal.audit.trail import record
from portal.organizations.documents import VIEWER, Organization
from tests.factories import a_member, an_account, an_organization, origin
from tests.visitor import Visitor

MARA = "mara@acme.example"


@pytest.fixture
def mara(visitor):
    account = an_account(MARA)
    visitor.log_in(MARA)
    return account


def export(visitor):
    response = visitor.client.get("/account/export")
    assert response.status_code == 200
    return response


def test_it_is_a_file_that_no_cache_keeps(visitor, mara):
    """Row S2 of the attacks."""
    response = export(visitor)
    assert response.mimetype == "application/json"
    assert response.headers["Content-Disposition"] == 'attachment; filename="account.json"'
    assert response.headers["Cache-Control"] == "no-store"


def test_account_sessions_memberships_and_deeds_are_in_it(visitor, mara):
    visitor.post("/account", {"name": "Mara Tolliver", "time_zone": "", "theme": "dark"})
    organization = an_organization("Acme Corp", mara)
    found = json.loads(export(visitor).text)
    assert found["account"]["email"] == MARA
    assert found["account"]["name"] == "Mara Tolliver"
    [session] = found["sessions"]
    assert session["address"] == "127.0.0.1"
    [membership] = found["memberships"]
    assert membership["organization_name"] == "Acme Corp"
    assert membership["role"] == "owner"
    assert [event["action"] for event in found["events"]] == [
        "account.logged_in",
        "account.profile_changed",
        "organization.created",
        "account.exported",
    ]
    assert found["events"][2]["chain"] == str(organization.id)
    assert found["events"][2]["email"] == MARA


def test_no_secret_and_no_hash_is_in_it(visitor, mara):
    """Row L1 of the attacks."""
    text = export(visitor).text
    events = AuditEvent.objects()
    secrets = [mara.password_hash, Session.objects.get().id, *(event.hash for event in events)]
    assert [secret for secret in secrets if secret in text] == []
    assert "salt" not in text


def test_nothing_of_others_is_in_it(visitor, mara):
    """Row T1 of the attacks."""
    organization = an_organization("Acme Corp", mara)
    teo = a_member(organization, VIEWER)
    of_theirs = an_organization("Their Own", teo)
    acted_on = Organization.objects.get(id=organization.id)
    record(acted_on, "member.left", origin(mara), target=teo.id, target_email=teo.email)
    record(acted_on, "member.left", origin(teo), target=mara.id, target_email=MARA)
    text = export(visitor).text
    assert str(of_theirs.id) not in text
    assert teo.email not in text


def test_what_a_command_did_is_in_it_too(visitor, mara):
    record(mara.reload(), "account.sessions_ended", Origin(actor_kind="command", actor_name="cli"))
    assert "cli" in export(visitor).text


def test_strangers_get_nothing(app):
    assert Visitor(app).get("/account/export").location.startswith("/login")

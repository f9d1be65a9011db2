"""A person gets all that is stored of them, and of nobody else."""

import json
import tracemalloc

import pytest
from bson import ObjectId
from pymongo.errors import NetworkTimeout

from portal.audit.trail import events_about, next_event, record
from portal.database.transactions import transactional
from portal.documents.audit import AuditEvent, Head, Origin
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.documents.sessions import Session
from portal.identity.accounts import exporting as account_export
from portal.web import streaming
from tests.factories import a_context, a_member, an_account, an_organization
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


@pytest.mark.attack("S2")
def test_it_is_a_file_that_no_cache_keeps(visitor, mara):
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


@pytest.mark.attack("L1")
def test_no_secret_and_no_hash_is_in_it(visitor, mara):
    text = export(visitor).text
    events = AuditEvent.objects()
    secrets = [mara.password_hash, Session.objects.get().id, *(event.hash for event in events)]
    assert [secret for secret in secrets if secret in text] == []
    assert "salt" not in text


@pytest.mark.attack("T1")
def test_nothing_of_others_is_in_it(visitor, mara):
    organization = an_organization("Acme Corp", mara)
    teo = a_member(organization, Role.VIEWER)
    of_theirs = an_organization("Their Own", teo)
    acted_on = Organization.objects.get(id=organization.id)
    transactional(record)(
        acted_on, "member.left", a_context(mara).origin, target=teo.id, target_email=teo.email
    )
    transactional(record)(
        acted_on, "member.left", a_context(teo).origin, target=mara.id, target_email=MARA
    )
    text = export(visitor).text
    assert str(of_theirs.id) not in text
    assert teo.email not in text


def test_what_a_command_did_is_in_it_too(visitor, mara):
    transactional(record)(
        mara.reload(), "account.sessions_ended", Origin(actor_kind="command", actor_name="cli")
    )
    assert "cli" in export(visitor).text


@pytest.fixture
def lived(mara, master_db):
    """Mara with a past: ``count`` deeds in an organization, which somebody else shares in."""

    def live(count):
        teo, head = an_account("teo@acme.example"), Head()
        events = []
        for n in range(2 * count):
            event = next_event(
                head, ObjectId(), "organization.renamed", a_context((mara, teo)[n % 2]).origin, {}
            )
            events.append(event.to_mongo().to_dict() | {"_id": ObjectId()})
        master_db.audit_events.insert_many(events)

    return live


def test_each_event_is_in_it_once_and_in_order_however_many_pages_they_are(
    visitor, mara, lived, monkeypatch, master_db
):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 5)
    lived(12)
    acme = an_organization("Acme Corp", mara)
    transactional(record)(
        acme.reload(), "member.left", a_context().origin, target=mara.id, target_email=MARA
    )
    events = json.loads(export(visitor).text)["events"]
    assert len(events) == 1 + 12 + 2 + 1
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    expected = master_db.audit_events.find(
        {"$or": [{"chain": mara.id}, {"actor": mara.id}, {"target": mara.id}]}
    ).sort("_id")
    assert [(e["chain"], e["seq"]) for e in events] == [
        (str(e["chain"]), e["seq"]) for e in expected
    ]


@pytest.mark.parametrize("count", [4, 5, 6])
def test_it_is_json_wherever_the_last_page_ends(visitor, lived, monkeypatch, count):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 5)
    lived(count - 2)  # and that Mara logged in, and this
    assert len(json.loads(export(visitor).text)["events"]) == count


@pytest.mark.slow
@pytest.mark.full
def test_memory_does_not_grow_with_the_events(visitor, lived, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 20)
    lived(5000)
    answer = visitor.client.get("/account/export", buffered=False)
    tracemalloc.start()
    size = sum(len(part) for part in answer.response)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 5000 * 200
    assert most < size / 4, (most, size)


def test_events_of_others_are_not_gone_through(mara, lived, master_db):
    lived(200)

    def scanned_for_ten():
        before = scanned(master_db)
        assert len(events_about(mara.id, None, 10)) == 10
        return scanned(master_db) - before

    # What others read meanwhile counts as well, but not each time.
    assert min(scanned_for_ten() for _ in range(3)) <= 30


def scanned(master_db):
    """How many documents queries have read since the server began."""
    return master_db.client.admin.command("serverStatus")["metrics"]["queryExecutor"][
        "scannedObjects"
    ]


@pytest.mark.attack("F1")
def test_a_database_that_is_away_at_once_is_told_as_ever(visitor, mara, monkeypatch):
    monkeypatch.setattr(account_export, "events_about", away)
    assert visitor.get("/account/export").status == 503


@pytest.mark.attack("F1")
def test_a_database_that_goes_away_in_the_middle_breaks_the_answer_off(
    visitor, lived, monkeypatch, log
):
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 5)
    lived(20)
    answer = visitor.client.get("/account/export", buffered=False)
    monkeypatch.setattr(account_export, "events_about", away)
    with pytest.raises(NetworkTimeout):
        list(answer.response)
    [broken] = log.named("account.export_broken")
    assert broken["events"] == 5
    assert broken["account"]
    assert not log.named("account.exported")


def away(*_):
    raise NetworkTimeout("away")


@pytest.mark.attack("D2")
def test_a_few_are_exported_at_once_and_who_waits_has_nothing_in_the_trail(
    visitor, mara, lived, monkeypatch
):
    """They share their places with the files of organizations."""
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 5)
    lived(20)
    open_ones = [
        visitor.client.get("/account/export", buffered=False) for _ in range(streaming.AT_ONCE)
    ]
    answer = visitor.get("/account/export")
    assert answer.status == 503
    assert answer.response.headers["Retry-After"]
    for one in open_ones:
        one.close()
    assert visitor.get("/account/export").status == 200
    assert len(AuditEvent.objects(action="account.exported")) == streaming.AT_ONCE + 1


def test_strangers_get_nothing(app):
    assert Visitor(app).get("/account/export").location.startswith("/login")

"""Operators suspend and hold organizations: on pages, by the API, as commands."""

import json
from datetime import timedelta

import pytest

from portal import clock
from portal.database.connection import tenant_database
from portal.documents.accounts import Account, OperatorRole
from portal.documents.audit import AuditEvent, Origin
from portal.documents.organizations import (
    Operation,
    OperationKind,
    Organization,
    Restriction,
)
from portal.documents.restrictions import Cause, Hold, Suspension
from portal.organizations.lifecycle.naming import name_restricted
from portal.organizations.restrictions.holding import set_hold
from tests.factories import a_context, an_organization, fresh
from tests.operators.conftest import desk, desk_of, program_of  # noqa: F401
from tests.program import fault

CONTACT = "billing@portal.example"


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def path(acme):
    return f"/operator/organizations/{acme.id}"


@pytest.fixture
def calls(acme):
    return f"/admin/organizations/{acme.id}"


def events(organization):
    found = AuditEvent.objects(chain=organization.id).order_by("seq")
    return [(event.action.partition(".")[2], event.actor_kind) for event in found][1:]


def test_an_operator_suspends_and_lifts_on_pages(desk, acme, path):  # noqa: F811
    assert "None: its members and programs" in desk.get(f"{path}/restrictions").text
    fields = {
        "kind": Restriction.READ_ONLY,
        "cause": Cause.PAYMENT,
        "contact": CONTACT,
        "message": "An invoice\nis open.",
        "note": "<b>called twice</b>",
    }
    assert desk.post(f"{path}/restrictions/new", {**fields, "contact": " "}).status == 422
    assert desk.post(f"{path}/restrictions/new", fields).status == 303
    page = desk.get(f"{path}/restrictions")
    for told in ("Read-only", "Payment", "An invoice is open.", CONTACT, "<b>called twice</b>"):
        assert told in page.text
    first = desk.get(path).text  # where its owner's question is looked up
    assert "Suspended, read-only: payment." in first
    assert "Members are told: “An invoice is open.”" in first
    assert fresh(acme).restricted == Restriction.READ_ONLY
    suspension = Suspension.objects.get()
    lift = f"{path}/restrictions/{suspension.id}/lift"
    assert "none: all goes on as before" in desk.get(lift).text
    assert desk.post(lift).status == 303
    assert fresh(acme).restricted is None
    assert "lifted" in desk.get(f"{path}/restrictions").text
    assert events(acme) == [("suspended", "operator"), ("suspension_lifted", "operator")]


def test_an_operator_holds_and_releases_on_pages(desk, acme, path):  # noqa: F811
    page = desk.get(f"{path}/hold")
    for told in ("Make it read-only as well", "delete documents and files of their own", "index"):
        assert told in page.text
    assert desk.post(f"{path}/hold", {"reason": ""}).fault("reason")
    fields = {"reason": "Case 4711", "until": "2027-06-30", "read_only": "y"}
    assert desk.post(f"{path}/hold", fields).fault("contact")
    assert not Hold.objects()
    assert desk.post(f"{path}/hold", {**fields, "contact": CONTACT}).status == 303
    assert (fresh(acme).held, fresh(acme).restricted) == (True, Restriction.READ_ONLY)
    Account.objects.update(time_zone="Pacific/Honolulu")  # a day of UTC begins on the day before
    page = desk.get(f"{path}/restrictions")
    assert "Case 4711" in page.text
    assert page.html.find("time", datetime="2027-06-30").get_text() == "30 June 2027"
    first = desk.get(path)
    assert "Legal hold" in first.html.select_one(".plate").get_text()
    assert "“Case 4711”" in first.text
    release = f"{path}/hold/{Hold.objects.get().id}/release"
    assert "Case 4711" in desk.get(release).text
    assert desk.post(release).status == 303
    assert fresh(acme).held is None


def test_while_an_operation_runs_a_hold_that_is_to_be_read_only_too_is_not_set(
    desk,  # noqa: F811
    program_of,  # noqa: F811
    command,
    acme,
    path,
    calls,
):
    """Both or neither, and the same sent again sets both."""
    running = Operation(kind=OperationKind.RENAME, started_at=clock.now(), origin=Origin())
    Organization.objects(id=acme.id).update_one(set__operation=running)
    fields = {"reason": "Case 4711", "until": "", "read_only": "y", "contact": CONTACT}
    sent = {**desk.hidden(f"{path}/hold"), **fields}
    body, key = {"reason": "Case 4711", "read_only_contact": CONTACT}, {"Idempotency-Key": "k"}
    program = program_of()
    given = ("holds", "set", "acme-corp", "--reason", "Case 4711", "--read-only-contact", CONTACT)
    refused = desk.send(f"{path}/hold", sent)
    assert refused.status == 409
    assert "Nothing was changed" in refused.text
    assert program.post(f"{calls}/hold", body, headers=key).status_code == 409
    assert command(*given).returncode != 0
    assert not Hold.objects()
    assert fresh(acme).held is None
    Organization.objects(id=acme.id).update_one(unset__operation=True)
    assert desk.send(f"{path}/hold", sent).status == 303
    assert (fresh(acme).held, fresh(acme).restricted) == (True, Restriction.READ_ONLY)
    assert desk.send(f"{path}/hold", sent).status == 303
    assert program.post(f"{calls}/hold", body, headers=key).status_code == 201
    assert program.post(f"{calls}/hold", body, headers=key).status_code == 201
    assert (Hold.objects.count(), Suspension.objects(open=True).count()) == (2, 2)


def test_a_hold_whose_suspension_is_rolled_back_is_told_to_be_set(
    desk,  # noqa: F811
    program_of,  # noqa: F811
    acme,
    path,
    calls,
):
    name = name_restricted(fresh(acme), Restriction.READ_ONLY)
    tenant_database().create_collection(name)
    fields = {"reason": "Case 4711", "read_only": "y", "contact": CONTACT}
    sent = {**desk.hidden(f"{path}/hold"), **fields}
    answer = desk.send(f"{path}/hold", sent)
    assert answer.status == 409
    assert "is held, but did not become read-only" in answer.text
    body, key = {"reason": "Case 4711", "read_only_contact": CONTACT}, {"Idempotency-Key": "k"}
    program = program_of()
    for _ in range(2):
        refused = program.post(f"{calls}/hold", body, headers=key)
        assert fault(refused)[:2] == (409, "held_only")
    assert (fresh(acme).held, fresh(acme).restricted) == (True, None)
    tenant_database().drop_collection(name)
    assert desk.send(f"{path}/hold", sent).status == 303
    assert program.post(f"{calls}/hold", body, headers=key).status_code == 201
    assert fresh(acme).restricted == Restriction.READ_ONLY
    assert (Hold.objects.count(), events(acme).count(("hold_set", "operator"))) == (2, 2)


def test_support_sees_and_does_not_act(desk_of, program_of, acme, path, calls):  # noqa: F811
    desk, program = desk_of(OperatorRole.SUPPORT), program_of(OperatorRole.SUPPORT)  # noqa: F811
    page = desk.get(f"{path}/restrictions")
    assert page.status == 200
    assert not page.html.find("a", string="Suspend…")
    assert desk.get(f"{path}/restrictions/new").status == desk.get(f"{path}/hold").status == 403
    assert program.get(f"{calls}/restrictions").status_code == 200
    body = {"kind": "locked", "cause": "abuse", "contact": CONTACT}
    assert program.post(f"{calls}/restrictions", body).status_code == 403
    assert fresh(acme).restricted is None


def test_a_program_suspends_holds_lifts_and_releases(program_of, acme, calls):  # noqa: F811
    program = program_of()
    body = {"kind": "locked", "cause": "abuse", "contact": CONTACT, "message": "Spam."}
    made = program.post(f"{calls}/restrictions", body)
    assert made.status_code == 201, made.text
    [suspension] = made.json["restrictions"]["suspensions"]
    assert (suspension["kind"], suspension["message"], suspension["open"]) == (
        "locked",
        "Spam.",
        True,
    )
    assert made.json["restrictions"]["restricted"] == "locked"
    held = program.post(f"{calls}/hold", {"reason": "Case 4711", "until": "2027-06-30"})
    assert held.status_code == 201, held.text
    assert held.json["restrictions"]["held"]
    [hold] = held.json["restrictions"]["holds"]
    other = an_organization("Other")
    elsewhere = f"/admin/organizations/{other.id}"
    for gone in (f"restrictions/{suspension['id']}", f"hold/{hold['id']}"):
        assert fault(program.delete(f"{elsewhere}/{gone}"))[0] == 404
        for _ in range(2):
            assert program.delete(f"{calls}/{gone}").status_code == 200
    assert (fresh(acme).held, fresh(acme).restricted) == (None, None)
    assert fault(program.post(f"{calls}/hold", {"reason": " "})) == (
        422,
        "invalid_reason",
        {"reason"},
    )


def test_commands_do_the_same(command, acme):
    made = command(
        "restrictions", "suspend", "acme-corp", "--kind", "hidden", "--cause", "security",
        "--contact", CONTACT, "--json",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    [suspension] = json.loads(made.stdout)
    assert Organization.objects.get().restricted == Restriction.HIDDEN
    held = command("holds", "set", str(acme.id), "--reason", "Case 4711", "--json")
    [hold] = json.loads(held.stdout)
    assert "Case 4711" in command("holds", "list", "acme-corp").stdout
    assert "hidden" in command("restrictions", "list", "acme-corp").stdout
    assert command("restrictions", "lift", "acme-corp", suspension["id"]).returncode == 0
    assert command("holds", "release", "acme-corp", hold["id"]).returncode == 0
    assert (fresh(acme).held, fresh(acme).restricted) == (None, None)
    assert command("holds", "release", "acme-corp", "nonsense").returncode == 2


def test_a_hold_whose_day_has_come_needs_somebody(desk, acme, path):  # noqa: F811
    until = clock.now() + timedelta(days=1)
    hold = set_hold(fresh(acme), "Case 4711", until, a_context()).hold
    assert "is to be looked at again" not in desk.get("/operator").text
    hold.modify(set__until=clock.now())
    page = desk.get("/operator")
    assert "The hold on" in page.text
    assert page.html.find("a", href=f"{path}/restrictions")

"""Changes that a role does not allow leave a mark in the trail, and not a flood of them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from pymongo.errors import NetworkTimeout

from portal import clock
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Role
from portal.organizations.access.errors import Forbidden
from portal.organizations.activity import refusals
from portal.organizations.activity.refusals import record_refusal
from tests.factories import a_context, a_member, an_organization
from tests.program import Program


def refused():
    return list(AuditEvent.objects(action="access.refused").order_by("seq"))


@pytest.mark.attack("T3")
@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
def test_an_owners_action_by_another_member_is_noted_from_pages(visitor, role):
    organization = an_organization("Acme Corp")
    member = a_member(organization, role)
    visitor.log_in(member.email)
    path = "/organizations/acme-corp/delete"
    token = visitor.token("/organizations/new")
    assert visitor.send(path, {"csrf_token": token, "confirm_name": "Acme Corp"}).status == 403
    [event] = refused()
    assert event.chain == organization.id
    assert event.actor == member.id
    assert event.session
    assert event.personal["email"]["value"] == member.email
    assert event.details == {"permission": "organization.delete", "role": role}
    page = visitor.get("/organizations/acme-corp/activity")
    assert page.html.select_one(".refused").get_text(strip=True) == f"Refused: delete it, as {role}"


@pytest.mark.attack("T3")
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "one"}])
def test_an_owners_action_by_another_member_is_noted_from_programs(app, key):
    organization = an_organization("Acme Corp")
    program = Program(app)
    program.log_in(a_member(organization, Role.VIEWER).email)
    assert program.delete("/org/delete/acme-corp?purge=true", headers=key).status_code == 403
    assert program.put("/org/update/acme-corp", {"new_organization_name": "X Y"}).status_code == 403
    assert [e.details["permission"] for e in refused()] == [
        "organization.delete",
        "organization.rename",
    ]


def test_looking_at_what_is_not_allowed_is_not_noted(visitor):
    organization = an_organization("Acme Corp")
    visitor.log_in(a_member(organization, Role.VIEWER).email)
    assert visitor.get("/organizations/acme-corp/delete").status == 403
    assert visitor.get("/organizations/acme-corp/activity.csv").status == 403
    assert refused() == []


@pytest.mark.attack("T1")
def test_strangers_leave_no_mark(app):
    an_organization("Acme Corp")
    an_organization("Others")
    program = Program(app)
    program.sign_up("Mine")
    program.log_in()
    assert program.delete("/org/delete/others").status_code == 404
    assert refused() == []


def test_it_is_noted_once_a_minute_for_each_account_and_permission():
    organization = an_organization("Acme Corp")
    teo, ida = (
        a_member(organization, Role.VIEWER),
        a_member(organization, Role.VIEWER, "ida@acme.example"),
    )
    delete = Forbidden("organization.delete", organization.id, Role.VIEWER)
    rename = Forbidden("organization.rename", organization.id, Role.VIEWER)
    for _ in range(3):
        record_refusal(delete, a_context(teo))
        record_refusal(rename, a_context(teo))
        record_refusal(delete, a_context(ida))
    assert len(refused()) == 3
    with time_machine.travel(clock.now() + timedelta(seconds=61)):
        record_refusal(delete, a_context(teo))
    assert len(refused()) == 4


def test_of_many_at_once_one_is_noted(monkeypatch):
    organization = an_organization("Acme Corp")
    teo = a_member(organization, Role.VIEWER)
    delete = Forbidden("organization.delete", organization.id, Role.VIEWER)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: record_refusal(delete, a_context(teo)), range(16)))
    assert len(refused()) == 1


def test_a_refusal_that_can_not_be_noted_is_one_all_the_same(app, monkeypatch, log):
    organization = an_organization("Acme Corp")
    program = Program(app)
    program.log_in(a_member(organization, Role.VIEWER).email)

    def away(*_, **__):
        raise NetworkTimeout("away")

    monkeypatch.setattr(refusals, "transaction", away)
    assert program.delete("/org/delete/acme-corp").status_code == 403
    assert log.named("audit.refusal_not_noted")

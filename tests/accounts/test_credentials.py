"""Changing the password of an account."""

from dataclasses import replace

import pytest

from portal import settings as portal_settings
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.sessions import Session
from tests.factories import an_account
from tests.program import Program
from tests.visitor import PASSWORD, Visitor

MARA, OTHER = "mara@acme.example", "another battery of horses"


@pytest.fixture(autouse=True)
def mara(visitor):
    account = an_account(MARA)
    visitor.log_in(MARA)
    return account


def change(visitor, current=PASSWORD, password=OTHER):
    return visitor.post("/account/password", {"current_password": current, "password": password})


def test_a_password_is_changed_by_who_knows_the_old_one(visitor, app):
    answer = change(visitor)
    assert (answer.status, answer.location) == (303, "/account")
    assert Visitor(app).log_in(MARA, PASSWORD).status == 401
    assert Visitor(app).log_in(MARA, OTHER).status == 303
    assert Account.objects.get().password_changed_at
    assert "Changed just now" in visitor.get("/account").text


@pytest.mark.attack("S1", "T2")
def test_all_other_sessions_and_tokens_end(visitor, app):
    """A cookie that was copied elsewhere before."""
    other, program = Visitor(app), Program(app)
    other.log_in(MARA)
    program.log_in(MARA)
    change(visitor)
    assert visitor.get("/account").status == 200
    assert other.get("/account").location.startswith("/login")
    assert program.get("/auth/check").status_code == 401
    assert len(Session.objects()) == 1


@pytest.mark.parametrize(
    ("current", "password", "field"),
    [
        ("wrong password wrong", OTHER, "current_password"),
        ("", OTHER, "current_password"),
        (PASSWORD, "", "password"),
        (PASSWORD, "short", "password"),
        (PASSWORD, "passwordpassword", "password"),
        (PASSWORD, "x" * 5000, "password"),
        (PASSWORD, f"{OTHER}\0", "password"),
        (PASSWORD, MARA, "password"),
    ],
)
def test_bad_input_is_told_at_the_field_and_changes_nothing(visitor, app, current, password, field):
    before = Account.objects.get().password_hash
    answer = change(visitor, current, password)
    assert answer.status == 422
    assert answer.fault(field)
    assert Account.objects.get().password_hash == before
    assert visitor.get("/account").status == 200


def test_all_faults_are_told_at_once(visitor):
    answer = change(visitor, "wrong password wrong", "short")
    assert answer.fault("current_password")
    assert answer.fault("password")


@pytest.mark.attack("A1")
def test_guessing_the_old_one_is_limited_as_logging_in_is(visitor, settings):
    """From a session that was left open."""
    hidden = visitor.hidden("/account/password")
    fields = {**hidden, "current_password": "wrong password wrong", "password": OTHER}
    portal_settings.activate(replace(settings, rate_limits=True, login_limit_per_email=2))
    answers = [visitor.send("/account/password", fields).status for _ in range(3)]
    portal_settings.activate(settings)
    assert answers == [422, 422, 429]


def test_the_owner_is_told(visitor, letters):
    change(visitor)
    assert letters.to(MARA) == ["Your password was changed"]


def test_it_is_in_the_trail_without_the_password(visitor, mara):
    change(visitor)
    event = AuditEvent.objects(chain=mara.id).order_by("-seq").first()
    assert event.action == "account.password_changed"
    assert OTHER not in str(event.to_mongo())

"""Logging in and out, and what a session is worth."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from portal import clock
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.sessions import Session
from portal.identity.authentication import cookies, passwords
from portal.identity.sessions.tokens import issue
from tests.factories import an_account
from tests.stopwatch import take_as_long, work_seconds
from tests.visitor import PASSWORD, Visitor

COOKIE = "portal_session_test"


def cookie_of(visitor):
    return visitor.client.get_cookie(COOKIE)


def is_logged_in(visitor):
    return visitor.get("/organizations").status == 200


def with_cookie(app, value):
    visitor = Visitor(app)
    visitor.client.set_cookie(COOKIE, value)
    return visitor


def test_logging_in_leads_to_the_organizations(visitor):
    an_account("mara@acme.example")
    answer = visitor.log_in()
    assert answer.status == 303
    assert answer.location == "/organizations"
    assert is_logged_in(visitor)


def test_the_address_is_the_same_in_capitals(visitor):
    an_account("mara@acme.example")
    assert visitor.log_in("MARA@Acme.Example").status == 303


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("mara@acme.example", "wrong password wrong"),
        ("nobody@acme.example", PASSWORD),
        ("not an address", PASSWORD),
        ("mara@acme.example", "x" * 5000),
        ("mara@acme.example", "with\0nul"),
        ('{"$ne": null}', '{"$ne": null}'),
    ],
)
def test_what_was_wrong_is_not_told(visitor, email, password):
    an_account("mara@acme.example")
    answer = visitor.log_in(email, password)
    assert answer.status == 401
    assert answer.fault("email") == "No account has this e-mail address and password: check both"
    assert answer.value("email") == email
    assert answer.value("password") == ""
    assert not is_logged_in(visitor)


@pytest.mark.attack("Q1")
def test_operators_in_fields_are_only_fields(visitor):
    an_account("mara@acme.example")
    fields = {"email": "mara@acme.example", "password[$gt]": ""}
    answer = visitor.post("/login", fields)
    assert answer.status == 422
    assert answer.fault("password") == "Enter your password"


@pytest.mark.attack("A2")
@pytest.mark.usefixtures("real_hashes")
@pytest.mark.slow
def test_unknown_addresses_take_as_long_as_wrong_passwords(visitor):
    """The work; that the commands are the same, ``test_attempts`` says."""
    an_account("mara@acme.example")
    token = visitor.token("/login")

    def seconds(email):
        fields = {"csrf_token": token, "email": email, "password": "wrong password wrong"}
        return work_seconds(lambda: visitor.client.post("/login", data=fields))

    assert take_as_long(seconds, lambda row: [("mara@acme.example", "nobody@acme.example")] * 20)


def test_a_password_is_the_same_however_its_accents_are_composed(visitor):
    visitor.sign_up(password="crème brûlée à la façon")
    visitor.log_out()
    assert (
        visitor.log_in(password="cre\u0300me bru\u0302le\u0301e a\u0300 la fac\u0327on").status
        == 303
    )


@pytest.mark.attack("C2")
@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https:evil",
        "/\\evil.example",
        "javascript:alert(1)",
        "/a\r\nX: y",
        "evil",
        "/\t/evil",
    ],
)
def test_next_stays_on_the_site(visitor, target):
    an_account("mara@acme.example")
    assert visitor.log_in(next=target).location == "/organizations"


def test_next_leads_to_where_the_visitor_was_going(visitor):
    visitor.sign_up("Acme Corp")
    visitor.log_out()
    wanted = visitor.get("/organizations/acme-corp/activity?after=9")
    page = visitor.get(wanted.location)
    target = page.html.find("input", {"name": "next"})["value"]
    assert visitor.log_in(next=target).location == "/organizations/acme-corp/activity?after=9"


@pytest.mark.attack("S2")
def test_the_cookie_is_a_token_that_scripts_cannot_read(visitor):
    visitor.sign_up()
    found = cookie_of(visitor)
    assert found.value.count(".") == 2
    assert found.http_only
    assert found.same_site == "Lax"
    assert found.path == "/"


@pytest.mark.attack("S1")
def test_logging_in_gives_another_cookie_and_another_form_token(visitor):
    """A session planted before login is worth nothing after."""
    an_account("mara@acme.example")
    planted_token = visitor.token("/login")
    planted = cookie_of(visitor).value
    visitor.log_in()
    assert cookie_of(visitor).value != planted
    assert not is_logged_in(with_cookie(visitor.client.application, planted))
    answer = visitor.client.post("/logout", data={"csrf_token": planted_token})
    assert answer.status_code == 400


def test_pages_opened_at_once_after_logging_in_have_forms_that_go_together(visitor, app):
    an_account("mara@acme.example")
    visitor.log_in()
    first, second = (with_cookie(app, cookie_of(visitor).value) for _ in range(2))
    token = first.token("/organizations/new")
    second.token("/organizations/new")
    fields = {"csrf_token": token, "organization_name": "Acme Corp"}
    assert second.client.post("/organizations/new", data=fields).status_code == 303


def test_a_cookie_copied_before_logout_is_worth_nothing_after(visitor, app):
    visitor.sign_up()
    copy = cookie_of(visitor).value
    assert is_logged_in(with_cookie(app, copy))
    assert visitor.log_out().location == "/login"
    assert not is_logged_in(visitor)
    assert not is_logged_in(with_cookie(app, copy))
    assert len(Session.objects()) == 0


def test_logging_out_twice_is_no_error(visitor):
    visitor.sign_up()
    visitor.log_out()
    assert visitor.post("/logout", form_at="/login").status == 303


def test_the_database_holds_nothing_that_opens_a_session(visitor, app):
    visitor.sign_up()
    record = Session.objects.get()
    now = clock.now()
    forged = issue(
        cookies.KIND,
        {"data": {"_user_id": record.id}},
        issued_at=now,
        expires_at=now + timedelta(hours=1),
    )
    assert not is_logged_in(with_cookie(app, forged))


def test_an_idle_session_ends_after_12_hours(visitor, time_machine):
    visitor.sign_up()
    time_machine.move_to(clock.now() + timedelta(hours=11))
    assert is_logged_in(visitor)
    time_machine.move_to(clock.now() + timedelta(hours=11))
    assert is_logged_in(visitor)
    time_machine.move_to(clock.now() + timedelta(hours=13))
    assert not is_logged_in(visitor)


def test_a_session_ends_after_30_days_however_busy(visitor, time_machine):
    visitor.sign_up()
    for _ in range(60):
        time_machine.move_to(clock.now() + timedelta(hours=11, minutes=50))
        assert is_logged_in(visitor)
    time_machine.move_to(clock.now() + timedelta(hours=11))
    assert not is_logged_in(visitor)


def test_being_seen_is_written_at_most_once_a_minute(visitor, commands, time_machine):
    visitor.sign_up()
    commands.clear()
    visitor.get("/organizations")
    assert "update" not in commands
    time_machine.move_to(clock.now() + timedelta(seconds=61))
    visitor.get("/organizations")
    visitor.get("/organizations")
    assert commands.count("update") == 1


def test_logging_in_and_out_is_in_the_accounts_trail(visitor):
    account = an_account("mara@acme.example")
    visitor.log_in()
    visitor.log_out()
    events = AuditEvent.objects(chain=account.id).order_by("seq")
    assert [event.action for event in events] == ["account.logged_in", "account.logged_out"]
    assert Account.objects.get().audit_head.seq == 2


def test_a_hash_with_old_parameters_is_made_anew_at_login(visitor):
    account = an_account("mara@acme.example")
    weaker = passwords.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
    account.update(set__password_hash=weaker.hash(PASSWORD))
    assert visitor.log_in().status == 303
    assert not passwords.needs_rehash(Account.objects.get().password_hash)
    visitor.log_out()
    assert visitor.log_in().status == 303


def test_who_is_logged_in_is_not_asked_again(visitor):
    visitor.sign_up()
    assert visitor.get("/").location == "/organizations"
    assert visitor.get("/login").location == "/organizations"
    assert visitor.get("/signup").location == "/organizations/new"


def test_logging_in_again_ends_the_session_before(visitor, app):
    visitor.sign_up()
    copy = cookie_of(visitor).value
    visitor.post("/login", {"email": "mara@acme.example", "password": PASSWORD}, form_at="/trash")
    assert is_logged_in(visitor)
    assert not is_logged_in(with_cookie(app, copy))
    assert len(Session.objects()) == 1


def test_the_session_that_another_log_in_ended_is_in_its_accounts_trail(visitor):
    mara, teo = an_account("mara@acme.example"), an_account("teo@acme.example")
    visitor.log_in("mara@acme.example")
    [before] = Session.objects
    visitor.post("/login", {"email": teo.email, "password": PASSWORD}, form_at="/trash")
    entered, ended = AuditEvent.objects(chain=mara.id).order_by("seq")
    assert (entered.action, ended.action) == ("account.logged_in", "account.session_ended")
    assert (ended.actor, ended.target) == (mara.id, before.public_id)
    assert [event.action for event in AuditEvent.objects(chain=teo.id)] == ["account.logged_in"]


@pytest.mark.attack("A1", "L1")
def test_each_refused_log_in_is_logged_with_its_ip_address_as_fail2ban_reads_it(visitor, app, log):
    an_account("mara@acme.example")
    manual = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    [pattern] = re.findall(r"^failregex = (.*)$", manual, re.M)
    pattern = re.compile(pattern.replace("<HOST>", r"(?P<host>[0-9a-f.:]+)"))
    forged = '{"ip_address": "192.0.2.1", "reason": "x", "event": "log_in.refused"'
    from_there = {"environ_overrides": {"REMOTE_ADDR": "198.51.100.7"}}
    for email in ("mara@acme.example", "nobody@acme.example", forged):
        visitor.post("/login", {"email": email, "password": "wrong"}, **from_there)
    body = {"email": "mara@acme.example", "password": forged}
    app.test_client().post("/admin/login", json=body, **from_there)
    visitor.client.get("/" + forged, headers={"User-Agent": forged})
    visitor.log_in("mara@acme.example")
    found = [match["host"] for line in log.text.splitlines() if (match := pattern.search(line))]
    assert found == ["198.51.100.7"] * 4
    assert {event["reason"] for event in log.named("log_in.refused")} == {"wrong_credentials"}
    assert "mara@" not in log.text

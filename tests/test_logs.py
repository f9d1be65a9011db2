"""What is logged: one line per event, and no secret ever."""

import json
import logging
import secrets
import sys
import time

import pytest
from pymongo.errors import PyMongoError

from portal import logs
from portal.documents.accounts import Account
from portal.documents.organizations import Organization
from portal.documents.sessions import Session
from tests.processes import Person, portal
from tests.program import Program
from tests.visitor import PASSWORD, Visitor


def test_each_request_is_one_event_that_says_who_what_and_how_long(visitor, log):
    visitor.sign_up("Acme Corp")
    begun = time.perf_counter()
    page = visitor.get("/organizations/acme-corp")
    passed = 1000 * (time.perf_counter() - begun)
    event = log.named("request.answered")[-1]
    assert event["request_id"] == page.response.headers["X-Request-ID"]
    assert event["account"] == str(Account.objects.get().id)
    assert event["organization"] == str(Organization.objects.get().id)
    assert (event["method"], event["path"]) == ("GET", "/organizations/acme-corp")
    assert event["status"] == 200
    assert 0 < event["milliseconds"] < passed + 1
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


def test_the_next_request_knows_nothing_of_the_last(visitor, app, log):
    visitor.sign_up("Acme Corp")
    visitor.get("/organizations/acme-corp")
    Visitor(app).get("/login")
    event = log.named("request.answered")[-1]
    assert "account" not in event
    assert "organization" not in event


def test_a_refused_cookie_is_logged_with_its_own_request(visitor, app, log):
    visitor.sign_up("Acme Corp")
    visitor.get("/organizations/acme-corp")
    stranger = Visitor(app)
    stranger.client.set_cookie("portal_session_test", "a.b.c")
    answer = stranger.get("/login").response
    [refused] = log.named("session.cookie_refused")
    assert refused["request_id"] == answer.headers["X-Request-ID"]
    assert "account" not in refused


def test_an_error_page_names_the_request_that_the_log_knows(visitor, log):
    page = visitor.get("/nowhere")
    number = page.html.select_one(".remark code").get_text()
    assert log.named("request.answered")[-1]["request_id"] == number


def test_health_is_asked_too_often_to_be_logged(visitor, log):
    visitor.get("/healthz")
    visitor.get("/readyz")
    assert log.events == []


@pytest.mark.parametrize("terminal", [False, True])
def test_no_value_of_a_document_comes_with_an_error(terminal, monkeypatch, tenant_db):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    formatter = logging.config.dictConfigClass(logs.config()).configure_formatter(
        logs.config()["formatters"]["event"]
    )
    tenant_db.people.create_index("iban", unique=True)
    tenant_db.command("collMod", "people", validator={"age": {"$type": "int"}})
    lines = []
    for document in ({"age": 1, "iban": "canary"}, {"age": 2, "iban": "canary"}, {"age": "canary"}):
        try:
            tenant_db.people.insert_one(document)
        except PyMongoError as error:
            event = {"event": "write.failed", "error": str(error), "exc_info": error}
            lines.append(formatter.format(logging.LogRecord("x", 40, "", 1, event, (), None)))
    duplicate, broken = lines
    assert "dup key" in duplicate
    assert "Document failed validation" in broken
    assert "canary" not in duplicate + broken


NASTY = "x\ny\r\nz\x1b[31mred\u2028\u202e\0"


@pytest.mark.attack("L1")
@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_breaks_a_line_or_colours_a_terminal(terminal, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    formatter = logging.config.dictConfigClass(logs.config()).configure_formatter(
        logs.config()["formatters"]["event"]
    )
    record = logging.LogRecord("gunicorn.error", logging.INFO, "", 0, "odd: %s", (NASTY,), None)
    line = formatter.format(record)
    assert "\n" not in line
    assert "\x1b[31mred" not in line
    if not terminal:
        assert json.loads(line)["event"].startswith("odd: x")
    ours = logging.LogRecord(
        "portal",
        logging.INFO,
        "",
        0,
        {"event": "x", "path": NASTY, "agent": "\x1b[31mred"},
        (),
        None,
    )
    ours._logger, ours._name = None, "info"  # as one that comes from the portal itself
    line = formatter.format(ours)
    assert "\n" not in line
    assert "\x1b[31mred" not in line


@pytest.mark.attack("L1")
def test_strange_paths_and_agents_stay_on_one_line(visitor, log):
    visitor.get("/organizations/%0A%0D%1B%5B31mred%E2%80%A8", headers={"User-Agent": "a\tb" * 50})
    assert all(json.loads(line) for line in log.text.splitlines())
    assert "\x1b" not in log.text


def canary():
    return f"canary{secrets.token_hex(6)}"


@pytest.mark.attack("L1")
@pytest.mark.slow
def test_no_field_reaches_the_log(visitor, app, log):
    """A canary in every field of every form, body, query and header."""
    visitor.sign_up("Acme Corp")
    program = Program(app)
    program.log_in()
    planted = []

    def plant():
        planted.append(canary())
        return planted[-1]

    pages = ("/signup", "/login", "/organizations/new", "/organizations/acme-corp/rename",
             "/organizations/acme-corp/delete")  # fmt: skip
    stranger = Visitor(app)
    for who in (visitor, stranger):
        for path in pages:
            for form in who.get(path, follow_redirects=True).html.find_all("form", method="post"):
                names = [
                    field["name"]
                    for field in form.find_all("input")
                    if field["name"] != "csrf_token"
                ]
                who.post(form["action"], {name: plant() for name in names}, form_at=path)
                who.client.post(
                    form["action"], data={"csrf_token": plant(), **{n: plant() for n in names}}
                )
    visitor.log_in()
    for name in ("q", "next", "before", "after", "organization_name", "renames", plant()):
        for path in (
            "/login",
            "/organizations",
            "/organizations/preview",
            "/organizations/acme-corp/activity",
        ):
            visitor.get(path, query_string={name: plant()})
    for path in ("/org/create", "/admin/login", "/org/update"):
        fields = (
            "organization_name",
            "email",
            "password",
            "old_organization_name",
            "new_organization_name",
        )
        for method in ("POST", "PUT"):
            program.ask(method, path, {field: plant() for field in fields})
            for field in fields:
                program.ask(method, path, {field: plant()})
            program.ask(method, path, data=plant(), content_type="application/json")
    program.post("/admin/login", {"email": f"{plant()}@acme.example", "password": plant()})
    for header in ("Authorization", "Cookie", "X-CSRFToken", "User-Agent", "Referer", "X-Forwarded-For", "Host",
                   "Content-Type", "Content-Encoding", "X-Request-ID"):  # fmt: skip
        for value in (plant(), f"Bearer {plant()}", f"portal_session_test={plant()}"):
            program.post("/org/create", {}, headers={header: value})
            stranger.client.get("/organizations", headers={header: value})
    assert len(planted) > 150
    assert [value for value in planted if value in log.text] == []


@pytest.mark.attack("L1")
def test_no_secret_reaches_the_log_or_a_page(visitor, app, log, settings, master_db):
    visitor.sign_up("Acme Corp")
    program = Program(app)
    program.log_in()
    pages = [visitor.get(path).response.text for path in
             ("/organizations", "/organizations/acme-corp", "/organizations/acme-corp/activity", "/nowhere")]  # fmt: skip
    cookie = visitor.client.get_cookie("portal_session_test").value
    hidden = [
        PASSWORD, cookie, program.token, settings.jwt_secret, settings.secret_key, settings.mongo_uri,
        Account.objects.get().password_hash, *(session.id for session in Session.objects()),
    ]  # fmt: skip
    told = [log.text, *pages, str(list(master_db.audit_events.find()))]
    assert [secret for secret in hidden for text in told if secret in text] == []
    assert visitor.token("/organizations/new") not in log.text


@pytest.mark.processes
def test_gunicorn_logs_the_same_way(server, tmp_path):
    with (tmp_path / "log").open("w+") as log:
        with portal(server, "test", workers=1, stderr=log, python=sys.executable) as running:
            Person(running.url).get("/login")
        log.seek(0)
        events = [json.loads(line)["event"] for line in log]
    assert "Starting gunicorn" in events[0]
    assert "request.answered" in events

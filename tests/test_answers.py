"""What every answer is like: errors as pages, headers, limits."""

import io
import re
import string
from http import HTTPStatus

import pytest
from pymongo.errors import AutoReconnect, OperationFailure
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    TooManyRequests,
)  # fmt: skip

from portal import errors
from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.memberships import Invitation, Membership
from portal.documents.organizations import Organization, Slug
from portal.documents.sessions import Session
from portal.web.error_messages import ERROR_MESSAGES
from tests.conftest import traces
from tests.visitor import Page, Visitor

HTTP_ERRORS = [
    BadRequest, Forbidden, NotFound, MethodNotAllowed, Conflict, RequestEntityTooLarge,
    TooManyRequests, InternalServerError, ServiceUnavailable,
]  # fmt: skip


def page_of(app, error):
    with app.test_request_context("/"):
        return Page(app.make_response(app.handle_user_exception(error)))


@pytest.mark.parametrize("error", HTTP_ERRORS)
def test_every_http_error_has_a_page_of_the_portal(app, error):
    page = page_of(app, error())
    assert page.status == error.code
    assert page.heading == ERROR_MESSAGES[error.code][1]
    assert page.html.find("header")
    assert page.html.find("footer")


def every_error(category=errors.PortalError):
    """The errors of all rooms; the categories in ``portal/errors.py`` are none themselves."""
    for kind in category.__subclasses__():
        yield from every_error(kind)
        if kind.__module__ != errors.__name__:
            yield kind


def test_every_error_of_the_services_says_what_it_is():
    for kind in set(every_error()):
        assert 400 <= HTTPStatus(kind.status) <= 503, kind
        assert re.fullmatch("[a-z_]+", kind.code), kind
        for message in filter(None, (kind.message, kind.api_message)):
            named = (name for _, name, _, _ in string.Formatter().parse(message) if name)
            fields = {name.partition(".")[0] for name in named}
            assert fields <= {*dir(kind), *getattr(kind, "__dataclass_fields__", ())}, kind


def test_a_bug_is_a_page_with_a_number_and_nothing_else(app, visitor, monkeypatch, log):
    monkeypatch.setitem(app.view_functions, "home.landing", lambda: 1 / 0)
    page = visitor.get("/")
    assert page.status == 500
    number = page.html.select_one(".remark code").get_text()
    assert "ZeroDivision" not in page.text
    [failed] = log.named("request.failed")
    assert failed["request_id"] == number == page.response.headers["X-Request-ID"]
    assert "ZeroDivisionError" in failed["exception"]


@pytest.mark.parametrize(
    ("method", "error"), [("GET", ServiceUnavailable()), ("POST", TooManyRequests())]
)
def test_trying_again_leads_back_to_what_was_asked_for(app, method, error):
    with app.test_request_context("/login?next=/trash", method=method):
        page = Page(app.make_response(app.handle_user_exception(error)))
    assert page.html.find("a", string="Try again")["href"] == "/login?next=/trash"


@pytest.mark.attack("C2")
@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "/\t/evil.example"])
def test_trying_again_stays_on_the_site(app, path):
    with app.test_request_context(environ_overrides={"PATH_INFO": path}):
        page = Page(app.make_response(app.handle_user_exception(ServiceUnavailable())))
    assert page.html.find("a", string="Try again")["href"] in ("/", "/evil.example/")


@pytest.mark.parametrize(
    ("error", "status"), [(AutoReconnect("gone"), 503), (OperationFailure("bug", 9), 500)]
)
def test_a_database_that_is_away_is_not_a_bug_and_the_other_way_round(app, error, status):
    page = page_of(app, error)
    assert page.status == status
    assert (page.response.headers.get("Retry-After") is not None) == (status == 503)


def test_a_wrong_method_says_which_are_right(visitor):
    answer = visitor.client.delete("/login")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_the_address_of_a_form_that_is_opened_leads_to_the_page_of_the_form(visitor):
    visitor.sign_up("Acme Corp", "mara@acme.example")
    page = visitor.get("/organizations/acme-corp/data/indexes/new")
    assert page.status == 405
    way_on = page.html.find("a", string="Open its page")["href"]
    assert way_on == "/organizations/acme-corp/data/indexes"


PATHS = [
    "/", "/login", "/signup", "/organizations", "/nowhere", "/healthz", "/readyz",
    "/static/nothing.css", "/org", "/org/acme", "/docs/openapi.json",
]  # fmt: skip


@pytest.mark.attack("C3")
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_headers_that_protect_it(visitor, path):
    headers = visitor.get(path).response.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.attack("S2")
@pytest.mark.parametrize(
    "path", ["/organizations", "/organizations/acme-corp", "/trash", "/nowhere", "/login"]
)
def test_no_page_is_kept_by_a_cache(visitor, path):
    visitor.sign_up()
    assert visitor.get(path).response.headers["Cache-Control"] == "no-store"


def post_rules(app):
    return [
        rule
        for rule in app.url_map.iter_rules()
        if "POST" in rule.methods and rule.rule.split("/")[1] not in ("org", "auth", "admin")
        if "/parts/" not in rule.rule  # it takes bytes
    ]


def master_data():
    """All that a form may change, but when a session was seen."""
    kinds = (Account, Session, Organization, Slug, Membership, Invitation, ApiKey, AuditEvent, Mail)
    return [list(kind._get_collection().find({}, {"seen_at": 0})) for kind in kinds]


@pytest.mark.attack("C1")
@pytest.mark.slow
def test_every_form_needs_its_token(app, visitor):
    visitor.sign_up()
    other = Visitor(app)
    other.sign_up("Other", "other@acme.example")
    foreign = other.token("/organizations/new")
    rules, before = post_rules(app), master_data()
    assert len(rules) >= 7
    for rule in rules:
        path = rule.rule.replace("<slug>", "acme-corp")
        for fields in ({}, {"csrf_token": ""}):
            answer = visitor.client.post(path, data=fields)
            assert answer.status_code == 400, path
            assert "This form is no longer valid" in answer.text
        for token in ("wrong", foreign):
            with traces.apart() as written:
                answer = visitor.client.post(path, data={"csrf_token": token})
                wrote = written.wrote()
            assert answer.status_code in (303, 400, 403, 404, 409, 410, 422), path
            assert not wrote or master_data() == before


@pytest.mark.attack("C1")
def test_a_part_of_an_upload_needs_the_token_in_a_header(visitor):
    visitor.sign_up()
    part = "/organizations/acme-corp/data/imports/65f0c2d4e8b7a913c0f55e10/parts/0"
    answer = visitor.client.post(part, data=b"x", content_type="application/octet-stream")
    assert answer.status_code == 400
    assert "This form is no longer valid" in answer.text


def test_a_form_sent_as_json_changes_nothing(visitor):
    visitor.sign_up()
    answer = visitor.client.post("/organizations/new", json={"organization_name": "Other"})
    assert answer.status_code == 415


def test_a_body_that_is_too_large_is_refused(visitor):
    token = visitor.token("/signup")
    answer = visitor.client.post(
        "/signup", data={"csrf_token": token, "organization_name": "x" * 100_000}
    )
    assert answer.status_code == 413
    assert "This is too large" in answer.text


def test_many_fields_are_refused(visitor):
    token = visitor.token("/signup")
    fields = {f"f{n}": "x" for n in range(10_000)}
    assert visitor.client.post("/signup", data={"csrf_token": token, **fields}).status_code == 413


def test_the_portal_says_when_it_is_ready(visitor):
    assert visitor.get("/healthz").status == 200
    assert visitor.get("/readyz").status == 200


def test_no_answer_tells_the_versions_of_what_runs_here(visitor):
    headers = visitor.get("/nowhere").response.headers
    assert "werkzeug" not in headers.get("Server", "").lower()


@pytest.mark.parametrize("path", ["/signup", "/login", "/signup/password"])
def test_what_is_no_form_is_refused(visitor, path):
    header = {"X-CSRFToken": visitor.token("/signup")}
    file = {"organization_name": (io.BytesIO(b"Acme"), "name.txt")}
    body = {"organization_name": {"$gt": ""}, "email": {"$gt": ""}, "password": {"$gt": ""}}
    refused = visitor.post(path, form_at="/signup", content_type="text/plain")
    assert refused.html.select_one(".remark code"), "refusals have a number too"
    for sent in (
        {"data": file},
        {"json": body},
        {"json": [1]},
        {"data": "[" * 60_000, "content_type": "application/json"},
    ):
        assert visitor.client.post(path, headers=header, **sent).status_code == 415


def test_a_body_without_length_is_refused(visitor):
    answer = visitor.client.post(
        "/signup",
        headers={"Transfer-Encoding": "chunked"},
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == 411


@pytest.mark.parametrize("value", ["a|é", "a|b", "x" * 3000, "\x7f"])
@pytest.mark.parametrize("name", ["remember_token", "portal_session_test"])
def test_strange_cookies_are_no_cookies(visitor, name, value):
    visitor.client.set_cookie(name, value)
    assert visitor.get("/organizations").status == 303
    assert visitor.get("/login").status == 200


@pytest.mark.parametrize("path", ["/nowhere", "/organizations"])
def test_every_page_of_who_is_logged_in_is_a_503_without_a_database(visitor, monkeypatch, path):
    visitor.sign_up()

    def away(*arguments):
        raise AutoReconnect("gone")

    monkeypatch.setattr("portal.identity.sessions.sessions.find_principal", away)
    answer = visitor.get(path)
    assert answer.status == 503
    assert answer.response.headers["Retry-After"]
    assert visitor.client.post("/organizations/new").status_code == 503

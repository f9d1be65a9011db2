"""Where a request comes from, and under which host."""

import re
import socket
import time
from dataclasses import replace
from ipaddress import ip_network

import pytest

from portal import settings as portal_settings
from portal.app import create_app
from portal.database import connection
from portal.documents.audit import AuditEvent
from portal.web import hangups
from portal.web.requests import client_ip, path_for_log
from tests.processes import wait_until
from tests.visitor import PASSWORD, Visitor

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


@pytest.mark.attack("D1")
def test_no_address_takes_long_to_be_written_in_the_log(app):
    """Anybody held a worker for a second by the longest one that is taken."""
    with app.test_request_context("/" + "a" * 8100):
        begun = time.thread_time()
        assert path_for_log() == "/" + "a" * 8100
        assert time.thread_time() - begun < 0.1
    token = f"{'a' * 20}.{'b-_' * 20}.{'c' * 43}"
    with app.test_request_context(f"/x/-{token}/y"):
        assert path_for_log() == "/x/…/y"


@pytest.mark.attack("C3")
@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("2001:db8::1", "2001:4860::7", "2001:4860::7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, <script>", "10.0.0.1"),
        ("10.0.0.1", "," * 5000, "10.0.0.1"),
        ("", "198.51.100.1", ""),
        ("10.0.0.1", "198.51.100.1:51234", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1:51234, 10.0.0.2:80", "198.51.100.1"),
        ("10.0.0.1", "[2001:4860::7]:4711", "2001:4860::7"),
        ("10.0.0.1", "[2001:4860::7]", "2001:4860::7"),
        ("203.0.113.9", "198.51.100.1:51234", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1:123456", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1:x", "10.0.0.1"),
        ("10.0.0.1", "fe80::1%<script>", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 198.51.100.1:1, [10.0.0.2]:x", "10.0.0.1"),
    ],
)
def test_forwarded_addresses_are_believed_from_trusted_proxies_only(peer, forwarded, seen):
    assert client_ip(peer, forwarded, PROXIES) == seen


@pytest.mark.attack("C3")
def test_who_comes_by_a_unix_socket_is_believed_only_where_that_is_named():
    forwarded = "1.1.1.1, 198.51.100.1"
    assert client_ip("", forwarded, PROXIES) == ""
    assert client_ip("", forwarded, PROXIES, unix_trusted=True) == "198.51.100.1"
    assert client_ip("", f"{forwarded}, 10.0.0.2", PROXIES, unix_trusted=True) == "198.51.100.1"
    assert client_ip("203.0.113.9", forwarded, PROXIES, unix_trusted=True) == "203.0.113.9"


@pytest.mark.attack("C3")
def test_a_stranger_cannot_choose_the_address_in_the_audit_trail(visitor):
    fields = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}
    headers = {"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"}
    visitor.post("/signup", fields, headers=headers)
    assert AuditEvent.objects.first().personal["address"]["value"] == "127.0.0.1"


@pytest.fixture
def portal_at(settings):
    """A portal with another public address, on the databases of this test run."""

    def at(public_url, **changes):
        app = create_app(replace(settings, public_url=public_url, **changes))
        connection.prepare()
        return Visitor(app)

    yield at
    create_app(settings)
    portal_settings.activate(settings)


def status_under(visitor, host, path="/login"):
    return visitor.client.get(path, environ_overrides={"HTTP_HOST": host}).status_code


@pytest.mark.attack("C3")
@pytest.mark.parametrize(
    "host",
    ["..", "a" * 3000, "a..b", "a b", "<x>", "a:b", "[::1", "", "evil.example", "localhost.evil.example",
     "localhost:x", "127.0.0.1@evil.example", "127.0.0.2"],
)  # fmt: skip
def test_a_host_that_is_not_the_portals_is_refused(visitor, host):
    answer = visitor.client.get("/login", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code == 400
    assert "The portal is at http://localhost " in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    answer = visitor.client.get("/auth/check", environ_overrides={"HTTP_HOST": host})
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_a_portal_on_ones_own_machine_answers_under_every_name_of_it(visitor, host):
    assert status_under(visitor, host) == 200


@pytest.mark.attack("C3")
def test_a_portal_with_a_public_address_answers_under_that_alone(portal_at):
    visitor = portal_at("https://portal.example:8443")
    assert status_under(visitor, "portal.example:8443") == 200
    assert status_under(visitor, "Portal.Example:8443") == 200
    for host in ("portal.example", "localhost", "127.0.0.1:8000", "portal.example:8443.evil"):
        assert status_under(visitor, host) == 400


def test_the_default_port_may_be_named_and_health_is_told_under_any_host(portal_at):
    visitor = portal_at("https://portal.example")
    assert status_under(visitor, "portal.example:443") == 200
    assert status_under(visitor, "portal.example:80") == 400
    for path in ("/healthz", "/readyz"):
        assert status_under(visitor, "10.0.0.7:8000", path) == 200


@pytest.mark.attack("S2")
def test_under_https_browsers_are_told_to_stay_with_it(portal_at):
    visitor = portal_at("https://portal.example")
    base = {"base_url": "https://portal.example"}
    answer = visitor.client.get("/login", **base)
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-portal_session=")
    for flag in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert flag in cookie
    assert "Domain" not in cookie


def test_without_https_nothing_is_promised_about_it(visitor):
    assert "Strict-Transport-Security" not in visitor.get("/login").response.headers


def at(visitor, path):
    """The answer to GET of just this path."""
    return visitor.client.get("/", environ_overrides={"PATH_INFO": path})


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/login/", "/login"),
        ("/login//", "/login"),
        ("/organizations//acme-corp/", "/organizations/acme-corp"),
        ("/organizations/acme corp/", "/organizations/acme%20corp"),
        ("/org/acme-corp/", "/org/acme-corp"),
    ],
)
def test_a_slash_too_many_leads_to_what_was_meant(visitor, path, meant):
    answer = at(visitor, path)
    assert answer.status_code in (307, 308)
    assert answer.headers["Location"].removeprefix("http://localhost") == meant


def test_a_slash_too_many_keeps_the_query(visitor):
    answer = visitor.get("/login/?next=/account&q=%C3%A9")
    assert answer.location == "/login?next=/account&q=%C3%A9"


@pytest.mark.attack("C2")
@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example//login/", "/nowhere/", "//"])
def test_a_slash_too_many_leads_nowhere_else(visitor, path):
    answer = at(visitor, path)
    location = answer.headers.get("Location", "http://localhost/")
    assert location.startswith("http://localhost/") or re.match("/[^/]", location)


def test_a_slash_too_many_changes_nothing(visitor):
    fields = {"csrf_token": visitor.token()}
    assert visitor.client.post("/logout/", data=fields).status_code == 404
    assert visitor.client.delete("/org/acme-corp/").status_code == 404


def test_what_a_client_left_behind_is_ended_until_it_is_over(app):
    """It may come to the server after the client was seen to be gone."""
    near, far = socket.socketpair()
    ended = []
    with near, app.test_request_context(environ_overrides={"gunicorn.socket": near}):
        with hangups.on_hang_up(lambda: ended.append(1)):
            far.close()
            wait_until(lambda: len(ended) >= 3)

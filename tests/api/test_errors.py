"""Every error of the API is JSON of one shape, and says what to do."""

import pytest
from pymongo.errors import AutoReconnect

from portal.api.guard import read_object
from portal.web.errors import MalformedJson
from tests.program import fault
from tests.visitor import PASSWORD

SIGN_UP = {"organization_name": "Acme", "email": "mara@acme.example", "password": PASSWORD}


def check_shape(answer):
    assert answer.content_type == "application/json"
    assert set(answer.json) == {"status", "error"}
    assert answer.json["status"] == "error"
    error = answer.json["error"]
    assert set(error) == {"code", "message", "fields"}
    assert error["message"]
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/org", "/org/", "/org/a/b", "/auth", "/auth/x", "/admin", "/org/update/"]
)
def test_nothing_is_there(program, path):
    answer = program.get(path)
    assert answer.status_code in (404, 405)
    check_shape(answer)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/admin/login", "POST"), ("DELETE", "/auth/check", "GET"), ("GET", "/org/create", "POST"),
     ("POST", "/org/acme", "GET"), ("POST", "/org/update", "PUT"), ("PATCH", "/org/delete/acme", "DELETE"),
     ("GET", "/org/update/acme", "PUT"), ("TRACE", "/org/acme", "GET")],
)  # fmt: skip
def test_a_method_that_is_not_says_which_are(owner, method, path, allowed):
    answer = owner.ask(method, path)
    check_shape(answer)
    assert fault(answer) == (405, "method_not_allowed", set())
    assert allowed in answer.headers["Allow"].split(", ")


@pytest.mark.attack("C1")
@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "application/xml", "", "json"],
)  # fmt: skip
def test_what_is_no_json_is_refused(program, content_type):
    """Nor can a form of another site send any."""
    answer = program.post("/org/create", data='{"a": 1}', content_type=content_type)
    check_shape(answer)
    assert fault(answer) == (415, "unsupported_media_type", set())


@pytest.mark.attack("D1")
def test_packed_bodies_are_never_unpacked(program):
    answer = program.post("/org/create", SIGN_UP, headers={"Content-Encoding": "gzip"})
    check_shape(answer)
    assert answer.status_code == 415


@pytest.mark.attack("D1")
def test_too_much_is_refused(program):
    answer = program.post("/org/create", {**SIGN_UP, "organization_name": "x" * 100_000})
    check_shape(answer)
    assert fault(answer) == (413, "too_large", set())


@pytest.mark.attack("D1")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "valid JSON"),
        ("{", "valid JSON"),
        ("[]", "something else"),
        ("null", "something else"),
        ('"x"', "something else"),
        ("1", "something else"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": {"b": 1, "b": 1}}', "twice"),
        ("[" * 10_000, "deep"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "deep"),
        ("[" * 10_000 + "]" * 10_000, "deep"),
        ('{"a": "\\ud800"}', "UTF-8"),
        ('{"\\udfff": 1}', "UTF-8"),
        (b'{"a": "\xff"}', "UTF-8"),
        ('{"a": NaN}', "valid JSON"),
        ('{"a": -Infinity}', "valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "valid JSON"),
        ("\ufeff\ufeff{}", "valid JSON"),
        ('{"a": "\n"}', "valid JSON"),
    ],
)
def test_json_that_readers_may_take_differently_is_refused(program, body, told):
    answer = program.post("/org/create", data=body, content_type="application/json")
    check_shape(answer)
    assert fault(answer)[:2] == (400, "malformed_json")
    assert told in answer.json["error"]["message"]


def test_deep_json_that_fits_is_refused_by_its_types(program):
    body = '{"organization_name": ' + "[" * 500 + "]" * 500 + "}"
    answer = program.post("/org/create", data=body, content_type="application/json")
    assert fault(answer)[:2] == (422, "invalid_input")


def test_an_object_is_read_as_it_is():
    assert read_object('{"a": "é", "b": [1, {"c": null}]}'.encode()) == {
        "a": "é",
        "b": [1, {"c": None}],
    }
    assert read_object('\ufeff{"a": "\ufeff"}'.encode()) == {"a": "\ufeff"}
    with pytest.raises(MalformedJson):
        read_object(b'{"a": 1, "a": 1}')


def test_a_bug_is_told_with_a_number_and_nothing_else(app, program, monkeypatch, log):
    monkeypatch.setitem(app.view_functions, "admin.log_in", lambda: 1 / 0)
    answer = program.post("/admin/login", {"email": "a", "password": "b"})
    check_shape(answer)
    assert fault(answer) == (500, "internal_error", set())
    assert "ZeroDivision" not in answer.text
    [failed] = log.named("request.failed")
    assert failed["request_id"] == answer.headers["X-Request-ID"]


def test_a_database_that_is_away_is_a_503(app, owner, monkeypatch):
    def away(*arguments):
        raise AutoReconnect("gone")

    monkeypatch.setattr("portal.identity.sessions.sessions.find_principal", away)
    answer = owner.get("/org/acme-corp")
    check_shape(answer)
    assert fault(answer) == (503, "database_unavailable", set())
    assert int(answer.headers["Retry-After"]) > 0


def test_an_answer_of_the_api_sets_no_cookie_and_lets_no_other_site_read_it(owner):
    for answer in (owner.get("/auth/check"), owner.get("/org/nothing")):
        assert "Set-Cookie" not in answer.headers
        assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]

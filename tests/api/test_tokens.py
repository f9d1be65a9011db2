"""Bearer tokens: who gets one, what it opens, and when it ends."""

from dataclasses import replace
from datetime import timedelta

import jwt
import pytest

from portal import clock
from portal import settings as portal_settings
from portal.documents.sessions import Session
from portal.identity.sessions import tokens
from tests.program import Program, fault
from tests.visitor import PASSWORD, Visitor


def is_let_in(app, token):
    return Program(app, token).get("/auth/check").status_code == 200


def test_logging_in_gives_a_token_that_is_a_session(program):
    program.sign_up()
    answer = program.log_in()
    assert answer.status_code == 200
    assert set(answer.json) == {"status", "token", "token_type", "expires_in"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("bearer", 3600)
    [session] = Session.objects()
    assert session.kind == "program"
    assert session.expires_at - session.created_at == timedelta(hours=1)
    expires_at = program.get("/auth/check").json["expires_at"]
    assert expires_at == session.expires_at.isoformat()


@pytest.mark.attack("A2", "A6")
@pytest.mark.parametrize(
    ("email", "password"),
    [("mara@acme.example", "wrong password"), ("nobody@acme.example", PASSWORD),
     ("mara@acme.example", "x" * 50_000), ("no address", "\x00"), ("", "")],
)  # fmt: skip
def test_wrong_credentials_are_refused_alike(program, email, password):
    program.sign_up()
    answer = program.log_in(email, password)
    assert fault(answer) == (401, "wrong_credentials", {"email"})
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.attack("S1")
def test_a_token_ends_when_its_session_does(app, owner, master_db):
    assert is_let_in(app, owner.token)
    master_db.sessions.delete_many({})
    assert not is_let_in(app, owner.token)


@pytest.mark.attack("S1")
def test_a_token_ends_in_its_time(app, owner, time_machine):
    time_machine.move_to(clock.now() + timedelta(minutes=59))
    assert is_let_in(app, owner.token)
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    assert not is_let_in(app, owner.token)


def test_a_token_lasts_as_long_as_it_says_however_idle(app, settings, program, time_machine):
    try:
        portal_settings.activate(replace(settings, jwt_expires_seconds=7 * 24 * 3600))
        program.sign_up()
        program.log_in()
        time_machine.move_to(clock.now() + timedelta(days=6))
        assert is_let_in(app, program.token)
    finally:
        portal_settings.activate(settings)


@pytest.mark.attack("S1")
def test_neither_token_passes_for_the_other(app, owner):
    """A bearer token as cookie, a cookie as bearer token."""
    visitor = Visitor(app)
    visitor.log_in()
    cookie = visitor.client.get_cookie("portal_session_test").value
    assert not is_let_in(app, cookie)
    thief = Visitor(app)
    thief.client.set_cookie("portal_session_test", owner.token)
    assert thief.get("/organizations").status == 303


@pytest.mark.attack("S1")
def test_a_browsers_session_in_a_bearer_token_is_none(app, owner):
    """Even signed with our own key."""
    visitor = Visitor(app)
    visitor.log_in()
    claims = tokens.verify("session", visitor.client.get_cookie("portal_session_test").value)
    now = clock.now()
    token = tokens.issue(
        "bearer",
        {"sid": claims["data"]["_user_id"]},
        issued_at=now,
        expires_at=now + timedelta(hours=1),
    )
    assert not is_let_in(app, token)


@pytest.mark.attack("S1")
def test_forged_tokens_are_refused(app, owner, settings, log):
    """Rejected, and logged."""
    payload = jwt.decode(owner.token, options={"verify_signature": False})
    header = jwt.get_unverified_header(owner.token)
    other = "another secret of at least 32 bytes!"
    key = settings.jwt_secret
    later = payload | {"exp": payload["exp"] + 60}
    future = payload | {"iat": payload["iat"] + 3600}
    headers = {"kid": header["kid"], "typ": "bearer"}
    for token in (
        jwt.encode(payload, other, "HS256", headers),
        jwt.encode(payload, None, "none", headers),
        jwt.encode(payload, key, "HS512", headers),
        jwt.encode(payload, key, "HS256", headers | {"kid": "foreign"}),
        jwt.encode(payload, key, "HS256", headers | {"typ": "JWT"}),
        jwt.encode(future, key, "HS256", headers),
        jwt.encode({"iat": payload["iat"], "exp": payload["exp"]}, key, "HS256", headers),
        jwt.encode(payload | {"sid": {"$ne": None}}, key, "HS256", headers),
        jwt.encode(payload | {"sid": None}, key, "HS256", headers),
        jwt.encode(later, other, "HS256", headers),
        owner.token[:-3],
        "a.b.c",
        "x" * 5000,
    ):
        answer = Program(app, token).get("/auth/check")
        assert fault(answer) == (401, "not_authenticated", set()), token
    assert len(log.named("session.token_refused")) >= 8


@pytest.mark.attack("S3")
def test_secrets_rotate_without_ending_tokens(app, owner, settings):
    new = "n" * 48
    try:
        portal_settings.activate(
            replace(settings, jwt_secret=new, jwt_secret_fallbacks=(settings.jwt_secret,))
        )
        assert is_let_in(app, owner.token)
        portal_settings.activate(replace(settings, jwt_secret=new))
        assert not is_let_in(app, owner.token)
    finally:
        portal_settings.activate(settings)


@pytest.mark.parametrize("header", ["Basic bWFyYTp4", "Bearer", "bearer ", "Token x", "é", ""])
def test_a_header_that_is_no_token_is_refused_everywhere(program, header):
    body = {"organization_name": "Acme", "email": "mara@acme.example", "password": PASSWORD}
    for ask in (
        lambda: program.get("/auth/check", headers={"Authorization": header}),
        lambda: program.post("/org/create", body, headers={"Authorization": header}),
    ):
        assert fault(ask()) == (401, "not_authenticated", set())


@pytest.mark.attack("C1")
def test_a_cookie_never_lets_a_program_in(app):
    """A JSON request of another site brings the browser's cookie along."""
    visitor = Visitor(app)
    visitor.sign_up("Acme Corp")
    for method, path, body in (
        ("GET", "/auth/check", None),
        ("GET", "/org/acme-corp", None),
        ("GET", "/org/trash", None),
        ("PUT", "/org/update/acme-corp", {"new_organization_name": "Mine"}),
        ("DELETE", "/org/delete/acme-corp", None),
    ):
        answer = visitor.client.open(path, method=method, json=body)
        assert fault(answer)[:2] == (401, "not_authenticated")
    assert visitor.get("/organizations/acme-corp").status == 200


def test_a_cookie_of_another_software_does_not_stand_in_the_way(owner):
    answer = owner.get("/auth/check", headers={"Cookie": "remember_token=x; session=y"})
    assert answer.status_code == 200

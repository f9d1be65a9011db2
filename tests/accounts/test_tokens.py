"""Tokens: whose they are, what for, and how long."""

import base64
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest

from portal import clock
from portal import settings as portal_settings
from portal.accounts.tokens import InvalidToken, issue, key_id, read


def a_token(kind="session", *, issued=timedelta(), lasts=timedelta(hours=1)):
    now = clock.now()
    return issue(kind, {"data": {"x": 1}}, issued_at=now + issued, expires_at=now + issued + lasts)


def forged(settings, secret=None, algorithm="HS256", **header):
    now = int(clock.now().timestamp())
    headers = {"typ": "session", "kid": key_id(settings.jwt_secret), **header}
    secret = settings.jwt_secret if secret is None else secret
    return jwt.encode({"data": {}, "iat": now, "exp": now + 60}, secret, algorithm, headers)


def with_header(header):
    _, payload, signature = a_token().split(".")
    encoded = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
    return f"{encoded}.{payload}.{signature}"


def test_a_token_carries_what_was_signed_with_kind_key_and_times():
    token = a_token()
    assert read("session", token)["data"] == {"x": 1}
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "session"
    assert header["kid"]


def test_a_token_of_another_kind_does_not_pass():
    """Row S1 of the attacks."""
    with pytest.raises(InvalidToken):
        read("session", a_token("bearer"))


@pytest.mark.parametrize(
    "times",
    [
        {"lasts": timedelta(seconds=-1)},
        {"issued": timedelta(hours=1)},
    ],
    ids=["expired", "from the future"],
)
def test_a_token_passes_only_in_its_time(times):
    with pytest.raises(InvalidToken):
        read("session", a_token(**times))


def test_forged_tokens_do_not_pass(settings):
    other = "another secret of at least 32 bytes!"
    unsigned = forged(settings, secret="", algorithm="none")
    for token in (
        forged(settings, secret=other),
        forged(settings, secret=other, kid=key_id(other)),
        forged(settings, kid="foreign"),
        with_header('{"alg": "HS256", "typ": "session", "kid": {"$ne": null}}'),
        with_header('{"alg": "HS256", "typ": "session", "kid": ["x"]}'),
        with_header("[]"),
        forged(settings, algorithm="HS512"),
        unsigned,
        "",
        "a.b.c",
        "é.é.é",
        a_token()[:-4],
        a_token().replace(".", ".e", 1),
        "x" * 100_000,
    ):
        with pytest.raises(InvalidToken):
            read("session", token)


def test_secrets_rotate_without_ending_sessions(settings):
    """Row S3 of the attacks."""
    token = a_token()
    new = "n" * 48
    try:
        portal_settings.activate(
            replace(settings, jwt_secret=new, jwt_secret_fallbacks=(settings.jwt_secret,))
        )
        assert read("session", token)["data"] == {"x": 1}
        assert jwt.get_unverified_header(a_token())["kid"] == key_id(new)
        portal_settings.activate(replace(settings, jwt_secret=new))
        with pytest.raises(InvalidToken):
            read("session", token)
    finally:
        portal_settings.activate(settings)

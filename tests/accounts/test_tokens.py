"""Tokens: whose they are, what for, and how long."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from portal import clock
from portal import settings as portal_settings
from portal.identity.sessions.tokens import InvalidToken, issue, key_id, verify


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


@pytest.fixture
def use(settings):
    """Tokens are signed by other settings."""

    def activate(**others):
        portal_settings.activate(replace(settings, **others))

    yield activate
    portal_settings.activate(settings)


def written(folder, name, key):
    """The files of a private key and of its public one."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_bytes(public_pem(key))
    return {"jwt_private_key_file": str(private)}, {"jwt_public_key_files": (str(public),)}


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


KEYS = {
    "EdDSA": Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def test_a_token_carries_what_was_signed_with_kind_key_and_times():
    token = a_token()
    assert verify("session", token)["data"] == {"x": 1}
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "session"
    assert header["kid"]


@pytest.mark.attack("S1")
def test_a_token_of_another_kind_does_not_pass():
    with pytest.raises(InvalidToken):
        verify("session", a_token("bearer"))


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
        verify("session", a_token(**times))


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
            verify("session", token)


@pytest.mark.attack("S3")
def test_secrets_rotate_without_ending_sessions(use, settings):
    token = a_token()
    new = "n" * 48
    use(jwt_secret=new, jwt_secret_fallbacks=(settings.jwt_secret,))
    assert verify("session", token)["data"] == {"x": 1}
    assert jwt.get_unverified_header(a_token())["kid"] == key_id(new)
    use(jwt_secret=new)
    with pytest.raises(InvalidToken):
        verify("session", token)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_private_key_in_a_file_signs(use, tmp_path, algorithm):
    private, _ = written(tmp_path, "key", KEYS[algorithm])
    use(jwt_algorithm=algorithm, jwt_secret="", **private)
    token = a_token()
    assert verify("session", token)["data"] == {"x": 1}
    header = jwt.get_unverified_header(token)
    assert header["alg"] == algorithm
    assert header["kid"] == key_id(KEYS[algorithm].public_key())


def forged_by(public, algorithm, signed_by, **header):
    """A token that bears the public key's id."""
    now = int(clock.now().timestamp())
    headers = {"typ": "session", "kid": key_id(public), "alg": algorithm, **header}
    claims = {"data": {}, "iat": now, "exp": now + 60}
    parts = [json.dumps(part).encode() for part in (headers, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = base64.urlsafe_b64encode(signed_by(signed)).rstrip(b"=")
    return (signed + b"." + signature).decode()


def as_secret(secret):
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


@pytest.mark.attack("S1")
@pytest.mark.parametrize("algorithm", KEYS)
def test_no_other_algorithm_passes_for_a_key(use, settings, tmp_path, algorithm):
    """The public key as a secret, no signature, a foreign or other kid."""
    key = KEYS[algorithm]
    private, _ = written(tmp_path, "key", key)
    use(
        jwt_algorithm=algorithm,
        jwt_secret_fallbacks=(settings.jwt_secret,),
        **private,
    )
    public, pem = key.public_key(), public_pem(key)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    secret = settings.jwt_secret.encode()
    for forgery in (
        forged_by(public, "HS256", as_secret(pem)),
        forged_by(public, "HS256", as_secret(pem.strip())),
        forged_by(public, "HS256", as_secret(der)),
        forged_by(public, algorithm, as_secret(pem)),
        forged_by(public, "HS256", as_secret(pem), kid=key_id(pem.decode())),
        forged_by(public, "HS256", as_secret(secret)),
        forged_by(public, algorithm, as_secret(secret), kid=key_id(settings.jwt_secret)),
        forged_by(public, "none", lambda signed: b""),
        forged_by(public, "none", lambda signed: b"", kid=""),
        forged_by(public, algorithm, lambda signed: b""),
        forged_by(public, "HS256", as_secret(pem), kid="foreign"),
        forged_by(public, "HS256", as_secret(b""), kid="../../dev/null"),
    ):
        with pytest.raises(InvalidToken):
            verify("session", forgery)
    genuine = forged_by(public, "HS256", as_secret(secret), kid=key_id(settings.jwt_secret))
    assert verify("session", genuine)["data"] == {}


@pytest.mark.parametrize(("seconds_ahead", "accepted"), [(3, True), (60, False)])
def test_a_token_of_a_portal_whose_clock_is_a_little_ahead_is_accepted(seconds_ahead, accepted):
    issued = clock.now() + timedelta(seconds=seconds_ahead)
    token = issue("session", {"data": {}}, issued_at=issued, expires_at=issued + timedelta(1))
    if accepted:
        assert verify("session", token)["data"] == {}
    else:
        with pytest.raises(InvalidToken):
            verify("session", token)


@pytest.mark.attack("S1")
@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_of_the_other_kind_does_not_sign_for_it(use, tmp_path, algorithm):
    [other] = set(KEYS) - {algorithm}
    private, _ = written(tmp_path, "key", KEYS[algorithm])
    use(jwt_algorithm=algorithm, **private)
    now = int(clock.now().timestamp())
    claims = {"data": {}, "iat": now, "exp": now + 60}
    headers = {"typ": "session", "kid": key_id(KEYS[algorithm].public_key())}
    with pytest.raises(InvalidToken):
        verify("session", jwt.encode(claims, KEYS[other], other, headers))


@pytest.mark.attack("S3")
def test_keys_in_files_rotate_without_ending_sessions(use, tmp_path):
    """Also from one kind of key to another, and to a secret."""
    old_private, old_public = written(tmp_path, "old", KEYS["RS256"])
    new_private, new_public = written(tmp_path, "new", KEYS["EdDSA"])
    use(jwt_algorithm="RS256", **old_private)
    token = a_token()
    use(jwt_algorithm="EdDSA", **new_private, **old_public)
    assert verify("session", token)["data"] == {"x": 1}
    newer = a_token()
    use(**new_public)
    assert verify("session", newer)["data"] == {"x": 1}
    with pytest.raises(InvalidToken):
        verify("session", token)


@pytest.mark.attack("S3")
def test_from_a_secret_to_a_key_in_a_file_sessions_live_on(use, settings, tmp_path):
    token = a_token()
    private, _ = written(tmp_path, "key", KEYS["EdDSA"])
    use(jwt_algorithm="EdDSA", jwt_secret_fallbacks=(settings.jwt_secret,), **private)
    assert verify("session", token)["data"] == {"x": 1}
    use(jwt_algorithm="EdDSA", **private)
    with pytest.raises(InvalidToken):
        verify("session", token)

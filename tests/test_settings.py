"""Settings: what is refused, and that .env.example lists them all."""

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from portal import settings
from portal.serving import settings_docs
from portal.settings import InvalidSettings, load, load_supervisor

TOP = Path(settings.__file__).parents[2]
GOOD = {"MONGO_URI": "mongodb://h/", "JWT_SECRET": "j" * 32, "SECRET_KEY": "s" * 32}


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no .env there

    def use(**values):
        for name in names_read():
            os.environ.pop(name, None)
        given = {**GOOD, **values}
        os.environ.update({name: value for name, value in given.items() if value is not None})

    with patch.dict(os.environ):  # a .env that is read goes into it too
        yield use


def names_read():
    return {setting.name.upper() for setting in settings.every_setting()}


def test_the_defaults_are_enough_beside_uri_and_secrets(environment):
    environment()
    loaded = load()
    assert (loaded.master_db, loaded.tenant_db) == ("master_db", "tenant_db")
    assert loaded.trash_days == 30
    assert not loaded.https


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MONGO_URI", None, "make run"),
        ("MONGO_URI", "", "mongodb://"),
        ("JWT_SECRET", None, "not set"),
        ("SECRET_KEY", None, "not set"),
        ("MONGO_URI", "localhost:27017", "mongodb://"),
        ("MASTER_DB", "a.b", "letters"),
        ("MASTER_DB", "admin", "none of admin"),
        ("MASTER_DB", "tenant_db", "two different"),
        ("MASTER_DB", "Tenant_DB", "two different"),
        ("JWT_SECRET", "", "32 bytes"),
        ("JWT_SECRET", "short", "32 bytes"),
        ("JWT_SECRET_FALLBACKS", "short", "32 bytes"),
        ("SECRET_KEY", "short", "32 bytes"),
        ("JWT_ALGORITHM", "none", "one of"),
        ("JWT_EXPIRES_SECONDS", "1", "60 to"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "networks"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy", "networks"),
        ("RATE_LIMITS", "maybe", "boolean"),
        ("SIGNUP_LIMIT", "0", "1 or more"),
        ("PUBLIC_URL", "portal.example", "https://"),
        ("PUBLIC_URL", "https://portal.example/under", "without a path"),
        ("PORTAL_NAME", "Acme: Console", "without :"),
        ("PORTAL_NAME", "Acme <Console>", "without :"),
        ("PORTAL_NAME", "Acme\tConsole", "visible"),
        ("PORTAL_NAME", "A" * 61, "up to 60"),
        ("SIGNUP", "closed", "one of open, invited, off"),
        ("TRASH_DAYS", "0", "1 or more"),
        ("TRASH_DAYS", "many", "integer"),
        ("LOCAL_EMAIL_DOMAINS", "maybe", "boolean"),
        ("PASSWORD_MIN_LENGTH", "7", "8 to 128"),
        ("PASSWORD_MIN_SCORE", "5", "0 to 4"),
        ("WEB_CONCURRENCY", "0", "1 or more"),
        ("WEB_CONCURRENCY", "1000", "at most one for each"),
    ],
)
def test_a_fault_is_told_with_its_setting(environment, name, value, told):
    environment(**{name: value})
    with pytest.raises(InvalidSettings) as refused:
        load()
    assert name in str(refused.value)
    assert told in str(refused.value)


def test_password_rules_below_the_defaults_are_named(environment):
    """What gunicorn warns of as it starts."""
    environment()
    assert not load().weak_password_rules
    environment(PASSWORD_MIN_LENGTH="8", PASSWORD_MIN_SCORE="4")
    assert load().weak_password_rules == ["PASSWORD_MIN_LENGTH=8"]


def test_all_faults_are_told_at_once_and_no_secret_with_them(environment):
    environment(JWT_SECRET="tooshort", SECRET_KEY="tooshorttoo", TRASH_DAYS="0")
    with pytest.raises(InvalidSettings) as refused:
        load()
    for name in ("JWT_SECRET", "SECRET_KEY", "TRASH_DAYS"):
        assert name in str(refused.value)
    assert "tooshort" not in str(refused.value)


@pytest.fixture
def key_files(tmp_path):
    """Private keys and public ones, fit and unfit, by name."""
    keys = {
        "ed25519": Ed25519PrivateKey.generate(),
        "rsa": rsa.generate_private_key(65537, 2048),
        "short": rsa.generate_private_key(65537, 1024),
        "ec": ec.generate_private_key(ec.SECP256R1()),
    }
    for name, key in keys.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        a_file(tmp_path / f"{name}.pem", pem)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        a_file(tmp_path / f"{name}.pub", public, 0o644)
    locked = BestAvailableEncryption(b"passphrase")
    pem = keys["ed25519"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    a_file(tmp_path / "locked.pem", pem)
    a_file(tmp_path / "open.pem", (tmp_path / "ed25519.pem").read_bytes(), 0o604)
    a_file(tmp_path / "noise.pem", b"\0" * 100)
    return tmp_path


def a_file(path, content, mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize(("algorithm", "name"), [("EdDSA", "ed25519"), ("RS256", "rsa")])
def test_a_key_file_is_enough_without_a_secret(environment, key_files, algorithm, name):
    environment(
        JWT_SECRET=None, JWT_ALGORITHM=algorithm, JWT_PRIVATE_KEY_FILE=f"{name}.pem",
        JWT_PUBLIC_KEY_FILES="rsa.pub,ed25519.pub",
    )  # fmt: skip
    assert load().jwt_public_key_files == ("rsa.pub", "ed25519.pub")


@pytest.mark.attack("P1")
@pytest.mark.parametrize(
    ("algorithm", "private", "told"),
    [
        ("EdDSA", None, "not set"),
        ("EdDSA", "missing.pem", "can't be read"),
        ("EdDSA", ".", "can't be read"),
        ("EdDSA", "open.pem", "open to every user"),
        ("EdDSA", "locked.pem", "without a passphrase"),
        ("EdDSA", "noise.pem", "no private key"),
        ("EdDSA", "ed25519.pub", "no private key"),
        ("EdDSA", "ec.pem", "neither an Ed25519 nor an RSA key"),
        ("EdDSA", "rsa.pem", "for RS256, not for EdDSA"),
        ("RS256", "ed25519.pem", "for EdDSA, not for RS256"),
        ("RS256", "short.pem", "less than 2048 bits"),
        ("HS256", "rsa.pem", "HS256 signs with JWT_SECRET"),
    ],
)
def test_an_unfit_private_key_is_told(environment, key_files, algorithm, private, told):
    """None that other users of the machine may read."""
    if private and private.endswith(".pub"):
        (key_files / private).chmod(0o600)
    environment(JWT_ALGORITHM=algorithm, JWT_PRIVATE_KEY_FILE=private)
    with pytest.raises(InvalidSettings) as refused:
        load()
    assert "JWT_PRIVATE_KEY_FILE: " in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("public", "told"),
    [
        ("missing.pub", "can't be read"),
        ("ed25519.pem", "no public key"),
        ("ec.pub", "neither an Ed25519 nor an RSA key"),
        ("rsa.pub,short.pub", "less than 2048 bits"),
    ],
)
def test_an_unfit_public_key_is_told(environment, key_files, public, told):
    environment(JWT_PUBLIC_KEY_FILES=public)
    with pytest.raises(InvalidSettings) as refused:
        load()
    assert "JWT_PUBLIC_KEY_FILES: " in str(refused.value)
    assert told in str(refused.value)


def test_faults_of_keys_are_told_with_all_others(environment):
    environment(
        JWT_ALGORITHM="EdDSA", JWT_PUBLIC_KEY_FILES="missing.pub", TRASH_DAYS="0",
        MASTER_DB="tenant_db",
    )  # fmt: skip
    with pytest.raises(InvalidSettings) as refused:
        load()
    for name in ("JWT_PRIVATE_KEY_FILE", "JWT_PUBLIC_KEY_FILES", "TRASH_DAYS", "two different"):
        assert name in str(refused.value)


def test_settings_do_not_show_their_secrets(environment):
    environment(MONGO_URI="mongodb://u:hidden@h/")
    assert "hidden" not in repr(load())
    assert "jjjj" not in repr(load())


@pytest.mark.parametrize(("name", "value"), [("PORT", "99999"), ("PORT", "x"), ("BIND", "nowhere")])
def test_the_supervisor_refuses_what_it_cannot_listen_on(environment, name, value):
    environment(**{name: value})
    with pytest.raises(InvalidSettings, match=name):
        load_supervisor()


def test_docs_and_example_list_every_setting_as_it_is():
    assert settings_docs.table() in (TOP / "docs" / "settings.md").read_text()
    assert settings_docs.example() == (TOP / ".env.example").read_text()


def test_the_example_is_read_as_it_stands(environment, tmp_path):
    """Whoever uncomments a line gets the default that it shows."""
    environment()
    defaults = load()
    lines = (TOP / ".env.example").read_text().splitlines()
    shown = [line.removeprefix("# ") for line in lines if "=" in line and "=  " not in line]
    (tmp_path / ".env").write_text("\n".join(shown))
    assert replace(load(), web_concurrency=defaults.web_concurrency) == defaults

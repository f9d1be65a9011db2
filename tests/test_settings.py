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
    return settings.environment_names()


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
        ("MASTER_DB", "tenant_db_reports", "two different"),
        ("MASTER_DB", "Tenant_DB_Internal", "two different"),
        ("JWT_SECRET", "", "32 bytes"),
        ("JWT_SECRET", "short", "32 bytes"),
        ("JWT_SECRET_FALLBACKS", "short", "32 bytes"),
        ("SECRET_KEY", "short", "32 bytes"),
        ("JWT_ALGORITHM", "none", "one of"),
        ("JWT_EXPIRES_SECONDS", "1", "60 to"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "networks"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy", "networks"),
        ("RATE_LIMITS", "maybe", "boolean"),
        ("SIGNUP_LIMIT", "0", "1 to"),
        ("PUBLIC_URL", "portal.example", "https://"),
        ("PUBLIC_URL", "https://portal.example/under", "without a path"),
        ("PORTAL_NAME", "Acme: Console", "without :"),
        ("PORTAL_NAME", "Acme <Console>", "without :"),
        ("PORTAL_NAME", "Acme\tConsole", "visible"),
        ("PORTAL_NAME", "A" * 61, "up to 60"),
        ("SIGNUP", "closed", "one of open, invited, off"),
        ("TRASH_DAYS", "0", "1 to"),
        ("TRASH_DAYS", "9999999", "1 to 36500"),
        ("WAY_BACK_DAYS", "31", "1 to 30"),
        ("OLD_SLUG_DAYS", "9999999", "0 to 36500"),
        ("SIGNUP_LIMIT", "99999999999999999999", "1 to"),
        ("MONGO_URI", "mongodb://u:p@ss@h/", "@ as %40"),
        ("MONGO_URI", "mongodb://u:pa/ss@h/", "percent-encoded"),
        ("MONGO_URI", "mongodb://u:pa?ss@h/", "percent-encoded"),
        ("MONGO_URI", "mongodb://u:100%@h/", "% as %25"),
        ("MONGO_URI", "mongodb+srv://u:p@h.example:27017/", "port number"),
        ("MONGO_URI", "mongodb://h:99999/", "between 0 and 65535"),
        ("MONGO_URI", "mongodb://h/?tls=true&tlsCAFile=/nowhere.pem", "/nowhere.pem"),
        ("PUBLIC_URL", "https://bücher.example", "xn--bcher-kva.example"),
        ("PUBLIC_URL", "https://portal.example:99999", "like https://"),
        ("PUBLIC_URL", "https://[2001:0DB8::7]", "as https://[2001:db8::7]: write"),
        ("PUBLIC_URL", "https://[2001:db8:0:0::7]:8443", "as https://[2001:db8::7]:8443: write"),
        ("PUBLIC_URL", "https://[fe80::1%eth0]", "like https://"),
        ("PUBLIC_URL", "https://portal.example:0443", "as https://portal.example:443: write"),
        ("PUBLIC_URL", "https://portal.example:", "as https://portal.example: write"),
        ("PUBLIC_URL", "http://127.1:8000", "as http://127.0.0.1:8000: write"),
        ("PUBLIC_URL", "http://192.168.010.1", "as http://192.168.8.1: write"),
        ("PUBLIC_URL", "http://portal.256", "like https://"),
        ("PUBLIC_URL", "https://mara:secret@portal.example", "like https://"),
        ("PUBLIC_URL", '"https://portal.example"', "like https://"),
        ("PUBLIC_URL", "https://portal.example?", "like https://"),
        ("PUBLIC_URL", "https://por tal.example", "like https://"),
        ("MAIL_SERVER", "smtp://mail.example", "MAIL_PORT"),
        ("MAIL_SERVER", "smtps://mail.example:465/", "MAIL_SECURITY"),
        ("MAIL_SERVER", "mail.example:587", "MAIL_PORT"),
        ("MAIL_FROM", "Acme", "one e-mail address"),
        ("MAIL_FROM", "mara@acme.example, jo@acme.example", "one e-mail address"),
        ("MAIL_FROM", "Acme <mara@acme.example", "one e-mail address"),
        ("MAIL_FROM", "jörg@acme.example", "ASCII"),
        ("MAIL_FROM", "Acme\nBcc: all <mara@acme.example>", "one e-mail address"),
        ("MAIL_PASSWORD", "geheimnisvoll", "both, or neither"),
        ("MAIL_USERNAME", "mara", "both, or neither"),
        ("MAIL_PASSWORD", "schlüssel", "ASCII"),
        ("MAIL_PORT", "465", "tls"),
        ("MAIL_CA_FILE", "/nowhere.pem", "no certificates"),
        ("MAIL_DIRECTORY", "/etc/passwd/mail", "MAIL_SERVER"),
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


@pytest.mark.parametrize("password", ["pa/ss", "p@ss", "pa?ss", "p:a/ss"])
def test_no_piece_of_a_password_that_is_not_encoded_is_told(environment, password):
    environment(MONGO_URI=f"mongodb://mara:{password}@db.example/")
    with pytest.raises(InvalidSettings) as refused:
        load()
    assert "ss" not in str(refused.value).split("MONGO_URI: ")[1].replace("password", "")


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb+srv://portal:pa%40ss@cluster0.example/portal?retryWrites=true&w=majority",
        "mongodb://db1,db2/?replicaSet=rs0&readPreference=secondaryPreferred&maxStalenessSeconds=120",
    ],
)
def test_connection_strings_are_taken_as_the_driver_takes_them(environment, uri):
    """Without asking DNS, which may come later than the portal."""
    environment(MONGO_URI=uri)
    assert load().mongo_uri == uri


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ("portal@acme.example", "portal@acme.example"),
        ("Acme, Inc. <portal@acme.example>", '"Acme, Inc." <portal@acme.example>'),
        ('"Acme, Inc." <portal@acme.example>', '"Acme, Inc." <portal@acme.example>'),
        ('"Acme" Portal <a@acme.example>', '"\\"Acme\\" Portal" <a@acme.example>'),
        ('Portal "Acme" <a@acme.example>', '"Portal \\"Acme\\"" <a@acme.example>'),
        ('"One" and "Two" <a@acme.example>', '"\\"One\\" and \\"Two\\"" <a@acme.example>'),
        (r'"Acme \"Console\"" <a@acme.example>', r'"Acme \"Console\"" <a@acme.example>'),
        (
            "Bücher <portal@bücher.example>",
            "=?utf-8?q?B=C3=BCcher?= <portal@xn--bcher-kva.example>",
        ),
        (None, "Portal <portal@localhost>"),
    ],
)
def test_the_sender_is_written_as_mail_servers_take_it(environment, given, sender):
    environment(MAIL_FROM=given)
    assert load().sender == sender


@pytest.mark.parametrize(
    "url",
    [
        "https://[2001:db8::7]:8443", "https://[::1]", "http://192.0.2.7", "http://LOCALHOST:8000",
        "https://Portal.example:443", "https://7.portal.example", "https://db_1.lan",
    ],
)  # fmt: skip
def test_a_public_url_is_taken_as_browsers_send_it(environment, url):
    environment(PUBLIC_URL=url, MAIL_FROM="portal@acme.example")
    assert load().public_url == url


def test_quotes_in_the_portals_name_stay_in_the_sender(environment):
    environment(PORTAL_NAME='Portal "Acme"', PUBLIC_URL="https://acme.example")
    assert load().sender == '"Portal \\"Acme\\"" <portal@acme.example>'


def test_an_ip_address_in_public_url_makes_no_sender(environment):
    environment(PUBLIC_URL="http://192.0.2.7:8000", MAIL_SERVER="mail.example")
    with pytest.raises(InvalidSettings, match="MAIL_FROM"):
        load()


def test_what_kubernetes_injects_for_a_service_is_no_setting(environment, tmp_path):
    environment(MAIL_PORT="tcp://10.96.0.12:25", PORT="tcp://10.96.0.13:8000")
    assert load().mail_port == 587
    assert load_supervisor().port == 0
    (tmp_path / ".env").write_text("MAIL_PORT=2525\n")
    environment(MAIL_PORT="tcp://[fd00::12]:25")
    assert load().mail_port == 2525


def test_a_file_of_settings_may_begin_and_end_its_lines_as_on_windows(environment, tmp_path):
    environment()
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfTRASH_DAYS=7\r\nMAIL_PORT=2525\r\n")
    assert (load().trash_days, load().mail_port) == (7, 2525)


def test_a_file_of_settings_that_is_none_is_named(environment, tmp_path):
    environment()
    (tmp_path / ".env").write_text("TRASH_DAYS=7", encoding="utf-16")
    with pytest.raises(InvalidSettings, match=r"\.env: it must be a file of text in UTF-8"):
        load()
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()  # as Docker makes one for a volume of a file that isn't there
    with pytest.raises(InvalidSettings, match=r"\.env: .* Is a directory"):
        load_supervisor()


def test_a_list_may_have_spaces_behind_its_commas(environment):
    environment(TRUSTED_PROXIES="172.16.0.0/12, 10.0.0.1")
    assert load().trusted_proxies == ("172.16.0.0/12", "10.0.0.1")


WITH_COMMA, PLAIN = "a" * 20 + "," + "b" * 20, "c" * 40


@pytest.mark.each_case
@pytest.mark.parametrize(
    ("listed", "old"),
    [
        (f"{PLAIN}, {'d' * 40}", "d" * 40),
        (f"{PLAIN},{'d' * 40}\n", "d" * 40),
        (f"{PLAIN}, {'d' * 40}", f" {'d' * 40}"),  # where it had a space in front
        (PLAIN, f"{PLAIN}\n"),  # as echo leaves one in a secret of Kubernetes
        (WITH_COMMA, WITH_COMMA),
        (f"{PLAIN}, {WITH_COMMA}", WITH_COMMA),
        (f"{WITH_COMMA},{PLAIN}", WITH_COMMA),
    ],
)
def test_an_old_secret_counts_however_the_list_is_written(environment, listed, old):
    for name in ("JWT_SECRET_FALLBACKS", "SECRET_KEY_FALLBACKS"):
        environment(**{name: listed})
        accepted = getattr(load(), name.lower())
        assert old in accepted
        assert (PLAIN in accepted) == (PLAIN in listed)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MONGO_URI", '"mongodb://h/"'), ("RATE_LIMITS", "'off'"), ("MAIL_PORT", '"587"')],
)
def test_quotes_that_were_taken_as_they_are_are_named(environment, name, value):
    environment(**{name: value})
    with pytest.raises(InvalidSettings, match=f"{name}: .* It is in quotes, which count"):
        load()


def test_a_number_that_is_left_empty_is_not_set(environment):
    environment(TRASH_DAYS="", RATE_LIMITS="")
    assert (load().trash_days, load().rate_limits) == (30, True)


@pytest.mark.parametrize(
    "name", ["MONGO_URI", "JWT_SECRET", "SECRET_KEY", "JWT_SECRET_FALLBACKS", "MAIL_PASSWORD"]
)
def test_each_secret_may_be_in_a_file(environment, tmp_path, name):
    """As editors write it: with an end of line."""
    secret = "mongodb://u:p@h/" if name == "MONGO_URI" else "f" * 32
    (tmp_path / "secret").write_text(f"{secret}\n")
    environment(
        **{"MAIL_USERNAME": "mara", "MAIL_PASSWORD": "m", name: None, f"{name}_FILE": "secret"}
    )
    value = getattr(load(), name.lower())
    assert secret in value if name.endswith("S") else value == secret
    assert settings.is_given(name)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SECRET_KEY_FILE": "missing"}, "SECRET_KEY and SECRET_KEY_FILE"),
        ({"SECRET_KEY": None, "SECRET_KEY_FILE": "missing"}, "can't be read"),
        ({"SECRET_KEY": None, "SECRET_KEY_FILE": "."}, "can't be read"),
    ],
)
def test_a_secret_stands_in_one_place_that_can_be_read(environment, given, told):
    environment(**given)
    with pytest.raises(InvalidSettings, match=told):
        load()


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

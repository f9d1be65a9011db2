"""Settings: what is refused, and that .env.example lists them all."""

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from portal import settings, settings_docs
from portal.settings import InvalidSettings, load, load_supervisor

TOP = Path(settings.__file__).parent.parent
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
        ("TRASH_DAYS", "0", "1 or more"),
        ("TRASH_DAYS", "many", "integer"),
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


def test_all_faults_are_told_at_once_and_no_secret_with_them(environment):
    environment(JWT_SECRET="tooshort", SECRET_KEY="tooshorttoo", TRASH_DAYS="0")
    with pytest.raises(InvalidSettings) as refused:
        load()
    for name in ("JWT_SECRET", "SECRET_KEY", "TRASH_DAYS"):
        assert name in str(refused.value)
    assert "tooshort" not in str(refused.value)


def test_settings_do_not_show_their_secrets(environment):
    environment(MONGO_URI="mongodb://u:hidden@h/")
    assert "hidden" not in repr(load())
    assert "jjjj" not in repr(load())


@pytest.mark.parametrize(("name", "value"), [("PORT", "99999"), ("PORT", "x"), ("BIND", "nowhere")])
def test_the_supervisor_refuses_what_it_cannot_listen_on(environment, name, value):
    environment(**{name: value})
    with pytest.raises(InvalidSettings, match=name):
        load_supervisor()


def test_readme_and_example_list_every_setting_as_it_is():
    assert settings_docs.table() in (TOP / "README.md").read_text()
    assert settings_docs.example() == (TOP / ".env.example").read_text()


def test_the_example_is_read_as_it_stands(environment, tmp_path):
    """Whoever uncomments a line gets the default that it shows."""
    environment()
    defaults = load()
    lines = (TOP / ".env.example").read_text().splitlines()
    shown = [line.removeprefix("# ") for line in lines if "=" in line and "=  " not in line]
    (tmp_path / ".env").write_text("\n".join(shown))
    assert replace(load(), web_concurrency=defaults.web_concurrency) == defaults

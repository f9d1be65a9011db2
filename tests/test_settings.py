"""Settings: what is refused, and that .env.example lists them all."""

import ast
from pathlib import Path

import pytest

from portal import settings
from portal.settings import InvalidSettings, load, load_supervisor

TOP = Path(settings.__file__).parent.parent
GOOD = {"MONGO_URI": "mongodb://h/", "JWT_SECRET": "j" * 32, "SECRET_KEY": "s" * 32}


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no .env there

    def use(**values):
        for name in names_read():
            monkeypatch.delenv(name, raising=False)
        for name, value in {**GOOD, **values}.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return use


def names_read():
    tree = ast.parse(Path(settings.__file__).read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "id", "") == "env"
        and node.args
        and str(node.args[0].value).isupper()
    }


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


def test_every_setting_is_in_the_example_and_the_other_way_round():
    lines = (TOP / ".env.example").read_text().splitlines()
    listed = {
        line.lstrip("# ").split("=")[0]
        for line in lines
        if "=" in line and line.lstrip("# ")[:1].isupper()
    }
    assert listed == names_read()

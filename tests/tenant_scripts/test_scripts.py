"""A file that is no script is told with its line, before anything is applied."""

from pathlib import Path

import pytest
from bson import SON
from pymongo.errors import WriteError

from portal.documents.jobs import Job
from portal.documents.organizations import Strategy
from portal.organizations.storage import tenant_of
from portal.tenant_scripts import set_validator
from portal.tenant_scripts.errors import InvalidValidator
from tests.factories import an_organization


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "it has no function apply(tenant)"),
        ("apply = 1", "apply is a plain function"),
        ("def apply(tenant): (", "line 1: SyntaxError: '(' was never closed"),
        ("import nothing_of_the_kind", "line 1: ModuleNotFoundError"),
        ("\nraise ValueError('early')", "line 2: ValueError: early"),
        ("async def apply(tenant): pass", "not an asynchronous one"),
        ("def apply(tenant): yield", "has a yield in it"),
        ("def apply(): pass", "apply takes one argument, the tenant"),
        ("def apply(tenant, name): pass", "apply takes one argument, the tenant"),
        ("def apply(tenant): pass\ncheck = True", "check is a plain function"),
        ("def apply(tenant): pass\nSECONDS = 'ten'", "SECONDS is a number"),
        ("def apply(tenant): pass\nSECONDS = -1", "SECONDS is a number"),
        ("raise SystemExit(3)", "SystemExit"),
        ("\x00", "null bytes"),
    ],
)
def test_what_is_no_script_is_refused(script, apply, text, words):
    told = apply(script(text))
    assert told.returncode == 2
    assert told.stdout == ""
    assert "can't be applied: " in told.stderr
    assert words in told.stderr
    assert not Job.objects


@pytest.mark.parametrize("name", ["a b", "-rf", "ä", "x" * 101])
def test_a_name_that_would_not_do_everywhere_is_refused(script, apply, name):
    told = apply("--", script("def apply(tenant): pass", name))
    assert (told.returncode, "its name has letters" in told.stderr) == (2, True)


def test_a_file_that_is_not_there_is_told(apply, tmp_path):
    told = apply(tmp_path / "nothing.py")
    assert (told.returncode, "does not exist" in told.stderr) == (2, True)


def test_a_script_that_exits_fails_for_the_organization_alone(script, apply):
    an_organization()
    told = apply(script("import sys\n\n\ndef apply(tenant):\n    sys.exit('enough')\n"))
    assert told.returncode == 1
    assert "failed: line 5: SystemExit: enough" in told.stdout


def test_a_script_that_takes_too_long_in_the_database_fails(script, apply):
    an_organization()
    endless = """
        SECONDS = 0.2

        def apply(tenant):
            while True:
                tenant.find_one()
    """
    told = apply(script(endless))
    assert told.returncode == 1
    assert "failed: line 6: " in told.stdout


def test_indexes_are_built_and_dropped_as_pymongo_names_them(script, apply):
    organization = an_organization()
    assert apply(script("def apply(tenant): tenant.create_index('status')", "one")).returncode == 0
    assert "status_1" in tenant_of(organization).index_information()
    assert apply(script("def apply(tenant): tenant.drop_index('status_1')", "two")).returncode == 0
    assert "status_1" not in tenant_of(organization).index_information()


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.DATABASE])
def test_a_script_sets_a_validator_and_takes_it_away(script, apply, strategy):
    organization = an_organization(strategy=strategy)
    text = """
        from portal.tenant_scripts import set_validator

        def apply(tenant):
            set_validator(tenant, {"status": {"$in": ["open", "closed"]}})
    """
    for _ in range(2):
        assert apply(script(text), "--edited").returncode == 0
    tenant = tenant_of(organization)
    with pytest.raises(WriteError):
        tenant.insert_one({"status": "ajar"})
    set_validator(tenant, {})
    tenant.insert_one({"status": "ajar"})


def test_a_validator_follows_a_rename_and_is_kept_apart_from_documents_that_were(script):
    tenant = tenant_of(an_organization())
    tenant.insert_one({"_id": 1, "status": "ajar"})
    set_validator(tenant, {"status": "open"})
    tenant.update_one({"_id": 1}, {"$set": {"n": 1}})  # as moderate allows
    set_validator(tenant, {"status": "open"}, level="strict")
    with pytest.raises(WriteError):
        tenant.update_one({"_id": 1}, {"$set": {"n": 2}})


@pytest.mark.parametrize(
    ("validator", "options"),
    [
        ({"$where": "true"}, {}),
        ({"$expr": {"$function": {"body": "", "args": [], "lang": "js"}}}, {}),
        ({"a": {"$in": ["x" * 70_000]}}, {}),
        ({}, {"level": "lax"}),
        ({}, {"action": "shout"}),
    ],
)
def test_a_validator_that_runs_code_or_has_no_end_is_refused(app, validator, options):
    with pytest.raises(InvalidValidator):
        set_validator(tenant_of(an_organization()), SON(validator), **options)


def test_two_files_of_one_name_are_one_script(script, apply, tmp_path):
    an_organization()
    path = script("def apply(tenant): pass")
    apply(path)
    elsewhere = tmp_path / "elsewhere" / Path(path).name
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(Path(path).read_bytes())
    assert apply(elsewhere).stdout.startswith("Nothing to do")

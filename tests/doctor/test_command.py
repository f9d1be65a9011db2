"""``flask doctor`` and ``flask lifecycle run`` as an operator types them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from bson import ObjectId

from portal import clock
from portal.settings import instance
from tests.factories import an_organization, fresh

TOP = Path(__file__).parent.parent.parent


def test_it_says_that_all_is_well(flask, command):
    an_organization("Acme Corp")
    told = flask("doctor")
    assert (told.returncode, told.stdout) == (0, "All well.\n")
    told = command("doctor", "--json", "--repair")
    assert (told.returncode, told.stdout) == (0, "")


def test_it_tells_what_it_found_and_what_to_do_a_line_each(command, tenant_db):
    for name in ("Acme Corp", "Other"):
        an_organization(name)
    for name in ("acme_corp", "other"):
        tenant_db.drop_collection(f"org_{name}")
    tenant_db.create_collection("bell\a")
    told = command("doctor")
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    assert lines[0] == "Collections that belong to no organization"
    assert lines[1].startswith("  --repair sets them aside")
    assert lines[2].startswith("  bell\\x07  UUID ")
    assert lines[4] == "Organizations whose collection is gone"
    assert "mongorestore --preserveUUID" in lines[5]
    assert lines[6].startswith("  acme-corp  Acme Corp: org_acme_corp, UUID ")
    assert lines[7].startswith("  other      Other: org_other, UUID ")
    assert lines[-1] == "3 to look after."


def test_json_is_one_object_for_each_finding(command, tenant_db):
    organization = an_organization("Acme Corp")
    tenant_db["org_acme_corp"].rename("wild")
    told = command("doctor", "--json")
    assert told.returncode == 1
    [line] = told.stdout.splitlines()
    assert json.loads(line) == {
        "kind": "misnamed_collection",
        "subject": "acme-corp",
        "organization": str(organization.id),
        "words": "Acme Corp: is wild, should be org_acme_corp",
        "advice": "--repair gives them the recorded name.",
        "harmless": False,
        "repairable": True,
        "repaired": None,
        "not_repaired": None,
    }
    told = command("doctor", "--json", "--repair")
    assert told.returncode == 0
    assert json.loads(told.stdout)["repaired"] == "renamed to org_acme_corp"


def test_what_was_set_aside_is_told_and_counts_no_more(command, tenant_db):
    tenant_db.create_collection("wild")
    told = command("doctor", "--repair")
    assert told.returncode == 0
    assert "  wild  UUID " in told.stdout
    assert " -> renamed to stray_" in told.stdout
    assert told.stdout.endswith("1 repaired, All well.\n")
    told = command("doctor", "--repair")
    assert told.returncode == 0
    assert "Collections that were set aside" in told.stdout
    assert told.stdout.endswith("\nAll well.\n")


def test_an_organization_without_its_collection_remains_after_a_repair(command, tenant_db):
    an_organization("Acme Corp")
    tenant_db.drop_collection("org_acme_corp")
    assert command("doctor", "--repair").returncode == 1


DOCTOR, LIFECYCLE_RUN = ("doctor",), ("lifecycle", "run")
NO_SERVER = {"MONGO_URI": "mongodb://127.0.0.1:1/"}, "127.0.0.1:1"
WRONG_SETTINGS = {"JWT_SECRET": ""}, "JWT_SECRET"
NO_PORTAL = {"MONGO_URI": ""}, "Start the portal with `make run`"


@pytest.mark.parametrize(
    ("command", "changes", "told"),
    [
        pytest.param(DOCTOR, *NO_SERVER, id="no server"),
        pytest.param(DOCTOR, *WRONG_SETTINGS, id="wrong settings"),
        pytest.param(DOCTOR, *NO_PORTAL, id="no portal", marks=pytest.mark.full),
        pytest.param(LIFECYCLE_RUN, *NO_SERVER, marks=pytest.mark.full),
        pytest.param(LIFECYCLE_RUN, *WRONG_SETTINGS, marks=pytest.mark.full),
        pytest.param(LIFECYCLE_RUN, *NO_PORTAL, id="no portal to carry on"),
    ],
)
def test_what_keeps_it_from_looking_is_told_in_words(flask, tmp_path, command, changes, told):
    for part in ("portal", "templates", "static", "build", "wsgi.py"):
        (tmp_path / part).symlink_to(TOP / part)
    ended = flask(*command, folder=tmp_path, impatient=True, **changes)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_portal_that_was_killed_leaves_no_riddle(flask, tmp_path):
    for part in ("portal", "templates", "static", "build", "wsgi.py"):
        (tmp_path / part).symlink_to(TOP / part)
    left = tmp_path / instance.INSTANCE / "settings.json"
    left.parent.mkdir()
    left.write_text(json.dumps({"MONGO_URI": "mongodb://portal:hidden@127.0.0.1:1/"}))
    ended = flask("doctor", folder=tmp_path, MONGO_URI="")
    assert ended.returncode == 2
    assert "No portal runs from this folder" in ended.stderr
    assert "hidden" not in ended.stderr


def leave_unfinished(master_db, organization, **changes):
    operation = {
        "id": ObjectId(),
        "kind": "rename",
        "attempt": 1,
        "started_at": clock.now(),
        "lease_until": clock.now() - timedelta(seconds=1),
        "origin": {},
        "collection": "org_other",
        "name": "Other",
        "slug": "other",
        **changes,
    }
    master_db.organizations.update_one({"_id": organization.id}, {"$set": {"operation": operation}})
    master_db.slugs.insert_one({"_id": "other", "organization": organization.id, "state": "target"})


def test_lifecycle_run_carries_on_what_is_due(command, master_db):
    organization = an_organization("Acme Corp")
    leave_unfinished(master_db, organization)
    told = command("lifecycle", "run")
    assert (told.returncode, told.stdout) == (0, "operations resumed: 1, failed: 0\n")
    assert fresh(organization).slug == "other"
    assert command("lifecycle", "run").stdout == "operations resumed: 0, failed: 0\n"


def test_lifecycle_run_tells_that_one_failed(command, master_db):
    leave_unfinished(master_db, an_organization("Acme Corp"), collection="org_$")
    told = command("lifecycle", "run")
    assert (told.returncode, told.stdout) == (1, "operations resumed: 1, failed: 1\n")

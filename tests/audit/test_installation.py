"""What concerns no organization and no account stands in a chain of the installation."""

import json

import pytest

from portal.audit.chains import find_broken
from portal.documents.installation import INSTALLATION
from tests.processes import at_once


@pytest.fixture
def recorded(command):
    """Two events of the installation."""
    assert command("keys", "provision", "Sales").returncode == 0
    [key] = command("keys", "list").stdout.splitlines()
    assert command("keys", "revoke", key.split()[0]).returncode == 0


def test_the_operator_reads_its_events(recorded, command):
    lines = command("audit", "list").stdout.splitlines()
    words = [(line.split()[0], line.partition("UTC  ")[2]) for line in lines]
    assert words == [
        ("1", "the operator  Provisioning key “Sales” made"),
        ("2", "the operator  Provisioning key “Sales” revoked"),
    ]
    events = map(json.loads, command("audit", "list", "--json").stdout.splitlines())
    assert [event["action"] for event in events] == [
        "provisioning_key.created",
        "provisioning_key.revoked",
    ]


def test_there_may_be_none(command):
    assert command("audit", "list").stdout == "Nothing was recorded yet.\n"


@pytest.mark.attack("L2")
def test_an_event_of_it_that_was_changed_is_named(recorded, command, master_db):
    assert command("audit", "verify").returncode == 0
    changed = {"$set": {"details.name": "Other"}}
    master_db.audit_events.update_one({"chain": INSTALLATION, "seq": 1}, changed)
    told = command("audit", "verify")
    assert told.returncode == 1
    assert told.stdout.startswith("the installation: event 1 was changed\n")


def test_events_at_the_same_moment_are_all_in_the_chain(command, master_db):
    master_db.installation.insert_one({"_id": INSTALLATION, "epoch": 1})  # by an earlier version
    at_once([lambda: command("keys", "provision", "Sales")] * 4)
    assert master_db.audit_events.count_documents({"chain": INSTALLATION}) == 4
    assert not list(find_broken())


def test_taking_over_what_was_restored_is_recorded(command, master_db):
    assert command("doctor", "--adopt-restored", "--yes").returncode == 0
    [line] = command("audit", "list").stdout.splitlines()
    epoch = master_db.installation.find_one(INSTALLATION)["epoch"]
    assert line.endswith(f"Master data restored, applications told: epoch {epoch}")

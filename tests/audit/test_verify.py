"""``flask audit verify``: names the first bad event of each chain, and how."""

import json

import pytest
from bson import ObjectId

from portal.audit import chains
from portal.audit.chains import find_broken
from portal.documents.accounts import Account
from portal.identity.authentication.logging_in import log_in
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from tests.factories import a_context, an_account, an_organization, fresh
from tests.visitor import PASSWORD


def a_lived_organization(name="Acme Corp"):
    organization = an_organization(name)
    for other in (name.upper(), name):
        rename_organization(fresh(organization), other, a_context())
    return trash_organization(fresh(organization), None, a_context())


def swap(db, chain, one, other):
    events = db.audit_events
    for old, new in ((one, 99), (other, one), (99, other)):
        events.update_one({"chain": chain, "seq": old}, {"$set": {"seq": new}})


def set_head_back(db, chain, seq):
    """As whoever wants the later events unheard of would, with the hash that belongs to it."""
    event = db.audit_events.find_one({"chain": chain, "seq": seq})
    head = {"audit_head.seq": seq, "audit_head.hash": event["hash"]}
    db.organizations.update_one({"_id": chain}, {"$set": head})


def move_to_the_end(db, chain, seq):
    db.audit_events.update_one({"chain": chain, "seq": seq}, {"$set": {"seq": 5}})


TAMPERED = {
    "changed": (
        lambda db, c: db.audit_events.update_one({"chain": c, "seq": 2}, {"$set": {"details.name": "x"}}),
        ("changed", 2),
    ),
    "two changed": (
        lambda db, c: db.audit_events.update_many({"chain": c, "seq": {"$gte": 3}}, {"$set": {"action": "x"}}),
        ("changed", 3),
    ),
    "a personal value changed": (
        lambda db, c: db.audit_events.update_one({"chain": c, "seq": 3}, {"$set": {"personal.address.value": "x"}}),
        ("changed", 3),
    ),
    "removed": (lambda db, c: db.audit_events.delete_one({"chain": c, "seq": 2}), ("missing", 2)),
    "the first removed": (lambda db, c: db.audit_events.delete_one({"chain": c, "seq": 1}), ("missing", 1)),
    "the last removed": (lambda db, c: db.audit_events.delete_one({"chain": c, "seq": 4}), ("missing", 4)),
    "all removed": (lambda db, c: db.audit_events.delete_many({"chain": c}), ("missing", 1)),
    "swapped": (lambda db, c: swap(db, c, 2, 3), ("reordered", 2)),
    "moved to the end": (lambda db, c: move_to_the_end(db, c, 2), ("reordered", 2)),
    "the head's hash changed": (
        lambda db, c: db.organizations.update_one({"_id": c}, {"$set": {"audit_head.hash": "x"}}),
        ("head_differs", 4),
    ),
    "the head set back": (
        lambda db, c: db.organizations.update_one({"_id": c}, {"$set": {"audit_head.seq": 3}}),
        ("head_differs", 3),
    ),
    "the head set back with its hash": (lambda db, c: set_head_back(db, c, 3), ("head_differs", 4)),
    "nothing": (lambda db, c: None, None),
}  # fmt: skip


@pytest.mark.attack("L2")
def test_the_first_bad_event_is_named_and_how(master_db):
    expected = []
    for name, (tamper, found) in TAMPERED.items():
        organization = a_lived_organization(name)
        tamper(master_db, organization.id)
        if found:
            expected.append((organization.id, *found))
    assert sorted((b.chain, b.fault, b.seq) for b in find_broken()) == expected


@pytest.mark.attack("L2")
def test_each_broken_chain_is_told_organizations_and_accounts(master_db):
    one, _, three = (a_lived_organization(name) for name in ("One", "Two", "Three"))
    account = an_account("ida@acme.example")
    log_in(account.email, PASSWORD, a_context(), "")
    stranger = ObjectId()
    [event] = master_db.audit_events.find({"chain": three.id, "seq": 1})
    master_db.audit_events.insert_one({**event, "_id": ObjectId(), "chain": stranger})
    for chain in (one.id, account.id):
        master_db.audit_events.update_one({"chain": chain, "seq": 1}, {"$set": {"action": "x"}})
    tally = chains.Tally()
    broken = {b.chain: (b.fault, b.organization) for b in find_broken(tally)}
    assert broken == {
        one.id: ("changed", one.id),
        account.id: ("changed", None),
        stranger: ("orphaned", None),
    }
    assert (tally.chains, tally.events) == (3 + Account.objects.count(), 13)


def test_the_command_says_that_all_is_whole_and_how_much_it_read(command):
    a_lived_organization()
    told = command("audit", "verify")
    assert (told.returncode, told.stdout) == (0, "chains: 2, events: 4, all intact.\n")
    told = command("audit", "verify", "--json")
    assert (told.returncode, told.stdout) == (0, "")


@pytest.mark.attack("L2")
def test_the_command_names_what_is_broken(command, master_db):
    organization = an_organization("Acme Corp")
    a_lived_organization("Other")
    master_db.audit_events.update_one({"chain": organization.id}, {"$set": {"action": "x"}})
    told = command("audit", "verify")
    assert told.returncode == 1
    assert told.stdout.splitlines() == [
        "organization acme-corp: event 1 was changed",
        "chains: 4, events: 5, 1 broken.",
    ]
    told = command("audit", "verify", "--json", "--organization", "acme-corp")
    assert told.returncode == 1
    assert json.loads(told.stdout) == {
        "chain": str(organization.id),
        "subject": "organization acme-corp",
        "organization": str(organization.id),
        "fault": "changed",
        "seq": 1,
        "words": "event 1 was changed",
    }


def test_the_command_verifies_one_organization_by_slug_or_id(command, master_db):
    organization, trashed = an_organization("Acme Corp"), a_lived_organization("Other")
    master_db.audit_events.update_one({"chain": trashed.id}, {"$set": {"action": "x"}})
    one = command("audit", "verify", "--organization", "acme-corp")
    assert (one.returncode, one.stdout) == (0, "chains: 1, events: 1, all intact.\n")
    assert command("audit", "verify", "--organization", str(organization.id)).returncode == 0
    assert command("audit", "verify", "--organization", str(trashed.id)).returncode == 1
    none = command("audit", "verify", "--organization", "other")
    assert none.returncode == 2
    assert "There is no organization other" in none.stderr


@pytest.mark.full
def test_the_command_tells_that_it_could_not_look(flask):
    away = {"MONGO_URI": "mongodb://127.0.0.1:1/"}
    told = flask("audit", "verify", impatient=True, **away)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr

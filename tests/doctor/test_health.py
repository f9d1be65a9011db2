"""Where nothing is wrong nothing is found, whatever goes on meanwhile."""

import random
import threading
from dataclasses import replace

import pytest
from bson import ObjectId

from portal.audit import chains
from portal.database import paging
from portal.doctor import placements
from portal.documents.organizations import Organization, OrganizationState
from portal.errors import PortalError
from portal.identity.accounts.closing import close_account
from portal.identity.authentication.logging_in import log_in, log_out
from portal.organizations import signing_up
from portal.organizations.lifecycle import creating, runner
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import stored_by
from tests.factories import (
    a_context,
    a_key,
    a_passkey,
    an_account,
    an_app,
    an_invitation,
    an_organization,
    fresh,
)
from tests.processes import wait_until
from tests.visitor import PASSWORD


@pytest.mark.slow
def test_after_many_operations_there_is_nothing_to_find(found, time_machine):
    account = an_account("mara@acme.example")
    organizations = [an_organization(f"Org {n}", account) for n in range(6)]
    for n, organization in enumerate(organizations):
        rename_organization(organization, f"Other {n}", a_context(account))
    for organization in organizations[:4]:
        trash_organization(fresh(organization), None, a_context(account))
    restore_organization(fresh(organizations[0]), "Back again", a_context(account))
    for organization in organizations[1:3]:
        purge_organization(fresh(organization), None, a_context(account))
    log_out(log_in("mara@acme.example", PASSWORD, a_context(), "Browser"), a_context())
    log_in("mara@acme.example", PASSWORD, a_context(), "Browser")
    assert found() == []


def test_an_account_whose_organizations_are_all_purged_is_no_damage(found):
    account = an_account()
    organization = an_organization(account=account)
    purge_organization(organization, None, a_context(account))
    assert fresh(organization).state == OrganizationState.PURGED
    assert found() == []


def test_what_ends_leaves_nothing_behind(found):
    account = an_account("mara@acme.example")
    an_app(account)
    a_passkey(account)
    came = replace(a_context(account), browser_id="a browser")
    log_in("mara@acme.example", PASSWORD, came, "Browser")
    for ending in (an_organization("Ends", account), an_organization("Stays")):
        a_key(ending)
        an_invitation(ending, account, f"{ending.slug}@acme.example")
    purge_organization(Organization.objects.get(slug="ends"), None, a_context(account))
    close_account(account.id, "mara@acme.example", PASSWORD, a_context(account))
    assert found() == []


@pytest.mark.slow
def test_more_than_a_page_is_examined_whole(found, monkeypatch, tenant_db, master_db):
    for module in (chains, paging, placements):
        monkeypatch.setattr(module, "BATCH_SIZE", 3)
    account = an_account()
    organizations = [an_organization(f"Org {n}", account) for n in range(10)]
    assert found() == []
    tenant_db.drop_collection("org_org_9")
    tenant_db.create_collection("zzz")
    master_db.audit_events.update_one({"chain": organizations[9].id}, {"$set": {"action": "x"}})
    assert found() == [
        ("stray_collection", "zzz"),
        ("missing_collection", "org-9"),
        ("broken_chain", str(organizations[9].id)),
    ]


def stir(account, stop, seed):
    """Do what people do, at random, until told to stop."""
    dice, n = random.Random(seed), 0
    while not stop.is_set():
        n += 1
        mine = list(Organization.objects(created_by=account.id, state__ne=OrganizationState.PURGED))
        try:
            if len(mine) < 4:
                creating.create_organization(account.id, f"Org {seed} {n}", a_context(account))
                continue
            organization = dice.choice(mine)
            if organization.state == OrganizationState.TRASHED:
                deed = dice.choice([restore_organization, purge_organization])
                deed(organization, None, a_context(account))
            elif dice.random() < 0.6:
                rename_organization(organization, f"Name {seed} {n}", a_context(account))
            else:
                trash_organization(organization, None, a_context(account))
        except PortalError:
            continue  # somebody was faster


def sign_ups(stop, seed):
    n = 0
    while not stop.is_set():
        n += 1
        address = f"m{ObjectId()}@acme.example"
        # One in two meets a stranger's collection and is turned back, account and all.
        name = f"Taken {seed}" if n % 2 else f"Free {seed} {n}"
        try:
            signing_up.sign_up(name, address, PASSWORD, a_context(), "Browser")
        except PortalError:
            continue


@pytest.fixture
def storm(tenant_db):
    """Many who create, rename, trash, restore, purge and sign up at once, some of them in vain."""
    for seed in range(2):
        tenant_db.create_collection(f"org_taken_{seed}")
    stop = threading.Event()
    accounts = [an_account(f"a{seed}@acme.example") for seed in range(3)]
    # Two threads for each account, so that they meet on its organizations.
    threads = [
        threading.Thread(target=stir, args=(account, stop, 10 * n + seed))
        for n, account in enumerate(accounts)
        for seed in range(2)
    ]
    threads += [threading.Thread(target=sign_ups, args=(stop, seed)) for seed in range(2)]
    for thread in threads:
        thread.start()

    def end():
        stop.set()
        for thread in threads:
            thread.join()

    yield end
    end()


STRANGERS = [("stray_collection", f"org_taken_{seed}") for seed in range(2)]


rounds = pytest.mark.parametrize("rounds", [2, pytest.param(30, marks=pytest.mark.full)])


@rounds
@pytest.mark.timeout(180)
@pytest.mark.slow
def test_a_storm_of_operations_gives_no_false_alarm(found, storm, rounds):
    for _ in range(rounds):
        assert sorted(found()) == STRANGERS
    wait_until(lambda: Organization.objects(state=OrganizationState.PURGED).first())
    storm()
    runner.recover_due_operations()
    assert sorted(found()) == STRANGERS


@rounds
@pytest.mark.timeout(180)
@pytest.mark.slow
def test_repairs_in_a_storm_harm_nothing(found, repair, storm, rounds):
    mended = [finding for _ in range(rounds) for finding in repair()]
    assert {tuple(finding[:2]) for finding in mended if finding[2]} == set(STRANGERS)
    storm()
    runner.recover_due_operations()
    assert [kind for kind, _ in found()] == ["set_aside_collection"] * 2
    for organization in Organization.objects(state__ne=OrganizationState.PURGED):
        assert stored_by(organization).figures.documents == 0

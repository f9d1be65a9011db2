"""Legal holds: nothing of the organization is deleted for good while one is open."""

import ast
import itertools
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import bson
import pytest
from bson import ObjectId

import portal
from portal.audit import deletions
from portal.audit.deletions import DELETIONS, Deletion, deleting
from portal.audit.errors import UnderHold
from portal.data import recording
from portal.data.access import DocumentAccess, mask_for
from portal.data.history.erasing import erase_document
from portal.database import connection
from portal.database.connection import server_time, tenant_database
from portal.database.kept_beside import BEFORE_IMAGES, COLLECTIONS, EDITS, rows_of
from portal.doctor.restrictions import find_lost_holds, find_unlike
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.memberships import Role
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Restriction,
    Strategy,
)
from portal.documents.restrictions import Hold
from portal.identity.accounts.closing import close_account, erase_closed
from portal.organizations.lifecycle import engine, runner
from portal.organizations.lifecycle.expiring import delete_expired
from portal.organizations.lifecycle.renaming import restore_organization
from portal.organizations.lifecycle.trashing import (
    purge_organization,
    trash_organization,
    write_due_purge,
)
from portal.organizations.moving.managing import abort_move
from portal.organizations.restrictions.errors import HoldNotFound, HoldTooLate
from portal.organizations.restrictions.holding import release_hold, set_hold
from portal.organizations.storage import tenant_of
from tests.accounts.letters import Letters
from tests.factories import (
    a_context,
    a_member,
    a_suspension,
    an_organization,
    collections_in,
    fresh,
    the_owner,
    verify,
)
from tests.organizations.moving.carrying import a_ready_move, run_due_movers
from tests.program import Program, fault
from tests.visitor import PASSWORD


def hold(organization, reason="Case 4711"):
    return set_hold(fresh(organization), reason, None, a_context()).hold


def release(organization, held):
    return release_hold(fresh(organization), held.id, a_context())


def with_a_document(strategy=Strategy.COLLECTION):
    organization = an_organization("Acme Corp", strategy=strategy)
    tenant_of(organization).insert_one({"_id": 1})
    return organization


def due(organization):
    """Its time in the trash is over."""
    trash_organization(fresh(organization), None, a_context())
    Organization.objects(id=organization.id).update_one(
        set__purge_at=server_time() - timedelta(seconds=1)
    )


def refused(organization):
    events = AuditEvent.objects(chain=organization.id, action="organization.deletion_refused")
    return [event.details["deletion"] for event in events.order_by("seq")]


@pytest.mark.parametrize("strategy", list(Strategy))
def test_nobody_purges_one_that_is_held(strategy):
    organization = with_a_document(strategy)
    hold(organization)
    for _ in range(2):
        with pytest.raises(UnderHold):
            purge_organization(fresh(organization), None, a_context())
    assert tenant_of(fresh(organization)).find_one({"_id": 1})
    assert refused(organization) == [Deletion.PURGE]


def test_one_in_the_trash_stays_there_past_its_time():
    organization = with_a_document()
    hold(organization)
    due(organization)
    runner.run_once()
    runner.run_once()
    assert fresh(organization).state == OrganizationState.TRASHED
    assert refused(organization) == [Deletion.DUE_PURGE]
    restored = restore_organization(fresh(organization), None, a_context())
    assert tenant_of(restored).find_one({"_id": 1})


def test_releasing_the_last_hold_leaves_a_week_and_tells_the_owners():
    organization = with_a_document()
    first, second = hold(organization), hold(organization, "Case 4712")
    due(organization)
    release(organization, first)
    assert write_due_purge() is None
    release(organization, second)
    assert fresh(organization).purge_at > server_time() + timedelta(days=6)
    assert write_due_purge() is None
    assert [mail.kind for mail in Mail.objects].count("hold_released") == 1
    assert release(organization, second).released_at
    with pytest.raises(HoldNotFound):
        release(with_another(), second)


def with_another():
    return an_organization("Other")


def test_a_hold_comes_too_late_for_what_is_being_purged(monkeypatch):
    organization = with_a_document()
    with monkeypatch.context() as patched:
        patched.setattr(engine, "run_now", lambda begun: begun)
        purge_organization(organization, None, a_context())
    with pytest.raises(HoldTooLate):
        hold(organization)
    assert not Hold.objects()
    engine.run_now(fresh(organization))
    with pytest.raises(HoldTooLate):
        hold(organization)


def test_a_hold_waits_for_a_deletion_that_has_begun():
    organization = with_a_document()
    begun, done = threading.Event(), threading.Event()
    set_at = []

    def delete():
        with deleting(organization.id, Deletion.EXPIRY):
            begun.set()
            done.wait(10)

    deleter = threading.Thread(target=delete)
    setter = threading.Thread(target=lambda: set_at.append(set_hold_at(organization)))
    deleter.start()
    begun.wait(10)
    setter.start()
    assert not set_at
    with pytest.raises(UnderHold):
        until_held(organization)
    done.set()
    deleter.join()
    setter.join()
    assert set_at == [None]


def set_hold_at(organization):
    return set_hold(fresh(organization), "Case 4711", None, a_context()).from_at


def until_held(organization):
    """Deletes until it can't any more."""
    while True:
        with deleting(organization.id, Deletion.ROOM):
            pass


def test_a_deletion_whose_process_died_is_waited_for_and_told(monkeypatch):
    organization = with_a_document()
    deletions._register(organization.id)
    monkeypatch.setattr("portal.organizations.restrictions.holding.WAITED_SECONDS", 0.1)
    from_at = set_hold_at(organization)
    assert from_at > server_time()
    with pytest.raises(UnderHold), deleting(organization.id, Deletion.EXPIRY):
        pass


def a_purge(organization):
    def attempt():
        purge_organization(fresh(organization), None, a_context())

    return attempt, lambda: fresh(organization).state != OrganizationState.PURGED


def a_due_purge(organization):
    due(organization)

    def attempt():
        if not fresh(organization).held:
            Organization.objects(id=organization.id).update_one(set__purge_at=server_time())
        runner.run_once()

    return attempt, lambda: fresh(organization).state != OrganizationState.PURGED


def a_copy(organization):
    """The target of a move that is aborted, and its way back where that is over."""
    begun = a_ready_move(organization, Strategy.DATABASE)
    abort_move(str(begun.id), None, a_context())
    database = tenant_database().client[begun.target.database]

    def attempt():
        run_due_movers()

    return attempt, lambda: bool(collections_in(database))


def an_expiry(organization):
    rows = [rows_of(MAIN_CLUSTER, name) for name in COLLECTIONS]
    for each in rows:
        key = {"o": organization.id, "i": ObjectId()}
        each.insert_one({"_id": key, "expires_at": server_time()})

    def attempt():
        if not fresh(organization).held:
            for each in rows:
                each.update_many({}, {"$set": {"expires_at": server_time()}})
        delete_expired()

    return attempt, lambda: all(each.find_one({"_id.o": organization.id}) for each in rows)


def room(organization):
    edits, images = rows_of(MAIN_CLUSTER, EDITS), rows_of(MAIN_CLUSTER, BEFORE_IMAGES)
    for _ in range(2):
        edit = ObjectId()
        key = {"o": organization.id, "i": edit}
        edits.insert_one({"_id": key, "size": recording.MOST_BYTES})
        images.insert_one({"_id": {"o": organization.id, "e": edit, "n": 0}})

    def attempt():
        recording._recorded_bytes[organization.id] = recording.SLACK_BYTES
        recording.trim(fresh(organization))

    return attempt, lambda: images.count_documents({"_id.o": organization.id}) == 2


def an_erasure(organization):
    access = DocumentAccess(
        organization, mask_for(organization, sees_all=True), a_context(), recorded=True
    )

    def attempt():
        erase_document(access, bson.encode({"": 1}))

    return attempt, lambda: bool(tenant_of(fresh(organization)).find_one({"_id": 1}))


def a_closed_account(organization):
    account = a_member(organization, Role.VIEWER, "teo@acme.example")
    left = AuditEvent._get_collection()

    def attempt():
        if fresh_account(account).closed_at is None:
            close_account(account.id, account.email, PASSWORD, a_context(account))
        Account.objects(id=account.id).update_one(unset__erase_at=True)
        erase_closed()

    named = {"chain": organization.id, "personal.email.value": account.email}
    return attempt, lambda: bool(left.find_one(named))


def fresh_account(account):
    return Account.objects.get(id=account.id)


WAYS = {
    Deletion.PURGE: a_purge,
    Deletion.DUE_PURGE: a_due_purge,
    Deletion.COPY: a_copy,
    Deletion.EXPIRY: an_expiry,
    Deletion.ROOM: room,
    Deletion.ERASURE: an_erasure,
    Deletion.ACCOUNT: a_closed_account,
}


@pytest.mark.attack("H2")
@pytest.mark.parametrize("deletion", DELETIONS)
def test_no_way_of_deleting_goes_past_a_hold(deletion):
    organization = with_a_document()
    attempt, is_there = WAYS[deletion](organization)
    held = hold(organization)
    for _ in range(2):
        with suppress(UnderHold):
            attempt()
    assert is_there()
    assert refused(organization) == [deletion]
    release(organization, held)
    attempt()
    assert not is_there()


# Where the portal deletes documents, files, edits or collections: by which way, or why no hold is
# asked there. A module that deletes and isn't here fails the test.
DELETERS = {
    "portal.audit.trail": "the chain of a creation that is rolled back, which nothing can hold",
    "portal.clusters.checking": "the mark by which a cluster is known",
    "portal.data.exact": "members' and programs' own deletions, and undo",
    "portal.data.history.erasing": Deletion.ERASURE,
    "portal.data.recording": Deletion.ROOM,
    "portal.data.transfer.files": "members' own files",
    "portal.data.transfer.repeats": "digests of the keys of a file that is checked",
    "portal.data.writing": "members' and programs' own deletions",
    "portal.database.kept_beside": "for its callers",
    "portal.doctor.leftovers": "what belongs to a purged organization, or to none",
    "portal.doctor.pools": "what is left in a pool of a purged organization",
    "portal.doctor.slugs": "a claim on a slug that nothing needs",
    "portal.jobs.items": "states of jobs, no documents",
    "portal.organizations.lifecycle.creating": "a creation that is rolled back",
    "portal.organizations.lifecycle.expiring": Deletion.EXPIRY,
    "portal.organizations.lifecycle.pools": "for its callers",
    "portal.organizations.lifecycle.steps": "for its callers",
    "portal.organizations.lifecycle.trashing": Deletion.PURGE,
    "portal.organizations.moving.ending": Deletion.COPY,
    "portal.organizations.restrictions.copies": "copies of holds that are released",
    "portal.operators.bulk.freezing": "what a bulk action is about, no documents",
    "portal.operators.listing.checking": "the listing, which is made of the truth",
    "portal.operators.listing.feeding": "the listing, which is made of the truth",
    "portal.organizations.moving.kept_beside": "rows of a copy that the source has no more",
    "portal.organizations.usage.rolling": "figures of use, rolled up",
    "portal.tenants.collections": "for its callers",
}
DELETING = {
    "delete_all", "delete_documents", "delete_many", "delete_some", "drop_collection", "delete_one",
}  # fmt: skip


def deleters():
    """The modules that call something that deletes, but for the library's own and the console's."""
    top = Path(portal.__file__).parent
    for path in sorted(top.rglob("*.py")):
        module = ".".join(path.relative_to(top.parent).with_suffix("").parts)
        if module.startswith(ELSEWHERE):
            continue
        names = {
            getattr(node, "id", None) or getattr(node, "attr", None)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Name | ast.Attribute)
        }
        if names & DELETING:
            yield module


# Tenants' methods; commands and calls of members' deletions; accounts' own records.
ELSEWHERE = (
    "portal.tenants._",
    "portal.tenants.moving",
    "portal.tenants.testing",
    "portal.api",
    "portal.cli",
    "portal.identity",
)


def test_whatever_deletes_is_in_the_list():
    assert set(deleters()) <= set(DELETERS), "add it to DELETERS, and have it ask for the hold"


def test_a_hold_that_a_backup_of_master_data_has_not_yet_is_found_and_set_again():
    organization = with_a_document()
    held = hold(organization)
    Hold.objects().delete()
    Organization.objects().update(unset__held=True)
    [finding] = find_lost_holds()
    assert finding.organization == organization.id
    assert finding.repair() == "set again"
    assert not list(find_lost_holds())
    with pytest.raises(UnderHold):
        purge_organization(fresh(organization), None, a_context())
    release(organization, held)
    assert not list(find_lost_holds())
    assert not fresh(organization).held


def test_what_contradicts_suspensions_is_found():
    with_a_document()
    assert not list(find_unlike())
    Organization.objects().update(set__restricted="locked")
    [finding] = find_unlike()
    assert finding.words == "is locked, should be free"


def test_an_owner_who_purges_one_that_is_held_reads_why_not(app):
    organization = with_a_document()
    person = Program(app)
    person.log_in(the_owner(organization).email)
    hold(organization)
    purging = ("DELETE", "/org/delete/acme-corp?purge=true")
    assert fault(person.ask(*purging))[:2] == (409, "legal_hold")
    assert person.ask("DELETE", "/org/delete/acme-corp").status_code == 200
    in_trash = ("DELETE", f"/org/trash/{organization.id}")
    assert fault(person.ask(*in_trash))[:2] == (409, "legal_hold")
    assert fresh(organization).state == OrganizationState.TRASHED


def test_no_page_or_mail_promises_the_purge_of_one_that_is_held(app, visitor, office):
    organization = with_a_document()
    owner = the_owner(organization)
    verify(owner.email)
    hold(organization)
    trash_organization(fresh(organization), None, a_context(owner))
    visitor.log_in(owner.email)
    trash = visitor.get("/trash")
    for page in (trash, visitor.get(f"/trash/{organization.id}")):
        assert "not while a legal hold is on it" in page.text
    assert "Purge now" not in trash.text
    told = Letters(app, office).text(owner.email, "Acme Corp is in the trash")
    assert "as long as a legal hold is on it" in told
    assert "deleted for good" not in told


@pytest.mark.parametrize("kind", list(Restriction))
def test_a_member_reaches_one_in_the_trash_no_further_than_its_suspension(app, kind):
    organization = with_a_document()
    person = Program(app)
    person.log_in(the_owner(organization).email)
    trash_organization(organization, None, a_context())
    a_suspension(organization, kind)
    status = 404 if kind == Restriction.HIDDEN else 423
    trashed = f"/org/trash/{organization.id}"
    assert person.post(f"{trashed}/restore", {}).status_code == status
    assert person.delete(trashed).status_code == status
    assert bool(person.get("/org/trash").json["trash"]) == (kind != Restriction.HIDDEN)
    assert fresh(organization).state == OrganizationState.TRASHED


class BreakIn:
    """Somebody who sets a hold before one of the commands that this thread sends."""

    def __init__(self, organization, at):
        self.organization, self.at, self.sent = organization, at, 0
        self.thread, self.within = threading.Thread(target=self._set), threading.get_ident()
        self.there = None

    def __call__(self, *_):
        if threading.get_ident() != self.within:
            return
        self.sent += 1
        if self.sent == self.at:
            self.thread.start()
            self.thread.join(0.2)  # or it waits for a transaction that has begun before

    def _set(self):
        try:
            if set_hold_at(self.organization) is None:
                self.there = self.is_there()
        except HoldTooLate:
            pass

    def watch(self, attempt, is_there):
        """Attempt the deletion; True where the hold was set before its end."""
        self.is_there = is_there
        with suppress(UnderHold):
            attempt()
        if self.sent < self.at:
            return False
        self.thread.join()
        return True


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.attack("H2")
@pytest.mark.parametrize("deletion", DELETIONS)
def test_a_hold_before_any_command_of_a_deletion_keeps_what_is_there_then(
    deletion, monkeypatch, empty
):
    monkeypatch.setattr("portal.organizations.restrictions.holding.WAITED_SECONDS", 0.1)
    kept = lost = 0
    for at in itertools.count(1):
        empty()
        organization = with_a_document()
        attempt, is_there = WAYS[deletion](organization)
        intruder = BreakIn(organization, at)
        with monkeypatch.context() as patched:
            patched.setattr(connection._RoundTrips, "started", intruder)
            if not intruder.watch(attempt, is_there):
                break
        if intruder.there:
            with suppress(UnderHold):
                attempt()
            assert is_there(), f"gone although held before command {at}"
            kept += 1
        else:
            lost += not is_there()
    assert kept, "no hold came in time"
    assert lost, "no deletion was there first"

"""A document that is erased for good comes back by nothing."""

from concurrent.futures import ThreadPoolExecutor

import bson
import pytest
from bson import ObjectId

from portal.data.edits import Refusal
from portal.data.history import erasing, undoing
from portal.data.history.changing import BulkEdit, start_change
from portal.data.history.entries import outcomes_of
from portal.data.history.erasing import erase_document
from portal.data.history.errors import OthersRunning
from portal.data.history.field_changes import FieldChanges, RemoveField, SetField
from portal.data.history.undoing import undo_edit
from portal.database.connection import server_time
from portal.database.kept_beside import COLLECTIONS, FILE_CHUNKS, rows_of
from portal.documents.moves import Outcome
from portal.documents.organizations import Strategy
from portal.jobs import runner
from portal.jobs.managing import find_job
from tests.clusters.conftest import europe  # noqa: F401
from tests.factories import fresh
from tests.organizations.moving import carrying

CANARY = "canary-7f3a"


def erase(desk, value, **options):
    """Erase to the end."""
    edit_id, _ = erase_document(desk.access, bson.encode({"": value}), **options)
    runner.run_due_jobs()
    return desk.entry(type("Edit", (), {"id": edit_id}))


def kept_of(desk, cluster=None):
    """All that is beside the documents, encoded; in the cluster they are in, or another one."""
    there = cluster or fresh(desk.organization).placement.cluster
    own = {"_id.o": desk.organization.id}
    found = (row for name in COLLECTIONS for row in rows_of(there, name).find(own))
    return b"".join(map(bson.encode, found))


def test_nothing_of_it_is_kept_but_that_it_was_erased(desk):
    desk.insert({"_id": 1, "name": CANARY}, {"_id": 2, "name": "other"})
    bulk = desk.update_many({}, {"$set": {"n": 1}})
    desk.replace({"_id": 1, "name": CANARY, "large": CANARY * 1_000_000})
    changed = desk.replace({"_id": 1, "name": CANARY})
    assert CANARY.encode() in kept_of(desk)
    entry = erase(desk, 1, reason="asked by letter")
    assert CANARY.encode() not in kept_of(desk)
    assert (entry.words, entry.reason, entry.open) == (
        "Erased 1 for good", "asked by letter", False
    )  # fmt: skip
    assert set(desk.stored()) == {2}
    undo = desk.undo(changed)
    [left] = outcomes_of(desk.organization, undo)
    assert (left.shown_id, left.refusal) == ("1", Refusal.ERASED)
    undo = desk.undo(bulk)
    assert (undo.documents, undo.left) == (1, 1)
    assert bson.decode(desk.stored()[2]) == {"_id": 2, "name": "other"}


def test_what_edits_of_many_went_by_is_forgotten(desk):
    """Also where they changed nothing of it, came to no end, or an earlier version left it."""
    desk.insert({"_id": 1, "name": CANARY, "status": "done"})
    bulk = BulkEdit(
        {"name": CANARY}, FieldChanges((SetField("status", bson.encode({"": "done"})),)), 1
    )
    done, failed, old = ObjectId(), ObjectId(), ObjectId()
    start_change(desk.access, bulk, done)
    runner.run_due_jobs()
    assert desk.entry(type("Edit", (), {"id": done})).documents == 0
    assert CANARY.encode() not in bson.encode({"rows": desk.rows("edits")})
    start_change(desk.access, bulk, failed)
    desk.insert({"_id": 2, "name": CANARY})
    runner.run_due_jobs()
    assert CANARY.encode() in bson.encode({"rows": desk.rows("edits")})
    key = {"o": desk.organization.id, "i": old}
    edits = desk.beside("edits")
    row = edits.find_one({"_id.i": done})
    edits.insert_one({**row, "_id": key, "plan": bson.Binary(bulk.stored())})
    erase(desk, 1)
    erase(desk, 2)
    assert CANARY.encode() not in kept_of(desk)


def test_a_change_whose_filter_an_erasure_took_fails_with_the_reason(desk):
    desk.insert({"_id": 1, "n": 1})
    edit_id = ObjectId()
    bulk = BulkEdit({"n": 1}, FieldChanges((RemoveField("n"),)), 1)
    job = start_change(desk.access, bulk, edit_id)
    desk.beside("edits").update_one({"_id.i": edit_id}, {"$unset": {"plan": ""}})
    runner.run_due_jobs()
    assert "erased for good meanwhile" in find_job(job.id).reason
    assert bson.decode(desk.stored()[1]) == {"_id": 1, "n": 1}


def test_an_inserted_one_is_erased_among_others(desk):
    inserted = desk.insert({"_id": 1}, {"_id": "a"}, {"_id": 2.5})
    erase(desk, "a")
    undo = desk.undo(inserted)
    assert (undo.documents, undo.left) == (2, 1)
    [left] = outcomes_of(desk.organization, undo)
    assert (left.shown_id, left.refusal) == ('"a"', Refusal.ERASED)
    erase(desk, 1)
    again = desk.undo(undo)
    assert (again.documents, again.left) == (1, 1)
    assert set(desk.stored()) == {2.5}


def test_a_deleted_one_is_erased_among_others(desk):
    desk.insert({"_id": 1, "n": 1}, {"_id": "a", "name": CANARY}, {"_id": 2.5, "n": 2})
    deleted = desk.delete_many({})
    assert CANARY.encode() in kept_of(desk)
    erase(desk, "a")
    assert CANARY.encode() not in kept_of(desk)
    undo = desk.undo(deleted)
    [left] = outcomes_of(desk.organization, undo)
    assert (left.shown_id, left.refusal) == ('"a"', Refusal.ERASED)
    assert [bson.decode(each)["n"] for each in desk.stored().values()] == [1, 2]


def test_files_that_may_have_it_lose_their_content(desk):
    organization = desk.organization
    cluster, file_id = organization.placement.cluster, organization.id
    chunk = {"_id": {"o": organization.id, "f": file_id, "n": 0}, "data": CANARY.encode()}
    rows_of(cluster, FILE_CHUNKS).insert_one(chunk)
    other = {"_id": {"o": desk.access.context.account, "f": file_id, "n": 0}, "data": b"other"}
    rows_of(cluster, FILE_CHUNKS).insert_one(other)
    erase(desk, 1)
    assert CANARY.encode() not in kept_of(desk)
    assert rows_of(cluster, FILE_CHUNKS).count_documents({}) == 1


def test_it_waits_for_nobody_who_works_on_the_documents(desk):
    inserted = desk.insert({"_id": 1}, {"_id": 2})
    undo_edit(desk.access, str(inserted.id))
    with pytest.raises(OthersRunning):
        erase(desk, 1)
    assert set(desk.stored()) == {1, 2}
    runner.run_due_jobs()
    erase(desk, 1)


def test_an_erasure_that_was_killed_goes_on(desk, monkeypatch):
    desk.insert({"_id": 1, "name": CANARY})
    desk.delete(1)

    def die(*_):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(erasing, "_delete_files", die)
        with pytest.raises(SystemExit):
            erase(desk, 1)
    assert desk.latest().open
    runner.run_due_jobs()
    assert not desk.latest().open
    assert CANARY.encode() not in kept_of(desk)


def test_an_organization_that_moves_meanwhile_carries_nothing_of_it_along(
    app,
    desk,
    europe,  # noqa: F811
    monkeypatch,
):
    organization = desk.organization
    desk.insert({"_id": 1, "name": CANARY})
    desk.delete(1)
    chunk = {"_id": {"o": organization.id, "i": organization.id, "n": 0}, "data": CANARY}
    desk.beside(FILE_CHUNKS).insert_one({**chunk, "changed": server_time()})
    erase_images, moved = erasing._erase_images, []

    def move_first(*arguments):
        if not moved:
            moved.append(carrying.move(organization, Strategy.DATABASE, "europe"))
        return erase_images(*arguments)

    monkeypatch.setattr(erasing, "_erase_images", move_first)
    entry = erase(desk, 1)
    assert moved[0].outcome == Outcome.MOVED
    assert fresh(organization).placement.cluster == "europe"
    assert not entry.open
    for cluster in ("main", "europe"):
        assert CANARY.encode() not in kept_of(desk, cluster)


def test_an_undo_that_meets_an_erasure_does_not_bring_it_back(desk, monkeypatch):
    """It has read what was before, and is about to write that, when the document is erased."""
    desk.insert({"_id": 1, "name": CANARY})
    deleted = desk.delete(1)
    store, met = undoing.store_changes, []

    def meet(handle, changes):
        if not met:
            met.append(threads.submit(erase_document, desk.access, bson.encode({"": 1})))
            with pytest.raises(TimeoutError):
                met[0].result(0.3)  # it waits for who was first
        store(handle, changes)

    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(undoing, "store_changes", meet)
        desk.undo(deleted)
        met[0].result(10)
    runner.run_due_jobs()
    assert desk.stored() == {}
    assert CANARY.encode() not in kept_of(desk)


def test_what_came_after_an_erasure_can_be_undone(desk):
    desk.insert({"_id": 1, "name": CANARY})
    erase(desk, 1)
    desk.insert({"_id": 1, "name": "another"})
    changed = desk.replace({"_id": 1})
    assert desk.undo(changed).documents == 1
    assert bson.decode(desk.stored()[1]) == {"_id": 1, "name": "another"}

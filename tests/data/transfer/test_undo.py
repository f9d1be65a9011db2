"""A whole import is undone: what it inserted goes, what it replaced comes back, and the same file
imports again."""

from portal.data.history.entries import entry_of
from portal.data.history.undoing import undo_edit
from portal.data.transfer import passes
from portal.data.transfer.plans import Existing
from portal.data.transfer.stages import Stage
from portal.jobs import runner
from tests.data.transfer.conftest import IMPORTS, imported, lines, upload
from tests.data.transfer.test_exports import digests

RECORDS = [{"n": n, "v": "new"} for n in range(30)]


def undone(seen, done):
    undo = undo_edit(seen, str(done.edit.id))
    runner.run_due_jobs()
    return entry_of(seen.organization, str(undo.id))


def test_what_was_inserted_goes_and_what_was_replaced_comes_back(seen, stored, monkeypatch):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 7)
    stored.insert_many([{"_id": f"old {n}", "n": n, "v": "old"} for n in range(10)])
    before = digests(stored)
    options = {"existing": Existing.REPLACE, "key": "n"}
    for _ in range(2):  # the same file again
        done = imported(seen, lines(*RECORDS), **options)
        assert done.written.counts == {"inserted": 20, "replaced": 10}
        assert undone(seen, done).documents == 30
        assert digests(stored) == before


def test_what_was_changed_since_stays_and_is_counted(seen, stored):
    stored.insert_one({"_id": "old", "n": 1, "v": "old"})
    done = imported(seen, lines(*RECORDS), existing=Existing.REPLACE, key="n")
    stored.update_many({"n": {"$in": [1, 2]}}, {"$set": {"v": "by hand"}})
    entry = undone(seen, done)
    assert (entry.documents, entry.left) == (28, 2)
    assert {doc["n"] for doc in stored.find()} == {1, 2}


def test_one_that_stopped_is_undone_as_far_as_it_came(seen, stored):
    stored.create_index("u", unique=True)
    records = [{"_id": n, "u": n % 40} for n in range(50)]
    done = imported(seen, lines(*records), stop_per_mille=0)
    assert (done.stage, done.job.state) == (Stage.WRITE, "failed")
    assert undone(seen, done).documents == 40
    assert stored.count_documents({}) == 0


def test_a_record_that_came_twice_is_undone_to_what_was_first(seen, stored, monkeypatch):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 3)
    stored.insert_one({"_id": "old", "n": 1, "v": "old"})
    before = digests(stored)
    records = [{"n": n % 2, "v": v} for v, n in enumerate(range(9))]
    done = imported(seen, lines(*records), existing=Existing.REPLACE, key="n")
    assert stored.count_documents({}) == 2
    undone(seen, done)
    assert digests(stored) == before


def test_the_result_leads_to_it(mara, entries):
    page = upload(mara, lines({"_id": 1})).location
    mara.post(f"{page}/decide", {"existing": "insert"}, form_at=page)
    runner.run_due_jobs()
    mara.post(f"{page}/write", form_at=page)
    runner.run_due_jobs()
    link = mara.get(page).html.find("a", string="Undo import…")["href"]
    mara.post(link)
    runner.run_due_jobs()
    assert entries.count_documents({}) == 0
    assert "orders.jsonl" in mara.get(IMPORTS.removesuffix("imports") + "history").text

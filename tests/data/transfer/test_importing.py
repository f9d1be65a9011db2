"""Imports: checked whole, then written, each record once, with what failed told and kept."""

import pytest
from bson import Int64

from portal.data.transfer import passes
from portal.data.transfer.errors import (
    FileUnreadable,
    ImportBegun,
    ImportNotReady,
    ImportRuns,
    MappingRefused,
)
from portal.data.transfer.files import pieces_of
from portal.data.transfer.imports import cancel_import, decide, discard_import, start_write
from portal.data.transfer.plans import Existing, Plan
from portal.data.transfer.stages import Stage, find_import
from portal.jobs import runner
from tests.data.transfer.conftest import checked, imported, lines, uploaded

NUMBERED = [{"_id": n, "a": n} for n in range(10)]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(passes, "BATCH_RECORDS", 4)


def failed(done):
    return [
        (group.reason, group.column, group.line, group.record, group.count)
        for group in done.written.faults.groups.values()
    ]


def test_a_file_is_checked_and_then_written(seen, stored):
    ready = checked(seen, lines(*NUMBERED))
    assert ready.stage == Stage.READY
    assert (ready.checked.records, ready.checked.counts) == (10, {"inserted": 10})
    assert stored.count_documents({}) == 0
    start_write(seen, ready)
    runner.run_due_jobs()
    done = find_import(seen.organization, ready.file.id)
    assert (done.stage, done.written.counts) == (Stage.DONE, {"inserted": 10})
    assert list(stored.find().sort("_id")) == NUMBERED


def test_records_without_id_get_one(seen, stored):
    assert imported(seen, lines({"a": 1}, {"a": 2})).written.counts == {"inserted": 2}
    assert len(stored.distinct("_id")) == 2


def test_what_the_file_has_wrong_is_told_before_it_is_written(seen, stored):
    content = lines(*NUMBERED[:5]) + b'{"a": 1e400}\n\n{"_id": 7\n' + lines(NUMBERED[9])
    ready = checked(seen, content, stop_per_mille=1000)
    assert ready.checked.counts == {"inserted": 6, "errors": 2, "blank": 1}
    assert [(g.line, g.record) for g in ready.checked.faults.first] == [(6, 6), (8, 7)]
    done = imported(seen, content, stop_per_mille=1000)
    assert done.written.counts == {"inserted": 6, "errors": 2, "blank": 1}
    assert stored.count_documents({}) == 6


def test_a_document_that_is_there_is_an_error_row_where_only_new_ones_are_inserted(seen, stored):
    stored.insert_many([{"_id": 3, "a": "kept"}, {"_id": 8, "a": "kept"}])
    done = imported(seen, lines(*NUMBERED, {"_id": 1}), stop_per_mille=1000)
    assert done.written.counts == {"inserted": 8, "errors": 3}
    reason = "Another document has the same _id, which is unique"
    assert failed(done) == [(reason, "_id", 4, 4, 3)]
    assert stored.count_documents({"a": "kept"}) == 2
    errors = b"".join(
        pieces_of(seen.organization, done.file.details["write_errors"], 0, done.written.pieces)
    )
    assert [line for line in errors.splitlines() if b"$error" not in line] == [
        b'{"_id": 3, "a": 3}', b'{"_id": 8, "a": 8}', b'{"_id": 1}',
    ]  # fmt: skip
    assert len(errors) == done.written.error_bytes


def test_documents_are_replaced_by_key_whatever_the_type_of_its_number(seen, stored):
    stored.insert_many([{"_id": "x", "n": Int64(1), "old": 1}, {"_id": "y", "n": 2.0, "old": 1}])
    done = imported(
        seen, lines({"n": 2, "new": 1}, {"n": 1, "new": 1}, {"n": 3, "new": 1}),
        existing=Existing.REPLACE, key="n",
    )  # fmt: skip
    assert done.written.counts == {"inserted": 1, "replaced": 2}
    assert stored.count_documents({"old": 1}) == 0
    assert [doc["n"] for doc in stored.find({"_id": {"$in": ["x", "y"]}}).sort("_id")] == [1, 2]


def test_the_last_of_several_records_with_one_key_is_what_stays(seen, stored):
    records = [{"n": 1, "v": v} for v in range(5)]
    done = imported(seen, lines(*records), existing=Existing.REPLACE, key="n")
    assert done.written.counts == {"inserted": 1, "replaced": 4}
    assert [doc["v"] for doc in stored.find()] == [4]


def test_existing_ones_are_skipped_by_key(seen, stored):
    stored.insert_one({"_id": 1, "n": 1, "old": 1})
    done = imported(seen, lines({"n": 1}, {"n": 2}, {"n": 2}), existing=Existing.SKIP, key="n")
    assert done.written.counts == {"inserted": 1, "existing": 2}
    assert stored.find_one({"n": 1}) == {"_id": 1, "n": 1, "old": 1}


@pytest.mark.parametrize(
    "value", ["[1, 2]", "null", '{"$regularExpression": {"pattern": ".", "options": ""}}']
)
def test_what_can_be_no_key_is_an_error_row(seen, stored, value):
    stored.insert_one({"_id": 1, "n": 1})
    content = b'{"n": %s}\n{"m": 1}\n' % value.encode()
    done = imported(seen, content, existing=Existing.REPLACE, key="n", stop_per_mille=1000)
    assert done.written.counts == {"errors": 2}
    assert stored.find_one() == {"_id": 1, "n": 1}


def test_a_key_that_several_documents_have_replaces_none(seen, stored):
    stored.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 1}])
    options = {"existing": Existing.REPLACE, "key": "n", "stop_per_mille": 1000}
    done = imported(seen, lines({"n": 1, "new": 1}), **options)
    assert failed(done) == [("2 documents have this n", "n", 1, 1, 1)]
    assert stored.count_documents({"new": 1}) == 0


def test_a_rule_and_a_unique_index_are_told_with_line_and_field(seen, stored, tenant_db):
    stored.create_index("number", unique=True)
    rule = {"bsonType": "object", "properties": {"hours": {"minimum": 0}}}
    tenant_db.command("collMod", stored.name, validator={"$jsonSchema": rule})
    rows = [{"number": 1, "hours": 1}, {"number": 2, "hours": -1}, {"number": 1, "hours": 1}]
    done = imported(seen, lines(*rows), stop_per_mille=1000)
    assert done.written.counts == {"inserted": 1, "errors": 2}
    assert failed(done) == [
        ("It breaks a rule of the collection: minimum", "hours", 2, 2, 1),
        ("Another document has the same number, which is unique", "number", 3, 3, 1),
    ]


def test_it_stops_at_the_share_of_errors_and_keeps_what_is_written(seen, stored):
    stored.insert_many([{"_id": n} for n in range(6, 10)])
    done = imported(seen, lines(*NUMBERED), stop_per_mille=50)
    assert (done.stage, done.job.state) == (Stage.WRITE, "failed")
    assert done.job.reason == "2 records failed, 0 may."
    assert done.written.counts["inserted"] == 6


def test_cancelled_it_goes_on_from_where_it_was(seen, stored, monkeypatch):
    ready = checked(seen, lines(*NUMBERED))
    started = start_write(seen, ready)
    cancelled = cancel_import(seen, started)
    assert (cancelled.stage, cancelled.is_running) == (Stage.WRITE, False)
    runner.run_due_jobs()
    assert stored.count_documents({}) == 0
    start_write(seen, cancelled)
    runner.run_due_jobs()
    assert find_import(seen.organization, ready.file.id).stage == Stage.DONE
    assert stored.count_documents({}) == 10


def test_each_step_has_its_time(seen, stored):
    found = uploaded(seen, lines(*NUMBERED))
    with pytest.raises(ImportNotReady):
        start_write(seen, found)
    plan = Plan(found.options)
    decided = decide(seen, found, plan)
    for refused in (lambda: decide(seen, decided, plan), lambda: discard_import(seen, decided)):
        with pytest.raises(ImportRuns):
            refused()
    runner.run_due_jobs()
    ready = find_import(seen.organization, found.file.id)
    start_write(seen, ready)
    with pytest.raises(ImportRuns):
        start_write(seen, ready)
    runner.run_due_jobs()
    for stale in (ready, find_import(seen.organization, found.file.id)):
        with pytest.raises(ImportBegun):
            decide(seen, stale, plan)
    with pytest.raises(ImportNotReady):
        start_write(seen, find_import(seen.organization, found.file.id))


def test_what_can_not_be_read_is_told_at_once_and_not_kept(seen):
    for content, name in ((b"", "a.jsonl"), (b"%PDF-1.7", "a.pdf")):
        with pytest.raises(FileUnreadable):
            uploaded(seen, content, name)


@pytest.mark.parametrize("key", ["", "$where", "a\0b"])
def test_a_key_is_the_name_of_a_field(seen, key):
    found = uploaded(seen, lines({"a": 1}))
    with pytest.raises(MappingRefused):
        decide(seen, found, Plan(found.options, Existing.REPLACE, key))

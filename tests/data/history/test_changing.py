"""Many documents are changed as one edit, by what was confirmed."""

from dataclasses import replace

import bson
import pytest
from bson import Int64, ObjectId

from portal.data.edits import Refusal
from portal.data.history.changing import BulkEdit, preview_change, start_change
from portal.data.history.entries import outcomes_of
from portal.data.history.errors import InvalidChange, MoreMatch
from portal.data.history.field_changes import (
    FieldChanges,
    RemoveField,
    RenameField,
    SetField,
    read_value,
)
from portal.data.masks.errors import FieldMasked
from portal.data.masks.masks import Mask
from portal.documents.jobs import Job
from portal.jobs import runner

EXPIRED = SetField("status", bson.encode({"": "expired"}))
WAITING = {"status": "waiting"}


def change(desk, query, *changes, expected, edit_id=None, **options):
    """Change to the end; how the edit stands then."""
    edit_id = edit_id or ObjectId()
    bulk = BulkEdit(query, FieldChanges(changes), expected)
    start_change(desk.access, bulk, edit_id, **options)
    runner.run_due_jobs()
    return desk.entry(type("Edit", (), {"id": edit_id}))


def test_a_field_is_set_renamed_and_removed_and_the_rest_stays_to_the_byte(desk):
    desk.insert(
        {"_id": 1, "n": Int64(1), "status": "waiting", "site_name": "x", "a.b": 1.0},
        {"_id": 2, "status": "waiting", "reminder": {"next": 1, "on": True}},
        {"_id": 3, "status": "done"},
    )
    before = desk.stored()
    changes = EXPIRED, RenameField("site_name", "site"), RemoveField("reminder.next")
    entry = change(desk, WAITING, *changes, expected=2, reason="agreed")
    assert desk.stored() == {
        1: bson.encode({"_id": 1, "n": Int64(1), "status": "expired", "site": "x", "a.b": 1.0}),
        2: bson.encode({"_id": 2, "status": "expired", "reminder": {"on": True}}),
        3: before[3],
    }
    assert (entry.words, entry.documents, entry.reason) == (
        "Set status, rename site_name, remove reminder.next", 2, "agreed"
    )  # fmt: skip
    desk.undo(entry)
    assert desk.stored() == before


def test_fields_that_no_path_leads_to_are_changed_like_others(desk):
    desk.insert(
        {"_id": 1, "a.b": Int64(1), "a": {"b": 2}, "$x": "x", "": 3, "c": {"d.e": 4.0}},
        {"_id": 2, "a.b": 1, "price": 5},
    )
    before = desk.stored()
    changes = (
        RenameField('["a.b"]', "price"), SetField('["$x"]', bson.encode({"": None})),
        RemoveField('[""]'), RenameField('["c","d.e"]', "f"),
    )  # fmt: skip
    preview = preview_change(desk.access, {}, FieldChanges(changes))
    assert preview.renamed == {'["a.b"]': (2, 1), '["c","d.e"]': (1, 0)}
    entry = change(desk, {"_id": 1}, *changes, expected=1)
    changed = {"_id": 1, "price": Int64(1), "a": {"b": 2}, "$x": None, "c": {"f": 4.0}}
    assert desk.stored() == {1: bson.encode(changed), 2: before[2]}
    assert entry.words == "Rename “a.b”, set “$x”, remove “”, rename “c”.“d.e”"
    assert entry.fields == ("a.b", "price", "$x", "", "c.d.e", "c.f")
    with pytest.raises(FieldMasked):
        preview_change(
            replace(desk.access, mask=Mask(frozenset({"a.b"}))), {}, FieldChanges(changes)
        )


def test_a_preview_tells_what_would_be_done(desk):
    documents = [{"_id": n, "status": "waiting", "old": n} for n in range(5)]
    desk.insert(*documents, {"_id": 9, "status": "waiting", "old": 1, "new": 2}, {"_id": 10})
    changes = FieldChanges((EXPIRED, RenameField("old", "new")))
    preview = preview_change(desk.access, WAITING, changes)
    assert [pair.shown_id for pair in preview.pairs] == ["0", "3", "9"]
    assert (preview.count, preview.renamed) == (6, {"old": (6, 1)})
    first, last = preview.pairs[0], preview.pairs[2]
    assert {each.path for each in first.differences} == {("status",), ("old",), ("new",)}
    assert last.refusal == Refusal.FIELD_EXISTS
    assert len(preview_change(desk.access, WAITING, changes, others=True).pairs) == 3
    assert preview_change(desk.access, {"_id": 77}, changes).pairs == ()


def test_nothing_is_changed_where_more_match_than_was_confirmed(desk):
    desk.insert(*({"_id": n, "status": "waiting"} for n in range(3)))
    before = desk.stored()
    bulk = BulkEdit(WAITING, FieldChanges((EXPIRED,)), 2)
    with pytest.raises(MoreMatch) as refused:
        start_change(desk.access, bulk, ObjectId())
    assert "3 documents match now, 2 did" in refused.value.words
    desk.delete(2)
    start_change(desk.access, bulk, ObjectId())
    desk.insert({"_id": 2, "status": "waiting"})  # between the request and its job
    runner.run_due_jobs()
    [job] = Job.objects
    assert (job.state, "3 documents match now" in job.reason) == ("failed", True)
    assert desk.stored() == before


def test_a_document_that_cant_be_changed_does_not_keep_the_others_back(desk, tenant_db):
    collection = tenant_db[desk.organization.placement.collection]
    desk.insert(
        {"_id": 1, "a": {"b": 1}}, {"_id": 2, "a": 5}, {"_id": 3, "x": 1, "a": {}},
        {"_id": 4}, {"_id": 5, "old": 1, "new": 1}, {"_id": 6, "old": 1},
    )  # fmt: skip
    collection.create_index("a.b", unique=True, partialFilterExpression={"x": 1})
    collection.insert_one({"_id": 0, "x": 1, "a": {"b": Int64(2)}})
    value = SetField("a.b", bson.encode({"": Int64(2)}))
    entry = change(desk, {"_id": {"$gt": 0}}, value, RenameField("old", "new"), expected=6)
    told = {each.shown_id: (each.refusal, each.detail) for each in
            outcomes_of(desk.organization, entry)}  # fmt: skip
    assert told == {
        "2": (Refusal.NOT_A_DOCUMENT, None),
        "3": (Refusal.DUPLICATE, "a.b"),
        "5": (Refusal.FIELD_EXISTS, None),
    }
    assert (entry.documents, entry.left) == (3, 3)


def test_a_validator_leaves_out_who_breaks_it(desk, tenant_db):
    desk.insert({"_id": 1, "hours": 1}, {"_id": 2})
    rule = {"$or": [{"status": {"$ne": "expired"}}, {"hours": {"$exists": True}}]}
    tenant_db.command("collMod", desk.organization.placement.collection, validator=rule)
    entry = change(desk, {}, EXPIRED, expected=2)
    [left] = outcomes_of(desk.organization, entry)
    assert (entry.documents, left.shown_id, left.refusal) == (1, "2", Refusal.INVALID)


def test_what_is_sent_twice_is_done_once(desk):
    desk.insert({"_id": 1, "n": 1})
    edit_id = ObjectId()
    first = change(desk, {}, SetField("n", bson.encode({"": 2})), expected=1, edit_id=edit_id)
    desk.replace({"_id": 1, "n": 3})
    again = change(desk, {}, SetField("n", bson.encode({"": 2})), expected=1, edit_id=edit_id)
    assert first == again
    assert bson.decode(desk.stored()[1])["n"] == 3


def test_a_job_that_was_killed_goes_on_behind_its_last_batch(desk, monkeypatch):
    monkeypatch.setattr("portal.data.history.working.BATCH_DOCUMENTS", 4)
    desk.insert(*({"_id": n, "status": "waiting"} for n in range(10)))
    bulk = BulkEdit({}, FieldChanges((EXPIRED,)), 10)
    start_change(desk.access, bulk, edit_id := ObjectId())
    told = []

    def die(run, done, *_):
        told.append(done)
        if len(told) < 3:
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr("portal.jobs.running.Run.report", die)
        for _ in range(3):
            try:
                runner.run_due_jobs()
            except SystemExit:
                continue
    entry = desk.entry(type("Edit", (), {"id": edit_id}))
    assert told == [4, 8, 10]
    assert (entry.documents, entry.rows, entry.open) == (10, 10, False)
    desk.undo(entry)
    assert all(bson.decode(each)["status"] == "waiting" for each in desk.stored().values())


def test_masked_fields_are_neither_found_by_nor_changed(desk):
    access = type(desk.access)(
        desk.organization, Mask(frozenset({"status"})), desk.access.context, recorded=True
    )
    with pytest.raises(FieldMasked):
        preview_change(access, WAITING, FieldChanges((RemoveField("n"),)))
    for refused in (EXPIRED, RemoveField("status"), RenameField("n", "status")):
        with pytest.raises(FieldMasked):
            start_change(access, BulkEdit({}, FieldChanges((refused,)), 1), ObjectId())


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", " 007", " 007"), ("int32", "7", 7), ("int64", "7", Int64(7)),
        ("double", "7", 7.0), ("null", "", None), ("boolean", "true", True),
        ("json", '{"a": [1]}', {"a": [1]}),
    ],
)  # fmt: skip
def test_values_have_the_type_that_was_chosen(kind, text, value):
    assert read_value(kind, text) == bson.encode({"": value})


@pytest.mark.parametrize(
    ("kind", "text"),
    [("int32", "2147483648"), ("int64", "1.5"), ("double", "NaN."), ("date", "31/01/2026"),
     ("boolean", "yes"), ("objectid", "12"), ("uuid", "12"), ("json", "{"), ("other", "1")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(kind, text):
    with pytest.raises(InvalidChange):
        read_value(kind, text)


@pytest.mark.parametrize("field", ["", "_id", "_id.a", "a..b", "$x", "a.$[]", "a\0"])
def test_no_change_is_of_the_id_or_of_what_a_path_cant_name(field):
    with pytest.raises(InvalidChange):
        FieldChanges((RemoveField(field),))


def test_two_changes_of_one_field_are_refused():
    with pytest.raises(InvalidChange):
        FieldChanges((RemoveField("a.b"), RemoveField("a-b"), RemoveField("a")))

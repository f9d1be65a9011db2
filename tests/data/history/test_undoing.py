"""Each edit can be undone, and says of each document what became of it."""

import bson
import pytest
from bson import Int64, ObjectId

from portal.data import recording
from portal.data.edits import Refusal
from portal.data.history.entries import later_edits_of, list_edits, outcomes_of
from portal.data.history.errors import AlreadyUndone, EditNotFound, EditNotKept
from portal.data.history.undoing import undo_edit
from portal.tenants.elements import framed


def test_a_change_is_undone_to_the_byte_and_that_too(desk):
    desk.insert({"_id": 1, "n": Int64(5), "d": 1.0, "s": "a"})
    before = desk.stored()
    changed = desk.replace({"_id": 1, "n": 5, "x": None}, reason="customer called")
    assert (changed.words, changed.reason, changed.documents) == (
        "Changed n, d, s, x", "customer called", 1
    )  # fmt: skip
    after = desk.stored()
    undo = desk.undo(changed)
    assert desk.stored() == before
    assert (undo.documents, undo.left, undo.title) == (1, 0, changed.words)
    assert desk.entry(changed).undone
    with pytest.raises(AlreadyUndone):
        desk.undo(changed)
    desk.undo(undo)
    assert desk.stored() == after
    assert not desk.entry(changed).undone
    desk.undo(changed)
    assert desk.stored() == before


def test_insertions_and_deletions_are_undone(desk):
    inserted = desk.insert({"_id": "a"}, {"_id": 1.0}, {"_id": ObjectId()})
    before = desk.stored()
    deleted = desk.delete("a")
    assert len(desk.stored()) == 2
    desk.undo(deleted)
    assert desk.stored() == before
    undo = desk.undo(inserted)
    assert desk.stored() == {}
    desk.undo(undo)
    assert desk.stored() == before


def test_saving_the_same_bytes_writes_nothing_and_is_no_edit(desk):
    inserted = desk.insert({"_id": 1, "n": Int64(5)})
    assert desk.replace({"_id": 1, "n": Int64(5)}).id == inserted.id
    assert len(desk.edits()) == 1


def test_what_was_changed_or_deleted_later_is_left_alone_and_named(desk):
    desk.insert(*({"_id": n, "n": 0} for n in range(4)))
    bulk = desk.update_many({}, {"$set": {"n": 1}})
    desk.replace({"_id": 1, "n": 2})
    desk.delete(2)
    desk.replace({"_id": 3, "n": 0})  # somebody put it back by hand
    undo = desk.undo(bulk)
    assert (undo.documents, undo.left, undo.counts["as before"]) == (1, 2, 1)
    told = {each.shown_id: each.refusal for each in outcomes_of(desk.organization, undo)}
    assert told == {"1": Refusal.CHANGED_LATER, "2": Refusal.DELETED_LATER}
    assert {key: bson.decode(each)["n"] for key, each in desk.stored().items()} == {
        0: 0,
        1: 2,
        3: 0,
    }
    again = desk.entry(bulk)
    assert not again.undone
    assert again.can_be_undone


def test_what_the_server_refuses_does_not_keep_the_others_back(desk, tenant_db):
    desk.insert(*({"_id": n, "k": n} for n in range(3)))
    bulk = desk.update_many({}, [{"$set": {"k": {"$add": ["$k", 10]}}}])
    collection = tenant_db[desk.organization.placement.collection]
    collection.create_index("k", unique=True)
    desk.insert({"_id": "other", "k": 1})
    undo = desk.undo(bulk)
    assert (undo.documents, undo.left) == (2, 1)
    [refused] = outcomes_of(desk.organization, undo)
    assert (refused.shown_id, refused.refusal, refused.detail) == ("1", Refusal.DUPLICATE, "k")
    desk.delete("other")
    assert desk.undo(bulk).documents == 1
    assert [bson.decode(each)["k"] for each in desk.stored().values()] == [0, 1, 2]


def test_unique_values_that_went_round_go_back_round(desk, tenant_db):
    collection = tenant_db[desk.organization.placement.collection]
    desk.insert({"_id": 1, "k": "a"}, {"_id": 2, "k": "b"})
    first = desk.delete(1)
    collection.create_index("k", unique=True)
    second = desk.replace({"_id": 2, "k": "a"})
    desk.undo(second)
    assert desk.undo(first).left == 0
    assert len(desk.stored()) == 2


def test_many_documents_go_in_batches_and_the_same_undo_is_begun_once(desk, monkeypatch):
    monkeypatch.setattr(recording, "BATCH_DOCUMENTS", 3)
    inserted = desk.insert(*({"_id": n} for n in range(20)))
    first = undo_edit(desk.access, str(inserted.id))
    assert undo_edit(desk.access, str(inserted.id)) == first
    assert len(desk.stored()) == 20
    assert desk.entry(inserted).undo_open
    undo = desk.undo(inserted)
    assert undo.id == first.id
    assert desk.stored() == {}


def test_deletions_share_rows_and_come_back_from_any_place_in_them(desk, monkeypatch):
    desk.insert(*({"_id": n, "text": "x" * n} for n in range(20)))
    before = desk.stored()
    monkeypatch.setattr(recording, "PART_BYTES", 400)
    deleted = desk.delete_many({"_id": {"$ne": 7}})
    rows = [row for row in desk.rows("before_images") if "deleted" in row]
    assert len(rows) > 1
    assert sum(row["deleted"] for row in rows) == 19
    monkeypatch.setattr("portal.data.history.working.BATCH_DOCUMENTS", 3)
    undo = desk.undo(deleted)
    assert (undo.documents, desk.stored()) == (19, before)
    batches = desk.beside("edits").find_one({"_id.i": undo.id})["batch"]
    assert batches <= 19 // 3 + len(rows) + 1
    again = desk.undo(undo)
    assert (again.documents, set(desk.stored())) == (19, {7})
    desk.undo(again)
    assert desk.stored() == before


def test_documents_that_grew_are_undone_in_batches_that_fit(desk, monkeypatch):
    inserted = desk.insert(*({"_id": n, "text": "x" * 300} for n in range(20)))
    monkeypatch.setattr("portal.data.history.undoing.BATCH_BYTES", 1000)
    undo = desk.undo(inserted)
    assert (undo.documents, desk.stored()) == (20, {})
    row = desk.beside("edits").find_one({"_id.i": undo.id})
    assert row["batch"] > 5


def test_deletions_of_which_nothing_is_kept_say_so(desk, monkeypatch):
    inserted = desk.insert({"_id": 1, "a": "x" * 500}, {"_id": 2, "a": "x" * 500})
    monkeypatch.setattr(recording, "MOST_BYTES", 700)
    undo = desk.undo(inserted)
    assert desk.stored() == {}
    again = desk.undo(undo)
    assert (again.documents, again.left) == (0, 2)
    refusals = {each.refusal for each in outcomes_of(desk.organization, again)}
    assert refusals == {Refusal.NOT_KEPT}


def test_who_deleted_a_document_among_many_is_known(desk):
    inserted = desk.insert({"_id": 1}, {"_id": 2}, {"_id": None})
    deleted = desk.delete_many({"_id": {"$in": [2, None]}})
    desk.delete(1)
    again = desk.insert({"_id": 2, "other": True}, {"_id": None, "other": True})
    undo = desk.undo(inserted)
    outcomes = outcomes_of(desk.organization, undo)
    later = later_edits_of(desk.organization, undo, outcomes)
    assert {entry.id for entry in later.values()} == {deleted.id}
    assert set(later) == {bson.encode({"": 2}), bson.encode({"": None})}
    of_null = list_edits(desk.organization, document=bson.encode({"": None})).rows
    assert {entry.id for entry in of_null} == {undo.id, again.id, deleted.id, inserted.id}
    other = desk.insert({"_id": 3}, {"_id": 4})
    of_null = list_edits(desk.organization, document=bson.encode({"": None})).rows
    assert other.id not in {entry.id for entry in of_null}


def test_a_document_of_16_mb_is_kept_and_put_back(desk):
    large = bson.encode({"_id": 1, "data": b"x" * (16 * 1024 * 1024 - 40)})
    assert 16 * 1024 * 1024 - len(large) < 20
    desk.insert(large)
    changed = desk.replace({"_id": 1, "data": "small"})
    assert len([row for row in desk.rows("before_images") if "before" in row]) == 2
    desk.undo(changed)
    assert desk.stored() == {1: large}
    desk.undo(desk.delete(1))
    assert desk.stored() == {1: large}


def test_the_oldest_make_room_and_say_so(desk, monkeypatch):
    monkeypatch.setattr(recording, "MOST_BYTES", 3000)
    monkeypatch.setattr(recording, "SLACK_BYTES", 1)
    desk.insert({"_id": 1, "data": "a" * 1000})
    edits = [desk.replace({"_id": 1, "data": letter * 1000}) for letter in "bcd"]
    assert [desk.entry(edit).given_up for edit in edits] == [True, False, False]
    with pytest.raises(EditNotKept):
        desk.undo(edits[0])
    desk.undo(edits[2])
    with pytest.raises(EditNotFound):
        undo_edit(desk.access, str(ObjectId()))


TWICE = b"\x10n\0\x01\0\0\0\x10n\0\x02\0\0\0"


@pytest.mark.parametrize(
    "more", [b"", b"\x10$x\0\x01\0\0\0", b"\x02t\0\x02\0\0\0\xff\0", b"\x11t\0" + bytes(8)]
)
def test_a_document_with_a_field_twice_is_put_back_to_the_byte(desk, more):
    document = framed(b"\x10_id\0\x01\0\0\0" + TWICE + more)
    desk.insert(document)
    desk.undo(desk.replace({"_id": 1}))
    assert desk.stored() == {1: document}
    desk.undo(desk.delete(1))
    assert desk.stored() == {1: document}


def test_an_undo_that_found_nothing_to_do_bars_no_later_one(desk):
    """The document was deleted meanwhile, and comes back once the deletion is undone."""
    desk.insert({"_id": 1})
    [inserted] = desk.edits()
    desk.delete(1)
    deleted = desk.edits()[0]
    desk.undo(inserted)
    desk.undo(deleted)
    assert desk.stored().keys() == {1}
    desk.undo(desk.entry(inserted))
    assert desk.stored() == {}

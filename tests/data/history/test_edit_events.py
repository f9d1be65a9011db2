"""Edits stand in the organization's audit trail: by a document's id and fields, without values."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import bson
import pytest
from pymongo.errors import AutoReconnect

from portal.audit.trail import ListedEvent
from portal.data import edit_events, writing
from portal.data.access import program_access
from portal.documents.audit import AuditEvent
from tests.factories import a_context, an_access, fresh, the_owner


def told(organization):
    found = AuditEvent.objects(chain=organization.id, action__startswith="document.")
    return [ListedEvent.of(each) for each in found.order_by("seq").as_pymongo()]


def words(organization):
    return [event.words for event in told(organization)]


def test_each_edit_of_a_person_is_told_without_values(desk):
    desk.insert({"_id": 1, "n": 1, "secret": "canary"})
    desk.replace({"_id": 1, "n": 2, "secret": "canary2"}, reason="because of canary")
    desk.undo(desk.latest())
    desk.delete(1)
    desk.insert({"_id": 2}, {"_id": 3})
    assert words(desk.organization) == [
        'Document { "$numberInt" : "1" } inserted',
        'Document { "$numberInt" : "1" } changed: n, secret',
        'Edit of document { "$numberInt" : "1" } undone',
        'Document { "$numberInt" : "1" } deleted',
        "2 documents inserted",
    ]  # fmt: skip
    assert {event.actor_email for event in told(desk.organization)} == {
        the_owner(desk.organization).email
    }
    assert "canary" not in str([each.to_mongo() for each in AuditEvent.objects])


@pytest.mark.parametrize(
    "value", ["x" * 500, {"a": [1, "b"]}, bson.Binary(b"\xff", 4), "\u202e<b>", ""]
)
def test_an_id_of_any_type_is_told_in_at_most_200_characters(desk, value):
    desk.insert({"_id": value, "n": 1})
    [event] = told(desk.organization)
    assert 0 < len(event.details["document"]) <= edit_events.LONGEST_ID


def test_an_undone_edit_of_one_out_of_many_names_the_document(desk):
    desk.insert({"_id": "a", "n": 1}, {"_id": "b", "n": 2})
    desk.undo(desk.update_many({"n": 2}, {"$inc": {"n": 1}}))
    assert told(desk.organization)[-1].details == {"document": '"b"', "fields": "n"}


def test_what_changes_nothing_has_no_event(desk):
    desk.insert({"_id": 1, "n": 1})
    desk.replace({"_id": 1, "n": 1})
    inserted = desk.latest()
    desk.replace({"_id": 1, "n": 2})
    desk.undo(inserted)  # it was changed later
    assert [event.action for event in told(desk.organization)] == [
        "document.inserted", "document.changed"
    ]  # fmt: skip


def test_what_programs_write_has_no_event(desk, acme):
    acme.update(set__records_programs=True)
    program = program_access(an_access(fresh(acme)), a_context())
    writing.insert_documents(program, [bson.encode({})], None)
    assert len(desk.edits()) == 1
    assert told(acme) == []


@pytest.mark.parametrize("step", ["_record", "_mark_told"])
def test_a_process_that_dies_before_it_told_leaves_that_to_the_others(desk, monkeypatch, step):
    def dies(*_):
        raise AutoReconnect("gone")

    with monkeypatch.context() as dying:
        dying.setattr(edit_events, step, dies)
        desk.insert({"_id": 1})
    assert len(desk.stored()) == 1
    edit_events.tell_left_over()  # it may be at it
    assert len(told(desk.organization)) == (1 if step == "_mark_told" else 0)
    monkeypatch.setattr(edit_events, "LEFT_OVER_AFTER", timedelta(seconds=-1))
    for _ in range(2):
        edit_events.tell_left_over()
    assert len(told(desk.organization)) == 1
    assert [row["told"] for row in desk.rows("edits")] == [True]


def test_several_that_tell_the_same_tell_it_once(desk, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(writing, "tell_edits", lambda organization: None)
        desk.insert({"_id": 1})
        desk.insert({"_id": 2})
    with ThreadPoolExecutor(4) as portals:
        list(portals.map(edit_events.tell_edits, [desk.organization] * 4))
    assert len(told(desk.organization)) == 2


def test_what_was_left_over_is_told_with_the_next_edit(desk, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(edit_events, "_record", lambda *_: (_ for _ in ()).throw(AutoReconnect("x")))
        desk.insert({"_id": 1})
    desk.insert({"_id": 2})
    assert [event.details["document"] for event in told(desk.organization)] == [
        '{ "$numberInt" : "1" }', '{ "$numberInt" : "2" }'
    ]  # fmt: skip

"""Somebody else's change meanwhile, and forms that can't be taken: nothing typed is lost."""

import bson
import pytest
from bson import Decimal128

from portal.documents.memberships import Role
from tests.data.editing.forms import ID, Editor, control, one
from tests.factories import a_member
from tests.visitor import Visitor


def their_change(stored, change):
    stored.update_one({"_id": ID}, change)


def versions(page):
    return {
        row.th.code.get_text(strip=True): [
            cell.get_text(" ", strip=True) for cell in row.select("td")
        ]
        for row in page.html.select(".versions tbody tr")
    }


def test_somebody_elses_change_is_409_with_three_versions(editor, stored):
    stored.insert_one(
        {
            "_id": ID,
            "status": "waiting",
            "due": 1,
            "note": None,
            "hours": 3.5,
            "in": {"shift": "early"},
            "x": 0,
        }
    )
    page = editor.open(ID)
    their_change(
        stored, {"$set": {"status": "on hold", "due": 2, "hours": 5.5}, "$unset": {"in.shift": 1}}
    )
    typed = {f"v.{control('status')}": "done", f"v.{control('hours')}": "5.5"}
    typed |= {f"k.{control('note')}": "text", f"v.{control('note')}": "Pump 3"}
    conflict = editor.send(page, typed)
    assert conflict.status == 409
    assert "Nothing was saved." in conflict.text
    assert versions(conflict) == {
        "status": ["waiting", "on hold", "done"],
        "note": ["null", "null", "Pump 3"],
        "hours": ["3.5 Double", "5.5 Double", "5.5 Double"],
        "due": ["1 Int32", "2 Int32", "1 Int32"],
        "in.shift": ["early", "missing", "early"],
    }
    assert "1 field needs your choice" in conflict.text
    again = editor.send(conflict)
    assert again.status == 422
    assert "Choose one" in again.text
    assert bson.decode(one(stored))["note"] is None
    done = editor.send(again, {f"c.{control('status')}": "yours"})
    assert done.status == 303
    assert bson.decode(one(stored)) == {
        "_id": ID, "status": "done", "due": 2, "note": "Pump 3", "hours": 5.5, "in": {}, "x": 0,
    }  # fmt: skip


def test_choices_come_again_if_the_document_changes_once_more(editor, stored):
    stored.insert_one({"_id": ID, "a": 1, "b": 1})
    page = editor.open(ID)
    their_change(stored, {"$set": {"a": 2}})
    conflict = editor.send(page, {f"v.{control('a')}": "3"})
    their_change(stored, {"$set": {"b": 2}})
    again = editor.send(conflict, {f"c.{control('a')}": "yours"})
    assert again.status == 409
    chosen = again.html.select_one(f"input[name='c.{control('a')}'][checked]")
    assert chosen["value"] == "yours"
    editor.send(again)
    assert bson.decode(one(stored)) == {"_id": ID, "a": 3, "b": 2}


def test_back_to_the_form_everything_typed_is_there(editor, stored):
    stored.insert_one({"_id": ID, "a": 1, "b": 1, "price": Decimal128("1")})
    page = editor.open(ID)
    their_change(stored, {"$set": {"a": 2, "b": 2}})
    conflict = editor.send(
        page,
        {
            f"v.{control('a')}": "3",
            f"v.{control('price')}": "1,5",
            "nn.last": "c",
            "nv.last": "new",
        },
    )
    assert conflict.status == 409
    form = editor.send(conflict, do="form")
    assert form.html.find(id=f"v-{control('a')}")["value"] == "3"
    assert form.html.find(id=f"v-{control('price')}")["value"] == "1,5"
    assert form.html.find("input", {"value": "new"})
    editor.send(form, {f"v.{control('price')}": "1.5"})
    assert bson.decode(one(stored)) == {
        "_id": ID,
        "a": 3,
        "b": 2,
        "price": Decimal128("1.5"),
        "c": "new",
    }


def test_a_text_meets_another_change_field_by_field(editor, stored):
    stored.insert_one({"_id": ID, "a": 1, "b": 1})
    page = editor.open(ID, "json")
    their_change(stored, {"$set": {"b": 2}})
    conflict = editor.send(page, {"text": '{"a": 5, "b": {"$numberInt": "1"}, "new": []}'})
    assert conflict.status == 409
    assert set(versions(conflict)) == {"a", "b", "new"}
    editor.send(conflict)
    assert bson.decode(one(stored)) == {"_id": ID, "a": 5, "b": 2, "new": []}


def test_the_same_form_sent_twice_is_saved_once(editor, stored):
    stored.insert_one({"_id": ID, "a": 1, "list": []})
    page = editor.open(ID)
    typed = {f"v.{control('a')}": "2", "nn.last": "b", "nv.last": "x"}
    assert [editor.send(page, typed).status for _ in range(2)] == [303, 303]
    assert bson.decode(one(stored)) == {"_id": ID, "a": 2, "list": [], "b": "x"}


def test_large_values_and_lists_conflict_without_their_bytes_in_the_form(editor, stored):
    stored.insert_one({"_id": ID, "a": 1, "blob": b"x" * 1_000_000, "list": [*range(1000)]})
    page = editor.open(ID)
    assert len(page.response.data) < 100_000
    their_change(stored, {"$set": {"blob": b"y" * 1_000_000, "list.5": 0}})
    conflict = editor.send(page, {f"v.{control('a')}": "2"})
    assert conflict.status == 409
    assert "a large value" in conflict.text
    editor.send(conflict)
    document = bson.decode(one(stored))
    assert (document["a"], document["blob"][:1], document["list"][5]) == (2, b"y", 0)


def test_a_document_deleted_meanwhile_is_told(editor, stored):
    stored.insert_one({"_id": ID, "a": 1})
    page = editor.open(ID)
    stored.delete_one({"_id": ID})
    gone = editor.send(page, {f"v.{control('a')}": "typed by me"})
    assert gone.status == 404
    assert "typed by me" in str(gone.html)


def test_a_changed_document_is_not_deleted_unseen(editor, stored):
    stored.insert_one({"_id": ID, "a": "seen"})
    page = editor.open(ID, "delete")
    their_change(stored, {"$set": {"a": "unseen"}})
    refused = editor.send(page)
    assert refused.status == 412
    assert "unseen" in refused.text
    assert editor.send(refused).status == 303
    assert stored.find_one() is None


def test_without_a_session_the_text_waits_for_a_log_in(editor, stored):
    stored.insert_one({"_id": ID, "a": 1})
    page = editor.open(ID)
    editor.visitor.log_out()
    kept = editor.send(page, {f"v.{control('a')}": "7"})
    assert kept.status == 401
    assert "Nothing was saved" in kept.text
    assert kept.html.find("input", {"name": f"v.{control('a')}"})["value"] == "7"
    editor.visitor.log_in("teo@acme.example")
    form = editor.send(kept)
    assert form.status == 400
    assert form.html.find(id=f"v-{control('a')}")["value"] == "7"
    assert bson.decode(one(stored))["a"] == 1
    assert editor.send(form).status == 303
    assert bson.decode(one(stored))["a"] == 7


def test_without_mongodb_the_text_waits_to_be_sent_again(editor, stored, bare_client):
    stored.insert_one({"_id": ID, "a": 1})
    page = editor.open(ID)
    fault = {"failCommands": ["find"], "errorCode": 18, "namespace": stored.full_name}
    point = {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": fault}
    bare_client.admin.command(point)
    try:
        kept = editor.send(page, {f"v.{control('a')}": "7"})
    finally:
        bare_client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert kept.status == 503
    assert "All that you typed is in this page" in kept.text
    assert editor.send(kept).status == 303
    assert bson.decode(one(stored))["a"] == 7


def test_who_changed_it_and_why_is_told(acme, app, editor, stored):
    stored.insert_one({"_id": ID, "a": 1})
    page = editor.open(ID)
    a_member(acme, Role.ADMIN, "oskar@acme.example")
    oskar = Editor(Visitor(app))
    oskar.visitor.log_in("oskar@acme.example")
    oskar.send(oskar.open(ID), {f"v.{control('a')}": "2", "reason": "customer called"})
    conflict = editor.send(page, {f"v.{control('a')}": "3"})
    assert conflict.status == 409
    assert "oskar@acme.example saved it just now" in conflict.text
    assert "customer called" in conflict.text


@pytest.mark.parametrize(
    "typed", ["[" * 100_000, "{}", '[{"p": ["\\ud800"], "a": true, "k": "text", "v": "", "z": ""}]',
              '[{"p": ["a"], "a": false, "k": "text", "v": "\\ud800", "z": ""}]', "[1]"],
)  # fmt: skip
def test_a_choice_of_versions_that_somebody_made_up_does_nothing(editor, stored, typed):
    stored.insert_one({"_id": ID, "a": 1})
    page = editor.open(ID)
    their_change(stored, {"$set": {"a": 2}})
    conflict = editor.send(page, {f"v.{control('a')}": "3"})
    assert editor.send(conflict, {"typed": typed}).status < 500
    assert bson.decode(one(stored))["a"] == 2

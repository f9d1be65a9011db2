"""A document on its pages: read, edited in a form or as text, inserted, duplicated, deleted."""

import html
import io
import re
from datetime import UTC, datetime

import bson
import pytest
from bson import DBRef, Decimal128, Int64, ObjectId
from bson.raw_bson import RawBSONDocument
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from portal.data.access import DocumentAccess
from portal.data.document_ids import address_of
from portal.data.editing.drafts import new_document, open_document, save_document
from portal.data.editing.entries import Entry, key_of, outcome_of
from portal.data.editing.rows import View, rows_of
from portal.data.editing.typed_values import Kind, Typed
from portal.data.masks import Mask
from portal.data.patching import Set, Unset, elements, patch
from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.tenants.elements import framed
from tests import encoded
from tests.factories import a_context, a_member, an_organization

DATA = "/organizations/acme-corp/data"
ID = ObjectId("6742a0f31c8e4d00b7f59c01")


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def stored(acme, tenant_db):
    raw = bson.codec_options.CodecOptions(document_class=RawBSONDocument)
    return tenant_db[acme.placement.collection].with_options(codec_options=raw)


@pytest.fixture
def editor(acme, visitor):
    a_member(acme, Role.ADMIN, "teo@acme.example")
    visitor.log_in("teo@acme.example")
    return Editor(visitor)


class Editor:
    """Somebody who opens documents and sends their forms, as a browser does."""

    def __init__(self, visitor):
        self.visitor = visitor

    def open(self, document_id, part="edit"):
        address = address_of(bson.encode({"": document_id}))
        return self.visitor.get(f"{DATA}/documents/{address}/{part}".rstrip("/"))

    def send(self, page, typed=(), *, do="save", files=()):
        """Send the form of a page with other values in some of its controls."""
        form = page.html.select_one("main form[method=post]")
        fields = fields_of(form)
        for name, value in dict(typed).items():
            fields[name] = value
        fields["do"] = do
        data = {
            **fields,
            **{name: (io.BytesIO(each), "file") for name, each in dict(files).items()},
        }
        return self.visitor.send(form["action"], data, content_type=form.get("enctype"))


def fields_of(form):
    fields = {}
    for control in form.select("input[name], textarea[name], select[name]"):
        name = control["name"]
        if control.name == "textarea":
            text = control.get_text().removeprefix("\n")
        elif control.name == "select":
            chosen = control.select_one("option[selected]") or control.select_one("option")
            text = chosen.get("value", chosen.get_text())
        elif control.get("type") in ("file", "radio", "checkbox") and not control.has_attr(
            "checked"
        ):
            continue
        else:
            text = control.get("value", "")
        fields[name] = re.sub("\r\n|\r|\n", "\r\n", text)
    return fields


def one(stored):
    return bytes(stored.find_one().raw)


def control(*path):
    return key_of(path)


def test_a_document_is_read_field_by_field_and_as_text(editor, stored):
    stored.insert_one({"_id": ID, "status": "waiting", "count": Int64(5), "none": None, "": ""})
    page = editor.open(ID, "")
    assert page.heading == "Document"
    assert "waiting" in page.text
    assert "null" in page.text
    assert "empty text" in page.text
    text = editor.visitor.get(
        f"{page.html.select_one('.segments a + a')['href']}"
    ).html.pre.get_text()
    assert '"count": {"$numberLong": "5"}' in re.sub(" *: ", ": ", text)


def test_what_was_not_touched_stays_to_the_byte(editor, stored):
    given = {
        "_id": ID, "b": Int64(5), "a": 2.0, "negative": -0.0, "price": Decimal128("1190.0"),
        "status": "waiting", "nested": {"x.y": 1, "$x": [1, {"k": "v"}, 2.0]}, "": 0,
    }  # fmt: skip
    before = bson.encode(given)
    stored.insert_one(RawBSONDocument(before))
    done = editor.send(editor.open(ID), {f"v.{control('status')}": "done"})
    assert done.status == 303
    assert one(stored) == patch(before, [Set(("status",), bson.encode({"": "done"}))])
    assert "1 field saved. It can be undone until" in editor.visitor.get(done.location).text


def test_saving_nothing_writes_nothing(editor, stored, tenant_db):
    before = bson.encode(
        {"_id": ID, "text": "a\r\nb\nc\rd", "windows": "a\r\nb", "at": bson.DatetimeMS(5)}
    )
    stored.insert_one(RawBSONDocument(before))
    done = editor.send(editor.open(ID))
    assert "nothing was saved" in editor.visitor.get(done.location).text
    assert one(stored) == before
    assert editor.open(ID).html.find("input", {"name": "etag"})["value"]


def test_names_that_are_odd_are_edited_and_removed_like_others(editor, stored):
    odd = {"_id": ID, "a.b": 1, "$x": 2, "": 3, "__proto__": 4, "10": 5, "b": {"$oid": "x"}}
    stored.insert_one(RawBSONDocument(bson.encode(odd)))
    page = editor.open(ID)
    page = editor.send(page, do=f"remove.{control('$x')}")
    assert page.status == 200
    assert bson.decode(one(stored)) == odd
    typed = {f"v.{control(name)}": "9" for name in ("a.b", "", "__proto__", "10")}
    editor.send(page, typed)
    left = bson.decode(one(stored))
    assert left == {"_id": ID, "a.b": 9, "": 9, "__proto__": 9, "10": 9, "b": {"$oid": "x"}}
    assert [*left] == [name for name in odd if name != "$x"]


def test_a_field_that_is_there_twice_is_edited_by_itself(editor, stored):
    twice = framed(b"\x07_id\0" + ID.binary + b"\x10a\0\x01\0\0\0" + b"\x10a\0\x02\0\0\0")
    stored.insert_one(RawBSONDocument(twice))
    page = editor.open(ID)
    assert "its name is there twice" in page.text
    editor.send(page, {f"v.{control(2)}": "7"})
    assert one(stored) == patch(twice, [Set((2,), bson.encode({"": 7}))])
    assert "Only the form can edit" in editor.open(ID, "json").text


def test_what_cannot_be_read_is_told_at_its_control_and_kept(editor, stored):
    stored.insert_one({"_id": ID, "price": Decimal128("1190.0"), "meter": Int64(2**53 + 1)})
    key = control("price")
    page = editor.send(editor.open(ID), {f"v.{key}": "1.250,00"})
    assert page.status == 422
    assert page.fault(f"v-{key}") == "Write price with a dot and no thousands separator: 1250.00"
    assert page.html.find("input", {"name": f"v.{key}"})["value"] == "1.250,00"
    assert "was 1190.0" in page.text
    assert page.html.title.get_text().startswith("Error: ")
    editor.send(page, {f"v.{key}": "1250.00"})
    assert bson.decode(one(stored))["price"] == Decimal128("1250.00")
    assert bson.decode(one(stored))["meter"] == 2**53 + 1


def test_fields_are_added_to_documents_and_lists(editor, stored):
    stored.insert_one({"_id": ID, "list": [1], "in": {}})
    page = editor.send(editor.open(ID), do=f"append.{control('list')}")
    page = editor.send(page, do=f"add.{control('in')}")
    new = {each["name"]: each["value"] for each in page.html.select("input[name^='np.']")}
    [to_list] = [name[3:] for name, parent in new.items() if parent == control("list")]
    [to_in] = [name[3:] for name, parent in new.items() if parent == control("in")]
    editor.send(page, {
        f"nk.{to_list}": "int64", f"nv.{to_list}": "2",
        f"nn.{to_in}": "a.b", f"nv.{to_in}": "text",
        "nn.last": "last", "nk.last": "json", "nv.last": '{"$minKey": 1}',
    })  # fmt: skip
    document = bson.decode(one(stored))
    assert document == {"_id": ID, "list": [1, 2], "in": {"a.b": "text"}, "last": bson.MinKey()}
    assert isinstance(document["list"][1], Int64)


def test_a_new_field_needs_a_name_of_its_own(editor, stored):
    stored.insert_one({"_id": ID, "a": 1})
    page = editor.send(editor.open(ID), {"nn.last": "a", "nv.last": "x"})
    assert page.status == 422
    assert "Choose another name: there is a field a" in page.text
    page = editor.send(editor.open(ID), {"nv.last": "x"})
    assert "Name the new field" in page.text


def test_long_lists_and_many_fields_are_shown_in_part(editor, stored):
    many = {f"field {number}": number for number in range(300)}
    stored.insert_one({"_id": ID, "list": [*range(23)], **many})
    page = editor.open(ID)
    assert "Show all 23" in page.text
    assert len(page.html.select("[name^='v.']")) == 99
    shown = editor.send(page, {f"v.{control('field 7')}": "70"}, do=f"show.{control('list')}")
    assert shown.html.find("input", {"name": f"v.{control('list', 22)}"})
    found = editor.send(shown, {"q": "field 299"}, do="search")
    assert found.html.find("input", {"name": f"v.{control('field 7')}"})["value"] == "70"
    editor.send(found, {f"v.{control('field 299')}": "0"})
    document = bson.decode(one(stored))
    assert (document["field 7"], document["field 299"], document["field 298"]) == (70, 0, 298)


@pytest.mark.slow
def test_ten_thousand_fields_and_long_arrays_are_edited(editor, stored):
    many = {f"f{number}": number for number in range(10_000)}
    stored.insert_one({"_id": ID, "list": [*range(100_000)], **many})
    page = editor.open(ID)
    assert "Search among 10,0" in str(page.html)
    found = editor.send(page, {"q": "f9999"}, do="search")
    assert found.status == 200
    assert editor.send(found, {f"v.{control('f9999')}": "1"}).status == 303
    assert bson.decode(one(stored))["f9999"] == 1
    found = editor.send(editor.open(ID), {"q": "list.99999"}, do="search")
    editor.send(found, {f"v.{control('list', 99999)}": "1"})
    assert bson.decode(one(stored))["list"][-1] == 1


def test_dates_are_typed_in_the_readers_zone_and_stored_as_instants(editor, stored):
    stored.insert_one(
        {"_id": ID, "due": bson.DatetimeMS(1_764_054_000_123), "far": bson.DatetimeMS(2**62)}
    )
    page = editor.open(ID)
    key = control("due")
    assert page.html.find(id=f"v-{key}")["value"] == "2025-11-25T07:00:00.123"
    assert "Stored 2025-11-25T07:00:00.123Z" in page.text
    assert "Beyond the years 1 to 9999" in page.text
    editor.send(page, {f"v.{key}": "2025-06-01T08:00", f"z.{key}": "Europe/Berlin"})
    _, due, far = elements(one(stored))
    assert due.value == bson.encode({"": bson.DatetimeMS(1_748_757_600_000)})
    assert far.value == bson.encode({"": bson.DatetimeMS(2**62)})


def test_binary_comes_from_a_file_and_keeps_its_subtype(editor, stored):
    stored.insert_one({"_id": ID, "photo": bson.Binary(b"\xff\xd8" * 500, 0x80)})
    page = editor.open(ID)
    assert "ff d8 ff d8" in page.text
    assert editor.send(page).status == 303
    editor.send(editor.open(ID), files={f"f.{control('photo')}": b"x" * 100_000})
    assert bson.decode(one(stored))["photo"] == bson.Binary(b"x" * 100_000, 0x80)


def test_text_is_saved_in_its_order_and_faults_keep_it(editor, stored):
    stored.insert_one({"_id": ID, "a": 1, "b": 2})
    page = editor.open(ID, "json")
    wrong = editor.send(page, {"text": '{"a": {"$numberInt": "99999999999"}}'})
    assert wrong.status == 422
    assert "Correct the JSON at /a" in wrong.fault("text")
    assert wrong.html.find(id="text").get_text().strip() == '{"a": {"$numberInt": "99999999999"}}'
    text = '{"b": 2, "10": "x", "a": {"$numberLong": "1"}}'
    assert editor.send(wrong, {"text": text}).status == 303
    assert one(stored) == bson.encode({"_id": ID, "b": 2, "10": "x", "a": Int64(1)})


def test_another_id_is_refused_with_the_text_kept(editor, stored):
    stored.insert_one({"_id": ID, "a": 1})
    page = editor.send(editor.open(ID, "json"), {"text": '{"_id": 5, "a": 2}'})
    assert page.status == 422
    assert '"_id": 5' in page.html.find(id="text").get_text()
    assert bson.decode(one(stored)) == {"_id": ID, "a": 1}


def test_a_document_that_breaks_the_rules_of_its_collection_keeps_what_was_typed(editor, stored):
    stored.insert_one({"_id": ID, "age": 5})
    rule = {"$jsonSchema": {"properties": {"age": {"maximum": 10}}}}
    stored.database.command("collMod", stored.name, validator=rule)
    page = editor.send(editor.open(ID), {f"v.{control('age')}": "11"})
    assert page.status == 422
    assert "breaks a rule" in page.text
    assert page.html.find(id=f"v-{control('age')}")["value"] == "11"


IDS = ["", "a/b", "..", 0, -1, None, {"b": 1, "a": [1]}, "é\u202e", 2.5, True, Int64(2**60),
       bson.Binary(b"\0" * 16, 4), bson.Timestamp(1, 2), bson.DatetimeMS(2**60)]  # fmt: skip


@pytest.mark.parametrize("document_id", IDS, ids=repr)
def test_every_id_has_its_pages(editor, stored, document_id):
    stored.insert_one({"_id": document_id, "a": 1})
    assert editor.open(document_id, "").status == 200
    assert editor.send(editor.open(document_id), {f"v.{control('a')}": "2"}).status == 303
    assert b"\x10a\0\x02\0\0\0" in one(stored)
    assert editor.send(editor.open(document_id, "delete")).status == 303
    assert stored.find_one() is None


def test_a_document_is_inserted_once_however_often_its_form_is_sent(editor, stored):
    page = editor.visitor.get(f"{DATA}/documents/new")
    typed = {"nn.last": "a", "nk.last": "int32", "nv.last": "5"}
    first, second = editor.send(page, typed), editor.send(page, typed)
    assert first.location == second.location
    assert [bson.decode(each.raw)["a"] for each in stored.find()] == [5]
    other = editor.send(page, {**typed, "nv.last": "6"})
    assert other.status == 409
    assert stored.count_documents({}) == 1


def test_text_is_inserted(editor, stored):
    page = editor.visitor.get(f"{DATA}/documents/new?as=json")
    assert (
        editor.send(page, {"text": '{"_id": "mine", "at": {"$date": {"$numberLong": "1"}}}'}).status
        == 303
    )
    assert bson.decode(one(stored))["_id"] == "mine"


def test_a_duplicate_has_an_id_of_its_own_and_the_same_bytes(editor, stored):
    before = bson.encode({"_id": ID, "b": Int64(1), "a.b": [2.0]})
    stored.insert_one(RawBSONDocument(before))
    page = editor.open(ID, "duplicate")
    assert editor.send(page, {f"v.{control('b')}": "2"}).status == 303
    [copy] = [bytes(each.raw) for each in stored.find({"_id": {"$ne": ID}})]
    assert [*elements(copy)][2].value == [*elements(before)][2].value
    assert bson.decode(copy)["b"] == 2
    assert one(stored) == before


def test_who_may_only_read_is_offered_no_change(acme, visitor, stored):
    acme.update(viewers_read_documents=True)
    stored.insert_one({"_id": ID, "a": 1})
    a_member(acme, Role.VIEWER, "vera@acme.example")
    visitor.log_in("vera@acme.example")
    viewer = Editor(visitor)
    page = viewer.open(ID, "")
    assert page.status == 200
    assert not page.html.find("a", string="Edit")
    assert viewer.open(ID, "edit").status == 403


def test_names_and_values_are_text_on_pages(editor, stored):
    script = "<script>alert(1)</script>"
    stored.insert_one({"_id": ID, script: script, "b": {script: [script]}})
    for part in ("", "edit", "json", "delete", "duplicate"):
        assert script not in editor.open(ID, part).response.text
    assert html.escape(script) in editor.open(ID).response.text


@settings(max_examples=20, deadline=None, database=None, phases=[Phase.generate])
@given(encoded.documents, st.data())
def _survives(editor, stored, document, data):
    others = patch(
        document, [Unset((each.position,)) for each in elements(document) if each.name == "_id"]
    )
    whole = framed(b"\x07_id\0" + ID.binary + others[4:-1])
    stored.delete_many({})
    stored.insert_one(RawBSONDocument(whole))
    page = editor.open(ID)
    done = editor.send(page, {"nn.last": "the only one", "nv.last": "x"})
    assert done.status == 303, page.text
    assert one(stored) == patch(whole, [Set(("the only one",), bson.encode({"": "x"}))])


@pytest.mark.slow
def test_any_document_survives_an_edit_of_one_other_field(editor, stored):
    _survives(editor, stored)


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


def test_masked_fields_stand_there_and_stay_as_they_are(acme, stored):
    given = {"_id": ID, "email": "secret@acme.example", "a": 1, "in": {"iban": "DE00", "b": 2}}
    before = bson.encode(given)
    stored.insert_one(RawBSONDocument(before))
    mask = Mask(frozenset(("email", "in.iban", "phone")))
    access = DocumentAccess(acme, mask, a_context(), recorded=True)
    document = open_document(access, str(ID))
    entries = [Entry(("a",), Typed(Kind.INT32, "2")), Entry(("in", "b"), Typed(Kind.INT64, "3"))]
    outcome = outcome_of(document.shown, entries, mask)
    rows = rows_of(document.shown, entries, outcome, mask, View("UTC")).rows
    masked = [row for row in rows if row.control == "masked"]
    assert [row.name for row in masked] == ["iban", "email", "phone"]
    assert {(row.text, row.typed, row.was, row.removable) for row in masked} == {
        ("•••", None, "", False)
    }
    assert "secret" not in repr(rows)
    assert save_document(document, patch(document.shown, outcome.changes), "")
    changes = [Set(("a",), bson.encode({"": 2})), Set(("in", "b"), bson.encode({"": Int64(3)}))]
    assert one(stored) == patch(before, changes)
    for path in (("email",), ("in", "iban"), ("phone",)):
        for typed in (Typed(Kind.TEXT, "x"), None):
            assert outcome_of(document.shown, [Entry(path, typed)], mask).faults
    copy = new_document(bson.encode({"": 5}), document.shown, mask)
    assert bson.decode(copy) == {"_id": 5, "in": {"b": 2}, "a": 1}


# Documents that other tools were reported to change or lose when something else in them was edited.
REPORTED = {
    "doubles without a fraction": {"test": 0.2, "test2": 0.0, "price": 25.0},
    "a small int64": {"b": Int64(1), "object": {"d": Int64(1), "c": 1.0}},
    "a snowflake": {"guild_id": Int64(818617667421601800)},
    "a list of int32 and int64": {"ids": [Int64(3243178833), 1966934329, 25007589]},
    "an operator as a value": {"oldEmail": {"$concatArrays": ["$oldEmail", [{"email": "$email"}]]}},
    "patterns as names": {"valores": {"(?i).*(Automático).*": "1", "(?i).*(Manual).*": "2"}},
    "a name like a path": {"a.b": 1, "a": {"b": 2}},
    "colons and commas": {"description": "abcd, abc : abcd"},
    "every type of a shell": {
        "pdf": "",
        "list of numbers": [123, 1.11e89, 4.4, -12345.765],
        "reference": DBRef("collection1", "5ca4bbc7a2dd94ee581623b0"),
        "ts": bson.Timestamp(807303372, 1),
        "minkey": bson.MinKey(),
        "maxkey": bson.MaxKey(),
        "func": bson.Code("function() { alert('Hello World!') }"),
    },
    "texts like values": {"a": "123", "b": "00123", "c": "true", "d": "ISODate(...)", "e": "null"},
    "line breaks of Windows": {"text": "123\r\n456\r\n789", "mixed": "a\r\nb\nc", "old": "a\rb"},
    "line breaks at both ends": {"text": "\n\na\n\na\n", "spaces": "  a\t "},
    "an id beside _id": {"score": 1.2, "id": 290421},
    "numbers as names": {"b": 1, "10": 2, "2": 3, "__proto__": {"constructor": 1}},
    "an hour that comes twice": {
        "at": datetime(2026, 10, 25, 0, 30, 15, 7000, tzinfo=UTC),
        "then": datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    },
    "before 1970 and year 1": {
        "old": datetime(1901, 12, 13, 20, 45, tzinfo=UTC),
        "first": datetime(1, 1, 1, tzinfo=UTC),
    },
    "characters that no page carries": {"a": "x\0y\x0b\x85z\ufffe", "b\x01": 1},
}


@pytest.mark.parametrize("kind", REPORTED)
def test_what_others_lost_stays_to_the_byte(acme, editor, stored, kind):
    Account.objects(email="teo@acme.example").update_one(set__time_zone="Europe/Berlin")
    before = bson.encode({"_id": Int64(3), **REPORTED[kind], "note": "x"})
    stored.insert_one(RawBSONDocument(before))
    assert editor.send(editor.open(Int64(3)), {f"v.{control('note')}": "y"}).status == 303
    after = patch(before, [Set(("note",), bson.encode({"": "y"}))])
    assert one(stored) == after
    text = editor.open(Int64(3), "json")
    typed = text.html.find(id="text").get_text().replace('"note": "y"', '"note": "z"')
    assert editor.send(text, {"text": typed}).status == 303
    after = patch(before, [Set(("note",), bson.encode({"": "z"}))])
    assert one(stored) == after
    assert editor.send(editor.open(Int64(3), "duplicate")).status == 303
    [copy] = [bytes(each.raw) for each in stored.find({"_id": {"$ne": 3}})]
    assert [*elements(copy)][1:] == [*elements(after)][1:]


def test_an_id_typed_as_another_kind_of_number_stays_what_it_is(editor, stored):
    stored.insert_one({"_id": Int64(3), "a": 1})
    assert editor.send(editor.open(Int64(3), "json"), {"text": '{"_id": 3, "a": 2}'}).status == 303
    assert one(stored) == bson.encode({"_id": Int64(3), "a": 2})


def test_a_number_that_does_not_fit_its_type_is_refused_and_not_turned_into_another(editor, stored):
    stored.insert_one({"_id": ID, "small": 1, "large": Int64(1), "double": 1.5})
    typed = {"small": "2147483648", "large": "9223372036854775808", "double": "9007199254740993"}
    page = editor.send(
        editor.open(ID), {f"v.{control(name)}": text for name, text in typed.items()}
    )
    assert page.status == 422
    assert "or choose Int64" in page.fault(f"v-{control('small')}")
    assert "or choose Decimal128" in page.fault(f"v-{control('large')}")
    assert "9007199254740992.0 is nearest" in page.fault(f"v-{control('double')}")
    assert bson.decode(one(stored)) == {"_id": ID, "small": 1, "large": 1, "double": 1.5}

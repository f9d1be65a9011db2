"""A document on its pages: read, edited in a form or as text, inserted, duplicated, deleted."""

import base64
import html
import re
import zlib
from datetime import UTC, datetime

import bson
import pytest
from bson import Decimal128, Int64
from bson.raw_bson import RawBSONDocument
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from portal.data.access import DocumentAccess
from portal.data.editing.drafts import new_document, open_document, save_document
from portal.data.editing.entries import Entry, outcome_of
from portal.data.editing.rows import View, rows_of
from portal.data.editing.typed_values import Kind, Typed
from portal.data.handles import RAW, documents_of
from portal.data.masks.masks import Mask
from portal.data.patching import Set, Unset, elements, patch
from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.tenants.elements import framed
from tests import encoded
from tests.data.editing.forms import DATA, ID, Editor, control, one
from tests.factories import a_context, a_member, an_organization


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


@pytest.mark.parametrize(
    ("zone", "day"), [("", "2 April 2100 (UTC)"), ("Asia/Tokyo", "3 April 2100")]
)
def test_the_last_day_of_an_undo_is_one_of_the_readers_zone(
    editor, stored, time_machine, zone, day
):
    stored.insert_one({"_id": ID, "a": 1})
    time_machine.move_to(datetime(2100, 3, 3, 23, 30, tzinfo=UTC))
    editor.visitor.log_in("teo@acme.example")
    Account.objects.update(time_zone=zone)
    page = editor.open(ID)
    assert page.html.select_one(".reasons time[data-day]").get_text() in day
    done = editor.send(page, {f"v.{control('a')}": "2"})
    assert f"undone until {day}." in editor.visitor.get(done.location).text
    assert editor.open(ID, "delete").html.select_one("form time[data-day]").get_text() in day


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
       bson.Binary(b"\0" * 16, 4), bson.Binary(b"\xfb\xef\xbe" * 5 + b"\xff", 3), bson.Timestamp(1, 2), bson.DatetimeMS(2**60)]  # fmt: skip


def test_every_id_has_its_pages(editor, stored):
    for document_id in IDS:
        stored.insert_one({"_id": document_id, "a": 1})
        assert editor.open(document_id, "").status == 200, document_id
        sent = editor.send(editor.open(document_id), {f"v.{control('a')}": "2"})
        assert sent.status == 303, document_id
        assert b"\x10a\0\x02\0\0\0" in one(stored)
        assert editor.send(editor.open(document_id, "delete")).status == 303, document_id
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


@settings(max_examples=12, deadline=None, database=None, phases=[Phase.generate])
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


def test_documents_in_a_shared_collection_are_edited_alike(app, visitor):
    shared = an_organization("Shared Corp", strategy="shared")
    a_member(shared, Role.ADMIN, "teo@acme.example")
    visitor.log_in("teo@acme.example")
    documents = documents_of(shared)
    odd = b"\x10a\0\x01\0\0\0" + b"\x10a\0\x02\0\0\0" + b"\x02$x\0\x02\0\0\0\xff\0"
    documents.insert_encoded([RawBSONDocument(framed(b"\x07_id\0" + ID.binary + odd), RAW)])
    editor = Editor(visitor, "/organizations/shared-corp/data")
    assert editor.send(editor.open(ID), {"nn.last": "b", "nv.last": "x"}).status == 303
    after = framed(b"\x07_id\0" + ID.binary + odd + b"\x02b\0\x02\0\0\0x\0")
    assert [bytes(each.raw) for each in documents.find()] == [after]
    assert editor.send(editor.open(ID, "delete")).status == 303
    assert not list(documents.find())


HALF = base64.urlsafe_b64encode(b'["\\ud800"]').decode()
MADE_UP = (
    {"k.x": "int32", "v.x": "1"},
    {f"k.{HALF}": "text", f"v.{HALF}": "1", f"x.{HALF}": "1"},
    {f"k.{control('a')}": "nothing", f"v.{control('a')}": "1"},
    {f"k.{control('a', 0, 'b')}": "int32", f"v.{control('a', 0, 'b')}": "1"},
    {f"k.{control('a')}": "date", f"v.{control('a')}": "9" * 5000, f"z.{control('a')}": "Mars"},
    {f"k.{control('a')}": "decimal", f"v.{control('a')}": "1e999999999"},
    {f"k.{control('a')}": "json", f"v.{control('a')}": "[" * 10_000},
    {"do": f"remove.{HALF}"}, {"do": "add."}, {"do": f"append.{control('a')}"}, {"list": "x"},
    {"nk.1": "text", "np.1": HALF, "nn.1": "b", "nv.1": "c"},
    {"nk.1": "text", "np.1": control("a"), "nn.1": "b", "nv.1": "c", "nl.1": "1"},
    {"nk.1": "text", "np.1": control(), "nn.1": "b\0", "nv.1": "c"},
    {"etag": "x", "base": "x", "opened_at": "x"},
    {"etag": "x", "base": base64.urlsafe_b64encode(zlib.compress(b"\0" * 50_000_000)).decode()},
)  # fmt: skip


def test_a_form_that_somebody_made_up_is_refused_or_does_nothing(editor, stored):
    for typed in map(dict, MADE_UP):
        stored.replace_one({"_id": ID}, {"a": 1}, upsert=True)
        sent = editor.send(editor.open(ID), typed, do=typed.pop("do", "save"))
        assert sent.status < 500, typed
        assert stored.count_documents({"a": 1}) == 1, typed

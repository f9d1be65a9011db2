"""What people reported about other editors."""

from datetime import UTC, datetime

import bson
import pytest
from bson import Binary, DBRef, Int64
from bson.raw_bson import RawBSONDocument

from portal.data.patching import Set, elements, patch
from portal.documents.accounts import Account
from tests.data.editing.forms import ID, control, one

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
    "UUIDs that are 36 characters": {
        "u": Binary(b"8aa98b5d-dcee-466c-b5f1-bac00f25edb0", 4),
        "old": [Binary(b"3dd325bc-61a0-11e6-941f-84fca0376e2f", 3), Binary(b"", 4)],
    },
    "spaces that can't be seen": {"a": "x\xa0y", "b": " x ", "c": "a\u200bb\ufeff", "d": "e\u0301"},
    "characters that no page carries": {"a": "x\0y\x0b\x85z\ufffe", "b\x01": 1},
}


def test_what_others_lost_stays_to_the_byte(acme, editor, stored):
    Account.objects(email="teo@acme.example").update_one(set__time_zone="Europe/Berlin")
    for kind, fields in REPORTED.items():
        before = bson.encode({"_id": Int64(3), **fields, "note": "x"})
        stored.insert_one(RawBSONDocument(before))
        sent = editor.send(editor.open(Int64(3)), {f"v.{control('note')}": "y"})
        assert sent.status == 303, kind
        after = patch(before, [Set(("note",), bson.encode({"": "y"}))])
        assert one(stored) == after, kind
        text = editor.open(Int64(3), "json")
        typed = text.html.find(id="text").get_text().replace('"note": "y"', '"note": "z"')
        assert editor.send(text, {"text": typed}).status == 303, kind
        after = patch(before, [Set(("note",), bson.encode({"": "z"}))])
        assert one(stored) == after, kind
        assert editor.send(editor.open(Int64(3), "duplicate")).status == 303, kind
        [copy] = [bytes(each.raw) for each in stored.find({"_id": {"$ne": 3}})]
        assert [*elements(copy)][1:] == [*elements(after)][1:], kind
        stored.delete_many({})


def test_what_can_not_be_seen_in_a_text_is_told(editor, stored):
    texts = {"a": "x\xa0y", "b": "test ", "c": "plain text", "d": "\u202eevil"}
    stored.insert_one(RawBSONDocument(bson.encode({"_id": 1, **texts})))
    told = {
        row.select_one(".key").text: remark.get_text(strip=True)
        for row in editor.open(1).html.select(".row-of")
        if (remark := row.select_one(".remark")) and row.select_one(".key").text != "_id"
    }
    assert told == {
        "a": "Has \\u00a0 at character 2.",
        "b": "Ends with a space.",
        "d": "Has \\u202e at character 1.",
    }
    values = [each.text for each in editor.open(1, "").html.select(".row-of .value")]
    assert values[1:] == ["x\\u00a0y", "test ", "plain text", "\\u202eevil"]


def test_the_list_that_one_came_from_is_led_back_to(editor, stored):
    stored.insert_many([RawBSONDocument(bson.encode({"_id": n, "a": "b&c"})) for n in range(3)])
    query = "c=%5B%22a%22%2C%22is%22%2C%22text%22%2C%22b%26c%22%5D&as=table"
    listed = editor.visitor.get(f"{editor.data}?{query}")
    page = editor.visitor.get(listed.html.select_one("tbody th a")["href"])
    for words in ("Edit", "Delete…"):
        link = next(each for each in page.html.select("main a, .head a") if each.text == words)
        shown = editor.visitor.get(link["href"])
        back = [
            each["href"] for each in shown.html.select(".crumbs a, nav a") if each.text == "Data"
        ]
        assert f"{editor.data}?{query}" in back
        if words == "Edit":
            page = editor.visitor.get(editor.send(shown, {f"v.{control('a')}": "d"}).location)
    assert editor.send(shown).location.endswith(f"{editor.data}?{query}")


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


@pytest.mark.parametrize("typed", ["1e-99999999999999999999", "0e99999999999999999999"])
def test_a_number_beyond_all_types_stays_in_the_form(editor, stored, typed):
    stored.insert_one({"_id": ID, "double": 1.5})
    page = editor.send(editor.open(ID), {f"v.{control('double')}": typed})
    assert page.status == 422
    assert "a Double holds it" in page.fault(f"v-{control('double')}")
    assert page.html.select_one(f"#v-{control('double')}")["value"] == typed

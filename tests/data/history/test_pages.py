"""The history's pages, as a person uses them."""

from datetime import UTC, datetime

import bson
import pytest

from portal.data.handles import documents_of
from portal.data.queries import CODEC
from portal.data.rules.rules import set_rules
from portal.documents.accounts import Account
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.jobs import runner
from portal.web.context import RequestContext
from tests.data.history.conftest import Desk
from tests.factories import a_member, an_access

DATA = "/organizations/acme-corp/data"


@pytest.fixture
def acme(visitor):
    visitor.sign_up("Acme Corp", "mara@acme.example")
    return Organization.objects.get(slug="acme-corp")


def words_of(page, selector):
    return [" ".join(each.get_text(" ", strip=True).split()) for each in page.html.select(selector)]


def test_an_edit_stands_in_the_history_and_is_undone_by_a_form(visitor, desk):
    desk.insert({"_id": 1, "n": 1, "secret": "canary"})
    changed = desk.replace({"_id": 1, "n": 2, "secret": "canary2"}, reason="customer called")
    page = visitor.get(f"{DATA}/history")
    assert words_of(page, "tbody th") == ["Changed n, secret 1", "Inserted 1"]
    assert "“customer called”" in page.text
    assert "canary" not in page.text
    undo = f"{DATA}/history/{changed.id}/undo"
    assert "mara@acme.example" in visitor.get(undo).text
    done = visitor.post(undo, {"reason": "wrong one"})
    assert done.status == 303
    shown = visitor.get(done.location)
    assert shown.heading == "Undo of “Changed n, secret”"
    assert bson.decode(desk.stored()[1])["n"] == 1
    page = visitor.get(f"{DATA}/history")
    assert words_of(page, "td.state")[:2] == ["Done", "Undone"]
    assert "Undo the undo…" in page.text
    assert visitor.get(undo).status == 409


def test_the_same_undo_sent_twice_leads_to_the_same_page(visitor, desk):
    desk.insert({"_id": 1})
    undo = f"{DATA}/history/{desk.delete(1).id}/undo"
    fields = {"reason": "", **visitor.hidden(undo)}
    first, second = (visitor.send(undo, fields) for _ in range(2))
    assert (first.status, second.status) == (303, 303)
    assert first.location == second.location


def test_many_are_changed_by_what_was_shown(visitor, desk):
    desk.insert(*({"_id": n, "status": "waiting"} for n in range(5)))
    bulk = f'{DATA}/bulk?c=["status","is","text","waiting"]'
    page = visitor.get(bulk)
    assert "status is “waiting”" in page.text
    typed = {
        "changes-0-field": "status", "changes-0-action": "set", "changes-0-kind": "text",
        "changes-0-value": "expired",
    }  # fmt: skip
    shown = visitor.post(bulk, typed)
    assert shown.heading == "Change 5 documents?"
    assert words_of(shown, "tbody del") == ["waiting"] * 3
    assert words_of(shown, "tbody ins") == ["expired"] * 3
    confirmed = {
        **{each["name"]: each["value"] for each in shown.html.select("main [type=hidden]")},
        "reason": "agreed", "step": "start",
    }  # fmt: skip
    desk.insert({"_id": 9, "status": "waiting"})
    refused = visitor.post(bulk, confirmed)
    assert (refused.status, refused.heading) == (409, "Change 6 documents?")
    assert "6 documents match now, 5 did when you looked" in refused.text
    desk.delete(9)
    started = visitor.post(bulk, confirmed)
    assert "Set status" in visitor.get(started.location).text
    runner.run_due_jobs()
    assert visitor.post(bulk, confirmed).location == started.location
    assert {bson.decode(each)["status"] for each in desk.stored().values()} == {"expired"}
    done = visitor.get(started.location)
    assert "“agreed”" in done.text
    assert words_of(done, ".outcome dd strong") == ["5", "0", "0"]


@pytest.mark.parametrize("chosen", ["account", "browser"])
def test_a_date_is_set_in_the_zone_of_the_reader_which_stands_beside_it(visitor, desk, chosen):
    """The browser's is put into the form by a script, where the account has none."""
    desk.insert({"_id": 1})
    own = "Europe/Berlin" if chosen == "account" else ""
    Account.objects.update(set__time_zone=own)
    page = visitor.get(f"{DATA}/bulk")
    assert words_of(page, "#value-hint span") == [own or "UTC"]
    [zone] = page.html.select("main [name=zone]")
    assert (zone["value"], zone.has_attr("data-zone-field")) == (own, not own)
    typed = {
        "changes-0-field": "due", "changes-0-action": "set", "changes-0-kind": "date",
        "changes-0-value": "2026-11-25 08:00", "zone": zone["value"] or "Europe/Berlin",
    }  # fmt: skip
    shown = visitor.post(f"{DATA}/bulk", typed)
    assert words_of(shown, "tbody ins") == ["2026-11-25T07:00:00Z"]
    Account.objects.update(set__time_zone="Asia/Kolkata")  # what was shown is done
    confirmed = {each["name"]: each["value"] for each in shown.html.select("main [type=hidden]")}
    visitor.post(f"{DATA}/bulk", {**confirmed, "step": "start"})
    runner.run_due_jobs()
    [stored] = desk.stored().values()
    assert bson.decode(stored, CODEC)["due"] == datetime(2026, 11, 25, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (
            "2026-10-25 02:45",
            "has this time twice: its clocks were put back. Write +02:00 or +01:00",
        ),
        ("2026-03-29 02:30", "has no such time: its clocks were put forward."),
        ("soon", "is no date: write it as 2026-11-25 or 2026-11-25 08:00."),
    ],
    ids=["twice", "skipped", "none"],
)
def test_a_date_that_is_no_moment_is_not_set(visitor, desk, typed, words):
    change = {
        "changes-0-field": "due", "changes-0-action": "set", "changes-0-kind": "date",
        "changes-0-value": typed, "zone": "Europe/Berlin",
    }  # fmt: skip
    page = visitor.post(f"{DATA}/bulk", change)
    assert (page.status, words in page.html.select_one(".error-summary").text) == (422, True)
    assert page.html.select_one("#value-hint span").text == "Europe/Berlin"


def test_many_are_deleted_by_what_was_shown_and_come_back(visitor, desk):
    desk.insert(*({"_id": n, "status": "waiting", "n": n} for n in range(5)), {"_id": 7})
    before = desk.stored()
    bulk = f'{DATA}/bulk/delete?c=["status","is","text","waiting"]'
    shown = visitor.get(bulk)
    assert shown.heading == "Delete 5 documents?"
    assert words_of(shown, "dd.whole") == ["waiting", "0", "waiting", "2", "waiting", "4"]
    assert desk.stored() == before
    confirmed = {
        each["name"]: each["value"] for each in shown.html.select("main [type=hidden]")
    } | {"reason": "test data"}
    desk.insert({"_id": 9, "status": "waiting"})
    refused = visitor.post(bulk, confirmed)
    assert (refused.status, refused.heading) == (409, "Delete 6 documents?")
    assert "6 documents match now, 5 did when you looked" in refused.text
    desk.delete(9)
    started = visitor.post(bulk, confirmed)
    runner.run_due_jobs()
    assert visitor.post(bulk, confirmed).location == started.location
    assert set(desk.stored()) == {7}
    [done] = [each for each in desk.edits() if each.words == "Delete documents"]
    assert (done.documents, done.reason) == (5, "test data")
    assert desk.undo(done).documents == 5
    assert desk.stored() == before


@pytest.mark.parametrize("typed", [{"expected": "-1"}, {"expected": "1", "edit": "x"}])
def test_what_was_not_shown_is_not_deleted(visitor, desk, typed):
    desk.insert({"_id": 1})
    page = visitor.post(f"{DATA}/bulk/delete", typed)
    assert (page.status, set(desk.stored())) == (422, {1})
    assert page.html.select_one(".error-summary a").text == "Look at the preview again."


def test_what_would_break_a_rule_is_told_before(visitor, desk):
    desk.insert({"_id": 1, "old": "x"}, {"_id": 2, "old": 1})
    rules = {"properties": {"new": {"bsonType": "int"}}}
    set_rules(an_access(desk.organization), rules, RequestContext())
    renamed = {"changes-0-action": "rename", "changes-0-field": "old", "changes-0-value": "new"}
    shown = visitor.post(f"{DATA}/bulk", renamed)
    assert "1 would break a rule , and is left alone" in words_of(shown, "dl.pairs dd")


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"changes-0-field": "_id", "changes-0-action": "remove"},
        {"changes-0-field": "n", "changes-0-action": "set", "changes-0-kind": "int32",
         "changes-0-value": "x"},
        {"changes-0-field": "n", "changes-0-action": ""},
        {"changes-0-field": "n", "changes-0-action": "eval"},
        {"changes-0-field": "n", "changes-0-action": "remove", "step": "start", "expected": "-1",
         "edit": "x"},
    ],
)  # fmt: skip
def test_what_cant_be_changed_is_said_with_what_was_typed(visitor, acme, typed):
    page = visitor.post(f"{DATA}/bulk", typed)
    assert page.status == 422
    assert page.html.select_one(".error-summary a")["href"] == "#changes"
    value = page.html.select_one("[name=changes-0-field]")["value"]
    assert value == typed.get("changes-0-field", "")


def test_what_was_left_alone_is_told_by_id_with_who_changed_it(visitor, desk):
    desk.insert(*({"_id": n, "n": 0} for n in range(3)), {"_id": "=1+1", "n": 0})
    bulk = desk.update_many({}, {"$set": {"n": 1}})
    desk.replace({"_id": 1, "n": 5})
    documents_of(desk.organization).update_one({"_id": "=1+1"}, {"$set": {"n": 7}})
    undo = desk.undo(bulk)
    page = visitor.get(f"{DATA}/history/{undo.id}")
    assert "2 of 4 documents are as before. 2 were left alone." in page.text
    told = dict(
        zip(words_of(page, ".left-alone dt"), words_of(page, ".left-alone dd"), strict=True)
    )
    assert "by mara@acme.example" in told["1"]
    assert told['"=1+1"'].startswith("Kept: it was changed later")
    file = visitor.get(f"{DATA}/history/{undo.id}/left.csv")
    lines = file.response.text.splitlines()
    assert lines[0] == "id,reason"
    assert '"""=1+1""",Kept: it was changed later' in lines


def test_a_document_is_erased_by_who_types_its_id(visitor, desk):
    desk.insert({"_id": "a b", "name": "canary"})
    address = desk.latest().address or ""
    desk.delete("a b")
    address = desk.latest().address
    erase = f"{DATA}/documents/{address}/erase"
    assert erase in str(visitor.get(f"{DATA}/history").html)
    refused = visitor.post(erase, {"confirm_id": "a b"})
    assert (refused.status, refused.fault("confirm_id")) == (
        422, 'Type the id of the document: "a b"'
    )  # fmt: skip
    started = visitor.post(erase, {"confirm_id": '"a b"', "reason": "asked"})
    runner.run_due_jobs()
    page = visitor.get(started.location)
    assert page.heading == 'Erased "a b" for good'
    assert b"canary" not in bson.encode({"rows": desk.rows("before_images")})


def test_only_owners_erase_and_viewers_change_nothing(visitor, desk):
    desk.insert({"_id": 1})
    deleted = desk.delete(1)
    a_member(desk.organization, Role.ADMIN, "ada@acme.example")
    a_member(desk.organization, Role.VIEWER, "teo@acme.example")
    visitor.log_out()
    visitor.log_in("ada@acme.example")
    page = visitor.get(f"{DATA}/history")
    assert "Undo…" in page.text
    assert "Erase for good…" not in page.text
    assert visitor.get(f"{DATA}/documents/{deleted.address}/erase").status == 403
    visitor.log_out()
    visitor.log_in("teo@acme.example")
    assert visitor.get(f"{DATA}/history").status == 403
    Organization.objects(id=desk.organization.id).update_one(set__viewers_read_documents=True)
    assert "Undo…" not in visitor.get(f"{DATA}/history").text
    for path in (f"history/{deleted.id}/undo", "bulk", f"documents/{deleted.address}/erase"):
        assert visitor.get(f"{DATA}/{path}").status == 403


def test_another_organizations_edit_is_not_found(visitor, desk):
    other = Desk(desk.organization)
    visitor.log_out()
    visitor.sign_up("Globex", "hank@globex.example")
    edit = other.insert({"_id": 1})
    globex = "/organizations/globex/data/history"
    for path in (edit.id, f"{edit.id}/undo", f"{edit.id}/left.csv", "12", "~"):
        assert visitor.get(f"{globex}/{path}").status == 404


def test_the_history_is_read_page_by_page_and_by_document(visitor, desk):
    desk.insert(*({"_id": n} for n in range(2)))
    for n in range(27):
        desk.replace({"_id": n % 2, "n": n})
    first = visitor.get(f"{DATA}/history")
    assert len(first.html.select("tbody tr")) == 25
    older = visitor.get(f"{DATA}/history{first.html.select_one('[rel=next]')['href']}")
    assert len(older.html.select("tbody tr")) == 3
    newer = visitor.get(f"{DATA}/history{older.html.select_one('[rel=prev]')['href']}")
    assert words_of(newer, "tbody .when") == words_of(first, "tbody .when")
    mine = visitor.get(f"{DATA}/history?document={desk.latest().address}&mine=1")
    assert len(mine.html.select("tbody tr")) == 15

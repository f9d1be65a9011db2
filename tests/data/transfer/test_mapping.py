"""Columns of a CSV file become fields by what was proposed, and what was answered."""

import pytest

from portal.jobs import runner
from tests.data.transfer.conftest import upload

ORDERS = (
    b"Number;Postcode;Due;Paid;assignee.team;Note\n"
    b"1;01067;03/04/2026;yes;Pumps;\n"
    b"2;04109;01/02/2026;no;;late\n"
    b"3;10115;05/06/2026;yes;Meters;\n"
)


def decided(mara, page, **answers):
    return mara.post(f"{page}/decide", answers, form_at=page)


@pytest.fixture
def orders(mara):
    location = upload(mara, ORDERS, "orders.csv").location
    runner.run_due_jobs()  # all rows are examined
    return location


def test_a_type_is_proposed_with_its_proof_and_a_date_is_asked_about(mara, orders):
    shown = mara.get(orders).text
    assert "3 records in 4 lines, 6 columns, separated by “;”" in shown
    assert "01067 to 1067" in shown
    assert "things to answer" in shown
    refused = decided(mara, orders)
    assert refused.status == 422
    assert "things to answer" in refused.text


def test_what_was_answered_is_what_is_stored(mara, orders, entries):
    shown = mara.get(orders)
    answers = {
        tag["name"]: "0"
        for tag in shown.html.find_all("input", type="radio")
        if tag["name"][0] == "q"
    }
    fields = {tag["name"]: tag["value"] for tag in shown.html.select("input.mono[name^=f]")}
    chosen = {
        tag["name"]: tag.find("option", selected=True)["value"]
        for tag in shown.html.select("select[name^=t], select[name^=e]")
    }
    answer = decided(mara, orders, **answers, **fields, **chosen, existing="insert", stop="0")
    assert answer.status == 303, answer.text
    runner.run_due_jobs()
    assert "Write 3 records" in mara.get(orders).text
    again = mara.get(f"{orders}/decide")
    assert "as decided" in again.text
    mara.post(f"{orders}/write", form_at=orders)
    runner.run_due_jobs()
    [first, second, _] = entries.find({}, {"_id": 0})
    assert (first["Number"], first["Postcode"], first["assignee"]) == (
        1,
        "01067",
        {"team": "Pumps"},
    )
    assert first["Due"].day == 3
    assert first["Paid"] is True
    assert "Note" not in first
    assert second["Note"] == "late"


def test_a_column_is_left_out_or_gets_another_field_and_type(mara, orders, entries):
    left = {f"t{n}": "left_out" for n in (2, 3, 4, 5)}
    fields = {"f0": "order.number", "f1": "Number", "t0": "string", "existing": "insert"}
    assert decided(mara, orders, **left, **fields).status == 303
    runner.run_due_jobs()
    mara.post(f"{orders}/write", form_at=orders)
    runner.run_due_jobs()
    assert entries.find_one({}, {"_id": 0}) == {"order": {"number": "1"}, "Number": "01067"}


def test_two_columns_never_become_one_field(mara, orders):
    left = {f"t{n}": "left_out" for n in (2, 3, 4, 5)}
    refused = decided(mara, orders, **left, f0="same", f1="same")
    assert refused.status == 422
    assert "Another column becomes same too" in refused.text
    assert refused.value("f1") == "same"


def test_an_encoding_is_asked_for_with_lines_as_they_would_be_read(mara):
    content = "Ort;Größe\nKöln;4\nGießen;5\n".encode("windows-1252")
    page = upload(mara, content, "orte.csv").location
    shown = mara.get(page)
    assert "In which of these are the words right?" in shown.text
    assert "Köln" in shown.text
    refused = mara.post(f"{page}/reading", {}, form_at=page)
    assert refused.status == 422
    mara.post(f"{page}/reading", {"encoding": "windows-1252"}, form_at=page)
    runner.run_due_jobs()
    shown = mara.get(page)
    assert "Größe" in shown.text

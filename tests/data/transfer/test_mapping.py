"""Columns of a CSV file become fields by what was proposed, and what was answered."""

import pytest

from portal.documents.accounts import Account
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


AMOUNTS = b"amount;day;short;code;guarded\n" + b"".join(
    b"%s;%s;%s;%s;%s\n" % row
    for row in (
        (b"1.234,56", b"01/02/2026", b"03.04.25", b"1.234", b"'=1+1"),
        (b"12,50", b"03/04/2026", b"05.06.25", b"5.678", b"'-x"),
        (b"1.000", b"05/06/2026", b"07.08.25", b"9.000", b"z"),
    )
)


@pytest.fixture
def amounts(mara):
    location = upload(mara, AMOUNTS, "amounts.csv").location
    runner.run_due_jobs()
    return location


def written(mara, page, entries):
    runner.run_due_jobs()
    mara.post(f"{page}/write", form_at=page)
    runner.run_due_jobs()
    return list(entries.find({}, {"_id": 0}))


def test_a_type_chosen_by_hand_keeps_signs_layout_and_guard(mara, amounts, entries):
    chosen = {
        "t0": "double",
        "t1": "date",
        "q1-0": "0",
        "t2": "date",
        "t3": "int32",
        "t4": "string",
    }
    answers = {"q2-0": "0", "q2-1": "0", "q3-0": "1", "existing": "insert", "stop": "0"}
    fields = {f"f{n}": name for n, name in enumerate(("amount", "day", "short", "code", "guarded"))}
    assert "Double, comma" in mara.get(amounts).text
    assert decided(mara, amounts, **fields, **chosen, **answers).status == 303
    stored = written(mara, amounts, entries)
    assert [each["amount"] for each in stored] == [1234.56, 12.5, 1000.0]
    assert [(each["day"].day, each["day"].month) for each in stored] == [(1, 2), (3, 4), (5, 6)]
    assert {each["short"].year for each in stored} == {2025}
    assert [each["code"] for each in stored] == [1234, 5678, 9000]
    assert [each["guarded"] for each in stored] == ["=1+1", "-x", "z"]


def test_what_a_number_or_a_date_means_is_asked_for_whichever_type_is_chosen(mara, amounts):
    refused = decided(mara, amounts, t1="date", t2="date", t3="double", **{"q2-1": "1"})
    assert refused.status == 422
    asked = {link["href"] for link in refused.html.select(".error-summary a")}
    assert asked == {"#q1-0", "#q2-0", "#q2-1", "#q3-0"}  # that it is text is no answer for a date
    left = decided(mara, amounts, t1="string", t2="string", t3="string")
    assert "#q" not in str(left.html.select(".error-summary"))


def test_a_date_says_its_zone(mara, entries):
    Account.objects.update(time_zone="America/New_York")
    rows = b"day,at,sent\n2026-01-31,2026-01-31 17:30,2026-01-31T17:30:00Z\n"
    page = upload(mara, rows, "days.csv").location
    runner.run_due_jobs()
    shown = mara.get(page)
    types = [tag.text for tag in shown.html.select("select[name^=t] option[selected]")]
    assert types == [
        "date, YYYY-MM-DD, UTC",
        "date, YYYY-MM-DD HH:mm, America/New_York",
        "date, YYYY-MM-DDTHH:mm:ssZ",
    ]
    assert "Each is 00:00 UTC, and shown and found by the time of America/New_York." in shown.text


def test_a_heading_shows_what_is_not_seen_of_it(mara):
    page = upload(mara, "\u200bna\u2060me\nx\n".encode(), "names.csv").location
    runner.run_due_jobs()
    shown = mara.get(page)
    assert shown.html.select_one("tbody th").get_text(" ", strip=True) == "\\u200bna\\u2060me x"
    assert "Characters around the heading that can’t be seen are taken off." in shown.text


def test_whether_a_dot_leads_inside_is_asked_for_whichever_type_is_chosen(mara, orders, entries):
    left = {f"t{n}": "left_out" for n in (0, 1, 2, 3, 5)}
    refused = decided(mara, orders, **left, t4="string", f4="assignee\\.team")
    assert [link["href"] for link in refused.html.select(".error-summary a")] == ["#q4-0"]
    assert decided(mara, orders, **left, t4="string", f4="team.name").status == 303
    assert written(mara, orders, entries)[0] == {"team": {"name": "Pumps"}}


def shown_fields(page):
    """What the form of a page would send as it is shown."""
    fields = {tag["name"]: tag["value"] for tag in page.html.select("input.mono[name^=f]")}
    fields |= {tag["name"]: tag["value"] for tag in page.html.select("input[name=earlier]")}
    return fields | {
        tag["name"]: tag.find("option", selected=True)["value"]
        for tag in page.html.select("select[name^=t], select[name^=e]")
    }


def test_what_was_decided_before_is_taken_over_for_the_same_columns(mara, orders, entries):
    left = {f"t{n}": "left_out" for n in (3, 4, 5)}
    first = {
        "f0": "order.n",
        "t0": "string",
        "f1": "code",
        "f2": "Due",
        "q2-0": "0",
        "existing": "insert",
    }
    assert decided(mara, orders, **left, **first).status == 303
    again = upload(mara, ORDERS.replace(b"1;01067", b"4;01068"), "november.csv").location
    runner.run_due_jobs()
    offered = mara.get(again)
    assert "things to answer" in offered.text
    [link] = offered.html.select("#earlier a")
    assert "orders.csv" in link.text
    filled = mara.get(link["href"])
    assert "to answer" not in filled.text
    assert "As it was decided for orders.csv" in filled.text
    fields = {**shown_fields(filled), "f1": "postcode", "existing": "insert"}
    assert mara.post(f"{again}/decide", fields, form_at=again).status == 303
    runner.run_due_jobs()
    mara.post(f"{again}/write", form_at=again)
    runner.run_due_jobs()
    stored = entries.find_one({}, {"_id": 0})
    assert stored.pop("Due").day == 3
    assert stored == {"order": {"n": "4"}, "postcode": "01068"}


def test_other_columns_take_over_nothing(mara, orders):
    left = {f"t{n}": "left_out" for n in range(1, 6)}
    assert decided(mara, orders, **left, f0="n", existing="insert").status == 303
    other = upload(mara, ORDERS.replace(b"Number", b"No"), "other.csv").location
    runner.run_due_jobs()
    assert not mara.get(other).html.select("#earlier")
    earlier = orders.rsplit("/", 1)[-1]
    assert not mara.get(f"{other}/decide?earlier={earlier}").html.select("input[name=earlier]")
    refused = decided(mara, other, earlier=earlier)
    assert refused.status == 422
    assert "What was decided for that earlier file is gone." in refused.text


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

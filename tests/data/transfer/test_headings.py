"""CSV files whose heading isn't their first line: pages, API and command."""

import json

import pytest
from bson import Decimal128

from portal.jobs import runner
from tests.data.transfer.conftest import upload
from tests.data.transfer.test_api import upload as send

TITLED = b"Report of May\n\nsep, by day\nnumber,due,title\n7,03/04/2026,First\n8,05/04/2026,\n"
"""Its heading is line 4."""
OWN = b"sep=~\nReport of May\nnumber~title\n7~First\n"
"""Its own separator; its heading is line 3."""


def chosen(page, name):
    """The value of the choice that is made."""
    made = page.html.select_one(f"[name={name}][checked], [name={name}] > [selected]")
    return made and made["value"]


def test_a_line_further_down_becomes_the_heading_and_what_was_typed_stays(mara, entries):
    page = upload(mara, b"number,due\nn,day\n7,03/04/2026\n", "a.csv").location
    runner.run_due_jobs()
    mapping = mara.get(page)
    assert chosen(mapping, "heading") == "yes"
    typed = {"f0": "no.of", "t0": "decimal", "f1": "due", "existing": "skip", "key": "no"}
    sent = {**mara.hidden(page), **typed, "heading": "2"}
    stale = mara.send(f"{page}/reading", {**sent, "csrf_token": "of another session"})
    assert (stale.status, stale.value("f0")) == (400, "no.of")
    mara.send(f"{page}/reading", sent)
    runner.run_due_jobs()
    mapping = mara.get(page)
    assert chosen(mapping, "heading") == "2"
    assert mapping.value("f0") == "no.of"
    assert mapping.value("f1") == "day"  # it was only proposed
    assert chosen(mapping, "t0") == "decimal"
    assert chosen(mapping, "existing") == "skip"
    assert "1 records in 3 lines" in mapping.text
    assert mapping.html.find(id="q1-0")  # the question that only this heading leaves open
    decided = {**typed, "f1": "day", "q1-0": "0", "existing": "insert", "key": "_id"}
    mara.post(f"{page}/decide", decided, form_at=page)
    runner.run_due_jobs()
    mara.post(f"{page}/write", form_at=page)
    runner.run_due_jobs()
    stored = entries.find_one({}, {"_id": 0})
    assert (stored["no"], stored["day"].day) == ({"of": Decimal128("7")}, 3)


def test_answers_stay_for_the_same_question_alone(mara, entries):
    page = upload(mara, b"Dates of May,x\ndue,n\n03/04/2026,1\n", "a.csv").location
    runner.run_due_jobs()
    assert not mara.get(page).html.find(id="q0-0")  # not every cell is a date
    mara.post(f"{page}/reading", {"heading": "2"}, form_at=page)
    runner.run_due_jobs()
    mara.post(f"{page}/reading", {"heading": "2", "q0-0": "1"}, form_at=page)
    runner.run_due_jobs()
    assert chosen(mara.get(page), "q0-0") == "1"
    mara.post(f"{page}/reading", {"heading": "no", "q0-0": "1"}, form_at=page)
    runner.run_due_jobs()
    questions = mara.get(page).html.select("fieldset.question")
    assert [each["id"] for each in questions] == ["q0-0", "q1-0"]
    assert not any(each.find("input", checked=True) for each in questions)


def test_what_was_chosen_for_columns_is_not_taken_over_by_those_of_another_separator(mara, entries):
    page = upload(mara, b"number,price;net\n7,9;8\n", "a.csv").location
    mara.post(f"{page}/reading", {"delimiter": ","}, form_at=page)
    runner.run_due_jobs()
    typed = {"f0": "number", "f1": "price", "t1": "decimal", "key": "number", "existing": "skip"}
    mara.post(f"{page}/reading", {**typed, "heading": "yes", "delimiter": ";"}, form_at=page)
    runner.run_due_jobs()
    mapping = mara.get(page)
    assert (mapping.value("f1"), chosen(mapping, "t1")) == ("net", "proposed")
    assert (mapping.value("key"), chosen(mapping, "existing")) == ("number", "skip")


def test_a_title_is_asked_about_and_a_line_that_is_none_is_refused(mara, entries):
    page = upload(mara, TITLED, "a.csv").location
    asked = mara.get(page)
    assert "title is the first row with as many cells as almost all below it" in asked.text
    refused = mara.post(f"{page}/reading", {"heading": "2"}, form_at=page)
    assert refused.status == 422
    mara.post(f"{page}/reading", {"heading": "4"}, form_at=page)
    runner.run_due_jobs()
    refused = mara.post(f"{page}/reading", {"heading": "9", "f0": "kept"}, form_at=page)
    assert (refused.status, refused.value("f0")) == (422, "kept")


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("4", ["Every row fits both orders. Is 03/04/2026 …"]),
        ("yes", []),
        ("no", ["The column has no heading. Give it a field, or leave it out."] * 3),
    ],
)
def test_programs_choose_the_line_too(writer, stored, heading, told):
    one = send(writer, TITLED, "a.csv")
    assert writer.get(one).json["import"]["questions"] == [
        "Say which line is the heading: the first, another, or none."
    ]
    writer.send("POST", f"{one}/reading", json.dumps({"heading": heading}))
    runner.run_due_jobs()
    found = writer.get(one).json["import"]
    assert found["questions"] == told


def test_a_command_chooses_the_line_and_columns_without_names_are_named(
    acme, stored, app, tmp_path
):
    file = tmp_path / "report.csv"
    file.write_bytes(TITLED)
    arguments = ["data", "import", "acme-corp", str(file), "--text", "--heading"]
    told = app.test_cli_runner().invoke(args=[*arguments, "4"])
    assert told.exit_code == 0, told.output
    found = [{**each, "_id": 0} for each in stored.find()]
    assert found == [
        {"_id": 0, "number": "7", "due": "03/04/2026", "title": "First"},
        {"_id": 0, "number": "8", "due": "05/04/2026"},
    ]
    refused = app.test_cli_runner().invoke(args=[*arguments, "40"])
    assert "Say which line is the heading" in refused.output


def test_the_separator_that_the_file_itself_tells_stays_the_one_chosen(mara, entries):
    page = upload(mara, OWN, "a.csv").location
    runner.run_due_jobs()
    mapping = mara.get(page)
    assert chosen(mapping, "delimiter") == "~"
    options = mapping.html.select("#delimiter option")
    assert [each.text for each in options][-1] == "“~”"
    mara.post(f"{page}/reading", {"heading": "3", "delimiter": "~"}, form_at=page)
    runner.run_due_jobs()
    mapping = mara.get(page)
    assert (mapping.value("f0"), mapping.value("f1")) == ("number", "title")
    for other in (",", "~"):  # and back
        mara.post(f"{page}/reading", {"heading": "3", "delimiter": other}, form_at=page)
        runner.run_due_jobs()
        assert chosen(mara.get(page), "delimiter") == other
    refused = mara.post(f"{page}/reading", {"heading": "3", "delimiter": "^"}, form_at=page)
    assert refused.status == 422


def test_programs_need_not_repeat_the_separator_that_the_file_tells(
    acme, writer, stored, app, tmp_path
):
    one = send(writer, OWN, "a.csv")
    runner.run_due_jobs()
    answer = writer.send("POST", f"{one}/reading", json.dumps({"heading": "3"}))
    assert answer.status_code == 200
    file = tmp_path / "own.csv"
    file.write_bytes(OWN)
    arguments = ["data", "import", "acme-corp", str(file), "--text", "--heading", "3"]
    told = app.test_cli_runner().invoke(args=arguments)
    assert told.exit_code == 0, told.output
    assert stored.find_one({}, {"_id": 0}) == {"number": "7", "title": "First"}


def test_where_two_separators_fit_a_third_can_be_chosen_later_as_its_page_offers(mara, entries):
    page = upload(mara, b"a,b;c\tx\n1,2;3\t4\n", "a.csv").location
    mara.post(f"{page}/reading", {"delimiter": ";"}, form_at=page)
    runner.run_due_jobs()
    offered = [each["value"] for each in mara.get(page).html.select("#delimiter option")]
    assert offered == [",", ";", "\t", "|"]
    for delimiter in offered:
        done = mara.post(f"{page}/reading", {"delimiter": delimiter}, form_at=page)
        assert done.status == 303, delimiter
        runner.run_due_jobs()

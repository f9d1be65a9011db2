"""Documents whose ``_id`` is a text that is no UTF-8, as old drivers store them: they are shown, the
pages around them are reached, and what has to name one is refused in words."""

import json

import bson
import pytest

from portal.data.document_ids import address_of
from portal.data.queries import USUAL_PAGE
from portal.documents.jobs import Job
from portal.jobs import runner
from portal.tenants.elements import framed, framed_id
from tests.data.browsing.conftest import DATA
from tests.data.conftest import ACME, DataProgram
from tests.factories import a_key
from tests.program import fault

WORDS = "Its _id has text that is no UTF-8"


def text_id(text):
    """The BSON of ``{"": text}``, of bytes that may be no UTF-8."""
    return framed(b"\x02\0" + (len(text) + 1).to_bytes(4, "little") + text + b"\0")


LATIN = text_id(b"M\xfcller")
INSIDE = framed(b"\x03\0" + framed(b"\x02name\0\x02\0\0\0\xff\0"))


@pytest.fixture
def old_ones(insert_encoded, stored):
    insert_encoded(
        *(framed(framed_id(each)[4:-1] + b"\x10n\0\1\0\0\0") for each in (LATIN, INSIDE))
    )
    stored.insert_one({"_id": "fine", "n": 1})


@pytest.fixture
def program(app, acme):
    return DataProgram(app, a_key(acme, None, ["documents.read", "documents.write"]))


@pytest.mark.usefixtures("old_ones")
def test_they_are_shown_and_no_page_about_one_fails(onlooker):
    assert [row[0] for row in onlooker.rows(column="n")][1:] == ['"fine"', '"M\\xfcller"']
    assert "M\\xfcller" in " ".join(onlooker.json_lines())
    for each in (LATIN, INSIDE):
        here = f"documents/{address_of(each)}"
        below = ("", "?as=json", "/edit", "/json", "/duplicate", "/delete", "/erase")
        for path in (*(here + part for part in below), f"history?document={address_of(each)}"):
            page = onlooker.visitor.get(f"{DATA}/{path}")
            assert (page.status, WORDS in page.text) == (422, True), path
    assert onlooker.visitor.get(f"{DATA}/shape").status == 200


@pytest.mark.usefixtures("old_ones")
def test_programs_are_told_which_they_are(program):
    listed = program.get(ACME).json
    assert [each.get("_id") for each in listed["documents"]] == [None, "fine", None]
    assert listed["inexact"] == [address_of(LATIN), address_of(INSIDE)]
    for each in (LATIN, INSIDE):
        for method, text in (("GET", None), ("PUT", "{}"), ("DELETE", None)):
            refused = program.send(method, f"{ACME}/{address_of(each)}", text)
            assert fault(refused)[:2] == (422, "invalid_document_id")
            assert WORDS in refused.json["error"]["message"]
    pipeline = '{"pipeline": [{"$project": {"_id": 0, "was": "$_id"}}]}'
    results = program.send("POST", f"{ACME}/aggregate", pipeline).json["results"]
    assert sorted(results, key=len) == [{}, {}, {"was": "fine"}]
    for way, body in (("delete", {}), ("update", {"update": {"$set": {"m": 1}}})):
        refused = program.send("POST", f"{ACME}/{way}", json.dumps({"filter": {"n": 1}, **body}))
        assert fault(refused)[:2] == (422, "invalid_document_id"), refused.text


def test_pages_end_before_one_behind_which_none_begins(onlooker, insert_encoded, stored, program):
    insert_encoded(framed_id(LATIN), framed_id(text_id(b"M\xfc")))
    for before in (USUAL_PAGE - 1, USUAL_PAGE - 2):
        stored.delete_many({"n": 1})
        stored.insert_many({"_id": f"A{number:03}", "n": 1} for number in range(before))
        stored.insert_many({"_id": f"Z{number:03}", "n": 1} for number in range(30))
        for sort in ('{"_id": 1}', '{"_id": -1}'):
            found, query = [], {"sort": sort}
            while query:
                page = program.get(ACME, query_string=query).json
                found += [each.get("_id") for each in page["documents"]]
                query = page["next"] and {"sort": sort, "after": page["next"]}
            assert len(found) == before + 32
            assert len(set(found)) == before + 31  # both of them have none that is told
    stored.insert_many({"_id": f"B{number:03}"} for number in range(30))
    for sort in ("_id", "-_id"):
        shown, page = set(), onlooker.page(sort=sort)
        while page:
            assert page.status == 200
            shown |= {cell.get_text(strip=True) for cell in page.html.select("tbody th")}
            after = page.html.find("a", string=("After" if sort == "_id" else "Older"))
            page = onlooker.visitor.get(after["href"]) if after else None
        assert len(shown) == stored.count_documents({})


@pytest.mark.usefixtures("old_ones")
def test_a_change_of_many_says_which_it_can_not_name(onlooker, program, stored):
    told = program.send("POST", f"{ACME}/change/preview", '{"filter": {}, "set": {"m": 1}}')
    assert told.json["count"] == 3
    assert onlooker.visitor.get(f"{DATA}/bulk/delete").status == 200
    body = '{"filter": {}, "set": {"m": 1}, "expected": 3}'
    assert program.send("POST", f"{ACME}/change", body).status_code == 202
    runner.run_due_jobs()
    job = Job.objects.get(kind="bulk edit")
    assert job.state == "failed"
    assert "no query can name it" in job.reason
    assert stored.count_documents({"m": 1}) == 0


@pytest.mark.parametrize("value", [LATIN, INSIDE])
def test_their_ids_are_no_condition(onlooker, value):
    page = onlooker.page(c=json.dumps(["_id", "is", "address", address_of(value)]))
    assert page.status == 422


def test_what_is_no_bson_is_no_address(onlooker):
    for cut in (bson.encode({"": "x"})[:-3], LATIN + b"x", b"", b"\5\0\0\0\0"):
        page = onlooker.visitor.get(f"{DATA}/documents/{address_of(cut)}")
        assert (page.status, WORDS in page.text) == (422, False)

"""The indexes of a dump are offered where its documents are imported, and none is left out unsaid."""

import json
from datetime import UTC, datetime

import bson
import pytest

from portal.data.errors import InvalidIndex
from portal.data.indexes.listing import index_from
from portal.jobs import runner
from tests.data.formats.test_dumps import tar_of
from tests.data.transfer.conftest import upload
from tests.data.transfer.test_api import upload as upload_by_program
from tests.program import fault

OLD = datetime(2001, 2, 3, tzinfo=UTC)
ORDERS = [{"_id": n, "number": n, "due": "soon", "at": OLD} for n in range(3)]
INDEXES = [
    {"v": 2, "key": {"_id": 1}, "name": "_id_"},
    {"v": 2, "key": {"number": 1}, "name": "number_1", "unique": True},
    {"v": 1, "key": {"due": -1.0}, "name": "due_-1", "ns": "shop.orders", "safe": None},
    {"v": 2, "key": {"at": 1}, "name": "at_1", "expireAfterSeconds": 60},
    {"v": 2, "key": {"name": 1}, "name": "name_1", "collation": {"locale": "de"}},
    {"v": 2, "key": {"$**": 1}, "name": "all"},
    {"v": 2, "key": {"_fts": "text", "_ftsx": 1}, "name": "texts", "weights": {"due": 1},
     "default_language": "english", "language_override": "language", "textIndexVersion": 3},
    {"v": 2, "key": {"gone": 1}, "name": "gone_1", "hidden": True},
]  # fmt: skip


def dump(indexes=INDEXES, documents=ORDERS):
    metadata = {"indexes": indexes, "collectionName": "orders", "options": {}}
    return tar_of(
        {
            "dump/shop/orders.bson": b"".join(map(bson.encode, documents)),
            "dump/shop/orders.metadata.json": json.dumps(metadata).encode(),
        }
    )


@pytest.fixture
def page(mara):
    """The page of a dump whose documents are imported."""
    page = upload(mara, dump(), "dump.tar").location
    runner.run_due_jobs()
    mara.post(f"{page}/reading", {"member": "dump/shop/orders.bson"}, form_at=page)
    mara.post(f"{page}/decide", {"existing": "insert"}, form_at=page)
    runner.run_due_jobs()
    mara.post(f"{page}/write", form_at=page)
    runner.run_due_jobs()
    return page


def test_those_that_are_ticked_are_built(mara, page, entries):
    offered = mara.get(page).html.select("input[name=index]")
    assert [each["value"] for each in offered] == ["number_1", "due_-1", "at_1", "texts", "gone_1"]
    ticked = [each["value"] for each in offered if each.has_attr("checked")]
    assert ticked == ["number_1", "due_-1", "texts", "gone_1"]  # what deletes is asked for
    told = "A document chose the language of its texts by its field language; here it is text_index"
    assert [told in row.get_text() for row in mara.get(page).html.select("tbody tr")].count(
        True
    ) == 1
    [hidden] = (row for row in mara.get(page).html.select("tbody tr") if "gone_1" in row.get_text())
    assert hidden.select("td")[1].get_text(strip=True) == "hidden"
    assert set(entries.index_information()) == {"_id_"}
    answer = mara.post(f"{page}/indexes", {"index": ticked}, form_at=page)
    assert "are being built" in mara.get(answer.location).text
    runner.run_due_jobs()
    built = entries.index_information()
    assert built["number_1"]["unique"]
    assert built["due_-1"]["key"] == [("due", -1)]
    assert built["gone_1"]["hidden"]
    assert built["texts"]["default_language"] == "english"
    told = mara.get(page)
    assert told.html.select("input[name=index]")[0]["value"] == "at_1"
    assert told.text.count("Ready") == 3
    assert "Hidden, kept current" in told.text


def test_what_can_not_be_built_is_told_with_the_reason(mara, page, entries):
    told = mara.get(page).text
    assert "Its option collation is none of those that are built here." in told
    assert "It is of whatever fields there are ($**)" in told
    refused = mara.post(f"{page}/indexes", {"index": ["number_1", "name_1"]}, form_at=page)
    assert refused.status == 422
    assert "Nothing was built" in refused.text
    assert mara.post(f"{page}/indexes", form_at=page).status == 422
    runner.run_due_jobs()
    assert set(entries.index_information()) == {"_id_"}


def test_none_deletes_what_was_just_imported(mara, page, entries):
    refused = mara.post(f"{page}/indexes", {"index": ["number_1", "at_1"]}, form_at=page)
    assert refused.status == 409
    assert "at_1 would delete 3 documents within a minute" in refused.text
    runner.run_due_jobs()
    assert set(entries.index_information()) == {"_id_"}
    entries.update_many({}, {"$unset": {"at": ""}})
    mara.post(f"{page}/indexes", {"index": ["at_1"]}, form_at=page)
    runner.run_due_jobs()
    assert entries.index_information()["at_1"]["expireAfterSeconds"] == 60


def test_another_index_of_the_name_stays(mara, page, entries):
    entries.create_index("other", name="number_1")
    assert "Another index has its name." in mara.get(page).text
    assert mara.post(f"{page}/indexes", {"index": "number_1"}, form_at=page).status == 422


def test_programs_build_them_too(writer, stored):
    one = upload_by_program(writer, dump(), "dump.tar")
    runner.run_due_jobs()
    chosen = json.dumps({"member": "dump/shop/orders.bson"})
    assert writer.send("POST", f"{one}/reading", chosen).status_code == 200
    writer.send("POST", f"{one}/check", "{}")
    runner.run_due_jobs()
    writer.send("POST", f"{one}/write")
    runner.run_due_jobs()
    offered = {each["name"]: each for each in writer.get(f"{one}/indexes").json["indexes"]}
    assert offered["number_1"] == {
        "name": "number_1", "keys": {"number": 1}, "state": None, "refusal": None,
        "note": None,
    }  # fmt: skip
    assert "by its field language" in offered["texts"]["note"]
    assert "collation" in offered["name_1"]["refusal"]
    for names, code in (
        (["nothing"], "index_not_offered"), (["name_1"], "index_not_offered"),
        (["at_1"], "index_would_delete"),
    ):  # fmt: skip
        refused = writer.send("POST", f"{one}/indexes", json.dumps({"names": names}))
        assert fault(refused)[1] == code
    for _ in range(2):  # sent again it is the same
        asked = json.dumps({"names": ["number_1", "due_-1"]})
        assert writer.send("POST", f"{one}/indexes", asked).status_code == 202
    runner.run_due_jobs()
    states = {each["name"]: each["state"] for each in writer.get(f"{one}/indexes").json["indexes"]}
    assert (states["number_1"], states["due_-1"], states["at_1"]) == ("ready", "ready", None)


def test_a_file_that_is_no_dump_has_none(mara):
    page = upload(mara, bson.encode({"_id": 1}), "orders.bson").location
    mara.post(f"{page}/decide", {"existing": "insert"}, form_at=page)
    runner.run_due_jobs()
    mara.post(f"{page}/write", form_at=page)
    runner.run_due_jobs()
    assert "Indexes of the dump" not in mara.get(page).text


@pytest.mark.parametrize(
    ("stored", "keys"),
    [
        ({"key": {"a": 1, "b": -1.0}}, {"a": 1, "b": -1}),
        ({"key": {"a": True, "b": 0, "c": "", "d": -3}}, {"a": 1, "b": 1, "c": 1, "d": -1}),
        ({"key": {"a": 1}, "unique": 1, "background": 1, "dropDups": True}, {"a": 1}),
        (
            {"key": {"_fts": "text", "_ftsx": 1}, "weights": {"b": 1, "a": 1}, "textIndexVersion": 2,
             "default_language": "english", "language_override": "language", "safe": None},
            {"a": "text", "b": "text"},
        ),
        ({"key": {"at": 1}, "expireAfterSeconds": float("nan")}, {"at": 1}),
    ],
)  # fmt: skip
def test_indexes_of_old_servers_and_drivers_are_taken(stored, keys):
    assert index_from({"name": "a", **stored}).keys == keys


@pytest.mark.parametrize(
    "stored",
    [
        {"key": {"a": 1}},
        {"name": "a"},
        {"name": "a", "key": []},
        {"name": "a", "key": {}},
        {"name": ["a"], "key": {"a": 1}},
        {"name": "a", "key": {"a": "2d"}, "bits": 26},
        {"name": "a", "key": {"a": "geoHaystack"}},
        {"name": "a", "key": {"a": 1}, "expireAfterSeconds": "60"},
        {"name": "a", "key": {"a": 1}, "expireAfterSeconds": -1},
        {"name": "a", "key": {"_fts": "text"}, "weights": {"a": 10}},
        {"name": "a", "key": {"_fts": "text"}, "weights": {"a": []}},
        {"name": "a", "key": {"_fts": "text"}, "weights": {"a": 1}, "language_override": 1},
        {"name": "a", "key": {"a": 1}, "collation": {"locale": "de"}},
        {"name": "a", "key": {"a": 1}, "clustered": True},
        {"name": "x" * 101, "key": {"a": 1}},
    ],
)
def test_what_would_be_another_index_here_is_refused(stored):
    with pytest.raises(InvalidIndex):
        index_from(stored)

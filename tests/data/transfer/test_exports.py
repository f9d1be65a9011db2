"""Exports: whole or failed, only for who asked, and read again as the same documents."""

import hashlib

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp

from portal.data import plans
from portal.data.access import document_access
from portal.data.errors import IndexNeeded, InvalidQuery
from portal.data.formats.options import Format, WriteOptions
from portal.data.queries import Query
from portal.data.transfer import exports, showing
from portal.data.transfer.errors import ExportNotDone, NotYours, TransferNotFound
from portal.data.transfer.exports import cancel_export, export_content, find_export, start_export
from portal.data.transfer.stages import Stage
from portal.jobs import runner
from portal.jobs.managing import find_job
from tests.data.transfer.conftest import imported
from tests.factories import a_context, a_member, an_access

DOCUMENTS = [
    {
        "_id": ObjectId(),
        "n": 1,
        "long": Int64(5),
        "price": Decimal128("1.50"),
        "at": Timestamp(0, 0),
    },
    {"_id": "01067", "n": 2.0, "list": [1, {"a": None}], "$x": {"$oid": "5" * 24}},
    {"_id": {"b": 1, "a": 2}, "text": "=1+1", "none": None, "": "", "a.b": -0.0},
    *({"_id": n, "text": "x" * 100} for n in range(50)),
]


def export(seen, options, query=None):
    started = start_export(seen, query or Query(), options, "all documents")
    runner.run_due_jobs()
    return find_export(seen.organization, started.file.id)


def content(seen, made):
    return b"".join(export_content(seen, made))


def digests(stored):
    raw = stored.with_options(bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument))
    return sorted(hashlib.sha256(bytes(each.raw)).hexdigest() for each in raw.find())


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(exports, "PAGE_BYTES", 700)
    monkeypatch.setattr(exports, "_FIRST_PAGE", 5)
    monkeypatch.setattr(exports, "CHUNK_BYTES", 300)


@pytest.mark.parametrize("gzip", [False, True])
@pytest.mark.parametrize("kind", list(Format))
def test_what_is_exported_is_imported_again_to_the_byte(seen, stored, kind, gzip):
    stored.insert_many(DOCUMENTS)
    before = digests(stored)
    made = export(seen, WriteOptions(kind, gzip=gzip))
    assert (made.job.state, made.written.documents) == ("done", len(DOCUMENTS)), made.job.reason
    file = content(seen, made)
    assert len(file) == made.file.size_bytes
    stored.delete_many({})
    done = imported(seen, file, made.file.name)
    assert (done.stage, done.written.errors) == (Stage.DONE, 0)
    assert digests(stored) == before


def test_an_export_has_the_filter_and_order_of_what_was_seen(seen, stored):
    stored.insert_many({"_id": n, "even": n % 2 == 0} for n in range(20))
    made = export(seen, WriteOptions(Format.BSON), Query({"even": True}, {"_id": -1}))
    found = [each["_id"] for each in bson.decode_all(content(seen, made))]
    assert found == list(range(18, -1, -2))
    assert made.job.progress.total == 10


def test_a_search_for_words_is_exported_whole_in_its_order(seen, stored):
    stored.insert_many({"_id": n, "s": "red", "n": n % 3} for n in range(20))
    stored.create_index([("s", "text")])
    made = export(seen, WriteOptions(Format.BSON), Query({"$text": {"$search": "red"}}, {"n": 1}))
    assert (made.job.state, made.written.documents) == ("done", 20), made.job.reason
    found = [each["_id"] for each in bson.decode_all(content(seen, made))]
    assert found == sorted(range(20), key=lambda n: (n % 3, n))


def test_equal_values_are_neither_missed_nor_repeated(seen, stored):
    stored.insert_many({"_id": n, "same": n % 2} for n in range(40))
    made = export(seen, WriteOptions(Format.BSON), Query({}, {"same": -1}))
    found = [each["_id"] for each in bson.decode_all(content(seen, made))]
    assert sorted(found) == list(range(40))


def test_what_has_a_list_somewhere_is_not_exported_in_its_order(seen, stored):
    stored.insert_many({"_id": n, "a": [n] if n == 9 else n} for n in range(20))
    with pytest.raises(InvalidQuery, match="a list"):
        export(seen, WriteOptions(Format.BSON), Query({}, {"a": 1}))
    made = export(seen, WriteOptions(Format.BSON), Query({"_id": {"$gt": 9}}, {"a": 1}))
    assert made.written.documents == 10


@pytest.mark.parametrize(
    "slow",
    [{"errorCode": 50}, {"blockConnection": True, "blockTimeMS": 600}],
    ids=["stopped by the server", "given up"],
)
def test_what_takes_long_to_count_is_exported_all_the_same(
    seen, stored, bare_client, monkeypatch, slow
):
    if "blockTimeMS" in slow:
        monkeypatch.setattr(exports, "COUNTING_SECONDS", 0.2)
    stored.insert_many({"_id": n, "even": n % 2 == 0} for n in range(20))
    for ask in (
        lambda: showing.count_words(exports.count_matching(seen, {"even": True}), are_all=False),
        lambda: export(seen, WriteOptions(Format.BSON), Query({"even": True})),
    ):
        data = {"failCommands": ["aggregate"], "namespace": stored.full_name, **slow}
        point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
        bare_client.admin.command(point)
        told = ask()
        if isinstance(told, str):
            assert told == "Not counted: that takes too long"
    assert (told.job.state, told.written.documents) == ("done", 10)


def test_killed_it_goes_on_and_is_whole(seen, stored, monkeypatch):
    stored.insert_many({"_id": n, "text": "x" * 100} for n in range(60))
    started = start_export(seen, Query(), WriteOptions(Format.JSON_ARRAY, gzip=True), "all")
    keep, kills = exports._Making._keep, iter([3, 6, 7] * 3)

    class Killed(BaseException):
        pass

    def kill(self, *args, **kwargs):
        keep(self, *args, **kwargs)
        if self.reached["batch"] == stop[0]:
            stop[0] = next(kills, None)
            raise Killed

    stop = [next(kills)]
    monkeypatch.setattr(exports._Making, "_keep", kill)
    while find_job(started.job.id).state == "running":
        try:
            runner.run_due_jobs()
        except Killed:
            continue
    made = find_export(seen.organization, started.file.id)
    before = digests(stored)
    stored.delete_many({})
    assert imported(seen, content(seen, made), made.file.name).written.counts == {"inserted": 60}
    assert digests(stored) == before


def test_one_that_can_not_be_whole_has_failed_and_has_no_file(seen, stored, monkeypatch):
    stored.insert_many({"_id": n, "text": "x" * 100} for n in range(60))
    monkeypatch.setattr(exports.files, "LARGEST_BYTES", 2000)
    made = export(seen, WriteOptions(Format.JSON_LINES))
    assert made.job.state == "failed"
    assert "larger than" in made.job.reason
    with pytest.raises(ExportNotDone):
        content(seen, made)


def test_only_who_asked_may_fetch_it(acme, seen, stored):
    stored.insert_one({"_id": 1})
    made = export(seen, WriteOptions(Format.BSON))
    other = document_access(an_access(acme, "admin"), a_context(a_member(acme, "admin")))
    with pytest.raises(NotYours):
        content(other, made)
    with pytest.raises(NotYours):
        cancel_export(other, made)
    cancel_export(seen, made)
    with pytest.raises(TransferNotFound):
        find_export(acme, made.file.id)


def test_what_would_read_all_in_memory_is_refused_at_once(seen, stored, monkeypatch):
    monkeypatch.setattr(plans, "MOST_SCANNED", 10)
    stored.insert_many({"n": n} for n in range(20))
    with pytest.raises(IndexNeeded):
        start_export(seen, Query({"n": 3}), WriteOptions(Format.BSON), "n is 3")
    assert exports.exports_of(seen.organization, seen.context, 9) == []

"""What is counted of organizations' use, and how it arrives."""

import os

import bson
import pymongo
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from tests.tenants.library.conftest import library
from tests.tenants.library.works import at_once

usage = library("usage")
RAW = CodecOptions(document_class=RawBSONDocument)


@pytest.fixture
def shop(connect, fake):
    """An application that is closed in the test."""
    return connect(fake.uris)


def total(rows, organization):
    """The sums of an organization's rows."""
    own = [row for row in rows if row["organization"] == organization]
    names = {name for row in own for name, value in row.items() if isinstance(value, int)}
    return {name: sum(row.get(name, 0) for row in own) for name in names}


def test_operations_are_documents_written_or_commands(shop, fake):
    acme = fake.create("acme")
    store = shop.by_id(acme)
    store.insert_many([{"_id": n} for n in range(10)])  # 10
    store.find_one()
    store.count_documents({})
    store.update_many({}, {"$set": {"a": 1}})  # reads ids, then 10
    store.delete_one({"_id": 1})
    with store.transaction() as transaction:  # 1
        transaction.insert_one({"_id": 20})
        transaction.find_one({"_id": 20})
    shop.close()
    counted = total(fake.usage(), acme)
    assert counted["operations"] == 10 + 1 + 1 + (1 + 10) + 1 + (1 + 1 + 1)
    assert counted["commands"] >= 9


def test_bytes_are_those_of_documents(shop, fake):
    acme = fake.create("acme")
    store = shop.by_id(acme)
    document = {"_id": 1, "text": "x" * 1000}
    size = len(bson.encode(document))
    store.insert_one(document)
    store.find_one()
    store.with_options(RAW).find_one()
    list(store.find())
    shop.close()
    counted = total(fake.usage(), acme)
    assert counted["bytes_in"] == size
    assert counted["bytes_out"] == 3 * size


def test_the_size_of_many_decoded_documents_is_estimated():
    documents = [{"_id": n, "text": "x" * (n % 10)} for n in range(500)]
    exact = sum(len(bson.encode(each)) for each in documents)
    assert usage.read_bytes(documents, CodecOptions()) == pytest.approx(exact, rel=0.2)
    assert usage.read_bytes([], CodecOptions()) == 0
    assert usage.read_bytes([{"a": object()}], CodecOptions()) == 0


def test_threads_lose_no_count(shop, fake):
    acme = fake.create("acme")
    store = shop.by_id(acme)
    store.find_one()
    at_once([lambda: [store.find_one() for _ in range(20)]] * 5)
    shop.close()
    assert total(fake.usage(), acme)["operations"] == 101


def test_an_application_that_goes_on_after_close_reports_as_another_process(shop, fake):
    acme = fake.create("acme")
    for _ in range(2):
        shop.by_id(acme).find_one()
        shop.close()
    batches = list(fake.client[f"{fake.data.name}_reports"].usage.find())
    assert {batch["number"] for batch in batches} == {1}
    assert all(batch["last"] for batch in batches)
    assert len({batch["process"] for batch in batches}) == 2


def delivering(into, failures=()):
    """A way for batches that fails as told, after the batch was stored or before."""
    left = list(failures)

    def deliver(batch):
        failure = left.pop(0) if left else None
        if failure != "lost":
            if batch["_id"] in into:
                raise pymongo.errors.DuplicateKeyError("there already", 11000)
            into[batch["_id"]] = batch
        if failure:
            raise pymongo.errors.AutoReconnect("away")

    return deliver


def test_what_could_not_be_delivered_comes_later_and_once():
    arrived = {}
    reporter = usage.Reporter(delivering(arrived, ["lost", "answer"]), "shop", unattended=True)
    for count in (3, 4, 5):
        reporter.meter.operations("acme", count)
        reporter.flush()
    rows = [row for batch in arrived.values() for row in batch["rows"]]
    assert [row["operations"] for row in rows] == [3, 4, 5]
    assert [batch["number"] for batch in arrived.values()] == [1, 2, 3]


def test_what_is_given_up_is_missed_by_its_number(monkeypatch):
    monkeypatch.setattr(usage, "PENDING_BATCHES", 2)
    arrived = {}
    reporter = usage.Reporter(delivering(arrived, ["lost"] * 4), "shop", unattended=True)
    for _ in range(5):
        reporter.meter.operations("acme", 1)
        reporter.flush()
    assert [batch["number"] for batch in arrived.values()] == [4, 5]


def test_nothing_is_sent_where_nothing_was_done():
    arrived = {}
    reporter = usage.Reporter(delivering(arrived), "shop", unattended=True)
    reporter.flush()
    assert not arrived


def test_a_child_counts_for_itself():
    reporter = usage.Reporter(delivering({}), "shop", unattended=True)
    reporter.meter.operations("acme", 5)
    child = os.fork()
    if child == 0:
        taken = reporter.meter.take()
        os._exit(len(taken))
    assert os.waitpid(child, 0)[1] == 0
    assert len(reporter.meter.take()) == 1

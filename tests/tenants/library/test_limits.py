"""Limits of organizations: operations per second, documents, bytes."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pymongo
import pytest
from bson import ObjectId

from tests.tenants.library.conftest import library
from tests.tenants.library.works import at_once

LimitExceeded = library("errors").LimitExceeded
budgets = library("budgets")
levels = library("levels")
quotas = library("quotas")


@pytest.fixture
def impatient(connect, fake):
    """An application whose operations don't wait for a limit."""
    return connect(fake.uris, limit_seconds=0)


def until_refused(store):
    """The number of operations that are done, and the refusal of the next."""
    for done in range(1000):
        try:
            store.find_one()
        except LimitExceeded as error:
            return done, error
    raise AssertionError("none is refused")


def refused(store, document):
    with pytest.raises(LimitExceeded) as error:
        store.insert_one(document)
    return error.value


def insert_once_counted(store, document):
    """Insert it when it is known that there is room: counting rests ten times as long as it
    takes."""
    for _ in range(1000):
        with suppress(LimitExceeded):
            return store.insert_one(document)
        time.sleep(0.05)
    raise AssertionError("there is no room")


# Documents and bytes


def test_no_more_documents_are_kept_than_allowed(connect, fake, strategy):
    acme = fake.create("acme", strategy)
    store = connect(fake.uris).by_id(acme)
    fake.limit(acme, documents=3)
    store.insert_many([{"_id": 1}, {"_id": 2}, {"_id": 3}])
    error = refused(store, {"_id": 4})
    assert (error.limit, error.allowed, error.used) == ("documents", 3, 3)
    with pytest.raises(LimitExceeded):
        store.update_one({"_id": 9}, {"$set": {"a": 1}}, upsert=True)
    with pytest.raises(LimitExceeded):
        store.find_one_and_update({"_id": 9}, {"$set": {"a": 1}}, upsert=True)
    assert store.count_documents({}) == 3


def test_at_the_limit_reading_changing_and_deleting_go_on_and_make_room_at_once(
    connect, fake, strategy
):
    acme = fake.create("acme", strategy)
    store, other = (connect(fake.uris).by_id(acme) for _ in range(2))
    fake.limit(acme, documents=2)
    store.insert_many([{"_id": 1}, {"_id": 2}])
    refused(store, {"_id": 3})
    assert [each["_id"] for each in store.find()] == [1, 2]
    store.update_one({"_id": 1}, {"$set": {"a": 1}})
    store.delete_one({"_id": 1})
    store.insert_one({"_id": 3})
    other.delete_one({"_id": 3})  # in another process
    insert_once_counted(store, {"_id": 4})


def test_no_more_bytes_are_kept_than_allowed(connect, fake):
    acme = fake.create("acme")
    store = connect(fake.uris).by_id(acme)
    fake.limit(acme, bytes=10_000)
    store.insert_one({"_id": 1, "text": "x" * 9_000})
    assert refused(store, {"_id": 2, "text": "x" * 2_000}).limit == "bytes"
    with pytest.raises(LimitExceeded):
        store.update_one({"_id": 1}, {"$set": {"more": "x" * 2_000}})
    store.update_one({"_id": 1}, {"$unset": {"text": 1}})  # what only takes away
    store.insert_one({"_id": 2, "text": "x" * 2_000})


def test_a_limit_below_what_is_kept_breaks_nothing(connect, fake):
    acme = fake.create("acme")
    store = connect(fake.uris).by_id(acme)
    store.insert_many([{"_id": n} for n in range(10)])
    fake.limit(acme, documents=5)
    fresh = connect(fake.uris).by_id(acme)
    refused(fresh, {"_id": 99})
    assert fresh.delete_many({"_id": {"$lt": 6}}).deleted_count == 6
    fresh.insert_one({"_id": 99})


def test_many_writers_keep_about_what_is_allowed(connect, fake):
    acme = fake.create("acme")
    fake.limit(acme, documents=200)
    stores = [connect(fake.uris).by_id(acme) for _ in range(4)]

    def write(store):
        for _ in range(100):
            try:
                store.insert_one({})
            except LimitExceeded:
                return

    at_once([lambda store=store: write(store) for store in stores])
    assert 200 <= stores[0].count_documents({}) <= 210


def test_a_transaction_keeps_to_it_too(connect, fake):
    acme = fake.create("acme")
    store = connect(fake.uris).by_id(acme)
    fake.limit(acme, documents=1)
    with pytest.raises(LimitExceeded), store.transaction() as transaction:
        transaction.insert_many([{"_id": 1}, {"_id": 2}])
    assert store.count_documents({}) == 0


def test_counting_comes_the_more_often_the_nearer_the_limit():
    level, limits = levels.Level(), quotas.Limits(documents=1000)
    assert not level.is_known(limits)
    level.measured(0, 0, 0.0)
    level.add(levels.Growth(50))
    assert level.is_known(limits)
    level.add(levels.Growth(1))
    assert not level.is_known(limits)
    level.measured(990, 0, 0.0)
    level.add(levels.Growth(1))
    assert not level.is_known(limits)
    level.measured(0, 0, 3600.0)
    assert level.is_known(limits)
    level.deleted()
    assert not level.is_known(limits)


# Operations per second


def test_a_burst_is_allowed_and_then_told_when_to_come_back(impatient, fake):
    acme = fake.create("acme")
    fake.limit(acme, operations=10)
    store, begun = impatient.by_id(acme), time.monotonic()
    done, error = until_refused(store)
    assert 50 <= done <= 60 + 10 * (time.monotonic() - begun)
    assert error.limit == "operations"
    assert 0 < error.retry_after_seconds < 1
    time.sleep(error.retry_after_seconds)
    store.find_one()


def test_a_write_larger_than_the_limit_runs_and_those_after_it_wait(impatient, fake):
    acme = fake.create("acme")
    fake.limit(acme, operations=10)
    store, begun = impatient.by_id(acme), time.monotonic()
    store.insert_many([{} for _ in range(400)])
    with pytest.raises(LimitExceeded) as error:
        store.find_one()
    passed = time.monotonic() - begun
    assert 34 < error.value.retry_after_seconds + passed < 36 + passed


def test_an_operation_waits_within_its_callers_time(connect, fake):
    acme, verso = fake.create("acme"), fake.create("verso")
    tenants = connect(fake.uris, limit_seconds=60)
    for each, operations in ((acme, 50), (verso, 1)):
        fake.limit(each, operations=operations)
    begun = time.monotonic()
    store = tenants.by_id(acme)
    store.insert_many([{} for _ in range(300)])  # a second more than the burst
    store.find_one()
    assert time.monotonic() - begun >= 1
    store = tenants.by_id(verso)
    store.insert_many([{} for _ in range(100)])
    with pytest.raises(LimitExceeded), pymongo.timeout(30):
        store.find_one()
    tenants.close()
    rows = fake.usage()
    assert sum(row.get("waited", 0) for row in rows if row["organization"] == acme) > 0
    assert sum(row.get("refused", 0) for row in rows if row["organization"] == verso) == 1


def test_processes_share_one_budget(connect, fake):
    acme = fake.create("acme")
    fake.limit(acme, operations=20)
    stores = [connect(fake.uris, limit_seconds=0).by_id(acme) for _ in range(3)]
    wanted, done = 20 * (budgets.BURST_SECONDS + 2), []

    def use(store):
        while len(done) < wanted:
            try:
                store.find_one()
                done.append(1)
            except LimitExceeded as error:
                time.sleep(min(error.retry_after_seconds, 0.1))

    begun = time.monotonic()
    at_once([lambda store=store: use(store) for store in stores])
    allowed = 20 * (budgets.BURST_SECONDS + time.monotonic() - begun)
    assert wanted <= len(done) < 1.2 * allowed


def test_a_clock_that_goes_back_neither_fills_a_budget_nor_empties_it(fake):
    """Another primary may have another time. (spring-cloud-gateway #2412 filled the bucket.)"""
    kept = fake.data[budgets.BUDGETS]

    def take(operations):
        kept.update_one({"_id": 1}, budgets.take(operations, 10, 0), upsert=True)
        return kept.find_one()

    assert take(60)["granted"]
    later = {"$set": {"at": datetime.now(UTC) + timedelta(hours=1)}}
    kept.update_one({}, later)
    found = take(1)
    assert not found["granted"]
    assert 900 < found["wait"] <= 1000
    earlier = {"$set": {"at": datetime.now(UTC) - timedelta(seconds=3)}}
    kept.update_one({}, earlier)
    found = take(1)
    assert found["granted"]
    assert 2500 < found["ahead"] <= 3200


def test_a_process_asks_seldom_where_it_need_not_wait_and_takes_little_where_it_must():
    block = budgets.Block()
    sizes = []
    for _ in range(8):
        sizes.append(block.size(200))
        block.granted(sizes[-1], 0.0)
        block.use(sizes[-1])
    assert sizes == [2, 4, 8, 16, 32, 50, 50, 50]
    for _ in range(8):
        block.granted(block.size(200), 0.9)
    assert block.size(200) == 1
    block.want(70)
    assert block.size(200) == 70  # a batch is never split


def test_a_transaction_never_waits_in_the_middle(impatient, fake):
    acme = fake.create("acme")
    fake.limit(acme, operations=10)
    store = impatient.by_id(acme)
    with store.transaction() as transaction:
        for n in range(80):
            transaction.insert_one({"_id": n})
    store.find_one()  # what was done is taken with this one
    with pytest.raises(LimitExceeded), store.transaction():
        pass


def test_neighbours_are_not_held_up(impatient, fake):
    acme, verso = fake.create("acme"), fake.create("verso")
    fake.limit(acme, operations=1)
    impatient.by_id(acme).insert_many([{} for _ in range(50)])
    with pytest.raises(LimitExceeded):
        impatient.by_id(acme).find_one()
    impatient.by_id(verso).find_one()


def test_where_budgets_cannot_be_kept_each_process_keeps_to_the_limit(impatient, fake, failing):
    acme = fake.create("acme")
    fake.limit(acme, operations=10)
    failing("findAndModify", "alwaysOn", errorCode=13)
    begun = time.monotonic()
    done, _ = until_refused(impatient.by_id(acme))
    assert 50 <= done <= 60 + 10 * (time.monotonic() - begun)


# What processes know


def test_a_changed_limit_reaches_a_process_that_knows_the_organization(connect, fake):
    acme = fake.create("acme")
    tenants = connect(fake.uris)
    store = tenants.by_id(acme)
    store.insert_one({"_id": 1})
    reporting = getattr(tenants, "wrapped", tenants)._directory.reporting
    reporting.reporter.refresh()
    fake.limit(acme, documents=1)
    reporting.reporter.refresh()
    refused(store, {"_id": 2})
    fake.limit(acme)
    reporting.reporter.refresh()
    store.insert_one({"_id": 2})


def test_a_limit_of_its_own_goes_before_that_of_its_plan():
    book = quotas.LimitBook()
    plan = quotas.Limits(documents=5, bytes=7)
    entitled = quotas.Entitled("large", quotas.Limits(documents=3), plan)
    assert book.limits_of("acme", (1, 1), entitled) == quotas.Limits(documents=3, bytes=7)
    now = {"changed_at": 1}
    book.accept([{"_id": "large", "limits": {"bytes": 9}, **now}])
    assert book.limits_of("acme", (1, 1), entitled) == quotas.Limits(documents=3, bytes=9)
    assert book.limits_of("other", (1, 1), None) is None


def test_a_change_is_older_than_an_entry_that_was_read_since():
    acme, book = ObjectId(), quotas.LimitBook()
    book.accept(
        [{"_id": acme, "limits": {"documents": 1}, "version": 4, "epoch": 1, "changed_at": 1}]
    )
    assert book.limits_of(acme, (1, 3), None) == quotas.Limits(documents=1)
    read_since = quotas.Entitled(own=quotas.Limits(documents=2))
    assert book.limits_of(acme, (1, 4), read_since) == quotas.Limits(documents=2)

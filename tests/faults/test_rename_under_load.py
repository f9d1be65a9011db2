"""An organization that is renamed again and again while others write into it."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.storage import tenant_of
from tests.factories import a_context, an_organization, fresh

COUNTERS = 40
PATIENCE_SECONDS = 60


@dataclass
class Written:
    """What was acknowledged to the writers."""

    ids: list = field(default_factory=list)
    counted: Counter = field(default_factory=Counter)
    counted_all: int = 0
    faults: list = field(default_factory=list)


def insert_one(store, written, n):
    written.ids.append(store.insert_one({"name": f"one {n}"}).inserted_id)


def insert_many(store, written, n):
    result = store.insert_many({"name": f"many {n}"} for _ in range(200))
    written.ids.extend(result.inserted_ids)


def count_up(store, written, n):
    changed = store.update_one({"_id": n % COUNTERS}, {"$inc": {"one": 1}})
    assert changed.modified_count == 1
    written.counted[n % COUNTERS] += 1


def count_all_up(store, written, n):
    changed = store.update_many({"counter": True}, {"$inc": {"all": 1}})
    assert (changed.matched_count, changed.modified_count) == (COUNTERS, COUNTERS)
    written.counted_all += 1


def read(store, written, n):
    counters = store.find({"counter": True}, sort="_id", batch_size=10)
    assert [found["_id"] for found in counters] == list(range(COUNTERS))
    assert store.count_documents({"counter": True}) == COUNTERS


WORKS = (insert_one, insert_one, insert_many, count_up, count_all_up, read)


def go_on(work, store, written, stopped):
    """Work until stopped, and tell the first fault."""
    n = 0
    while not stopped.is_set() and not written.faults:
        try:
            work(store, written, n)
        except Exception as fault:
            written.faults.append(fault)
        n += 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("renames", [12, pytest.param(200, marks=pytest.mark.full)])
def test_no_write_is_lost_or_doubled_while_the_organization_is_renamed(
    renames, tenant_db, bare_client, figure
):
    organization = an_organization("Name 0")
    tenant_of(organization).insert_many(
        {"_id": n, "counter": True, "one": 0, "all": 0} for n in range(COUNTERS)
    )
    written, stopped = Written(), threading.Event()
    threads = [
        threading.Thread(target=go_on, args=[work, tenant_of(organization), written, stopped])
        for work in WORKS
    ]
    for thread in threads:
        thread.start()
    try:
        for n in range(1, renames + 1):
            rename_organization(fresh(organization), f"Name {n}", a_context())
            time.sleep(0.01)  # so that writers come to their commands between two renames
            assert not written.faults
    finally:
        stopped.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert not written.faults
    raw = bare_client[tenant_db.name]
    assert raw.list_collection_names() == [f"org_name_{renames}"]
    found = list(raw[f"org_name_{renames}"].find(sort={"_id": 1}))
    counters, inserted = found[:COUNTERS], found[COUNTERS:]
    assert Counter(each["_id"] for each in inserted) == Counter(written.ids)
    assert {each["_id"]: each["one"] for each in counters} == {
        n: written.counted[n] for n in range(COUNTERS)
    }
    assert {each["all"] for each in counters} == {written.counted_all}
    assert written.counted_all > 0
    assert len(written.ids) > renames
    figure(
        f"{renames} renames: {len(written.ids)} inserts, {written.counted.total()} updates of one, "
        f"{written.counted_all} of all {COUNTERS}; 0 lost, 0 doubled, 0 stray"
    )

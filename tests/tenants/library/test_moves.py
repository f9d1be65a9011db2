"""Moves of an organization to another place, which operations wait for."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pymongo
import pytest
from pymongo.errors import PyMongoError

from tests.daily import CLUSTERS, STRATEGIES
from tests.stopwatch import takes_less
from tests.tenants.library.conftest import library
from tests.tenants.library.works import (
    AFTERWARDS,
    FEW,
    READS,
    VERBS,
    WRITES,
    ids,
    own_collection,
    told,
)

directory, errors = library("directory"), library("errors")

ELSEWHERE = {"main": 2, "berlin": 3}  # pools
EACH_PAIR = pytest.mark.parametrize(
    ("strategy", "to", "to_cluster"), [*itertools.product(STRATEGIES, STRATEGIES, CLUSTERS)]
)


@pytest.fixture
def elsewhere(fake, acme, to, to_cluster):
    """Arguments of a move to there."""
    return {"strategy": to, "cluster": to_cluster, "pool": ELSEWHERE[to_cluster]}


class Fence:
    """A move that stands between its two places until it goes on."""

    def __init__(self, fake, organization, **place):
        self._go_on, self._begun, self._place = threading.Event(), threading.Event(), place
        self._thread = threading.Thread(target=self._move, args=[fake, organization])
        self._thread.start()
        assert self._begun.wait(10)

    def _move(self, fake, organization):
        with fake.relocating(organization, **self._place):
            self._begun.set()
            assert self._go_on.wait(20)

    def go_on(self):
        self._go_on.set()
        self._thread.join()


@EACH_PAIR
@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_no_operation_notices_a_move_before_it(store, stored, fake, acme, elsewhere, name):
    store.insert_many(map(dict, FEW))
    expected = READS[name](store) if name in READS else None
    fake.relocate(acme, **elsewhere)
    if name in READS:
        assert READS[name](store) == expected
    else:
        WRITES[name](store)
        assert type(stored)(fake, acme).find() == AFTERWARDS[name]


class UndoneError(Exception):
    """Has a move undone."""


@contextmanager
def between(fake, organization):
    """The organization stands between two places; then the move is undone."""
    with suppress(UndoneError), fake.relocating(organization):
        yield
        raise UndoneError


@EACH_PAIR
@pytest.mark.parametrize("name", ["update_one", "bulk_write", "transaction", "find"])
def test_an_operation_that_meets_the_fence_goes_on_at_the_new_place(
    store, stored, fake, acme, elsewhere, name
):
    store.insert_many(map(dict, FEW))
    fence = Fence(fake, acme, **elsewhere)
    outcome = []
    working = threading.Thread(target=lambda: outcome.append({**WRITES, **READS}[name](store)))
    working.start()
    working.join(0.1)
    assert working.is_alive()
    fence.go_on()
    working.join()
    assert len(outcome) == 1
    expected = FEW if name in READS else AFTERWARDS[name]
    assert type(stored)(fake, acme).find() == expected


@EACH_PAIR
@pytest.mark.parametrize("name", VERBS)
def test_a_write_whose_answer_was_lost_is_executed_once_also_elsewhere(
    over_the_line, line, stored, fake, acme, elsewhere, name
):
    """Its try is repeated at the place that is left, by its number, before it goes on: also where
    that isn't there any more."""
    stored.insert_many(FEW)
    line.break_after(VERBS[name], lambda: fake.relocate(acme, **elsewhere))
    WRITES[name](over_the_line.by_id(acme))
    assert line.broken_at == [VERBS[name]]
    assert type(stored)(fake, acme).find() == AFTERWARDS[name]


@EACH_PAIR
@pytest.mark.parametrize("verb", ["update", "commitTransaction"])
def test_a_batch_whose_answer_was_lost_is_executed_once_also_elsewhere(
    over_the_line, line, stored, fake, acme, elsewhere, verb
):
    """The fence waits for a transaction that isn't decided, so the move follows that."""
    stored.insert_many(FEW)
    store = over_the_line.by_id(acme)
    store.find_one()
    moving = []

    def move():
        moving.append(threading.Thread(target=fake.relocate, args=[acme], kwargs=elsewhere))
        moving[0].start()

    line.break_after(verb, move)
    assert told(store.update_many({"n": 0}, {"$inc": {"n": 1}})) == (4, 4)
    moving[0].join()
    assert line.broken_at == [verb]
    assert type(stored)(fake, acme).find() == AFTERWARDS["update_many"]


SKIPPED = {"insert": 1, "update": 50, "delete": 50}
STOPPED = {
    "insert": "hangDuringBatchInsert",
    "update": "hangDuringBatchUpdate",
    "delete": "hangDuringBatchRemove",
}


@pytest.mark.parametrize(
    ("strategy", "to", "to_cluster"),
    [
        ("collection", "collection", "berlin"),
        ("collection", "collection", "main"),
        ("shared", "collection", "main"),
        ("collection", "shared", "berlin"),
    ],
)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("verb", STOPPED)
def test_what_a_fence_stopped_in_the_middle_goes_on_with_the_rest(
    store, stored, bare, fake, acme, elsewhere, verb, ordered
):
    """No statement is executed twice, and the result is that of all."""
    count = 200
    if verb != "insert":
        stored.insert_many({"_id": n, "n": 0} for n in range(count))
    requests = {
        "insert": [pymongo.InsertOne({"_id": n, "n": 1, "x": "x" * 4000}) for n in range(count)],
        "update": [
            *(pymongo.UpdateOne({"_id": n}, {"$inc": {"n": 1}}) for n in range(count)),
            pymongo.UpdateOne({"_id": "new"}, {"$inc": {"n": 1}}, upsert=True),
        ],
        "delete": [pymongo.DeleteOne({"_id": n}) for n in range(count)],
    }[verb]
    store.find_one()  # finds the pool, in which tests before this one were
    point, results = STOPPED[verb], []
    namespace = fake._found(acme).full_name
    mode, data = {"skip": SKIPPED[verb]}, {"nss": namespace, "namespace": namespace}
    counted = bare.admin.command({"configureFailPoint": point, "mode": mode, "data": data})
    writing = threading.Thread(
        target=lambda: results.append(store.bulk_write(requests, ordered=ordered))
    )
    writing.start()
    try:
        entered = {"timesEntered": counted["count"] + 1, "maxTimeMS": 10_000}
        bare.admin.command({"waitForFailPoint": point, **entered})
        with fake.relocating(acme, **elsewhere):
            # Those that are done are, and the others meet the fence.
            bare.admin.command({"configureFailPoint": point, "mode": "off"})
            writing.join(0.1)
            there = list(fake._found(acme).find())
            changed = sum(each["n"] == 1 for each in there)
            some = count - len(there) if verb == "delete" else changed
    finally:
        bare.admin.command({"configureFailPoint": point, "mode": "off"})
    writing.join()
    assert 0 < some < count
    expected = [{"_id": n, "n": 1} for n in range(count)] if verb != "delete" else []
    if verb == "update":
        expected.append({"_id": "new", "n": 1})
        assert results[0].upserted_ids == {count: "new"}
        assert results[0].modified_count == count
    if verb == "insert":
        assert results[0].inserted_count == count
    if verb == "delete":
        assert results[0].deleted_count == count
    found = type(stored)(fake, acme).find()
    assert [{"_id": each["_id"], "n": each["n"]} for each in found] == expected


def test_a_write_waits_no_longer_than_it_was_told_and_nothing_is_done(
    connect, stored, fake, acme, strategy
):
    store = connect(fake.uris, moving_seconds=0.3).by_id(acme)
    fresh = connect(fake.uris, moving_seconds=0.3).by_id(acme)
    store.insert_one({"_id": 0})
    with between(fake, acme):
        for each in (store, fresh):

            def attempt(each=each):
                begun = time.monotonic()
                with pytest.raises(errors.Moving, match="nothing was done"):
                    each.insert_one({"_id": 1})
                assert time.monotonic() - begun >= 0.3

            assert takes_less(1.5, attempt)
    assert ids(stored.find()) == [0]
    store.insert_one({"_id": 2})
    assert ids(stored.find()) == [0, 2]


def test_the_callers_own_time_ends_as_ever(store, fake, acme, strategy):
    store.find_one()
    with between(fake, acme):
        with pytest.raises(PyMongoError) as ended, pymongo.timeout(0.3):
            store.insert_one({})
        assert ended.value.timeout


@pytest.mark.parametrize("strategy", ["collection", "shared"])
def test_many_that_wait_share_few_reads_and_go_on_soon(store, fake, acme, stored, listener):
    store.insert_one({"_id": 0, "n": 0})
    fence, done = Fence(fake, acme, cluster="berlin"), []

    def write():
        done.append(store.update_one({"_id": 0}, {"$inc": {"n": 1}}))

    writing = [threading.Thread(target=write) for _ in range(100)]
    for each in writing:
        each.start()
    tried = None
    while tried != (tried := listener.names.count("update")):  # until all of them wait
        threading.Event().wait(0.2)
    before = len(listener.views)
    threading.Event().wait(0.5)
    # However many wait, one of them looks, every few hundredths of a second by then.
    assert 0 < len(listener.views) - before < 150
    assert done == []
    fence.go_on()
    for each in writing:
        each.join()
    assert type(stored)(fake, acme).find() == [{"_id": 0, "n": 100}]


def test_who_waits_looks_often_at_first():
    """A switch takes 20 to 80 ms, and waiting mustn't take twice as long."""
    passed, worst = 0.0, {}
    for pause in itertools.islice(library("fence").polls(), 100):
        if passed > 0:
            worst[passed] = pause / passed
        passed += pause
        assert pause <= 0.1
    assert all(share <= 0.25 for at, share in worst.items() if at >= 0.02)


@EACH_PAIR
def test_a_result_goes_on_behind_the_last_document_at_the_new_place(store, fake, acme, elsewhere):
    store.insert_many({"_id": n, "n": -n} for n in range(50))
    found = store.find(batch_size=10)
    first = next(found)
    lost = store.find(sort="n", batch_size=10)
    next(lost)
    fake.relocate(acme, **elsewhere)
    assert ids([first, *found]) == [*range(50)]
    with pytest.raises(errors.CursorLost, match="moved"):
        lost.to_list()


def test_a_write_stopped_in_the_middle_says_how_much_is_done_where_it_cant_go_on(
    connect, stored, bare, fake, acme
):
    store = connect(fake.uris, moving_seconds=0.2).by_id(acme)
    store.find_one()
    point, outcome = "hangDuringBatchInsert", []

    def insert():
        with pytest.raises(errors.PartialWrite) as stopped:
            store.insert_many({"_id": n, "x": "x" * 4000} for n in range(200))
        outcome.append((stopped.value.done, type(stopped.value.__cause__)))

    counted = bare.admin.command({"configureFailPoint": point, "mode": {"skip": 1}})
    writing = threading.Thread(target=insert)
    writing.start()
    try:
        entered = {"timesEntered": counted["count"] + 1, "maxTimeMS": 10_000}
        bare.admin.command({"waitForFailPoint": point, **entered})
        with between(fake, acme):
            bare.admin.command({"configureFailPoint": point, "mode": "off"})
            writing.join()
    finally:
        bare.admin.command({"configureFailPoint": point, "mode": "off"})
    assert outcome == [(len(stored.find()), errors.Moving)]


def test_a_cluster_without_a_uri_is_told_and_nothing_is_written(connect, fake, acme, stored):
    store = connect(fake.uri).by_id(acme)
    store.insert_one({"_id": 0})
    fake.relocate(acme, cluster="berlin")
    with pytest.raises(errors.UnknownCluster, match="berlin"):
        store.insert_one({"_id": 1})
    assert ids(type(stored)(fake, acme).find()) == [0]


def test_moves_there_and_back_again_are_followed(tenants, store, fake, acme):
    """Also by who slept through some of them, and by its slug."""
    by_slug, sleeper = tenants["acme"], tenants.by_id(acme)
    sleeper.find_one()
    for n, place in enumerate(
        [("shared", "main"), ("database", "berlin"), ("shared", "main"), ("collection", "main")]
    ):
        fake.relocate(acme, *place, pool=ELSEWHERE[place[1]])
        store.insert_one({"_id": n})
        by_slug.update_one({"_id": n}, {"$set": {"seen": True}})
    sleeper.insert_one({"_id": "awake"})
    assert ids(store.find({"seen": True})) == [0, 1, 2, 3]
    assert store.count_documents({}) == 5


def test_one_that_leaves_a_pool_leaves_its_neighbours_alone(tenants, fake):
    leaving, staying = (tenants.by_id(fake.create(each, "shared")) for each in ("a", "b"))
    for each in (leaving, staying):
        each.insert_one({"_id": 1, "of": str(each.id)})
    with fake.relocating(leaving.id):
        staying.update_one({"_id": 1}, {"$set": {"n": 1}})
    assert leaving.find_one() == {"_id": 1, "of": str(leaving.id)}
    assert staying.find_one() == {"_id": 1, "of": str(staying.id), "n": 1}


@pytest.mark.parametrize("strategy", ["shared"])
def test_a_library_that_doesnt_know_of_moves_writes_nothing_into_the_pool(
    connect, fake, acme, stored
):
    """The directory tells it a state that it doesn't know."""
    fake.update(acme, state="leaving")
    with pytest.raises(errors.UnknownState, match="update portal-tenants"):
        connect(fake.uri).by_id(acme).insert_one({})
    assert stored.find() == []


def changes_of(stream, count):
    found = []
    while len(found) < count:
        if (change := stream.try_next()) is not None:
            found.append((change["operationType"], change["documentKey"]["_id"]))
    return found


@EACH_PAIR
def test_a_stream_goes_on_through_a_move_and_repeats_nothing(store, fake, acme, elsewhere, quick):
    """What the move writes is nobody's change, and what was written before it is still told."""
    store.insert_many({"_id": n} for n in range(3))
    with store.watch(**quick) as stream:
        store.insert_one({"_id": "before"})
        store.delete_one({"_id": 0})
        with fake.relocating(acme, **elsewhere):
            assert changes_of(stream, 1) == [("insert", "before")]
        store.update_one({"_id": 1}, {"$set": {"n": 1}})
        fake.rename(acme, "other")
        store.insert_one({"_id": "after"})
        told = [("delete", 0), ("update", 1), ("insert", "after")]
        assert changes_of(stream, 3) == told
        for _ in range(3):
            assert stream.try_next() is None
        store.insert_one({"_id": "later"})
        assert changes_of(stream, 1) == [("insert", "later")]
        token = stream.resume_token
    store.insert_one({"_id": "unseen"})
    with store.watch(start_after=token, **quick) as stream:
        assert changes_of(stream, 1) == [("insert", "unseen")]


@EACH_PAIR
def test_a_pipeline_that_leaves_out_all_else_ends_no_stream(store, fake, acme, elsewhere, quick):
    with store.watch([{"$match": {"operationType": "delete"}}], **quick) as stream:
        store.insert_one({"_id": 1})
        fake.relocate(acme, **elsewhere)
        store.delete_one({"_id": 1})
        assert changes_of(stream, 1) == [("delete", 1)]


def test_changes_that_would_be_left_out_are_told_as_lost(store, fake, acme, quick, strategy):
    with store.watch(**quick) as stream:
        store.insert_one({"_id": 1})
        assert changes_of(stream, 1) == [("insert", 1)]
        token = stream.resume_token
        for cluster in ("berlin", "main"):
            fake.relocate(acme, cluster=cluster)
        with pytest.raises(errors.ChangesLost, match="more than once"):
            changes_of(stream, 1)
        assert not stream.alive
    for before in (
        {"start_after": token},
        {"resume_after": {"_data": token["_data"]}},
        {"start_at_operation_time": fake.entry(acme)["placement"]["moved_at"].__class__(1, 1)},
    ):
        with pytest.raises(errors.ChangesLost, match="before its move"):
            store.watch(**before, **quick)
    with store.watch(**quick) as stream:
        token = stream.resume_token
    fake.relocate(acme, cluster="berlin")
    with pytest.raises(errors.ChangesLost):
        store.watch(start_after=token)
    assert store.watch().close() is None


def test_a_stream_of_many_goes_on_in_their_database_and_tells_who_left_it(tenants, fake, quick):
    pool, own = (tenants.by_id(fake.create(*each)) for each in (("a", "shared"), ("b",)))
    third = tenants.by_id(fake.create("c"))
    with tenants.watch([pool, own, third], **quick) as stream:

        def told(count):
            found = []
            while len(found) < count:
                if (change := stream.try_next()) is not None:
                    found.append((change[0], change[1]["documentKey"]["_id"]))
            return sorted(found, key=str)

        for each in (pool, own):
            each.insert_one({"_id": 1})
        fake.relocate(pool.id)
        fake.relocate(own.id, "shared", pool=2)
        for each in (pool, own, third):
            each.insert_one({"_id": 2})
        expected = [(pool.id, 1), (own.id, 1), *((each.id, 2) for each in (pool, own, third))]
        assert told(5) == sorted(expected, key=str)
        own.insert_one({"_id": 3})
        fake.relocate(third.id, cluster="berlin")
        with pytest.raises(errors.ChangesLost, match=str(third.id)):
            told(2)
        token = stream.resume_token
    with tenants.watch([pool, own], start_after=token, **quick) as stream:
        own.insert_one({"_id": 4})
        assert told(1)[-1][0] == own.id


def test_a_stream_to_a_cluster_without_a_uri_says_so(connect, fake, acme, quick):
    store = connect(fake.uri).by_id(acme)
    with store.watch(**quick) as stream:
        fake.relocate(acme, cluster="berlin")
        with pytest.raises(errors.UnknownCluster, match="berlin"):
            changes_of(stream, 1)
        assert not stream.alive


def test_moves_that_follow_each_other_closely_leave_nobody_waiting(store, fake, acme, strategy):
    """Who still waits for one is told of the next, and nobody until some time is over: all go on
    once the last has ended."""
    store.insert_one({"_id": 0, "n": 0})
    stopped, written = threading.Event(), []

    def write():
        while not stopped.is_set():
            store.update_one({"_id": 0}, {"$inc": {"n": 1}})
            written.append(1)

    with ThreadPoolExecutor(8) as threads:
        writing = [threads.submit(write) for _ in range(8)]
        try:
            for n in range(10):
                fake.relocate(acme, cluster=CLUSTERS[n % 2])
        finally:
            stopped.set()
        for each in writing:
            each.result(60)
    assert store.find_one() == {"_id": 0, "n": len(written)}


def test_those_who_wait_hold_no_connection_that_others_need(connect, fake, acme, strategy):
    tenants = connect(fake.uris, maxPoolSize=2)
    store, other = tenants.by_id(acme), tenants.by_id(fake.create("other"))
    for each in (store, other):
        each.find_one()
    fence = Fence(fake, acme, cluster="berlin")
    with ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(store.insert_one, {"_id": n}) for n in range(20)]
        try:
            with pymongo.timeout(30):
                for n in range(20):
                    other.insert_one({"_id": n})
            assert not any(each.done() for each in waiting)
        finally:
            fence.go_on()
        for each in waiting:
            each.result(60)
    assert store.count_documents({}) == other.count_documents({}) == 20


def test_a_write_of_which_nothing_can_be_learned_is_told_and_not_guessed(
    real_limits, over_the_line, line, stored, fake, acme, strategy
):
    """Its answer is lost, the place that is left can't be asked any more, and it was done."""
    stored.insert_many(FEW)
    store = over_the_line.by_id(acme)
    store.find_one()

    def move_and_cut():
        fake.relocate(acme, cluster="berlin")
        line.listener.close()

    line.break_after("update", move_and_cut)
    with pytest.raises(PyMongoError), pymongo.timeout(1):
        store.update_one({"_id": 1}, {"$inc": {"n": 1}})
    assert type(stored)(fake, acme).find() == AFTERWARDS["update_one"]


@own_collection
@pytest.mark.parametrize("new_strategy", ["collection", "shared"])  # builds it, refuses it
def test_an_index_is_built_at_the_new_place_if_there_may_be_one(store, fake, acme, new_strategy):
    store.create_index("a")
    fence, outcome = Fence(fake, acme, strategy=new_strategy, cluster="berlin", pool=3), []

    def build():
        try:
            outcome.append(store.create_index("b"))
        except errors.NeedsOwnPlacement as refused:
            outcome.append(type(refused))

    building = threading.Thread(target=build)
    building.start()
    building.join(0.1)
    assert building.is_alive()
    fence.go_on()
    building.join()
    if new_strategy == "shared":
        assert outcome == [errors.NeedsOwnPlacement]
    else:
        assert outcome == ["b_1"]
        assert {"_id_", "a_1", "b_1"} == set(store.index_information())


@pytest.mark.parametrize("strategy", ["shared"])
def test_a_stream_that_hears_of_a_move_late_tells_what_was_written_there(store, fake, acme, quick):
    """The server's token is beyond that by then, since nothing happens at the former place."""
    with store.watch(**quick) as stream:
        fake.relocate(acme)
        store.insert_one({"_id": 1})
        assert changes_of(stream, 1) == [("insert", 1)]

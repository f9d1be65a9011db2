"""Batches at a move's target, and who may write them."""

from threading import Thread

import bson
import pytest
from bson import ObjectId

from portal.tenants.moving.errors import DocumentTooLarge, Overtaken, PlaceGone
from portal.tenants.moving.places import Place
from portal.tenants.moving.writing import Target
from tests.tenants.moving.contents import an_id, documents, encoded, of_size
from tests.tenants.moving.test_places import all_of

STRATEGIES = ["collection", "shared"]
MAX_BYTES = 16 * 1024 * 1024


@pytest.fixture
def a_target():
    """A target of a move that its first attempt has taken over."""

    def make(place, attempt=1, move=None):
        target = Target(place, move or ObjectId(), attempt)
        target.take_over()
        return target

    return make


def contents(place):
    return [bson.decode(each) for each in all_of(place).values()]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "batch",
    [
        lambda target: target.replace((), [encoded({"_id": 2})]),
        lambda target: target.replace([an_id(1)], [encoded({"_id": 1, "stale": True})]),
        lambda target: target.delete([an_id(1)]),
        lambda target: list(target.clear()),
    ],
    ids=["copy", "apply", "delete", "clear"],
)
def test_a_batch_of_who_slept_while_another_took_over_is_refused(
    a_place, a_target, strategy, batch
):
    place, move = a_place(strategy), ObjectId()
    sleeping = a_target(place, 1, move)
    assert sleeping.replace((), [encoded({"_id": 1})])
    a_target(place, 2, move)
    with pytest.raises(Overtaken):
        batch(sleeping)
    assert contents(place) == [{"_id": 1}]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_take_over_waits_for_the_batch_in_hand_or_has_it_refused(
    a_place, a_target, monkeypatch, strategy
):
    place, move, taken_over = a_place(strategy), ObjectId(), []
    first, send = a_target(place, 1, move), Place.send

    def take_over():
        taken_over.append(a_target(place, 2, move))

    def sleep_before(self, verb, *arguments):
        if not taken_over and verb == "insert":
            monkeypatch.setattr(Place, "send", send)
            overtaking.start()
            overtaking.join(0.2)  # it waits for the transaction that has changed the token
            assert not taken_over
        return send(self, verb, *arguments)

    overtaking = Thread(target=take_over)
    monkeypatch.setattr(Place, "send", sleep_before)
    first.replace((), [encoded({"_id": 1})])
    overtaking.join()
    assert contents(place) == [{"_id": 1}]
    with pytest.raises(Overtaken):
        first.replace((), [encoded({"_id": 2})])


def test_who_takes_over_late_is_told_so(a_place, a_target):
    place, move = a_place("collection"), ObjectId()
    a_target(place, 3, move)
    a_target(place, 3, move)  # once more is as good
    with pytest.raises(Overtaken):
        a_target(place, 2, move)


def test_a_move_that_has_ended_refuses_everybody(a_place, a_target):
    place, move = a_place("collection"), ObjectId()
    target = a_target(place, 1, move)
    target.forget_token()
    target.forget_token()
    for attempt in (1, 2, 1000):
        with pytest.raises(Overtaken):
            a_target(place, attempt, move)
        with pytest.raises(Overtaken):
            Target(place, move, attempt).delete([an_id(1)])
    with pytest.raises(Overtaken):
        Target(place, ObjectId(), 1).delete([an_id(1)])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_batch_is_written_whole_or_not_at_all(a_place, a_target, strategy):
    place = a_place(strategy)
    target = a_target(place)
    assert target.replace((), [encoded({"_id": 1})])
    assert (
        target.replace((), [encoded({"_id": 0}), encoded({"_id": 1}), encoded({"_id": 2})]) is False
    )
    assert target.replace([an_id(1)], [encoded({"_id": 0}), encoded({"_id": 0})]) is False
    assert contents(place) == [{"_id": 1}]


def test_a_unique_key_of_another_document_is_told(a_place, a_target):
    place = a_place("collection")
    place.database[place.name].create_index("key", unique=True)
    target = a_target(place)
    assert target.replace((), [encoded({"_id": 1, "key": 1})])
    assert target.replace([an_id(2)], [encoded({"_id": 2, "key": 1})]) is False
    assert target.replace([an_id(1), an_id(2)], [encoded({"_id": 2, "key": 1})])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_target_is_cleared_behind_an_id_and_no_neighbour_is_touched(a_place, a_target, strategy):
    place = a_place(strategy)
    target, given = a_target(place), documents()
    target.replace((), list(given.values()))
    order = list(all_of(place))
    assert sum(target.clear(order[9])) == len(order) - 10
    assert list(all_of(place)) == order[:10]
    assert sum(target.clear()) == 10
    assert place.database[place.name].count_documents({}) == int(place.shared)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_target_that_was_renamed_is_written_and_one_that_is_gone_is_told(
    a_place, a_target, strategy
):
    place = a_place(strategy)
    target = a_target(place)
    place.database[place.name].rename("shared_1_2")
    assert target.replace((), [encoded({"_id": 1})])
    assert contents(place) == [{"_id": 1}]
    assert place.database.list_collection_names() == ["shared_1_2"]
    place.database.shared_1_2.drop()
    with pytest.raises(PlaceGone):
        target.delete([an_id(1)])


def test_documents_of_16_mb_arrive_and_those_that_a_pool_has_no_room_for_are_told(
    a_place, a_target
):
    own, pool, whole = a_place("collection"), a_place("shared"), of_size(1, MAX_BYTES)
    assert a_target(own).replace((), [whole, of_size(2, MAX_BYTES)])
    assert all_of(own, 2)[an_id(1)] == whole
    assert a_target(pool).replace((), [of_size(1, MAX_BYTES - 23)])
    with pytest.raises(DocumentTooLarge) as told:
        a_target(pool).replace((), [whole])
    assert told.value.id == an_id(1)

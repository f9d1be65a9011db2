"""The state of an organization in a job is written by whoever began it last."""

import pytest
from bson import ObjectId

from portal.documents.jobs import ItemState
from portal.jobs.items import Items
from tests.processes import at_once

DONE, FAILED, RUNNING = ItemState.DONE, ItemState.FAILED, ItemState.RUNNING


@pytest.fixture
def items(app):
    return Items("count", "sheep")


def begin(items, organization, attempt):
    return items.begin(organization, attempt, 0, "collection")


def test_who_was_overtaken_writes_no_state(items):
    organization = ObjectId()
    assert begin(items, organization, 1)
    assert begin(items, organization, 2)
    assert not items.end(organization, 1, DONE)
    assert not begin(items, organization, 1)
    items.give_up(organization, 1)
    [item] = items.in_state(RUNNING)
    assert item.attempt == 2
    assert items.end(organization, 2, DONE)


def test_of_two_that_begin_at_once_one_does(items):
    organization = ObjectId()
    assert sorted(at_once([lambda: begin(items, organization, 1)] * 4)) == [False] * 3 + [True]


def test_what_is_done_is_not_begun_again_and_what_failed_is(items):
    done, failed = ObjectId(), ObjectId()
    for one, state in ((done, DONE), (failed, FAILED)):
        begin(items, one, 1)
        items.end(one, 1, state, "a reason" if state == FAILED else None)
    assert not begin(items, done, 2)
    assert begin(items, failed, 2)
    [item] = items.in_state(RUNNING)
    assert (item.organization, item.reason) == (failed, None)


def test_what_is_given_up_counts_as_never_begun(items):
    organization = ObjectId()
    begin(items, organization, 1)
    items.give_up(organization, 1)
    assert items.between(organization, organization) == {}


def test_states_are_of_one_subject(items):
    organization = ObjectId()
    begin(items, organization, 1)
    assert begin(Items("count", "goats"), organization, 1)
    assert items.counts() == {0: {RUNNING: 1}}
    assert items.counts(after_attempt=1) == {}

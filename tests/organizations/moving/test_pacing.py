"""A copy, and a comparison, that is limited by what its neighbours feel."""

from types import SimpleNamespace

import pytest

from portal.documents.organizations import Strategy
from portal.organizations.moving import pacing
from portal.organizations.moving.options import Throttle
from portal.organizations.moving.pacing import FIRST, Pace
from tests.factories import an_organization
from tests.organizations.moving.carrying import begin

LIMIT_MS = 100


@pytest.fixture
def pace(app, monkeypatch):
    """Of a copy beside a neighbour, who is looked at whenever the pace is asked for."""
    monkeypatch.setattr(pacing, "LOOK_SECONDS", -1)
    an_organization("Globex")
    acme = an_organization("Acme Corp")
    throttle = Throttle(neighbours_p99_ms=LIMIT_MS)
    return Pace(SimpleNamespace(move=begin(acme, Strategy.DATABASE, throttle=throttle)))


@pytest.fixture
def slow(admin):
    """Has one read of those that come take longer than the limit."""

    def once():
        slowly = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 2 * LIMIT_MS}
        # The first one reads the throttle.
        admin.admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data=slowly)

    yield once
    admin.admin.command("configureFailPoint", "failCommand", mode="off")


def test_it_begins_slowly_and_is_faster_while_they_feel_nothing(pace, monkeypatch):
    monkeypatch.setattr(pacing.Neighbours, "look", lambda self: LIMIT_MS / 2)
    rates = [pace.documents_per_second() for _ in range(5)]
    assert rates == sorted(rates)
    assert FIRST < rates[0] < rates[-1]


def test_it_stays_below_the_limit_where_they_feel_more_the_faster_it_is(pace, monkeypatch):
    rates = [FIRST]
    monkeypatch.setattr(pacing.Neighbours, "look", lambda self: rates[-1] / 50)
    for _ in range(50):
        rates.append(pace.documents_per_second())
    assert max(rates) / 50 < LIMIT_MS
    assert rates[-1] / 50 > 0.8 * LIMIT_MS


def test_it_is_slower_once_one_of_their_reads_takes_longer(pace, slow):
    before = pace.documents_per_second()
    slow()
    assert pace.documents_per_second() < before

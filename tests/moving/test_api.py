"""A move as programs see it, and what owners ask for by a program."""

from datetime import timedelta

import pytest

from portal import clock
from portal.clusters import managing as clusters
from portal.clusters.managing import Changes
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization
from portal.placement import policies
from portal.web.context import RequestContext
from tests.factories import a_key
from tests.moving.records import a_move, a_way_back
from tests.program import Program, fault

HERE = "/org/acme-corp/move"
A_DAY = (clock.now() + timedelta(days=9)).date().isoformat()


@pytest.fixture
def acme(owner):
    return Organization.objects.get(slug="acme-corp")


@pytest.fixture
def offered(europe):
    """The region eu-central is offered to owners."""
    clusters.change_cluster("europe", Changes(region="eu-central"), RequestContext())
    text = policies.DEFAULT.replace(
        '# offered_regions = ["eu-central"]', 'offered_regions = ["eu-central"]'
    )
    policies.set_policy(text, 0, {"main", "europe"}, RequestContext())


def test_it_says_how_far_a_move_is(owner, acme):
    assert owner.get(HERE).json["move"] is None
    move = a_move(acme)
    told = owner.get(HERE).json["move"]
    assert told["id"] == str(move.id)
    assert (told["state"], told["documents"], told["copied"], told["dirty"]) == (
        "copying",
        4000,
        2440,
        38,
    )
    assert told["source"] == {"strategy": "collection", "cluster": "main"}
    assert told["target"] == {"strategy": "collection", "cluster": "europe"}
    assert told["seconds_left"] == pytest.approx(2.6)
    assert told["way_back"] is None
    assert owner.get(f"/org/by-id/{acme.id}/move").json["move"]["id"] == str(move.id)


def test_a_key_that_sees_the_organization_sees_the_way_back(owner, acme):
    way_back = a_way_back(acme)
    program = Program(owner.client.application, a_key(acme))
    told = program.get(HERE).json["move"]
    assert (told["state"], told["outcome"], told["pause_ms"]) == ("done", "moved", 34.2)
    assert told["id"] == str(way_back.way_back_of)
    assert told["way_back"]["until"].startswith(f"{way_back.until:%Y-%m-%d}")
    assert told["way_back"]["going_back"] is False
    assert fault(program.post(HERE, {"region": "eu-central", "day": A_DAY}))[0] == 403


def test_an_owner_asks_for_a_region_that_is_offered(owner, acme, offered, master_db):
    body, keyed = {"region": "eu-central", "day": A_DAY}, {"Idempotency-Key": "a-move-to-eu"}
    asked = owner.post(HERE, body, headers=keyed)
    assert asked.status_code == 201, asked.json
    told = asked.json["move"]
    assert (told["state"], told["target"]["cluster"]) == ("requested", "europe")
    assert told["requested_for"].startswith(A_DAY)
    again = owner.post(HERE, body, headers=keyed)
    assert (again.status_code, again.json["move"]["id"]) == (201, told["id"])
    master_db.request_keys.update_many({}, {"$unset": {"answer": 1}})  # lost
    assert owner.post(HERE, body, headers=keyed).json["move"]["id"] == told["id"]
    assert Move.objects.count() == 1
    assert fault(owner.post(HERE, body))[:2] == (409, "move_open")
    assert Move.objects.get().state == MoveState.REQUESTED


def test_what_is_not_offered_is_refused(owner, acme, offered):
    for body, status, code in (
        ({"region": "us-east", "day": A_DAY}, 409, "moves_not_offered"),
        ({"region": "eu-central", "day": "2020-01-01"}, 422, "invalid_day"),
        ({"region": "eu-central", "day": "2999-01-01"}, 422, "invalid_day"),
        ({"region": "eu-central", "day": "soon"}, 422, "invalid_input"),
        ({"region": "eu-central"}, 422, "invalid_input"),
    ):
        assert fault(owner.post(HERE, body))[:2] == (status, code), body
    assert not Move.objects

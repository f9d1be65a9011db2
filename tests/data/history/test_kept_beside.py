"""What is kept beside documents goes where they go, and ends with them."""

from datetime import timedelta

import bson
import pytest

from portal.database import kept_beside
from portal.database.connection import server_time
from portal.documents.moves import Outcome
from portal.documents.organizations import Strategy
from portal.organizations.lifecycle import moves
from portal.organizations.lifecycle.trashing import purge_organization
from portal.organizations.moving import ending
from portal.organizations.moving.kept_beside import KEPT_BESIDE, ROWS, delete_strays
from portal.organizations.moving.managing import abort_move
from portal.settings import current
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.parts import Phase, Sides, run
from portal.tenants.moving.places import Place
from portal.tenants.moving.writing import TOKENS
from portal.tenants.placements import COLLECTION as OWN
from tests.clusters.conftest import europe  # noqa: F401
from tests.data.history.conftest import Desk
from tests.factories import a_context, an_organization, fresh
from tests.organizations.moving import carrying

ATTEMPT = 3


@pytest.fixture
def sides(acme, admin):
    """A source, and a target whose cluster is another one as far as rows know."""
    tenants, name = admin[current().tenant_db], current().tenant_db

    def place(internal):
        uuid, collection = acme.placement.uuid, acme.placement.collection
        return Place(acme.id, OWN, tenants, admin[internal], uuid, collection)

    made = Sides(
        place(f"{name}_internal"), place(f"{name}_reports"), acme.id, ATTEMPT, lambda ids: None
    )
    made.target.internal[TOKENS].insert_one({"_id": acme.id, "attempt": ATTEMPT})
    return made


def copy(sides):
    return ROWS.copy(sides.source, sides.target, sides.move, ATTEMPT)


def test_rows_travel_and_later_only_what_was_changed_since(sides, desk):
    Desk(an_organization("Other", None)).insert({"_id": 1})
    inserted = desk.insert({"_id": 1, "data": "a" * 9_000_000}, {"_id": 2})
    changed = desk.replace({"_id": 1})
    rows = 2 + 1 + 2
    assert copy(sides) == rows
    assert copy(sides) == 0
    desk.undo(changed)
    assert KEPT_BESIDE.check(sides) == ["3 rows of edits and files"]
    assert copy(sides) == 3
    assert KEPT_BESIDE.check(sides) == []
    images = sides.source.internal[kept_beside.BEFORE_IMAGES]
    images.delete_many({"_id.e": inserted.id})
    assert delete_strays(sides.source, sides.target, sides.move, ATTEMPT) == 1
    for name in (kept_beside.EDITS, kept_beside.BEFORE_IMAGES):
        there = list(sides.target.internal[name].find().sort("_id", 1))
        assert there == desk.rows(name)


def test_those_of_a_cluster_whose_clock_is_ahead_hide_none_that_come_later(sides, desk):
    """As where the organization came from such a cluster a moment ago, by two minutes."""
    desk.insert({"_id": 1})
    ahead = server_time() + timedelta(minutes=2)
    for name in (kept_beside.EDITS, kept_beside.BEFORE_IMAGES):
        sides.source.internal[name].update_many({}, {"$set": {"changed": ahead}})
    assert copy(sides) == 2
    assert copy(sides) == 0
    desk.insert({"_id": 2})
    run(Phase.AFTER_FENCE, [KEPT_BESIDE], sides)
    assert KEPT_BESIDE.check(sides) == []


def test_who_was_overtaken_copies_nothing(sides, desk):
    desk.insert({"_id": 1})
    sides.target.internal[TOKENS].update_one({}, {"$set": {"attempt": ATTEMPT + 1}})
    with pytest.raises(Overtaken):
        run(Phase.BEFORE_READY, [KEPT_BESIDE], sides)
    assert sides.target.internal[kept_beside.EDITS].count_documents({}) == 0


def test_who_was_overtaken_deletes_nothing(sides, desk):
    """It sleeps over a switch, and somebody makes the like again at the new place."""
    desk.insert({"_id": 1})
    copy(sides)
    sides.source.internal[kept_beside.EDITS].delete_many({})
    sides.target.internal[TOKENS].update_one({}, {"$set": {"attempt": ATTEMPT + 1}})
    with pytest.raises(Overtaken):
        delete_strays(sides.source, sides.target, sides.move, ATTEMPT)
    assert sides.target.internal[kept_beside.EDITS].count_documents({}) == 1


def test_a_file_that_is_deleted_right_before_the_fence_does_not_come_back(sides, acme):
    names = (kept_beside.FILES, kept_beside.FILE_CHUNKS)
    for name in names:
        sides.source.internal[name].insert_many(
            {"_id": {"o": acme.id, "f": number}, "changed": server_time()} for number in range(2)
        )
    run(Phase.BEFORE_READY, [KEPT_BESIDE], sides)
    for name in names:
        sides.source.internal[name].delete_one({"_id.f": 1})
    run(Phase.AFTER_FENCE, [KEPT_BESIDE], sides)
    for name in names:
        assert sides.target.internal[name].distinct("_id.f") == [0]


def test_the_time_of_rows_is_the_servers(desk):
    desk.insert({"_id": 1})
    [row] = desk.rows("before_images")
    assert abs((server_time() - row["changed"]).total_seconds()) < 15


def test_an_edit_is_undone_in_another_cluster_and_nothing_stays_behind(app, desk, europe):  # noqa: F811
    desk.insert({"_id": 1, "n": 1})
    changed = desk.replace({"_id": 1, "n": 2})
    carrying.move(desk.organization, Strategy.DATABASE, "europe")
    desk = Desk(fresh(desk.organization))
    assert desk.organization.placement.cluster == "europe"
    desk.undo(changed)
    assert [bson.decode(each)["n"] for each in desk.stored().values()] == [1]
    assert len(desk.rows("edits")) == 3


def test_who_slept_over_the_end_of_a_move_leaves_nothing_behind(app, desk, europe, monkeypatch):  # noqa: F811
    desk.insert({"_id": 1})
    desk.replace({"_id": 1, "n": 2})
    asleep = carrying.a_ready_move(desk.organization, Strategy.DATABASE, "europe")
    sides = [moves.place_of(asleep.organization, each) for each in (asleep.source, asleep.target)]
    delete_all, woken = ending.delete_all, []

    def and_the_sleeper_wakes(*arguments):
        yield from delete_all(*arguments)
        with pytest.raises(Overtaken):
            ROWS.copy(*sides, asleep.id, asleep.attempt)
        woken.append(True)

    monkeypatch.setattr(ending, "delete_all", and_the_sleeper_wakes)
    abort_move(str(asleep.id), None, a_context())
    carrying.run_due_movers()
    assert woken
    assert carrying.now(asleep).outcome == Outcome.ABORTED
    for name in kept_beside.COLLECTIONS:
        assert kept_beside.rows_of("europe", name).count_documents({}) == 0


@pytest.mark.parametrize("strategy", Strategy)
def test_it_ends_with_the_organization_and_no_other(app, strategy):
    desk, other = (Desk(an_organization(name, None, strategy)) for name in ("Acme", "Globex"))
    for each in (desk, other):
        each.insert({"_id": 1})
        each.delete(1)
    purge_organization(fresh(desk.organization), None, a_context())
    assert desk.rows("edits") == desk.rows("before_images") == []
    other.undo(other.latest())
    assert len(other.stored()) == 1

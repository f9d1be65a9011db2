"""All that travels is one tuple of parts, and each tells whether it has arrived."""

import bson
import pytest
from bson import ObjectId
from pymongo import IndexModel

from portal.tenants.moving.errors import StructureChanged, StructureUnfit
from portal.tenants.moving.parts import PARTS, Phase, Sides, run
from portal.tenants.moving.places import read_ids
from portal.tenants.moving.writing import Target
from portal.tenants.placements import COLLECTION, DATABASE, SHARED
from tests.tenants.moving.contents import an_id

VALIDATOR = {"$jsonSchema": {"required": ["name"]}}


@pytest.fixture
def sides(a_place, admin):
    """Makes the sides of a move, and the collections as applications see them."""

    def make(source, target):
        made = Sides(a_place(source), a_place(target), ObjectId(), 1, lambda ids: None)
        both = (made.source, made.target)
        return made, *(admin[place.database.name][place.name] for place in both)

    return make


def not_arrived(sides):
    sides.forget()
    return {part.name for part in PARTS if part.check(sides)}


def copy(sides, *ids):
    """Copy documents as a mover does."""
    target = Target(sides.target, sides.move, sides.attempt)
    target.take_over()
    assert target.replace((), list(read_ids(sides.source, ids).values()))


@pytest.mark.parametrize(
    ("source", "target"), [(COLLECTION, DATABASE), (DATABASE, COLLECTION), (COLLECTION, COLLECTION)]
)
def test_all_has_arrived_after_the_phases_of_a_move(sides, source, target):
    both, old, new = sides(source, target)
    old.insert_one({"_id": 1, "written": "before there was a validator"})
    old.create_indexes([IndexModel("key", unique=True), IndexModel("at", expireAfterSeconds=60)])
    old.database.command("collMod", old.name, validator=VALIDATOR)
    assert not_arrived(both) == {"documents", "indexes and options", "expiry", "validator"}
    run(Phase.PREPARE, PARTS, both)
    copy(both, an_id(1))
    run(Phase.BEFORE_READY, PARTS, both)
    assert "validator" not in new.options()
    assert new.index_information()["at_1"]["expireAfterSeconds"] > 10**9
    run(Phase.AFTER_FENCE, PARTS, both)
    assert not_arrived(both) == set()
    assert new.options()["validator"] == VALIDATOR
    # Twice is once; and where the source got its name back, all is as it was before the fence.
    run(Phase.AFTER_FENCE, PARTS, both)
    run(Phase.UNDO, PARTS, both)
    assert not new.options().get("validator")
    assert new.index_information()["at_1"]["expireAfterSeconds"] > 10**9
    run(Phase.AFTER_FENCE, PARTS, both)
    assert not_arrived(both) == set()


def test_an_old_copy_neither_checks_nor_expires_what_follows_from_the_new_place(sides):
    """As a way back begins: its source is the new place, and its target the old copy."""
    both, new, old = sides(COLLECTION, COLLECTION)
    for each in (new, old):
        each.create_index("at", expireAfterSeconds=60)
        each.database.command("collMod", each.name, validator=VALIDATOR)
    new.database.command("collMod", new.name, validator={}, validationLevel="off")
    new.database.command("collMod", new.name, index={"name": "at_1", "expireAfterSeconds": 120})
    run(Phase.PREPARE, PARTS, both)
    new.insert_one({"_id": 1, "without": "what the old validator wants"})
    copy(both, an_id(1))
    assert old.index_information()["at_1"]["expireAfterSeconds"] > 10**9
    run(Phase.BEFORE_READY, PARTS, both)
    run(Phase.AFTER_FENCE, PARTS, both)
    assert not_arrived(both) == set()


@pytest.mark.parametrize(("source", "target"), [(COLLECTION, SHARED), (SHARED, COLLECTION)])
def test_a_shared_side_has_nothing_but_documents(sides, source, target):
    both, *_ = sides(source, target)
    writing = Target(both.source, both.move, 1)
    writing.take_over()
    writing.replace((), [bson.encode({"_id": 1, "a": 1})])
    assert not_arrived(both) == {"documents"}
    copy(both, an_id(1))
    for phase in (Phase.PREPARE, Phase.BEFORE_READY, Phase.AFTER_FENCE, Phase.UNDO):
        run(phase, PARTS, both)
    assert not_arrived(both) == set()


def test_an_index_that_is_made_at_the_last_moment_is_no_part_of_the_switch(sides):
    both, old, _ = sides(COLLECTION, COLLECTION)
    run(Phase.BEFORE_READY, PARTS, both)
    old.create_index("key")
    with pytest.raises(StructureChanged, match="index key_1"):
        run(Phase.AFTER_FENCE, PARTS, both)
    run(Phase.BEFORE_READY, PARTS, both)
    run(Phase.AFTER_FENCE, PARTS, both)


def test_an_index_that_is_made_meanwhile_can_not_come_along_into_a_shared_collection(sides):
    both, old, _ = sides(COLLECTION, SHARED)
    run(Phase.PREPARE, PARTS, both)
    old.create_index("key")
    for phase in (Phase.BEFORE_READY, Phase.AFTER_FENCE):
        with pytest.raises(StructureUnfit, match="indexes of its own"):
            run(phase, PARTS, both)

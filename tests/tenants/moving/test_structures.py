"""What collections are like travels: each option, and indexes by all of theirs."""

import threading
from datetime import UTC, datetime

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo import IndexModel

from portal.database.connection import client
from portal.database.portal_role import internal_database
from portal.settings import current
from portal.tenants.collections import CollectionMissing, CollectionNameTaken, uuid_of
from portal.tenants.moving.errors import DuplicatesRemain, PlaceGone
from portal.tenants.moving.places import Place
from portal.tenants.moving.structures import (
    ASLEEP_SECONDS,
    PLAIN,
    Index,
    Structure,
    build_indexes,
    create_target,
    differences,
    left_behind,
    put_indexes_to_sleep,
    read_structure,
    remove_validator,
    same_indexes,
    set_images,
    set_validator,
    unfit,
    wake_indexes,
)
from portal.tenants.placements import COLLECTION, DATABASE, SHARED

VALIDATOR = {"$jsonSchema": {"required": ["name"]}}
GERMAN, SIMPLE = {"locale": "de", "strength": 1}, {"locale": "simple"}
# One of each kind, and options that a move might lose.
INDEXES = (
    IndexModel({"a": 1}, name="plain"),
    IndexModel({"a": -1, "b.c": 1}, name="compound"),
    IndexModel({"a": 1, "b": Int64(-1)}, name="other numbers"),
    IndexModel({"unique": 1}, name="unique", unique=True),
    IndexModel({"sparse": 1}, name="sparse", sparse=True),
    IndexModel({"hidden": 1}, name="hidden", hidden=True),
    IndexModel({"at": 1}, name="expiring", expireAfterSeconds=3600),
    IndexModel({"hidden_at": 1}, name="expiring, hidden", expireAfterSeconds=0, hidden=True),
    IndexModel(
        {"partly": 1},
        name="partial",
        unique=True,
        partialFilterExpression={"price": {"$gt": Decimal128("1.10")}, "n": {"$lt": Int64(3)}},
    ),
    IndexModel({"$**": 1}, name="wildcard", wildcardProjection={"secret": 0}),
    IndexModel({"b.$**": 1}, name="wildcard below"),
    IndexModel(
        {"title": "text", "body": "text", "a": 1},
        name="text",
        weights={"title": 10},
        default_language="german",
        language_override="language",
        collation=SIMPLE,
    ),
    IndexModel({"where": "2dsphere"}, name="2dsphere"),
    IndexModel({"flat": "2d"}, name="2d", bits=20, min=-10, max=10, collation=SIMPLE),
    IndexModel({"where.then": "2dsphere"}, name="of a former kind", **{"2dsphereIndexVersion": 2}),
    IndexModel({"hash": "hashed"}, name="hashed"),
    IndexModel({"_id": "hashed"}, name="hashed id"),
    IndexModel({"name": 1}, name="german", collation=GERMAN),
    IndexModel({"name": 1}, name="simple", collation=SIMPLE),
    IndexModel({"odd.ö $ name": 1}, name="a name, of its own: “ö” 'x'"),
)
# Any number is a direction, by its sign; PyMongo refuses most.
DIRECTIONS = [
    {"name": f"direction {n}", "key": {f"d{n}": direction}}
    for n, direction in enumerate((2, 1.0, -0.1, 1e-300, Int64(-7), Decimal128("-0.5")))
]
FIRST_VERSION = IndexModel({"first": 1}, name="of the first version", v=1)  # has no collation


@pytest.fixture
def place(tenant_db):
    """Makes the place of a collection on the server, seen as the portal's user sees it."""

    def of(name, strategy=COLLECTION, **options):
        if options or name not in tenant_db.list_collection_names():
            tenant_db.create_collection(name, **options)
        database = client()[tenant_db.name]
        internal = client()[internal_database(current().tenant_db)]
        uuid = uuid_of(database, name)
        return Place(ObjectId(), strategy, database, internal, uuid, name)

    return of


@pytest.fixture
def target(place, tenant_db):
    """Makes a target for a structure."""

    def of(structure):
        database = client()[tenant_db.name]
        internal = client()[internal_database(current().tenant_db)]
        create_target(database, internal, "move_1", structure, ObjectId())
        return place("move_1")

    return of


def indexes_of(database, name):
    """As whoever is there sees them."""
    return {each["name"]: each for each in database[name].list_indexes()}


def apply_nothing(ids):
    assert not list(ids), "there are no duplicates"


@pytest.mark.parametrize("collation", [None, GERMAN], ids=["plain", "with a collation"])
def test_indexes_of_every_kind_are_the_same_at_the_target(place, target, tenant_db, collation):
    source = place("org_acme", **({"collation": collation} if collation else {}))
    tenant_db.org_acme.create_indexes([*INDEXES, *(() if collation else (FIRST_VERSION,))])
    tenant_db.command("createIndexes", "org_acme", indexes=DIRECTIONS)
    tenant_db.command("collMod", "org_acme", index={"name": "plain", "prepareUnique": True})
    tenant_db.org_acme.insert_one({"unique": 1, "name": "Acme", "at": datetime.now(UTC)})
    structure = read_structure(source)
    assert not unfit(structure, COLLECTION)
    assert not unfit(structure, DATABASE)
    new = target(structure)
    build_indexes(new, structure, apply=apply_nothing)
    assert same_indexes(read_structure(new), structure.asleep)
    wake_indexes(new, structure)
    assert differences(structure, read_structure(new)) == []
    assert indexes_of(tenant_db, "move_1") == indexes_of(tenant_db, "org_acme")


def test_no_document_expires_at_the_target_before_its_indexes_are_woken(place, target, tenant_db):
    source = place("org_acme")
    tenant_db.org_acme.create_index("at", expireAfterSeconds=0)
    new = target(structure := read_structure(source))
    build_indexes(new, structure, apply=apply_nothing)
    asleep = indexes_of(tenant_db, "move_1")["at_1"]
    assert asleep["expireAfterSeconds"] == ASLEEP_SECONDS
    wake_indexes(new, structure)
    assert indexes_of(tenant_db, "move_1")["at_1"]["expireAfterSeconds"] == 0
    # As where the switch didn't come to pass, or on the old copy.
    put_indexes_to_sleep(new)
    assert indexes_of(tenant_db, "move_1")["at_1"] == asleep


def test_the_structure_may_change_at_any_time_until_the_end(place, target, tenant_db):
    source = place("org_acme")
    tenant_db.org_acme.create_indexes(
        [
            IndexModel("goes"),
            IndexModel("renamed", name="old name"),
            IndexModel("other", sparse=True, name="other"),
            IndexModel("at", expireAfterSeconds=10, name="expiring"),
            IndexModel("no longer", expireAfterSeconds=10, name="kept"),
            IndexModel("from now on", name="expires"),
        ]
    )
    new = target(structure := read_structure(source))
    build_indexes(new, structure, apply=apply_nothing)
    changed = tenant_db.org_acme
    changed.drop_index("goes_1")
    for name in ("old name", "other", "kept"):
        changed.drop_index(name)
    changed.create_index("renamed", name="new name")
    changed.create_index("other", unique=True, name="other")
    changed.create_index("no longer", name="kept")
    for name, seconds in (("expiring", 20), ("expires", 30)):
        tenant_db.command(
            "collMod", "org_acme", index={"name": name, "expireAfterSeconds": seconds}
        )
    tenant_db.command("collMod", "org_acme", index={"name": "new name", "hidden": True})
    tenant_db.command(
        "collMod", "org_acme", changeStreamPreAndPostImages={"enabled": True}, validator=VALIDATOR
    )
    structure = read_structure(source)
    assert differences(structure, read_structure(new))
    build_indexes(new, structure, apply=apply_nothing)
    set_images(new, structure)
    set_validator(new, structure)
    wake_indexes(new, structure)
    assert differences(structure, read_structure(new)) == []
    assert indexes_of(tenant_db, "move_1") == indexes_of(tenant_db, "org_acme")


def test_nothing_is_built_twice(place, target, tenant_db, commands):
    source = place("org_acme")
    tenant_db.org_acme.create_indexes(list(INDEXES))
    new = target(structure := read_structure(source))
    build_indexes(new, structure, apply=apply_nothing)
    commands.clear()
    build_indexes(new, structure, apply=apply_nothing)
    assert not {"createIndexes", "dropIndexes", "collMod"} & set(commands)


def test_a_collection_is_full_of_long_definitions(place, target, tenant_db):
    """As many indexes as there may be, with what is as long as 300: a listing in many parts."""
    source = place("org_acme")
    some = [f"{n:04}" * 100 for n in range(8)]
    tenant_db.org_acme.create_indexes(
        [
            IndexModel(
                {f"field{n}.{'x' * 200}": 1},
                name=f"{n} {'long ' * 300}",
                partialFilterExpression={"$or": [{f"b{each}": n} for each in some]},
            )
            for n in range(63)
        ]
    )
    structure = read_structure(source)
    assert len(structure.indexes) == 63
    new = target(structure)
    build_indexes(new, structure, apply=apply_nothing)
    assert differences(structure, read_structure(new)) == []


def test_unique_indexes_are_built_although_keys_change_hands(place, target, tenant_db):
    """Copied while one does, two documents have it at the target. Applied again, one has."""
    source = place("org_acme")
    tenant_db.org_acme.create_index("key", unique=True, collation=GERMAN)
    tenant_db.org_acme.create_index("partly", unique=True, partialFilterExpression={"n": 1})
    tenant_db.org_acme.create_index([("of.some", 1), ("x", 1)], unique=True, sparse=True)
    new = target(structure := read_structure(source))
    documents = {
        **{n: {"key": key} for n, key in enumerate(("Öl", "ol"))},
        **{n: {"key": n, "partly": 1, "n": 1} for n in (10, 11)},
        **{n: {"key": n, "of": [{"some": n}, {"some": 1}]} for n in (20, 21)},
    }
    copied = [{"_id": n, **document} for n, document in documents.items()]
    tenant_db.move_1.insert_many(copied)
    tenant_db.move_1.insert_many([{"key": str(n)} for n in range(3000)])
    applied = set()

    def apply(ids):
        for found in ids:
            number = bson.decode(found)[""]
            applied.add(number)
            other = {"key": f"other {number}", "partly": number, "of": number}
            tenant_db.move_1.update_one({"_id": number}, {"$set": other})

    build_indexes(new, structure, apply=apply)
    assert differences(structure, read_structure(new)) == []
    assert applied == set(documents)


def test_duplicates_that_remain_are_told(place, target, tenant_db):
    source = place("org_acme")
    tenant_db.org_acme.create_index("key", unique=True)
    new = target(structure := read_structure(source))
    tenant_db.move_1.insert_many([{"key": 1}, {"key": 1}])
    with pytest.raises(DuplicatesRemain) as told:
        build_indexes(new, structure, apply=lambda ids: None)
    assert "key_1" in str(told.value)


def test_the_mover_goes_on_while_indexes_are_built(place, target, tenant_db, failing, bare_client):
    source = place("org_acme")
    tenant_db.org_acme.create_index("key")
    new = target(structure := read_structure(source))
    tenant_db.move_1.insert_one({"key": 1})
    point = "hangAfterStartingIndexBuild"
    bare_client.admin.command({"configureFailPoint": point, "mode": "alwaysOn"})
    called = threading.Event()

    def release():
        called.set()
        bare_client.admin.command({"configureFailPoint": point, "mode": "off"})

    build_indexes(new, structure, apply=apply_nothing, meanwhile=release)
    assert called.is_set()
    assert differences(structure, read_structure(new)) == []


def test_an_index_that_is_being_built_is_not_taken_for_one(place, tenant_db, bare_client):
    source = place("org_acme")
    tenant_db.org_acme.insert_one({"key": 1})
    point = "hangAfterStartingIndexBuild"
    entered = bare_client.admin.command({"configureFailPoint": point, "mode": "alwaysOn"})["count"]
    building = threading.Thread(target=tenant_db.org_acme.create_index, args=("key",))
    building.start()
    try:
        bare_client.admin.command(
            {"waitForFailPoint": point, "timesEntered": entered + 1, "maxTimeMS": 10_000}
        )
        structure = read_structure(source)
    finally:
        bare_client.admin.command({"configureFailPoint": point, "mode": "off"})
        building.join()
    assert structure.indexes == ()
    assert structure.building == ("key_1",)


def test_a_validator_is_there_only_from_the_switch_on(place, target, tenant_db):
    options = {"validator": VALIDATOR, "validationLevel": "moderate", "validationAction": "warn"}
    source = place("org_acme", **options)
    new = target(structure := read_structure(source))
    tenant_db.move_1.insert_one({"invalid": "but it was there before the validator"})
    set_validator(new, structure)
    assert tenant_db.move_1.options() == options
    assert differences(structure, read_structure(new)) == []
    remove_validator(new)
    assert (
        "validator" not in tenant_db.move_1.options() or not tenant_db.move_1.options()["validator"]
    )
    tenant_db.move_1.insert_one({"invalid": "again"})


def test_options_that_a_collection_is_born_with_travel(place, target, tenant_db):
    options = {
        "collation": GERMAN,
        "changeStreamPreAndPostImages": {"enabled": True},
        "storageEngine": {"wiredTiger": {"configString": "block_compressor=zstd"}},
        "indexOptionDefaults": {
            "storageEngine": {"wiredTiger": {"configString": "prefix_compression=false"}}
        },
    }
    source = place("org_acme", **options)
    structure = read_structure(source)
    assert not unfit(structure, COLLECTION)
    assert left_behind(structure, COLLECTION)
    new = target(structure)
    assert tenant_db.move_1.options() == tenant_db.org_acme.options()
    assert differences(structure, read_structure(new)) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"capped": True, "size": 4096}, "is capped"),
        ({"clusteredIndex": {"key": {"_id": 1}, "unique": True}}, "clustered"),
    ],
)
def test_what_can_not_move_is_told_before(place, options, told):
    structure = read_structure(place("org_acme", **options))
    for strategy in (COLLECTION, DATABASE, SHARED):
        [reason] = unfit(structure, strategy)
        assert told in reason


def test_options_of_other_versions_are_told_before_and_lost_by_none():
    """Of a later one, or of one whose drivers wrote what servers refuse today."""
    [reason] = unfit(Structure({"vectorized": True}, ()), COLLECTION)
    assert "vectorized" in reason
    former = Index("by name", {"v": 1, "key": {"name": 1}, "safe": None})
    [reason] = unfit(Structure({}, (former,)), COLLECTION)
    assert "safe" in reason
    assert "by name" in reason


def test_what_needs_a_collection_of_its_own_can_not_share_one(place, tenant_db):
    source = place(
        "org_acme",
        validator=VALIDATOR,
        collation=GERMAN,
        changeStreamPreAndPostImages={"enabled": True},
    )
    tenant_db.org_acme.create_indexes([IndexModel(f"field{n}") for n in range(8)])
    reasons = " ".join(unfit(read_structure(source), SHARED))
    for told in ("field0_1", "and 3 more", "validator", "collation", "images"):
        assert told in reasons
    assert unfit(read_structure(place("org_other")), SHARED) == []
    assert read_structure(place("shared_1_1", SHARED)) == PLAIN


def test_a_target_is_created_once_and_no_strangers_collection_is_taken_for_it(
    place, target, tenant_db
):
    structure = read_structure(place("org_acme"))
    database, internal = client()[tenant_db.name], client()[internal_database(tenant_db.name)]
    tenant_db.create_collection("portal_moving_documents")
    with pytest.raises(CollectionNameTaken):
        create_target(database, internal, "portal_moving_documents", structure, ObjectId())
    token = ObjectId()
    uuid = create_target(database, internal, "move_1", structure, token)
    assert create_target(database, internal, "move_1", structure, token) == uuid
    tenant_db.drop_collection("move_1")
    # As by a process that was suspended and wakes when the move was aborted.
    with pytest.raises(CollectionMissing):
        create_target(database, internal, "move_1", structure, token)
    assert "move_1" not in tenant_db.list_collection_names()


def test_the_structure_is_read_and_brought_along_whatever_the_names_are(place, tenant_db):
    source = place("org_acme")
    tenant_db.org_acme.create_index("a")
    tenant_db.org_acme.rename("org_acme_inc")
    tenant_db.create_collection("org_acme")
    structure = read_structure(source)
    assert [index.name for index in structure.indexes] == ["a_1"]
    other = place("org_other")
    tenant_db.org_other.rename("move_2")
    build_indexes(other, structure, apply=apply_nothing)
    assert "a_1" in indexes_of(tenant_db, "move_2")
    tenant_db.drop_collection("org_acme_inc")
    with pytest.raises(PlaceGone):
        read_structure(source)

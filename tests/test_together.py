"""Reads of several parts go to the server by one command, and each part is sent its own rows."""

import pytest
from pymongo.errors import OperationFailure

from portal.database.together import Read, joined, read
from portal.documents.organizations import Organization, Slug
from tests.factories import an_organization


def named(name):
    """Reads the organization of this name, and then its slug."""
    [found] = yield [Read(Organization, [{"$match": {"name": name}}])]
    if not found:
        return None
    [slugs] = yield [Read(Slug, [{"$match": {"organization": found[0]["_id"]}}])]
    return [slug["_id"] for slug in slugs]


def number():
    """Counts the organizations, and reads all of their names."""
    counted, rows = yield [
        Read(Organization, [{"$count": "number"}]),
        Read(Organization, [{"$sort": {"name": -1}}, {"$project": {"name": 1}}]),
    ]
    return counted[0]["number"], [row["name"] for row in rows]


def test_each_part_is_sent_its_rows_in_their_order_by_a_command_for_each_step(app, commands):
    for name in ("Acme Corp", "Verso Books"):
        an_organization(name)
    commands.clear()
    found = read(joined(named("Acme Corp"), number(), named("Nobody"), named("Verso Books")))
    assert found == [["acme-corp"], (2, ["Verso Books", "Acme Corp"]), None, ["verso-books"]]
    assert commands == ["aggregate", "aggregate"]


def test_joined_parts_are_a_part_again(app):
    an_organization("Acme Corp")
    assert read(joined(joined(named("Acme Corp")), number())) == [
        [["acme-corp"]],
        (1, ["Acme Corp"]),
    ]


def by_index(document, hint):
    """Counts the documents of a kind by an index."""
    [rows] = yield [Read(document, [{"$count": "number"}], hint=hint)]
    return rows[0]["number"]


def test_parts_that_name_their_index_are_read_by_it(app, commands):
    an_organization("Acme Corp")
    with pytest.raises(OperationFailure, match="hint"):
        read(by_index(Slug, "no such index"))
    commands.clear()
    parts = (number(), by_index(Slug, {"organization": 1}), by_index(Organization, "_id_"))
    assert read(joined(*parts)) == [(1, ["Acme Corp"]), 1, 1]
    assert commands == ["aggregate", "aggregate"]  # as a command has one


def test_of_no_part_nothing_is_read(app, commands):
    assert read(joined()) == []
    assert commands == []


def test_more_rows_than_a_batch_has_arrive(app, master_db):
    master_db.slugs.insert_many([{"_id": f"slug-{n:05}"} for n in range(12_000)])

    def all_slugs():
        [rows] = yield [Read(Slug, [{"$sort": {"_id": 1}}])]
        return [row["_id"] for row in rows]

    assert read(all_slugs()) == [f"slug-{n:05}" for n in range(12_000)]

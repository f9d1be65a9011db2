"""Places to move between, used by the portal's user with the rights that it has."""

from itertools import count

import pytest
from bson import ObjectId
from pymongo.write_concern import WriteConcern

from portal.database.connection import client
from portal.database.portal_role import internal_database
from portal.settings import current
from portal.tenants import collections
from portal.tenants.moving.places import Place
from portal.tenants.placements import DATABASE, SHARED
from portal.tenants.placements.database import DOCUMENTS, database_name

NEIGHBOUR = ObjectId(b"neighbourly.")


def pytest_itemcollected(item):
    """Documents are moved in every test here, which ``make test-fast`` leaves out."""
    item.add_marker("slow")


@pytest.fixture
def organization():
    return ObjectId()


@pytest.fixture
def a_place(app, organization):
    """Makes an empty place for the organization; in a pool beside a neighbour."""
    numbers = count(1)

    def make(strategy, **options):
        number, majority = next(numbers), WriteConcern("majority")
        tenants = current().tenant_db
        database = client().get_database(
            database_name(organization) if strategy == DATABASE else tenants, write_concern=majority
        )
        internal = client().get_database(internal_database(tenants), write_concern=majority)
        name = DOCUMENTS if strategy == DATABASE else f"shared_{number}_1"
        database.command({"create": name, **options})
        pool = number if strategy == SHARED else None
        if pool:
            database[name].insert_one({"_id": {"o": NEIGHBOUR, "i": 1}, "theirs": True})
        uuid = collections.uuid_of(database, name)
        return Place(organization, strategy, database, internal, uuid, name, pool)

    return make

"""What tests of clusters stand on."""

import pytest
from pymongo import MongoClient

from portal import settings
from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.database.clusters import database_of
from portal.documents.clusters import Cluster
from portal.web.context import RequestContext
from tests.conftest import drop_tenant_databases


@pytest.fixture
def europe(second_cluster):
    """A second cluster, registered."""
    managing.add_cluster("europe", Changes(second_cluster.uri), RequestContext())
    return second_cluster


@pytest.fixture
def there(second_cluster):
    """A client that may do everything on the second cluster."""
    with MongoClient(
        second_cluster.admin_uri, uuidRepresentation="standard", tz_aware=True
    ) as client:
        yield client


@pytest.fixture
def placed(europe, there):
    """Has an organization's collection on the second cluster."""

    def place(organization):
        database = there[settings.current().tenant_db]
        name = organization.placement.collection
        made = database.create_collection(name)
        made.insert_one({"title": "First"})
        [found] = database.list_collections(filter={"name": name})
        database_of(organization.placement).drop_collection(name)
        organization.modify(
            set__placement__cluster="europe",
            set__placement__uuid=found["info"]["uuid"],
            inc__version=1,
        )
        return organization

    return place


@pytest.fixture
def empty_everything(empty_database, there, second_cluster):
    """Begins again with nothing, but for the second cluster's registration."""

    def empty():
        registered = list(Cluster._get_collection().find())
        empty_database()
        drop_tenant_databases(there)
        Cluster._get_collection().insert_many(registered)

    return empty


@pytest.fixture
def figure(record_property):
    """Has a figure told at the end of the run."""
    return lambda words: record_property("figure", words)

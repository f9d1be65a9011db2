"""What tests of clusters stand on."""

import pytest
from pymongo import MongoClient

from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.documents.clusters import Cluster
from portal.documents.organizations import Strategy
from portal.organizations.storage import tenant_of
from portal.web.context import RequestContext
from tests.conftest import drop_tenant_databases
from tests.factories import an_organization

HIDDEN = "127.0.0.1:2"


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
def passive(europe, there):
    """The host of a second member of the cluster, which never becomes primary, and is down; a third
    one is hidden."""
    config = there.admin.command("replSetGetConfig")["config"]
    host = "127.0.0.1:1"
    more = [
        {"_id": 1, "host": host, "priority": 0, "votes": 0},
        {"_id": 2, "host": HIDDEN, "priority": 0, "votes": 0, "hidden": True},
    ]
    larger = {"members": [*config["members"], *more], "version": config["version"] + 1}
    there.admin.command("replSetReconfig", {**config, **larger})
    yield host
    there.admin.command("replSetReconfig", {**config, "version": config["version"] + 2})


@pytest.fixture
def in_europe(europe):
    """Makes an organization on the second cluster, with a document."""

    def make(name, strategy=Strategy.COLLECTION):
        organization = an_organization(name, strategy=strategy, cluster="europe")
        tenant_of(organization).insert_one({"title": "First"})
        return organization

    return make


@pytest.fixture
def empty_everything(empty_database, there, second_cluster):
    """Begins again with nothing, but for the second cluster's registration."""

    def empty():
        registered = list(Cluster._get_collection().find())
        empty_database()
        drop_tenant_databases(there)
        Cluster._get_collection().insert_many(registered)

    return empty
